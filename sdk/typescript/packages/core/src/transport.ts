import { DowncityError, requireText, withoutQuery } from "./errors.js";
import type { Flavor } from "./flavor.js";
import { delayAfter, isConnectionFailure, isUnsent, noAnswer } from "./retry.js";

/** What a call sends: the second argument of `fetch`. */
export interface RequestInitLike {
  method?: string;
  /** Names in lower case. */
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

/** The body of an answer as bytes. */
export type RawStreamBody = ReadableStream<Uint8Array>;

/** What a call gets back: the part of a `Response` that is read. */
export interface FetchResponseLike {
  ok: boolean;
  status: number;
  body: RawStreamBody | null;
  json(): Promise<unknown>;
  text(): Promise<string>;
}

/** `fetch`, or what stands in for it. */
export type FetchLike = (url: string, init: RequestInitLike) => Promise<FetchResponseLike>;

/** What all clients can be told about their calls. */
export interface ClientOptions {
  /** Used in place of the global `fetch`. */
  fetch?: FetchLike | undefined;
  /** Sent with every call, under those that the client sets. */
  headers?: Record<string, string> | undefined;
  /**
   * How long a call may take, in milliseconds, all attempts together; 30,000 unless set, and 600,000
   * for calls of models. A stream has to begin within it. 0 = no limit.
   */
  timeout_ms?: number | undefined;
  /** Ends every call of the client. */
  signal?: AbortSignal | undefined;
  /**
   * How often a call is repeated when the connection fails; `false` = never. Answers of the server
   * are never repeated. A write carries an `Idempotency-Key`, the same in every attempt; a call of a
   * model is repeated only when it cannot have reached the server.
   */
  retries?: number | false | undefined;
}

/** What one call can be told. */
export interface CallOptions {
  /** Ends the call. */
  signal?: AbortSignal | undefined;
  /** How long the call may take, in milliseconds; 0 = no limit. */
  timeout_ms?: number | undefined;
  /**
   * Names this write: sent again with the same key, it gets the first answer and changes nothing,
   * where the action supports it. Made when absent.
   */
  idempotency_key?: string | undefined;
}

/** A query string: what is `null` or `undefined` is left out. */
export type Query = Record<string, unknown>;

interface Call {
  method: "GET" | "POST";
  path: string;
  body?: unknown;
  options?: CallOptions | undefined;
  timeout_ms: number;
  /** Whether it asks a model: work that has begun is paid for, so it is never sent a second time. */
  isModelCall?: boolean;
}

const TIMEOUT_MS = 30_000;
/** How long the call of a model may take, in milliseconds, where nobody says. */
const MODEL_TIMEOUT_MS = 600_000;
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** Sends the calls of a client. */
export class Transport {
  /** The address of the server, without a slash at the end. */
  readonly base_url: string;
  readonly flavor: Flavor;
  #credential: string | undefined;
  #fetch: FetchLike;
  #headers: Record<string, string>;
  #timeout: number | undefined;
  #signal: AbortSignal | undefined;
  #retries: number;

  constructor(
    flavor: Flavor,
    base_url: string,
    credential: string | undefined,
    options: ClientOptions,
  ) {
    this.flavor = flavor;
    this.base_url = base_url;
    this.#credential = credential;
    this.#fetch = options.fetch ?? globalFetch();
    this.#timeout = options.timeout_ms;
    this.#signal = options.signal;
    this.#retries = options.retries === false ? 0 : (options.retries ?? flavor.retries);
    this.#headers = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      this.#headers[name.toLowerCase()] = value;
    }
    this.#headers["content-type"] = "application/json";
    if (flavor.dialect) this.#headers["x-downcity-dialect"] = flavor.dialect;
    if (credential) this.#headers.authorization = `Bearer ${credential}`;
  }

  /** The user_token or admin key; `undefined` for guests. */
  get credential(): string | undefined {
    return this.#credential;
  }

  /** The JSON that a GET answers with. */
  get<T>(path: string, query?: Query, options?: CallOptions): Promise<T> {
    const call: Call = {
      method: "GET",
      path: path + queryString(query),
      options,
      timeout_ms: TIMEOUT_MS,
    };
    return this.#whole(call, json<T>);
  }

  /** The JSON that a POST answers with. */
  post<T>(path: string, body: unknown, options?: CallOptions): Promise<T> {
    return this.#whole({ method: "POST", path, body, options, timeout_ms: TIMEOUT_MS }, json<T>);
  }

  /** The JSON that a model answers with. */
  ask<T>(path: string, body: unknown, options?: CallOptions): Promise<T> {
    return this.#whole(modelCall(path, body, options), json<T>);
  }

  /** The text that a GET answers with. */
  text(path: string, options?: CallOptions): Promise<string> {
    const call: Call = { method: "GET", path, options, timeout_ms: TIMEOUT_MS };
    return this.#whole(call, (answer) => answer.text());
  }

  /** The body that a model answers with, and what ends the request and lets go of its signals. */
  async open(path: string, body: unknown, options?: CallOptions): Promise<OpenBody> {
    const ending = new Ending([this.#signal, options?.signal]);
    try {
      const call = modelCall(path, body, options);
      const answer = await this.#run(call, ending, async (answer) => answer);
      if (!answer.body) throw new Error(`POST ${this.base_url}${path} answered with an empty body`);
      return { body: answer.body, ending };
    } catch (error) {
      ending.release();
      throw error;
    }
  }

  async #whole<T>(call: Call, read: (answer: FetchResponseLike) => Promise<T>): Promise<T> {
    const ending = new Ending([this.#signal, call.options?.signal]);
    try {
      return await this.#run(call, ending, read);
    } finally {
      ending.release();
    }
  }

  /** Sends a call and reads its answer, within its time. */
  async #run<T>(
    call: Call,
    ending: Ending,
    read: (answer: FetchResponseLike) => Promise<T>,
  ): Promise<T> {
    const where = `${call.method} ${withoutQuery(this.base_url + call.path)}`;
    const timeout = call.options?.timeout_ms ?? this.#timeout ?? call.timeout_ms;
    const late = () => ending.abort(timedOut(where, timeout));
    const timer = timeout > 0 ? setTimeout(late, timeout) : undefined;
    try {
      // The race is for stand-ins of fetch that know no signals.
      return await raceAbort(ending.signal, this.#attempts(call, where, ending.signal, read));
    } finally {
      clearTimeout(timer);
    }
  }

  async #attempts<T>(
    call: Call,
    where: string,
    signal: AbortSignal,
    read: (answer: FetchResponseLike) => Promise<T>,
  ): Promise<T> {
    const url = this.base_url + call.path;
    const init = this.#init(call, signal);
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      let answer: FetchResponseLike;
      try {
        answer = await this.#fetch(url, init);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const again = call.isModelCall ? isUnsent(error) : isConnectionFailure(error);
        if (attempt > this.#retries || !again) {
          throw noAnswer(error, where, attempt);
        }
        await raceAbort(signal, new Promise((wake) => setTimeout(wake, delayAfter(attempt))));
        continue;
      }
      if (answer.ok) return read(answer);
      throw new DowncityError({
        status: answer.status,
        body: await answer.text(),
        method: call.method,
        url,
      });
    }
  }

  #init(call: Call, signal: AbortSignal): RequestInitLike {
    const headers = { ...this.#headers };
    const init: RequestInitLike = { method: call.method, headers, signal };
    if (call.method === "POST") {
      headers["idempotency-key"] = call.options?.idempotency_key ?? newKey();
      init.body = JSON.stringify(call.body ?? {});
    }
    return init;
  }
}

function modelCall(path: string, body: unknown, options?: CallOptions): Call {
  return { method: "POST", path, body, options, timeout_ms: MODEL_TIMEOUT_MS, isModelCall: true };
}

/** A body that is still arriving. */
export interface OpenBody {
  body: RawStreamBody;
  ending: Ending;
}

/** Ends a request, by itself or when one of the given signals says so. */
export class Ending {
  readonly #controller = new AbortController();
  readonly #links: Array<readonly [AbortSignal, () => void]> = [];

  constructor(signals: Array<AbortSignal | undefined>) {
    for (const signal of signals) {
      if (!signal) continue;
      const stop = () => this.abort(signal.reason);
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
      this.#links.push([signal, stop]);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  /** Lets go of the given signals; those of a client live longer than its calls. */
  release(): void {
    for (const [signal, stop] of this.#links) signal.removeEventListener("abort", stop);
  }
}

async function json<T>(answer: FetchResponseLike): Promise<T> {
  return (await answer.json()) as T;
}

/** Rejects with the reason of the signal as soon as it is aborted. */
export function raceAbort<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

function timedOut(where: string, timeout: number): Error {
  const error = new Error(`${where} gave no answer within ${timeout} ms`);
  error.name = "TimeoutError";
  return error;
}

/** 128 random bits. Not `randomUUID`: pages without TLS have none. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function globalFetch(): FetchLike {
  if (typeof globalThis.fetch !== "function") {
    throw new Error("there is no global fetch here: pass one as the option fetch");
  }
  return (url, init) => globalThis.fetch(url, init);
}

function queryString(query: Query | undefined): string {
  const pairs = Object.entries(query ?? {}).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  if (pairs.length === 0) return "";
  return `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}`;
}

/**
 * The address of a server, without slashes at its end.
 *
 * @throws TypeError when it is no text, or blank.
 */
export function baseUrl(name: string, value: unknown): string {
  return requireText(name, value).replace(/\/+$/, "");
}

/**
 * The segments of a path, encoded; slashes at its beginning are dropped.
 *
 * @throws TypeError when it is blank, or a segment is empty, `.` or `..`.
 */
export function encodePath(name: string, value: unknown): string {
  const segments = requireText(name, value).replace(/^\/+/, "").split("/");
  if (segments.some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw new TypeError(`${name} must be a path without empty, "." and ".." segments`);
  }
  return segments.map(encodeURIComponent).join("/");
}

/** Makes `console.log` and `JSON.stringify` show a client without its secrets. */
export function describeAs(prototype: object, shown: (client: never) => object): void {
  function toJSON(this: never) {
    return shown(this);
  }
  function inspect(this: never, _depth: number, options: unknown, print?: InspectLike) {
    const name = (this as object).constructor.name;
    return print ? `${name} ${print(shown(this), options)}` : shown(this);
  }
  Object.defineProperty(prototype, "toJSON", { value: toJSON, configurable: true });
  Object.defineProperty(prototype, INSPECT, { value: inspect, configurable: true });
}

type InspectLike = (value: unknown, options: unknown) => string;
