-- Top-ups: what a user wants to pay for, or has paid.
CREATE TABLE balance_topups (
  topup_id     TEXT PRIMARY KEY NOT NULL,
  -- Empty where a wallet is of the whole Federation, else the city.
  scope        TEXT NOT NULL,
  user_id      TEXT NOT NULL,
  -- Where it was made.
  city_id      TEXT NOT NULL,
  amount       BIGINT NOT NULL CHECK (amount > 0),
  status       TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'canceled')),
  note         TEXT NOT NULL,
  ref          TEXT NOT NULL,
  metadata     TEXT NOT NULL,
  -- Which of a user's places for pending top-ups it takes: the index below keeps them few.
  pending_slot BIGINT,
  -- Canceled because it was not paid in time.
  is_expired   BOOLEAN NOT NULL,
  expires_at   BIGINT NOT NULL,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL,
  CHECK ((status = 'pending') = (pending_slot IS NOT NULL))
);
CREATE UNIQUE INDEX balance_topups_pending ON balance_topups (scope, user_id, pending_slot);
CREATE INDEX balance_topups_of_user ON balance_topups (scope, user_id, created_at, topup_id);
CREATE INDEX balance_topups_by_user ON balance_topups (user_id, created_at, topup_id);
CREATE INDEX balance_topups_by_time ON balance_topups (created_at, topup_id);
CREATE INDEX balance_topups_by_status ON balance_topups (status, created_at, topup_id);
CREATE INDEX balance_topups_by_city ON balance_topups (city_id, created_at, topup_id);
CREATE INDEX balance_topups_by_ref ON balance_topups (ref, created_at, topup_id);
CREATE INDEX balance_topups_overdue ON balance_topups (expires_at) WHERE status = 'pending';

-- Redeem codes: the hash of each, never the code.
CREATE TABLE balance_redeem_codes (
  redeem_code_id      TEXT PRIMARY KEY NOT NULL,
  code_hash           TEXT NOT NULL UNIQUE,
  code_mask           TEXT NOT NULL,
  amount              BIGINT NOT NULL CHECK (amount > 0),
  status              TEXT NOT NULL CHECK (status IN ('active', 'redeemed', 'disabled')),
  note                TEXT NOT NULL,
  ref                 TEXT NOT NULL,
  metadata            TEXT NOT NULL,
  -- Empty: users of every city may redeem it.
  city_id             TEXT NOT NULL,
  -- Shared by the codes that were made together; empty for one that was made alone.
  batch_id            TEXT NOT NULL,
  uses                BIGINT NOT NULL,
  max_uses            BIGINT NOT NULL,
  max_uses_per_user   BIGINT NOT NULL,
  expires_at          BIGINT,
  -- When the credits end: a time, or a length of time after the code was redeemed.
  credits_expire_at   BIGINT,
  credits_expire_ms   BIGINT,
  -- The last one who redeemed it, and when.
  redeemed_by_user_id TEXT NOT NULL,
  redeemed_at         BIGINT,
  created_at          BIGINT NOT NULL,
  updated_at          BIGINT NOT NULL,
  CHECK (uses >= 0 AND uses <= max_uses),
  CHECK (status <> 'redeemed' OR uses = max_uses)
);
CREATE INDEX balance_redeem_codes_by_time ON balance_redeem_codes (created_at, redeem_code_id);
CREATE INDEX balance_redeem_codes_by_status
  ON balance_redeem_codes (status, created_at, redeem_code_id);
CREATE INDEX balance_redeem_codes_by_ref ON balance_redeem_codes (ref, created_at, redeem_code_id);
CREATE INDEX balance_redeem_codes_by_city
  ON balance_redeem_codes (city_id, created_at, redeem_code_id);
CREATE INDEX balance_redeem_codes_by_batch
  ON balance_redeem_codes (batch_id, created_at, redeem_code_id);

-- Who redeemed which code; one row per use.
CREATE TABLE balance_redemptions (
  redeem_code_id TEXT NOT NULL,
  scope          TEXT NOT NULL,
  user_id        TEXT NOT NULL,
  -- Counted per user and code, from 1.
  use_number     BIGINT NOT NULL,
  city_id        TEXT NOT NULL,
  redeemed_at    BIGINT NOT NULL,
  PRIMARY KEY (redeem_code_id, scope, user_id, use_number)
);
CREATE INDEX balance_redemptions_by_user
  ON balance_redemptions (user_id, redeem_code_id);

-- How many codes that do not exist somebody has tried since when.
CREATE TABLE balance_redeem_failures (
  subject  TEXT PRIMARY KEY NOT NULL,
  since    BIGINT NOT NULL,
  failures BIGINT NOT NULL
);
CREATE INDEX balance_redeem_failures_by_time ON balance_redeem_failures (since);
