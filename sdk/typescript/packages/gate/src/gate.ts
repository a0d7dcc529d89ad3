import type { EnvInvoker } from "../../core/src/env-invoker.js";
import type { PaymentInvoker } from "../../core/src/payment.js";
import type { AdminServiceSummary } from "../../core/src/records.js";
import type { ServiceClient } from "../../core/src/service.js";
import type { CallOptions } from "../../core/src/transport.js";
import type { CityModelDescriptor } from "../../type/src/index.js";
import type { AIInvoker } from "./ai.js";
import { AdminClient, type BalanceInvoker, type StudiosInvoker, UserClient } from "./clients.js";
import type { GateOptions, GateRole } from "./types.js";

/** Either client behind one door: `new Gate({ role: "admin", city_url })` or `role: "user"`. */
export class Gate {
  /** Which side this is. */
  readonly role: GateRole;
  /** The client of your server, on that side. */
  readonly admin?: AdminClient;
  /** The client of an app, on that side. */
  readonly user?: UserClient;

  /**
   * @throws TypeError when `role` is neither side, the address or an id is blank, or an admin has no key.
   */
  constructor(options: GateOptions) {
    const { role, city_url, ...rest } = options;
    if (options.role !== "admin" && options.role !== "user") {
      throw new TypeError('role must be "admin" or "user"');
    }
    this.role = role;
    if (role === "admin") this.admin = new AdminClient({ ...rest, base_url: city_url });
    else this.user = new UserClient({ ...rest, base_url: city_url });
  }

  /** Calls models. Of a user; throws TypeError on the other side. */
  get ai(): AIInvoker {
    return this.#asUser("ai").ai;
  }

  /** Ways to pay. Of a user; throws TypeError on the other side. */
  get payment(): PaymentInvoker {
    return this.#asUser("payment").payment;
  }

  /** Wallets and redeem codes. Of an admin; throws TypeError on the other side. */
  get balance(): BalanceInvoker {
    return this.#asAdmin("balance").balance;
  }

  /** The env of the Federation. Of an admin; throws TypeError on the other side. */
  get env(): EnvInvoker {
    return this.#asAdmin("env").env;
  }

  /** The studios of the Federation. Of an admin; throws TypeError on the other side. */
  get studios(): StudiosInvoker {
    return this.#asAdmin("studios").studios;
  }

  /** A service by its id; see the clients. */
  service(name: string): ServiceClient {
    return this.#client().service(name);
  }

  /** The mounted services. */
  listServices(options?: CallOptions): Promise<AdminServiceSummary[]> {
    return this.#client().listServices(options);
  }

  /** The models with what they need. Of an admin; throws TypeError on the other side. */
  listModels(options?: CallOptions): Promise<CityModelDescriptor[]> {
    return this.#asAdmin("listModels()").listModels(options);
  }

  /** How an agent uses this Federation, as text. Of an admin; throws TypeError on the other side. */
  instruction(options?: CallOptions): Promise<string> {
    return this.#asAdmin("instruction()").instruction(options);
  }

  #client(): AdminClient | UserClient {
    return this.admin ?? this.#asUser("this");
  }

  #asAdmin(member: string): AdminClient {
    if (!this.admin) throw new TypeError(`${member} needs a Gate with role: "admin"`);
    return this.admin;
  }

  #asUser(member: string): UserClient {
    if (!this.user) throw new TypeError(`${member} needs a Gate with role: "user"`);
    return this.user;
  }
}
