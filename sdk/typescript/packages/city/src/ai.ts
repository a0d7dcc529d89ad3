import { AiBase } from "../../core/src/ai.js";
import { listModels } from "../../core/src/directory.js";
import { requireText } from "../../core/src/errors.js";
import type {
  UserAsrInput,
  UserAsrResult,
  UserImageInput,
  UserImageJobCreateResult,
  UserImageJobResult,
  UserModelInput,
  UserServiceInput,
  UserTtsInput,
} from "../../core/src/inputs.js";
import { type ListedModel, ModelCatalog, ModelHandle } from "../../core/src/models.js";
import type { CallOptions, Transport } from "../../core/src/transport.js";
import {
  CITY_MODEL_INVOKER,
  CITY_MODEL_KIND,
  type CityModel,
  type CityModelConnection,
  type UIMessage,
} from "../../type/src/index.js";

/** A listed model that agents can call. */
export type CatalogModel = ListedModel & CityModel;

/** Calls models for a user. */
export class AIInvoker extends AiBase {
  readonly #transport: Transport;
  readonly #city_id: string | undefined;

  constructor(transport: Transport, city_id: string | undefined) {
    super(transport, city_id);
    this.#transport = transport;
    this.#city_id = city_id;
  }

  /** Starts to make images; ask for them with {@link AIInvoker.image_result}. */
  async image_create(
    input: UserImageInput,
    options?: CallOptions,
  ): Promise<UserImageJobCreateResult> {
    return this.call("image/create", input, options);
  }

  /**
   * Where the making of images stands; ask again after `poll_after_ms`.
   *
   * @throws DowncityError 404 when the job is unknown, or another user's.
   */
  async image_result(
    input: { job_id: string },
    options?: CallOptions,
  ): Promise<UserImageJobResult> {
    return this.call("image/result", { ...input }, options);
  }

  /** Makes a video: a message with file parts. */
  async video(input: UserServiceInput, options?: CallOptions): Promise<UIMessage> {
    return this.call("video", input, options);
  }

  /** Reads a text aloud: a message with a file part. */
  async tts(input: UserTtsInput, options?: CallOptions): Promise<UIMessage> {
    return this.call("tts", input, options);
  }

  /** Writes down what is said. */
  async asr(input: UserAsrInput, options?: CallOptions): Promise<UserAsrResult> {
    return this.call("asr", input, options);
  }

  /** The models that can be called now. */
  async listModels(options?: CallOptions): Promise<ModelCatalog<CatalogModel>> {
    const items = await listModels(this.#transport, options);
    return new ModelCatalog<CatalogModel>(items, (model) => this.#callable(model));
  }

  /**
   * One model, without asking the server.
   *
   * @throws TypeError when the id is blank.
   */
  model(model: UserModelInput): ModelHandle {
    return new ModelHandle(this, this.#transport, model);
  }

  /**
   * How to reach a model with any OpenAI-compatible client.
   *
   * @throws TypeError when the id is blank, or the client has no city.
   */
  connection(model_id: string): CityModelConnection {
    const id = requireText("model", model_id);
    const api_key = this.#transport.credential;
    return {
      base_url: `${this.#transport.base_url}/v1/ai`,
      ...(api_key !== undefined && { api_key }),
      model_id: id,
      request_body: { model: id, city_id: requireText("city_id", this.#city_id) },
    };
  }

  #callable(model: ListedModel): CatalogModel {
    const callable = { ...model, kind: CITY_MODEL_KIND } as CatalogModel;
    Object.defineProperty(callable, CITY_MODEL_INVOKER, {
      value: { connection: () => this.connection(model.id) },
    });
    return callable;
  }
}
