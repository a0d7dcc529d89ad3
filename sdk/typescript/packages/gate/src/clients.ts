import {
  BalanceInvoker as Balance,
  BalanceRedeemCodeInvoker as RedeemCodes,
} from "../../core/src/balance.js";
import { instruction, listModels, listServices } from "../../core/src/directory.js";
import { EnvInvoker } from "../../core/src/env-invoker.js";
import { adminKey, warnInPages } from "../../core/src/environment.js";
import { optionalText } from "../../core/src/errors.js";
import { PaymentInvoker } from "../../core/src/payment.js";
import type { AdminServiceSummary } from "../../core/src/records.js";
import { ServiceClient } from "../../core/src/service.js";
import { TenantsInvoker } from "../../core/src/tenants.js";
import { baseUrl, type CallOptions, describeAs, Transport } from "../../core/src/transport.js";
import type { CityModelDescriptor } from "../../type/src/index.js";
import { AIInvoker } from "./ai.js";
import { GATE } from "./flavor.js";
import type {
  AdminClientOptions,
  BalanceAccountRecord,
  BalanceChargeRecord,
  BalanceLedgerRecord,
  BalanceRedeemCodeIssueResult,
  BalanceRedeemCodeRecord,
  BalanceTopupRecord,
  Studio,
  StudioCreateInput,
  TokenApplyInput,
  TokenApplyResult,
  UserClientOptions,
} from "./types.js";

interface Records {
  account: BalanceAccountRecord;
  ledger: BalanceLedgerRecord;
  topup: BalanceTopupRecord;
  charge: BalanceChargeRecord;
  redeem_code: BalanceRedeemCodeRecord;
  new_redeem_code: BalanceRedeemCodeIssueResult;
}

/**
 * Manages wallets. Amounts, sent and received, are in the unit of this generation: a hundredth of a
 * credit, unless the operator set `compat.gate_unit`. The server converts, and gives the amounts in
 * **microcredits** too (1 credit = 1,000,000); `amount_microcredits` is exact on the way in.
 */
export class BalanceInvoker extends Balance<Records> {}

/** Manages redeem codes. */
export class BalanceRedeemCodeInvoker extends RedeemCodes<Records> {}

/** Manages the studios of a Federation. */
export class StudiosInvoker extends TenantsInvoker<
  Studio,
  StudioCreateInput,
  string,
  TokenApplyInput,
  TokenApplyResult
> {}

/**
 * The client of your server.
 *
 * ```ts
 * const admin = new AdminClient({ base_url, admin_secret_key });
 * const studio = await admin.studios.create({ name: "Chrome Extension" });
 * await admin.studios.tokens.apply({ studio_id: studio.studio_id, user_id: "user_123", ttl: "7d" });
 * ```
 */
export class AdminClient {
  /** Wallets and redeem codes. */
  readonly balance: BalanceInvoker;
  /** The env of the Federation. */
  readonly env: EnvInvoker;
  /** The studios of the Federation. */
  readonly studios: StudiosInvoker;
  readonly #transport: Transport;

  /** @throws TypeError when the address is blank, or there is no key. */
  constructor(options: AdminClientOptions) {
    warnInPages();
    const url = baseUrl("base_url", options.base_url);
    const key = adminKey(GATE, options.admin_secret_key);
    this.#transport = new Transport(GATE, url, key, options);
    this.balance = new BalanceInvoker(this.#transport);
    this.env = new EnvInvoker(this.#transport);
    this.studios = new StudiosInvoker(this.#transport);
  }

  /**
   * A service by its id, such as `payment.stripe`.
   *
   * @throws TypeError when the id is blank.
   */
  service(name: string): ServiceClient {
    return new ServiceClient(this.#transport, name);
  }

  /** The mounted services and the env keys that they read. */
  listServices(options?: CallOptions): Promise<AdminServiceSummary[]> {
    return listServices(this.#transport, options);
  }

  /** The models with what they need. */
  listModels(options?: CallOptions): Promise<CityModelDescriptor[]> {
    return listModels(this.#transport, options);
  }

  /** How an agent uses this Federation, as text. */
  instruction(options?: CallOptions): Promise<string> {
    return instruction(this.#transport, options);
  }

  static {
    describeAs(AdminClient.prototype, (client: AdminClient) => ({
      base_url: client.#transport.base_url,
      credential: "[redacted]",
    }));
  }
}

/** The client of an app. */
export class UserClient {
  /** Calls models. */
  readonly ai: AIInvoker;
  /** Ways to pay. */
  readonly payment: PaymentInvoker;
  readonly #transport: Transport;
  readonly #studio_id: string | undefined;

  /** @throws TypeError when the address, the studio or the token is blank. */
  constructor(options: UserClientOptions) {
    const url = baseUrl("base_url", options.base_url);
    const token = optionalText("user_token", options.user_token);
    this.#studio_id = optionalText("studio_id", options.studio_id);
    this.#transport = new Transport(GATE, url, token, options);
    this.ai = new AIInvoker(this.#transport, this.#studio_id);
    this.payment = new PaymentInvoker(this.#transport, this.#own());
  }

  /** The address of the server, without a slash at the end. */
  get serverUrl(): string {
    return this.#transport.base_url;
  }

  /** The user_token; `undefined` for guests. */
  get token(): string | undefined {
    return this.#transport.credential;
  }

  /**
   * A service by its id. A client with a `studio_id` adds it to the input of every action.
   *
   * @throws TypeError when the id is blank.
   */
  service(name: string): ServiceClient {
    return new ServiceClient(this.#transport, name, this.#own());
  }

  /** The mounted services. */
  listServices(options?: CallOptions): Promise<AdminServiceSummary[]> {
    return listServices(this.#transport, options);
  }

  #own(): Record<string, string> {
    return this.#studio_id === undefined ? {} : { studio_id: this.#studio_id };
  }

  static {
    describeAs(UserClient.prototype, (client: UserClient) => ({
      base_url: client.serverUrl,
      studio_id: client.#studio_id,
      credential: client.token && "[redacted]",
    }));
  }
}
