import type { UIMessage, UIMessageChunk } from "../../type/src/index.js";
import { requireText } from "./errors.js";
import type { UserModelCall, UserServiceInput } from "./inputs.js";
import { chunksOf, type StreamOptions } from "./stream.js";
import { wireTools } from "./tools.js";
import type { CallOptions, Transport } from "./transport.js";

/** Calls models for a user, with the names that a generation of clients has for it. */
export class AiBase {
  readonly #transport: Transport;
  readonly #tenant: string | undefined;
  readonly #path: string;

  /** @param path Where the routes of models begin: `/v1/ai`. */
  constructor(transport: Transport, tenant: string | undefined, path = "/v1/ai") {
    this.#transport = transport;
    this.#tenant = tenant;
    this.#path = path;
  }

  /**
   * Asks a model and waits for the whole answer.
   *
   * @throws TypeError when the client has no tenant.
   * @throws DowncityError 402 when the wallet does not cover it, 422 when the model cannot do it.
   */
  async text(input: UserServiceInput, options?: CallOptions): Promise<UIMessage> {
    return this.call("text", withTools(input), options);
  }

  /**
   * Asks a model and gives its answer as it comes. Cancelling the stream ends the request. A failure
   * on the way is a chunk `error`; the stream itself fails when the connection breaks.
   *
   * @throws TypeError when the client has no tenant or no user_token.
   * @throws DowncityError when the server refuses before the first chunk.
   */
  async stream(
    input: UserServiceInput,
    options?: StreamOptions,
  ): Promise<ReadableStream<UIMessageChunk>> {
    const body = this.#prepare(withTools(input));
    if (!this.#transport.credential) throw new TypeError("user_token is required for streams");
    const path = `${this.#path}/stream`;
    const open = await this.#transport.open(path, body, options);
    return chunksOf(open, options?.strict ?? false);
  }

  /** Calls a route of models. */
  protected async call<T>(route: string, input: UserModelCall, options?: CallOptions): Promise<T> {
    const path = `${this.#path}/${route}`;
    return this.#transport.ask<T>(path, this.#prepare(input), options);
  }

  /** The input with the id of its model and the client's tenant. */
  #prepare(input: UserModelCall): Record<string, unknown> {
    const field = this.#transport.flavor.id_field;
    const { model, ...rest } = input;
    const id = typeof model === "string" ? model.trim() : model?.id;
    return { ...rest, ...(id && { model: id }), [field]: requireText(field, this.#tenant) };
  }
}

function withTools(input: UserServiceInput): UserServiceInput {
  const { tools, ...rest } = input;
  const sent = wireTools(tools);
  return sent ? { ...rest, tools: sent } : rest;
}
