import type {
  BalanceAccountRecord,
  BalanceChargeInput,
  BalanceChargeRecord,
  BalanceLedgerRecord,
  BalanceListInput,
  BalanceMutationInput,
  BalanceRedeemCodeCreateInput,
  BalanceRedeemCodeDisableInput,
  BalanceRedeemCodeIssueResult,
  BalanceRedeemCodeListInput,
  BalanceRedeemCodeRecord,
  BalanceTopupRecord,
  BalanceTopupUpdateInput,
  Items,
} from "./records.js";
import type { CallOptions, Transport } from "./transport.js";

/** The records of wallets, as a generation of clients knows them. */
export interface BalanceRecords {
  account: BalanceAccountRecord;
  ledger: BalanceLedgerRecord;
  topup: BalanceTopupRecord;
  charge: BalanceChargeRecord;
  redeem_code: BalanceRedeemCodeRecord;
  new_redeem_code: BalanceRedeemCodeIssueResult;
}

type AnyRecords = { [name in keyof BalanceRecords]: unknown };

/** One page of a list; what is absent or empty in the query is left out. */
async function page<T>(
  transport: Transport,
  list: string,
  query: object,
  options?: CallOptions,
): Promise<T[]> {
  const asked = Object.entries(query).filter(([, value]) => value !== "");
  const path = `/v1/balance/${list}`;
  return (await transport.get<Items<T>>(path, Object.fromEntries(asked), options)).items;
}

/**
 * Manages wallets. Amounts that you send are **credits** (or `amount_microcredits`); amounts in
 * records are **microcredits**, where the name or the `unit` of the record says nothing else.
 * Every call that moves money carries an idempotency key; name your own to repeat one yourself.
 */
export class BalanceInvoker<RECORDS extends AnyRecords = BalanceRecords> {
  /** Manages redeem codes. */
  readonly redeemCodes: BalanceRedeemCodeInvoker<RECORDS>;
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.redeemCodes = new BalanceRedeemCodeInvoker(transport);
  }

  /** Wallets, those first that changed last; 20 unless `limit` is set, at most 200. */
  listUsers(limit?: number, options?: CallOptions): Promise<RECORDS["account"][]> {
    return page(this.#transport, "users", { limit }, options);
  }

  /** Changes of wallets, the newest first. */
  listHistory(input: BalanceListInput = {}, options?: CallOptions): Promise<RECORDS["ledger"][]> {
    return page(this.#transport, "history", input, options);
  }

  /** Top-ups, the newest first. */
  listTopups(input: BalanceListInput = {}, options?: CallOptions): Promise<RECORDS["topup"][]> {
    return page(this.#transport, "topups", input, options);
  }

  /** Charges, the newest first. */
  listCharges(input: BalanceListInput = {}, options?: CallOptions): Promise<RECORDS["charge"][]> {
    return page(this.#transport, "charges", input, options);
  }

  /** Gives credits to a user. */
  add(input: BalanceMutationInput, options?: CallOptions): Promise<RECORDS["account"]> {
    return this.#transport.post("/v1/balance/add", input, options);
  }

  /**
   * Takes credits from a user.
   *
   * @throws DowncityError 402 when the wallet does not have them.
   */
  sub(input: BalanceMutationInput, options?: CallOptions): Promise<RECORDS["account"]> {
    return this.#transport.post("/v1/balance/sub", input, options);
  }

  /**
   * Charges a user for something.
   *
   * @throws DowncityError 402 when the wallet does not cover it.
   */
  charge(input: BalanceChargeInput, options?: CallOptions): Promise<RECORDS["charge"]> {
    return this.#transport.post("/v1/balance/charge", input, options);
  }

  /**
   * A top-up is paid: credits it to its user.
   *
   * @throws DowncityError 404 when it is unknown, 409 when it was canceled.
   */
  finishTopup(input: BalanceTopupUpdateInput, options?: CallOptions): Promise<RECORDS["topup"]> {
    return this.#transport.post("/v1/balance/topups/finish", input, options);
  }

  /**
   * Gives up a top-up; nothing is credited.
   *
   * @throws DowncityError 404 when it is unknown, 409 when it is paid.
   */
  cancelTopup(input: BalanceTopupUpdateInput, options?: CallOptions): Promise<RECORDS["topup"]> {
    return this.#transport.post("/v1/balance/topups/cancel", input, options);
  }
}

/** Manages redeem codes. */
export class BalanceRedeemCodeInvoker<RECORDS extends AnyRecords = BalanceRecords> {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Codes, the newest first, without the codes themselves. */
  list(
    input: BalanceRedeemCodeListInput = {},
    options?: CallOptions,
  ): Promise<RECORDS["redeem_code"][]> {
    return page(this.#transport, "redeem-codes", input, options);
  }

  /** Makes a code worth `amount` credits. The answer is the only place that shows it. */
  create(
    input: BalanceRedeemCodeCreateInput,
    options?: CallOptions,
  ): Promise<RECORDS["new_redeem_code"]> {
    return this.#transport.post("/v1/balance/redeem-codes/create", input, options);
  }

  /**
   * Takes a code back.
   *
   * @throws DowncityError 404 when it is unknown, 409 when it is redeemed.
   */
  disable(
    input: BalanceRedeemCodeDisableInput,
    options?: CallOptions,
  ): Promise<RECORDS["redeem_code"]> {
    return this.#transport.post("/v1/balance/redeem-codes/disable", input, options);
  }
}
