import { requireText } from "./errors.js";
import type { Items } from "./records.js";
import type { CallOptions, Query, Transport } from "./transport.js";

/** All records of a list, page by page. Some servers answer with the bare list. */
export async function listAll<T>(
  transport: Transport,
  path: string,
  options?: CallOptions,
  query: Query = {},
): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await transport.get<Items<T> | T[]>(path, { ...query, cursor }, options);
    if (Array.isArray(page)) return page;
    all.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return all;
}

/** Issues user_tokens of any tenant. */
export class TenantTokens<INPUT extends object, ISSUED> {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Issues a user_token.
   *
   * @throws TypeError when the tenant or `user_id` is blank.
   * @throws DowncityError 404 when the tenant is unknown, 403 when it is paused.
   */
  async apply(input: INPUT, options?: CallOptions): Promise<ISSUED> {
    const { id_field, paths } = this.#transport.flavor;
    const named = input as Record<string, unknown>;
    requireText(id_field, named[id_field]);
    requireText("user_id", named.user_id);
    return this.#transport.post<ISSUED>(paths.tokens_apply, input, options);
  }
}

/** Manages the tenants of a Federation; `REF` is how one is named. */
export class TenantsInvoker<RECORD, CREATE extends object, REF, INPUT extends object, ISSUED> {
  /** Issues user_tokens of any of them. */
  readonly tokens: TenantTokens<INPUT, ISSUED>;
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.tokens = new TenantTokens(transport);
  }

  /** All of them, the oldest first. */
  list(options?: CallOptions): Promise<RECORD[]> {
    return listAll<RECORD>(this.#transport, this.#transport.flavor.paths.tenants_list, options);
  }

  /**
   * Creates one; without an id of yours, the server makes one.
   *
   * @throws DowncityError 409 when the id is taken.
   */
  async create(input: CREATE, options?: CallOptions): Promise<RECORD> {
    requireText("name", (input as { name?: unknown }).name);
    return this.#transport.post<RECORD>(this.#path("create"), input, options);
  }

  /**
   * Stops its users' calls: their tokens answer 403, and no new ones are issued.
   *
   * @throws DowncityError 404 when it is unknown.
   */
  pause(id: REF, options?: CallOptions): Promise<RECORD> {
    return this.#change<RECORD>("pause", id, options);
  }

  /**
   * Ends a pause.
   *
   * @throws DowncityError 404 when it is unknown.
   */
  activate(id: REF, options?: CallOptions): Promise<RECORD> {
    return this.#change<RECORD>("activate", id, options);
  }

  /**
   * Removes it and ends its tokens for good.
   *
   * @throws DowncityError 404 when it is unknown.
   */
  remove(id: REF, options?: CallOptions): Promise<{ success: boolean }> {
    return this.#change<{ success: boolean }>("remove", id, options);
  }

  #path(verb: string): string {
    return `${this.#transport.flavor.paths.tenants}/${verb}`;
  }

  async #change<T>(verb: string, ref: REF, options?: CallOptions): Promise<T> {
    const field = this.#transport.flavor.id_field;
    const named = typeof ref === "object" && ref ? (ref as Record<string, unknown>)[field] : ref;
    const body = { [field]: requireText(field, named) };
    return this.#transport.post<T>(this.#path(verb), body, options);
  }
}
