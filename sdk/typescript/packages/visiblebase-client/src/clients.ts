import { AiBase } from "../../core/src/ai.js";
import { EnvInvoker } from "../../core/src/env-invoker.js";
import { adminKey, warnInPages } from "../../core/src/environment.js";
import { requireText } from "../../core/src/errors.js";
import type {
  UserAsrInput,
  UserImageInput,
  UserServiceInput,
  UserTtsInput,
} from "../../core/src/inputs.js";
import { listAll, TenantsInvoker, TenantTokens } from "../../core/src/tenants.js";
import { baseUrl, type CallOptions, describeAs, Transport } from "../../core/src/transport.js";
import type { UIMessage } from "../../type/src/index.js";
import { VISIBLEBASE } from "./flavor.js";
import type {
  AdminClientOptions,
  Model,
  ModelDirectory,
  Product,
  ProductCreateInput,
  ProductRef,
  TokenApplyInput,
  TokenApplyResult,
  UserClientOptions,
} from "./types.js";

/** Manages the products of a Federation. */
export type Products = TenantsInvoker<
  Product,
  ProductCreateInput,
  ProductRef | string,
  TokenApplyInput,
  TokenApplyResult
>;

/**
 * The client of your server.
 *
 * ```ts
 * const admin = new AdminClient({ base_url, admin_secret_key });
 * const product = await admin.products.create({ name: "Chrome Extension" });
 * await admin.tokens.apply({ product_id: product.product_id, user_id: "user_123", ttl: "7d" });
 * ```
 */
export class AdminClient {
  /** The env of the Federation. */
  readonly env: EnvInvoker;
  /** The products of the Federation. */
  readonly products: Products;
  /** Issues user_tokens of any product. */
  readonly tokens: TenantTokens<TokenApplyInput, TokenApplyResult>;
  readonly #base_url: string;

  /** @throws TypeError when the address is blank, or there is no key. */
  constructor(options: AdminClientOptions) {
    warnInPages();
    this.#base_url = baseUrl("base_url", options.base_url);
    const key = adminKey(VISIBLEBASE, options.admin_secret_key);
    const transport = new Transport(VISIBLEBASE, this.#base_url, key, options);
    this.env = new EnvInvoker(transport);
    this.products = new TenantsInvoker(transport);
    this.tokens = new TenantTokens(transport);
  }

  static {
    describeAs(AdminClient.prototype, (client: AdminClient) => ({
      base_url: client.#base_url,
      credential: "[redacted]",
    }));
  }
}

/** The client of an app: models by name, and the product's own services. */
export class UserClient extends AiBase {
  readonly #transport: Transport;
  readonly #product_id: string;

  /** @throws TypeError when the address, the product or the token is blank. */
  constructor(options: UserClientOptions) {
    const url = baseUrl("base_url", options.base_url);
    const product_id = requireText("product_id", options.product_id);
    const token = requireText("user_token", options.user_token);
    const transport = new Transport(VISIBLEBASE, url, token, options);
    super(transport, product_id, "/v1");
    this.#transport = transport;
    this.#product_id = product_id;
  }

  /** The models that can be called now. */
  async models(options?: CallOptions): Promise<ModelDirectory> {
    const all = await listAll<Model>(this.#transport, "/v1/models", options);
    const directory = (id: string) => all.find((model) => model.id === id.trim());
    return Object.assign(directory, {
      primary: () => all.find((model) => model.primary) ?? all[0],
      all: () => [...all],
    });
  }

  /** The names of the services that can be invoked. */
  services(options?: CallOptions): Promise<string[]> {
    return listAll<string>(this.#transport, "/v1/services", options);
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

  /**
   * Calls a service: `invoke("text", { prompt })`, or an action as `invoke("crm/find", ..)` or
   * `invoke("crm", { action: "find", .. })`.
   *
   * @throws TypeError when the service is blank.
   */
  async invoke<T = unknown>(
    service: string,
    input: object = {},
    options?: CallOptions,
  ): Promise<T> {
    const body = {
      ...input,
      service: requireText("service", service),
      product_id: this.#product_id,
    };
    return this.#transport.post<T>("/v1/invoke", body, options);
  }

  static {
    describeAs(UserClient.prototype, (client: UserClient) => ({
      base_url: client.#transport.base_url,
      product_id: client.#product_id,
      credential: "[redacted]",
    }));
  }
}
