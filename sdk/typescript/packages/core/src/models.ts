import type { UIMessage, UIMessageChunk } from "../../type/src/index.js";
import type { AiBase } from "./ai.js";
import { requireText } from "./errors.js";
import type { UserModelInput, UserModelRef, UserServiceInput } from "./inputs.js";
import type { StreamOptions } from "./stream.js";
import type { CallOptions, Transport } from "./transport.js";

/** What a listed model has beside the record of the server. */
export interface ListedModel extends UserModelRef {
  /** Whether it is the first of the list, and so what calls without `model` use. */
  is_default: boolean;
  /** The modalities that no model before it in the list has. */
  default_modalities: string[];
}

/** The models that can be called now, the operator's default first. */
export class ModelCatalog<MODEL extends UserModelRef = ListedModel> {
  readonly #items: readonly MODEL[];
  readonly #by_id = new Map<string, MODEL>();

  /**
   * @param items The models in the order of the server.
   * @param finish Adds what a generation of clients has beside; the result is frozen.
   */
  constructor(items: readonly UserModelRef[], finish?: (model: ListedModel) => MODEL) {
    const seen = new Set<string>();
    this.#items = items.map((item, index) => {
      const news = item.modalities.filter((modality) => !seen.has(modality));
      for (const modality of news) seen.add(modality);
      const listed = { ...item, is_default: index === 0, default_modalities: news };
      return Object.freeze(finish ? finish(listed) : (listed as unknown as MODEL));
    });
    for (const item of this.#items) this.#by_id.set(item.id, item);
  }

  /** The model of this id; of several, the last. */
  get(id: string): MODEL | undefined {
    return this.#by_id.get(id.trim());
  }

  /** The model that calls without `model` use. */
  default(): MODEL | undefined {
    return this.#items[0];
  }

  /** All of them, in the order of the server. */
  all(): MODEL[] {
    return [...this.#items];
  }

  /** Those that can do this: `text`, `image`, .. */
  forModality(modality: string): MODEL[] {
    return this.#items.filter((item) => item.modalities.includes(modality));
  }
}

/** A call of a model that is chosen already. */
export type HandleInput = Omit<UserServiceInput, "model"> & { model?: never };

/** What a handle calls. */
export interface HandleCalls extends Pick<AiBase, "text" | "stream"> {
  video(input: UserServiceInput, options?: CallOptions): Promise<UIMessage>;
}

/**
 * One model of a Federation, also for other clients: `url()`, `modelName()` and `token` are the base
 * URL, the model and the API key of any OpenAI-compatible one.
 */
export class ModelHandle {
  /** Its id. */
  readonly id: string;
  /** What people see; the id, where only that is known. */
  readonly name: string;
  /** Whatever else the operator says about it. */
  readonly meta: Record<string, unknown>;
  /** `<federation>/v1/ai`. */
  readonly endpoint: string;
  readonly #calls: HandleCalls;
  readonly #transport: Transport;

  /** @throws TypeError when the id is blank. */
  constructor(calls: HandleCalls, transport: Transport, model: UserModelInput) {
    const known: Partial<UserModelRef> = typeof model === "string" ? { id: model } : model;
    this.id = requireText("model", known.id);
    this.name = known.name ?? this.id;
    this.meta = known.meta ?? {};
    this.endpoint = `${transport.base_url}/v1/ai`;
    this.#calls = calls;
    this.#transport = transport;
  }

  /** The user_token; `undefined` for guests. */
  get token(): string | undefined {
    return this.#transport.credential;
  }

  /** Asks it and waits for the whole answer. */
  text(input: HandleInput, options?: CallOptions): Promise<UIMessage> {
    return this.#calls.text({ ...input, model: this.id }, options);
  }

  /** Asks it and gives its answer as it comes. */
  stream(input: HandleInput, options?: StreamOptions): Promise<ReadableStream<UIMessageChunk>> {
    return this.#calls.stream({ ...input, model: this.id }, options);
  }

  /** Lets it make a video. */
  video(input: HandleInput, options?: CallOptions): Promise<UIMessage> {
    return this.#calls.video({ ...input, model: this.id }, options);
  }

  /** The base URL for other clients: `<federation>/v1/ai`. */
  url(): string {
    return this.endpoint;
  }

  /** The model for other clients. */
  modelName(): string {
    return this.id;
  }
}
