import { requireText } from "./errors.js";
import type { Items, UserPaymentMethod } from "./records.js";
import { type Injected, ServiceClient } from "./service.js";
import { type CallOptions, encodePath, type Transport } from "./transport.js";

/** Ways to pay. */
export class PaymentInvoker {
  readonly #transport: Transport;
  readonly #injected: Injected;

  constructor(transport: Transport, injected: Injected = {}) {
    this.#transport = transport;
    this.#injected = injected;
  }

  /** The ways to pay, also those that are off; for guests too. */
  async methods(options?: CallOptions): Promise<UserPaymentMethod[]> {
    const path = "/v1/payment/methods";
    return (await this.#transport.get<Items<UserPaymentMethod>>(path, {}, options)).items;
  }

  /**
   * A way to pay, without asking the server yet.
   *
   * @throws TypeError when the id is blank.
   */
  method(id: string): PaymentMethodHandle {
    return new PaymentMethodHandle(this, id);
  }

  /**
   * What the server says about a way to pay.
   *
   * @throws Error when there is none of this id.
   */
  async readMethod(id: string, options?: CallOptions): Promise<UserPaymentMethod> {
    const wanted = requireText("payment method", id);
    const found = (await this.methods(options)).find((method) => method.id === wanted);
    if (!found) throw new Error(`payment method "${wanted}" is unknown`);
    return found;
  }

  /** Looks a way to pay up and uses it; see {@link PaymentInvoker.executeMethod}. */
  async invokeMethod<T = unknown>(
    id: string,
    input: object = {},
    options?: CallOptions,
  ): Promise<T> {
    return this.executeMethod<T>(await this.readMethod(id, options), input, options);
  }

  /**
   * Uses a way to pay: opens a checkout for a top-up, `{ topup_id, success_url?, cancel_url? }`.
   *
   * @throws Error when it is disabled.
   * @throws TypeError when only signed-in users can use it, and there is no user_token.
   */
  async executeMethod<T = unknown>(
    method: UserPaymentMethod,
    input: object = {},
    options?: CallOptions,
  ): Promise<T> {
    if (!method.enabled) {
      throw new Error(
        `payment method "${method.id}" is disabled: ${method.reason ?? "not_configured"}`,
      );
    }
    if (method.requires_user && !this.#transport.credential) {
      throw new TypeError(`user_token is required for payment method "${method.id}"`);
    }
    if (this.#transport.flavor.dialect === "gate") {
      const service = new ServiceClient(this.#transport, method.service, this.#injected);
      return service.action(method.action).invoke<T>(input, options);
    }
    const path = `/v1/payment/${encodePath("action", method.action)}`;
    return this.#transport.post<T>(path, { ...input, method_id: method.id }, options);
  }
}

/** A way to pay. */
export class PaymentMethodHandle {
  readonly id: string;
  readonly #payment: PaymentInvoker;
  #described: UserPaymentMethod | undefined;

  /** @throws TypeError when the id is blank. */
  constructor(payment: PaymentInvoker, id: string) {
    this.id = requireText("payment method", id);
    this.#payment = payment;
  }

  /** What the server says about it; asked once, and again when asking failed. */
  async describe(options?: CallOptions): Promise<UserPaymentMethod> {
    this.#described ??= await this.#payment.readMethod(this.id, options);
    return this.#described;
  }

  /** Uses it; see {@link PaymentInvoker.executeMethod}. */
  async invoke<T = unknown>(input: object = {}, options?: CallOptions): Promise<T> {
    return this.#payment.executeMethod<T>(await this.describe(options), input, options);
  }
}
