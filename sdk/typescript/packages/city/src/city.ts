import { BalanceInvoker } from "../../core/src/balance.js";
import { instruction, listModels, listServices } from "../../core/src/directory.js";
import { EnvInvoker } from "../../core/src/env-invoker.js";
import { adminKey, warnInPages } from "../../core/src/environment.js";
import { optionalText, requireText } from "../../core/src/errors.js";
import { PaymentInvoker } from "../../core/src/payment.js";
import type { AdminServiceSummary, UserTokenInput } from "../../core/src/records.js";
import { ServiceClient } from "../../core/src/service.js";
import { TenantsInvoker } from "../../core/src/tenants.js";
import {
  baseUrl,
  type CallOptions,
  type ClientOptions,
  describeAs,
  Transport,
} from "../../core/src/transport.js";
import type { CityModelDescriptor } from "../../type/src/index.js";
import { AIInvoker } from "./ai.js";
import { CITY } from "./flavor.js";
import type {
  AdminCityOptions,
  CityCreateInput,
  CityOptionsForRole,
  CityRecord,
  CityRole,
  TokenApplyInput,
  TokenApplyResult,
  UserCityOptions,
} from "./types.js";

/** Manages the cities of a Federation. */
export class CitiesInvoker extends TenantsInvoker<
  CityRecord,
  CityCreateInput,
  string,
  TokenApplyInput,
  TokenApplyResult
> {}

/** Issues user_tokens of the client's own city. */
export interface CityTokens {
  /**
   * Issues a user_token.
   *
   * @throws TypeError when the client has no `city_id`, or `user_id` is blank.
   * @throws DowncityError 404 when the city is unknown, 403 when it is paused.
   */
  apply(input: UserTokenInput, options?: CallOptions): Promise<TokenApplyResult>;
}

/** What a member is on one side; on the other it is `never`, and throws. */
type Side<ROLE, WANTED extends CityRole, MEMBER> = ROLE extends WANTED ? MEMBER : never;

interface AdminSide {
  balance: BalanceInvoker;
  cities: CitiesInvoker;
  env: EnvInvoker;
  tokens: CityTokens;
}

interface UserSide {
  ai: AIInvoker;
  payment: PaymentInvoker;
}

/**
 * A client of a Federation: of your server (`role: "admin"`), or of an app (`role: "user"`).
 *
 * ```ts
 * const admin = new City({ role: "admin", federation_url, city_id: "city_demo", admin_secret_key });
 * const { user_token } = await admin.tokens.apply({ user_id: "user_123", ttl: "7d" });
 *
 * const user = new City({ role: "user", federation_url, city_id: "city_demo", user_token });
 * const answer = await user.ai.text({ prompt: "Hello" });
 * ```
 */
export class City<ROLE extends CityRole = CityRole> {
  /** Which side this is. */
  readonly role: ROLE;
  readonly #transport: Transport;
  readonly #city_id: string | undefined;
  readonly #admin: AdminSide | undefined;
  readonly #user: UserSide | undefined;
  readonly #options: ClientOptions;

  /**
   * @throws TypeError when `role` is neither side, the address or an id is blank, or an admin has no key.
   */
  constructor(options: { role: ROLE } & CityOptionsForRole<ROLE>) {
    const given = options as AdminCityOptions | UserCityOptions;
    if (given.role !== "admin" && given.role !== "user") {
      throw new TypeError('role must be "admin" or "user"');
    }
    const url = baseUrl("federation_url", given.federation_url ?? given.city_url);
    this.role = options.role;
    this.#city_id = optionalText("city_id", given.city_id);
    const { fetch, headers, timeout_ms, signal, retries } = given;
    this.#options = { fetch, headers, timeout_ms, signal, retries };
    if (given.role === "admin") {
      warnInPages();
      const key = adminKey(CITY, given.admin_secret_key);
      this.#transport = new Transport(CITY, url, key, this.#options);
      this.#admin = this.#adminSide();
    } else {
      const token = optionalText("user_token", given.user_token);
      this.#transport = new Transport(CITY, url, token, this.#options);
      this.#user = {
        ai: new AIInvoker(this.#transport, this.#city_id),
        payment: new PaymentInvoker(this.#transport),
      };
    }
  }

  /** Calls models. Of a user. */
  get ai(): Side<ROLE, "user", AIInvoker> {
    return this.#asUser("ai").ai as Side<ROLE, "user", AIInvoker>;
  }

  /** Ways to pay. Of a user. */
  get payment(): Side<ROLE, "user", PaymentInvoker> {
    return this.#asUser("payment").payment as Side<ROLE, "user", PaymentInvoker>;
  }

  /** Wallets and redeem codes. Of an admin. */
  get balance(): Side<ROLE, "admin", BalanceInvoker> {
    return this.#asAdmin("balance").balance as Side<ROLE, "admin", BalanceInvoker>;
  }

  /** The cities of the Federation. Of an admin. */
  get cities(): Side<ROLE, "admin", CitiesInvoker> {
    return this.#asAdmin("cities").cities as Side<ROLE, "admin", CitiesInvoker>;
  }

  /** The env of the Federation. Of an admin. */
  get env(): Side<ROLE, "admin", EnvInvoker> {
    return this.#asAdmin("env").env as Side<ROLE, "admin", EnvInvoker>;
  }

  /** Issues user_tokens of this city. Of an admin. */
  get tokens(): Side<ROLE, "admin", CityTokens> {
    return this.#asAdmin("tokens").tokens as Side<ROLE, "admin", CityTokens>;
  }

  /**
   * A service by its id. The client of a user with a `city_id` adds it to the input of every action.
   *
   * @throws TypeError when the id is blank.
   */
  service(name: string): ServiceClient {
    const own = this.#user && this.#city_id !== undefined ? { city_id: this.#city_id } : {};
    return new ServiceClient(this.#transport, name, own);
  }

  /** The mounted services and the env keys that they read. */
  listServices(options?: CallOptions): Promise<AdminServiceSummary[]> {
    return listServices(this.#transport, options);
  }

  /**
   * The models with what they need. Of an admin; users have `ai.listModels()`.
   *
   * @throws TypeError at once, on the side of a user.
   */
  listModels(options?: CallOptions): Promise<CityModelDescriptor[]> {
    this.#asAdmin("listModels()");
    return listModels(this.#transport, options);
  }

  /**
   * How an agent uses this Federation, as text. Of an admin.
   *
   * @throws TypeError at once, on the side of a user.
   */
  instruction(options?: CallOptions): Promise<string> {
    this.#asAdmin("instruction()");
    return instruction(this.#transport, options);
  }

  /** The client of a user who has signed in, with everything else as it is here. */
  withToken(user_token: string): City<"user"> {
    return new City({
      role: "user",
      federation_url: this.#transport.base_url,
      city_id: this.#city_id,
      user_token,
      ...this.#options,
    });
  }

  #adminSide(): AdminSide {
    const cities = new CitiesInvoker(this.#transport);
    return {
      balance: new BalanceInvoker(this.#transport),
      cities,
      env: new EnvInvoker(this.#transport),
      tokens: {
        apply: async (input, options) => {
          const city_id = requireText("city_id", this.#city_id);
          return cities.tokens.apply({ ...input, city_id }, options);
        },
      },
    };
  }

  #asAdmin(member: string): AdminSide {
    if (!this.#admin) throw new TypeError(`${member} needs a City with role: "admin"`);
    return this.#admin;
  }

  #asUser(member: string): UserSide {
    if (!this.#user) throw new TypeError(`${member} needs a City with role: "user"`);
    return this.#user;
  }

  static {
    describeAs(City.prototype, (city: City) => ({
      role: city.role,
      federation_url: city.#transport.base_url,
      city_id: city.#city_id,
      credential: city.#transport.credential && "[redacted]",
    }));
  }
}
