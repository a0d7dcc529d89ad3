-- What was decided at the first start, for good.
CREATE TABLE balance_settings (
  id           BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
  wallet_scope TEXT NOT NULL CHECK (wallet_scope IN ('federation', 'city')),
  created_at   BIGINT NOT NULL
);

-- One wallet per user and scope. Every operation locks this row first.
CREATE TABLE balance_wallets (
  wallet_id   TEXT PRIMARY KEY NOT NULL,
  -- Empty where a wallet is of the whole Federation, else the city.
  scope       TEXT NOT NULL,
  user_id     TEXT NOT NULL,
  balance     BIGINT NOT NULL CHECK (balance >= 0 AND balance <= 9007199254740991),
  -- The sum of the open holds; what is available is balance - held.
  held        BIGINT NOT NULL CHECK (held >= 0 AND held <= balance),
  -- The number of the last ledger entry.
  entries     BIGINT NOT NULL,
  -- No open lot ends before; the largest number where none ends.
  next_expiry BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX balance_wallets_of ON balance_wallets (scope, user_id);
CREATE INDEX balance_wallets_by_user ON balance_wallets (user_id);
CREATE INDEX balance_wallets_by_change ON balance_wallets (updated_at, wallet_id);
CREATE INDEX balance_wallets_expiring ON balance_wallets (next_expiry, wallet_id)
  WHERE next_expiry < 9223372036854775807;

-- Every change of a balance, numbered per wallet. Rows are only ever added.
CREATE TABLE balance_ledger (
  wallet_id     TEXT NOT NULL,
  seq           BIGINT NOT NULL,
  entry_id      TEXT NOT NULL,
  user_id       TEXT NOT NULL,
  -- Where it happened; empty where no city was named.
  city_id       TEXT NOT NULL,
  kind          TEXT NOT NULL
    CHECK (kind IN ('init', 'add', 'sub', 'topup', 'redeem', 'charge', 'refund', 'expire')),
  amount        BIGINT NOT NULL CHECK (amount <> 0),
  balance_after BIGINT NOT NULL CHECK (balance_after >= 0),
  note          TEXT NOT NULL,
  ref           TEXT NOT NULL,
  metadata      TEXT NOT NULL,
  -- admin, service:<key>, user, system, payment:<id>.
  actor         TEXT NOT NULL,
  -- What may change a balance only once, such as payment:<id>; NULL where it may happen again.
  effect        TEXT,
  created_at    BIGINT NOT NULL,
  PRIMARY KEY (wallet_id, seq)
);
CREATE UNIQUE INDEX balance_ledger_effects ON balance_ledger (effect) WHERE effect IS NOT NULL;
CREATE INDEX balance_ledger_by_time ON balance_ledger (created_at, seq, wallet_id);
CREATE INDEX balance_ledger_by_user ON balance_ledger (user_id, created_at, seq, wallet_id);
CREATE INDEX balance_ledger_by_city ON balance_ledger (city_id, created_at, seq, wallet_id);
-- Charges are most entries: they are found by time, the others are few.
CREATE INDEX balance_ledger_by_kind ON balance_ledger (kind, created_at, seq, wallet_id)
  WHERE kind <> 'charge';
CREATE INDEX balance_ledger_by_user_and_kind
  ON balance_ledger (user_id, kind, created_at, seq, wallet_id) WHERE kind <> 'charge';
CREATE INDEX balance_ledger_by_ref ON balance_ledger (ref, created_at, seq, wallet_id)
  WHERE ref <> '';

-- Credits by when they end; the sum of what remains is the balance.
CREATE TABLE balance_lots (
  wallet_id  TEXT NOT NULL,
  -- The number of the entry that brought it.
  seq        BIGINT NOT NULL,
  amount     BIGINT NOT NULL CHECK (amount > 0),
  remaining  BIGINT NOT NULL CHECK (remaining >= 0 AND remaining <= amount),
  -- The largest number for credits that do not end.
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (wallet_id, seq)
);
CREATE INDEX balance_lots_open ON balance_lots (wallet_id, expires_at, seq) WHERE remaining > 0;

-- Amounts reserved for what is under way.
CREATE TABLE balance_holds (
  hold_id    TEXT PRIMARY KEY NOT NULL,
  wallet_id  TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  city_id    TEXT NOT NULL,
  amount     BIGINT NOT NULL CHECK (amount > 0),
  status     TEXT NOT NULL CHECK (status IN ('open', 'settled', 'released', 'expired')),
  -- The charge that settled it; empty where there is none.
  charge_id  TEXT NOT NULL,
  note       TEXT NOT NULL,
  ref        TEXT NOT NULL,
  metadata   TEXT NOT NULL,
  deadline   BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX balance_holds_overdue ON balance_holds (deadline) WHERE status = 'open';
CREATE INDEX balance_holds_of_wallet ON balance_holds (wallet_id) WHERE status = 'open';
CREATE INDEX balance_holds_by_time ON balance_holds (created_at, hold_id);
CREATE INDEX balance_holds_by_status ON balance_holds (status, created_at, hold_id)
  WHERE status <> 'settled';
CREATE INDEX balance_holds_by_user ON balance_holds (user_id, created_at, hold_id);

-- What users were charged.
CREATE TABLE balance_charges (
  charge_id  TEXT PRIMARY KEY NOT NULL,
  wallet_id  TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  city_id    TEXT NOT NULL,
  -- What it cost; `unpaid` of it the wallet could not pay, `refunded` was given back.
  amount     BIGINT NOT NULL CHECK (amount > 0),
  unpaid     BIGINT NOT NULL CHECK (unpaid >= 0 AND unpaid <= amount),
  refunded   BIGINT NOT NULL CHECK (refunded >= 0 AND refunded <= amount - unpaid),
  status     TEXT NOT NULL CHECK (status IN ('settled', 'unpaid', 'refunded')),
  hold_id    TEXT NOT NULL,
  -- The number of its ledger entry; 0 where nothing was paid.
  entry      BIGINT NOT NULL,
  note       TEXT NOT NULL,
  ref        TEXT NOT NULL,
  metadata   TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX balance_charges_by_time ON balance_charges (created_at, charge_id);
CREATE INDEX balance_charges_by_user ON balance_charges (user_id, created_at, charge_id);
CREATE INDEX balance_charges_by_city ON balance_charges (city_id, created_at, charge_id);
-- Most are settled: they are found by time.
CREATE INDEX balance_charges_by_status ON balance_charges (status, created_at, charge_id)
  WHERE status <> 'settled';
CREATE INDEX balance_charges_by_user_and_status
  ON balance_charges (user_id, status, created_at, charge_id) WHERE status <> 'settled';
CREATE INDEX balance_charges_by_ref ON balance_charges (ref, created_at, charge_id);

-- Money that went back to whoever paid: what was still there was taken, the rest is owed.
CREATE TABLE balance_refunds (
  refund_id  TEXT PRIMARY KEY NOT NULL,
  wallet_id  TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  city_id    TEXT NOT NULL,
  amount     BIGINT NOT NULL CHECK (amount > 0),
  taken      BIGINT NOT NULL CHECK (taken >= 0 AND taken <= amount),
  note       TEXT NOT NULL,
  ref        TEXT NOT NULL,
  metadata   TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX balance_refunds_by_user ON balance_refunds (user_id, created_at, refund_id);
