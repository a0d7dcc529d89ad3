-- Keys of services that act for the trusted side within a scope. Rows outlive their key, so that
-- a revoked or expired one is told from one that never was.
CREATE TABLE service_keys (
  key_id     TEXT PRIMARY KEY NOT NULL,
  name       TEXT NOT NULL,
  -- SHA-256 of the key in base64url; the key itself stands nowhere.
  digest     TEXT NOT NULL UNIQUE,
  -- The first characters of the key, for people.
  prefix     TEXT NOT NULL,
  -- JSON arrays of texts. No cities = all of them.
  actions    TEXT NOT NULL,
  cities     TEXT NOT NULL,
  expires_at BIGINT,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX service_keys_by_age ON service_keys (created_at, key_id);
