import { AiBase } from "../../core/src/ai.js";
import { listModels } from "../../core/src/directory.js";
import type {
  UserAsrInput,
  UserImageInput,
  UserModelInput,
  UserServiceInput,
  UserTtsInput,
} from "../../core/src/inputs.js";
import {
  ModelHandle as Handle,
  type HandleCalls,
  type HandleInput,
  ModelCatalog,
} from "../../core/src/models.js";
import type { CallOptions, Transport } from "../../core/src/transport.js";
import type { UIMessage } from "../../type/src/index.js";

/** Calls models for a user. */
export class AIInvoker extends AiBase {
  readonly #transport: Transport;

  constructor(transport: Transport, studio_id: string | undefined) {
    super(transport, studio_id);
    this.#transport = transport;
  }

  /** Makes images and waits for them: a message with file parts. */
  async image(input: UserImageInput, options?: CallOptions): Promise<UIMessage> {
    return this.call("image", input, options);
  }

  /** Makes a video: a message with file parts. */
  async video(input: UserServiceInput, options?: CallOptions): Promise<UIMessage> {
    return this.call("video", input, options);
  }

  /** Reads a text aloud: a message with a file part. */
  async tts<T = unknown>(input: UserTtsInput, options?: CallOptions): Promise<T> {
    return this.call("tts", input, options);
  }

  /** Writes down what is said. */
  async asr<T = unknown>(input: UserAsrInput, options?: CallOptions): Promise<T> {
    return this.call("asr", input, options);
  }

  /** The models that can be called now. */
  async listModels(options?: CallOptions): Promise<ModelCatalog> {
    return new ModelCatalog(await listModels(this.#transport, options));
  }

  /**
   * One model, without asking the server.
   *
   * @throws TypeError when the id is blank.
   */
  model(model: UserModelInput): ModelHandle {
    return new ModelHandle(this, this.#transport, model);
  }
}

/**
 * One model of a Federation, also for other clients: `url()`, `modelName()` and `token` are the base
 * URL, the model and the API key of any OpenAI-compatible one.
 */
export class ModelHandle extends Handle {
  readonly #image: AIInvoker["image"];

  constructor(
    calls: HandleCalls & Pick<AIInvoker, "image">,
    transport: Transport,
    model: UserModelInput,
  ) {
    super(calls, transport, model);
    this.#image = (input, options) => calls.image(input, options);
  }

  /** Lets it make images. */
  image(input: HandleInput & UserImageInput, options?: CallOptions): Promise<UIMessage> {
    return this.#image({ ...input, model: this.id }, options);
  }
}
