import type { IssuedToken, Tenant, TenantCreate, UserTokenInput } from "../../core/src/records.js";
import type { ClientOptions } from "../../core/src/transport.js";

/** Which side a client is: your server, or an app of a user. */
export type CityRole = "admin" | "user";

/** What both sides are told. */
export interface CityBaseOptions extends ClientOptions {
  /** The address of the Federation. */
  federation_url?: string | undefined;
  /** The same. @deprecated Use `federation_url`. */
  city_url?: string | undefined;
  /** The city that calls are for. */
  city_id?: string | undefined;
}

/** A client of your server. */
export interface AdminCityOptions extends CityBaseOptions {
  role: "admin";
  /** The admin key or a service key; else `DOWNCITY_FEDERATION_ADMIN_SECRET_KEY` of the environment. */
  admin_secret_key?: string | undefined;
}

/** A client of an app. */
export interface UserCityOptions extends CityBaseOptions {
  role: "user";
  /** What your server got from `tokens.apply`; without it, calls are a guest's. */
  user_token?: string | undefined;
}

/** The options of either side. */
export type CityOptions = AdminCityOptions | UserCityOptions;
/** The options of one side. */
export type CityOptionsForRole<ROLE extends CityRole> = Extract<CityOptions, { role: ROLE }>;

/** A city. */
export type CityRecord = Tenant<"city_id">;
/** What a city is created from. */
export type CityCreateInput = TenantCreate<"city_id">;
/** What a user_token is issued from. */
export type TokenApplyInput = UserTokenInput & { city_id: string };
/** A user_token and what it says. */
export type TokenApplyResult = IssuedToken<"city_id">;
