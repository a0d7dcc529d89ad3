-- What users pay at a provider.
CREATE TABLE payment_payments (
  payment_id          TEXT PRIMARY KEY NOT NULL,
  provider            TEXT NOT NULL,
  topup_id            TEXT NOT NULL,
  city_id             TEXT NOT NULL,
  user_id             TEXT NOT NULL,
  -- Provider and top-up while the checkout is open: there is one at a time. NULL afterwards.
  open_key            TEXT,
  -- Until when the one who opens the checkout has it for itself; 0 once it is open.
  opening_until       BIGINT NOT NULL,
  -- The provider's ids; empty while unknown.
  session_id          TEXT NOT NULL,
  provider_payment_id TEXT NOT NULL,
  order_id            TEXT NOT NULL,
  amount              BIGINT NOT NULL CHECK (amount > 0),
  minor               BIGINT NOT NULL CHECK (minor > 0),
  currency            TEXT NOT NULL,
  -- What was paid; 0 and empty before.
  paid_minor          BIGINT NOT NULL CHECK (paid_minor >= 0),
  paid_currency       TEXT NOT NULL,
  -- What went back, in money and in credits.
  refunded_minor      BIGINT NOT NULL CHECK (refunded_minor >= 0),
  refunded            BIGINT NOT NULL CHECK (refunded >= 0 AND refunded <= amount),
  -- The top-up that was credited; empty before.
  credited_topup_id   TEXT NOT NULL,
  status              TEXT NOT NULL CHECK (status IN ('creating', 'pending', 'paid', 'review',
                        'refunded', 'disputed', 'expired', 'failed', 'canceled')),
  checkout_url        TEXT NOT NULL,
  is_live             BOOLEAN NOT NULL,
  last_error          TEXT NOT NULL,
  expires_at          BIGINT NOT NULL,
  created_at          BIGINT NOT NULL,
  updated_at          BIGINT NOT NULL,
  CHECK ((status IN ('creating', 'pending')) = (open_key IS NOT NULL))
);
CREATE UNIQUE INDEX payment_payments_open ON payment_payments (open_key);
CREATE INDEX payment_payments_overdue ON payment_payments (expires_at) WHERE open_key IS NOT NULL;
CREATE INDEX payment_payments_by_time ON payment_payments (created_at, payment_id);
CREATE INDEX payment_payments_by_user ON payment_payments (user_id, created_at, payment_id);
CREATE INDEX payment_payments_by_status ON payment_payments (status, created_at, payment_id);
CREATE INDEX payment_payments_by_provider ON payment_payments (provider, created_at, payment_id);
CREATE INDEX payment_payments_by_city ON payment_payments (city_id, created_at, payment_id);
CREATE INDEX payment_payments_by_topup ON payment_payments (topup_id, created_at, payment_id);
CREATE INDEX payment_payments_by_session ON payment_payments (provider, session_id);
CREATE INDEX payment_payments_by_payment ON payment_payments (provider, provider_payment_id);
CREATE INDEX payment_payments_by_order ON payment_payments (provider, order_id);

-- Money that went back, and came again after a dispute was won; one row per event of that kind.
CREATE TABLE payment_refunds (
  -- The provider's name and its id.
  refund_id  TEXT PRIMARY KEY NOT NULL,
  payment_id TEXT NOT NULL,
  minor      BIGINT NOT NULL,
  amount     BIGINT NOT NULL,
  -- What of the credits was there still, and was taken.
  taken      BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX payment_refunds_of ON payment_refunds (payment_id, created_at);

-- What providers tell, each message once.
CREATE TABLE payment_events (
  -- The provider's name and its id.
  event_id    TEXT PRIMARY KEY NOT NULL,
  provider    TEXT NOT NULL,
  type        TEXT NOT NULL,
  sync_status TEXT NOT NULL CHECK (sync_status IN ('pending', 'applied', 'ignored', 'unmatched',
                'failed', 'rejected')),
  sync_error  TEXT NOT NULL,
  -- The payment that it was about; empty while unknown.
  payment_id  TEXT NOT NULL,
  -- What was understood of it, as JSON: enough to handle it again.
  event       TEXT NOT NULL,
  -- The body as it came; emptied after a while.
  payload     TEXT NOT NULL,
  -- Counts the times that it was handled: an older run can change nothing.
  attempts    BIGINT NOT NULL,
  -- When it is to be handled again; NULL once its end is known.
  due_at      BIGINT,
  created_at  BIGINT NOT NULL,
  updated_at  BIGINT NOT NULL
);
CREATE INDEX payment_events_due ON payment_events (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payment_events_by_time ON payment_events (created_at, event_id);
CREATE INDEX payment_events_by_status ON payment_events (sync_status, created_at, event_id);
CREATE INDEX payment_events_by_provider ON payment_events (provider, created_at, event_id);
CREATE INDEX payment_events_by_payment ON payment_events (payment_id, created_at, event_id);
CREATE INDEX payment_events_with_payload ON payment_events (created_at) WHERE payload <> '';
