import type { components, Wire } from "./openapi.js";

/** Records, inputs and answers by the names they have in the OpenAPI document of the server. */
export type Schemas = components["schemas"];

/** The JSON bodies of an action, by its path under `/v1/`: `Action<"accounts/login">["output"]`. */
export type Action<PATH extends keyof Wire> = Wire[PATH];

/** A city, under the name that a generation of clients has for its id. */
export type Tenant<FIELD extends string> = Omit<Schemas["City"], "city_id"> & {
  [field in FIELD]: string;
};

/** What a tenant is created from. */
export type TenantCreate<FIELD extends string> = {
  /** What people see; at most 200 characters. */
  name: string;
} & {
  /** The id; made when absent. Letters, digits, `_`, `.` and `-`, at most 128. */
  [field in FIELD]?: string | undefined;
};

/** What a user_token is issued from, without the tenant. */
export interface UserTokenInput {
  /** Who the user is to you; opaque to the Federation. */
  user_id: string;
  /** What every call of the user carries. The user can read it: no secrets. */
  metadata?: Record<string, unknown> | undefined;
  /** How long the token lives: `"30m"`, `"7d"`, or a number of **seconds**. */
  ttl?: string | number | undefined;
}

/** A user_token and what it says. */
export type IssuedToken<FIELD extends string> = {
  /** Hand it to the client of the user. Whoever has it is the user. */
  user_token: string;
  user_id: string;
  /** When it ends (RFC 3339); `null` when it does not. */
  expires_at: string | null;
} & { [field in FIELD]: string };

/** A value of the env. */
export type EnvEntry = Schemas["EnvEntry"];
/** A value to store in the env. */
export interface EnvUpsertInput {
  /** Its name: letters, digits and `_`; stored in capitals. */
  key: string;
  value: string;
  /** The city whose own it is; absent: the Federation's. */
  city_id?: string | undefined;
}
/** What a service or the models read from the env. */
export type EnvCatalogScope = Schemas["EnvScope"];
/** One key of an {@link EnvCatalogScope}, and whether it is set. */
export type EnvRequirementStatus = Schemas["EnvRequirementState"];
/** How many values are in use after a refresh. */
export type EnvRefreshResult = Schemas["Refreshed"];
/** The key that was stored. */
export type EnvUpsertResult = Schemas["Upserted"];
/** The key that was removed, and whether it was there. */
export type EnvRemoveResult = Schemas["EnvRemoved"];
/** The keys that were stored. */
export type EnvImportResult = Schemas["Imported"];

/** A mounted service and the env keys that it reads. */
export type AdminServiceSummary = Schemas["ServiceInfo"];
/** The instruction of the Federation. */
export interface AdminInstructionResult {
  text: string;
}

/** A wallet. `balance`, `held` and `available` are **microcredits** (1 credit = 1,000,000). */
export type BalanceAccountRecord = Schemas["Account"];
/** What a change of a wallet was. */
export type BalanceLedgerKind = "init" | "add" | "sub" | "topup" | "redeem" | "charge";
/** One change of a wallet. `amount` and `balance_after` are **microcredits**. */
export type BalanceLedgerRecord = Omit<Schemas["LedgerEntry"], "kind"> & {
  kind: BalanceLedgerKind | (string & {});
};
/** A top-up. `amount` is **microcredits**, `amount_usd_cents` cents of a US dollar. */
export type BalanceTopupRecord = Schemas["Topup"];
/** Where a top-up stands. */
export type BalanceTopupStatus = BalanceTopupRecord["status"];
/** A redeem code, without the code. `amount` is **microcredits**. */
export type BalanceRedeemCodeRecord = Schemas["RedeemCode"];
/** Where a redeem code stands. */
export type BalanceRedeemCodeStatus = BalanceRedeemCodeRecord["status"];
/** A new redeem code. `code` is shown here and never again. */
export type BalanceRedeemCodeIssueResult = Schemas["NewCode"];
/** A charge: `amount` in credits, the amounts that say so in **microcredits**. */
export type BalanceChargeRecord = Schemas["ChargeRecord"];

/** An amount of money: one of the two. */
export interface BalanceAmount {
  /**
   * **Credits**: 1 credit = 1 US dollar, up to six decimals. In `@downcity/gate`, the unit of that
   * generation: a hundredth of a credit, unless the operator says otherwise.
   */
  amount?: number | undefined;
  /** **Microcredits**, exactly: 1 credit = 1,000,000. */
  amount_microcredits?: number | undefined;
}

/** What is kept with a change. */
export interface BalanceNotes {
  /** For people. */
  note?: string | undefined;
  /** Your own reference, such as the number of an order. */
  ref?: string | undefined;
  /** Anything else. */
  meta?: Record<string, unknown> | undefined;
}

/** Credits to give or take. */
export interface BalanceMutationInput extends BalanceAmount, BalanceNotes {
  user_id: string;
  /** Where wallets are kept per tenant: the tenant. */
  city_id?: string | undefined;
}
/** What a user is charged. */
export type BalanceChargeInput = BalanceMutationInput;
/** A top-up to end. */
export interface BalanceTopupUpdateInput extends BalanceNotes {
  topup_id: string;
}
/** A redeem code to make. */
export interface BalanceRedeemCodeCreateInput extends BalanceAmount, BalanceNotes {
  /** The code itself; made when absent, which is safer. */
  code?: string | undefined;
  /** How many users can redeem it; 1 unless set. */
  max_uses?: number | undefined;
  /** How often one user can. */
  max_uses_per_user?: number | undefined;
  /** When it can be redeemed no more (RFC 3339). */
  expires_at?: string | undefined;
}
/** A redeem code to take back. */
export interface BalanceRedeemCodeDisableInput extends BalanceNotes {
  redeem_code_id: string;
}
/** Which records of wallets to list, the newest first. */
export interface BalanceListInput {
  user_id?: string | undefined;
  /** How many; 20 unless set, at most 200. */
  limit?: number | undefined;
}
/** Which redeem codes to list. */
export interface BalanceRedeemCodeListInput extends BalanceListInput {
  status?: BalanceRedeemCodeStatus | undefined;
}

/** Why a way to pay is off. */
export type UserPaymentMethodReason = "not_configured" | "not_supported";
/** How a way to pay works. */
export type UserPaymentMethodType = "checkout";
/** A way to pay. */
export interface UserPaymentMethod {
  id: string;
  type: UserPaymentMethodType;
  /** Whether it can be used now; `reason` says why not. */
  enabled: boolean;
  /** What people see. */
  label: string;
  /** The service that has it. */
  service: string;
  /** The action that starts it. */
  action: string;
  /** Whether only signed-in users can use it. */
  requires_user: boolean;
  /** What it charges in, such as `usd`. */
  currency: string;
  reason?: UserPaymentMethodReason | (string & {}) | null;
  /** Whether it moves no real money. */
  test?: boolean;
}

/** A list, or one page of it. */
export interface Items<T> {
  items: T[];
  /** Send it as `cursor` to read on; absent on the last page. */
  next_cursor?: string | null;
}
