import { requireText } from "./errors.js";
import { type CallOptions, encodePath, type Query, type Transport } from "./transport.js";

/** Fields that the client itself puts into the inputs of actions. */
export type Injected = Readonly<Record<string, string>>;

/** A service: its actions, by name. */
export class ServiceClient {
  /** The id of the service. */
  readonly name: string;
  readonly #transport: Transport;
  readonly #path: string;
  readonly #injected: Injected;

  /** @throws TypeError when the name is blank, or a path. */
  constructor(transport: Transport, name: string, injected: Injected = {}) {
    this.name = requireText("service", name);
    if (this.name === "." || this.name === "..") throw new TypeError("service must be a name");
    this.#transport = transport;
    this.#path = `/v1/${encodeURIComponent(this.name)}`;
    this.#injected = injected;
  }

  /**
   * An action that is called by POST.
   *
   * @param name Its path, such as `login` or `oauth/start`.
   * @throws TypeError when it is blank, or a segment is empty, `.` or `..`.
   */
  action(name: string): ActionClient {
    const path = `${this.#path}/${encodePath("action", name)}`;
    return new ActionClient(this.#transport, requireText("action", name), path, this.#injected);
  }

  /**
   * Calls an action by GET and gives its JSON as it is, so lists are `{ items, next_cursor }`.
   *
   * @param query What is `null` or `undefined` is left out.
   * @throws DowncityError when the server refuses.
   */
  async get<T = unknown>(action: string, query?: Query, options?: CallOptions): Promise<T> {
    return this.#transport.get<T>(`${this.#path}/${encodePath("action", action)}`, query, options);
  }
}

/** An action of a service that is called by POST. */
export class ActionClient {
  /** Its path below the service. */
  readonly name: string;
  readonly #transport: Transport;
  readonly #path: string;
  readonly #injected: Injected;

  constructor(transport: Transport, name: string, path: string, injected: Injected = {}) {
    this.name = name;
    this.#transport = transport;
    this.#path = path;
    this.#injected = injected;
  }

  /**
   * Calls it and gives its JSON as it is. The client of a user adds its tenant to the input.
   *
   * @throws DowncityError when the server refuses.
   */
  async invoke<T = unknown>(input: object = {}, options?: CallOptions): Promise<T> {
    return this.#transport.post<T>(this.#path, { ...input, ...this.#injected }, options);
  }
}
