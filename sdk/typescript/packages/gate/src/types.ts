import type {
  BalanceAccountRecord as Account,
  BalanceChargeRecord as Charge,
  IssuedToken,
  BalanceLedgerRecord as Ledger,
  BalanceRedeemCodeIssueResult as NewRedeemCode,
  BalanceRedeemCodeRecord as RedeemCode,
  Tenant,
  TenantCreate,
  BalanceTopupRecord as Topup,
  UserTokenInput,
} from "../../core/src/records.js";
import type { ClientOptions } from "../../core/src/transport.js";

/** What `AdminClient` is told. */
export interface AdminClientOptions extends ClientOptions {
  /** The address of the Federation. */
  base_url: string;
  /** The admin key or a service key; else `DOWNCITY_CITY_ADMIN_SECRET_KEY` of the environment. */
  admin_secret_key?: string | undefined;
}

/** What `UserClient` is told. */
export interface UserClientOptions extends ClientOptions {
  /** The address of the Federation. */
  base_url: string;
  /** The studio that calls are for. */
  studio_id?: string | undefined;
  /** What your server got from `studios.tokens.apply`; without it, calls are a guest's. */
  user_token?: string | undefined;
}

/** Which side a {@link Gate} is. */
export type GateRole = "admin" | "user";

/** What both sides of a {@link Gate} are told. */
export interface GateBaseOptions extends ClientOptions {
  /** The address of the Federation. */
  city_url: string;
}

/** A gate of your server. */
export interface AdminGateOptions extends GateBaseOptions {
  role: "admin";
  /** The admin key or a service key; else `DOWNCITY_CITY_ADMIN_SECRET_KEY` of the environment. */
  admin_secret_key?: string | undefined;
}

/** A gate of an app. */
export interface UserGateOptions extends GateBaseOptions {
  role: "user";
  /** The studio that calls are for. */
  studio_id?: string | undefined;
  /** What your server got from `studios.tokens.apply`; without it, calls are a guest's. */
  user_token?: string | undefined;
}

/** The options of either side. */
export type GateOptions = AdminGateOptions | UserGateOptions;

/** A studio. */
export type Studio = Tenant<"studio_id">;
/** What a studio is created from. */
export type StudioCreateInput = TenantCreate<"studio_id">;
/** What a user_token is issued from. */
export type TokenApplyInput = UserTokenInput & { studio_id: string };
/** A user_token and what it says. */
export type TokenApplyResult = IssuedToken<"studio_id">;

/** A record whose amounts are in `unit`, with its tenant under this package's name. */
type InUnits<RECORD> = Omit<RECORD, "city_id"> & {
  studio_id?: string;
  /** What the amounts of the record are counted in. */
  unit: string;
};

/** A wallet; `balance` is in `unit`. */
export type BalanceAccountRecord = InUnits<Account>;
/** One change of a wallet; `amount` and `balance_after` are in `unit`. */
export type BalanceLedgerRecord = InUnits<Ledger>;
/** A top-up; `amount` is in `unit`. */
export type BalanceTopupRecord = InUnits<Topup>;
/** A redeem code, without the code; `amount` is in `unit`. */
export type BalanceRedeemCodeRecord = InUnits<RedeemCode>;
/** A new redeem code; `code` is shown here and never again. `amount` is in `unit`. */
export type BalanceRedeemCodeIssueResult = InUnits<NewRedeemCode>;
/** A charge; the amounts that say so are **microcredits**. */
export type BalanceChargeRecord = InUnits<Charge>;
