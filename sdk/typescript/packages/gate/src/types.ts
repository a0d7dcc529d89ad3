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

/**
 * A record as this package gets it: `EXACT` are its amounts in **microcredits** (1 credit =
 * 1,000,000), and its tenant has the name of this package.
 */
type Converted<RECORD, EXACT extends string> = Omit<RECORD, "city_id" | EXACT> & {
  [exact in EXACT]: number;
} & {
  studio_id?: string;
  /** Always `credits`: what clients of this generation count in, worth what the operator says. */
  unit: string;
};

/** A wallet. `balance` is in the unit of this generation, `held` and `available` are microcredits. */
export type BalanceAccountRecord = Converted<Account, "balance_microcredits">;
/** One change of a wallet. `amount` and `balance_after` are in the unit of this generation. */
export type BalanceLedgerRecord = Converted<
  Ledger,
  "amount_microcredits" | "balance_after_microcredits"
>;
/** A top-up. `amount` is in the unit of this generation. */
export type BalanceTopupRecord = Converted<Topup, "amount_microcredits">;
/** A redeem code, without the code. `amount` is in the unit of this generation. */
export type BalanceRedeemCodeRecord = Converted<RedeemCode, "amount_microcredits">;
/** A new redeem code. `code` is shown here and never again; `amount` as in the list. */
export type BalanceRedeemCodeIssueResult = Converted<NewRedeemCode, "amount_microcredits">;
/** A charge. `amount` is in the unit of this generation. */
export type BalanceChargeRecord = Converted<Charge, "amount_microcredits">;
