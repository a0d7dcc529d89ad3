-- Who changed what on the trusted side: one row per change, written in the change's own
-- transaction. Each row holds the hash of the one before, so that nothing is changed, added or
-- taken out in between without breaking the chain.
CREATE TABLE audit (
  seq            BIGINT PRIMARY KEY NOT NULL,
  created_at     BIGINT NOT NULL,
  -- admin, service or system; key_id and key_name belong to a service key.
  actor          TEXT NOT NULL,
  key_id         TEXT,
  key_name       TEXT,
  -- service/action.
  action         TEXT NOT NULL,
  target_kind    TEXT NOT NULL,
  target_id      TEXT NOT NULL,
  city_id        TEXT,
  -- JSON; NULL where there was nothing, or is nothing any more.
  before_json    TEXT,
  after_json     TEXT,
  request_id     TEXT,
  client_address TEXT,
  prev_hash      TEXT NOT NULL,
  hash           TEXT NOT NULL
);
CREATE INDEX audit_by_target ON audit (target_kind, target_id, seq);
CREATE INDEX audit_by_request ON audit (request_id);

-- The end of the chain. Writers lock this row, so that nodes append in one order; a tail that was
-- cut off shows, because the head still knows it.
CREATE TABLE audit_head (
  id   BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
  seq  BIGINT NOT NULL,
  hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
