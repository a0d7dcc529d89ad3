-- What a key may move in one call and in one day, in microcredits; NULL = any amount.
ALTER TABLE service_keys ADD COLUMN amount_per_call BIGINT;
ALTER TABLE service_keys ADD COLUMN amount_per_day BIGINT;
-- When a call last came with the key, to the second, over all nodes. Written in batches.
ALTER TABLE service_keys ADD COLUMN last_used_at BIGINT;

-- What each key with a daily amount has moved, by day: whole days of UTC since 1970.
CREATE TABLE service_key_spending (
  key_id TEXT NOT NULL,
  day    BIGINT NOT NULL,
  spent  BIGINT NOT NULL CHECK (spent >= 0),
  PRIMARY KEY (key_id, day)
);
