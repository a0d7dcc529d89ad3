-- Keys that sign user tokens, besides the active HMAC key, which is an env value: every Ed25519 key,
-- and HMAC keys that a rotation has retired.
CREATE TABLE signing_keys (
  key_id         TEXT PRIMARY KEY NOT NULL,
  algorithm      TEXT NOT NULL CHECK (algorithm IN ('hmac', 'ed25519')),
  -- Sealed by the vault.
  secret         TEXT NOT NULL,
  -- The id of the HMAC key that has to be the active one for this retired one to count; NULL for
  -- Ed25519. Another value of the active key ends every retired HMAC key at once.
  successor      TEXT,
  created_at     BIGINT NOT NULL,
  -- Both NULL while the key is active.
  retired_at     BIGINT,
  verifies_until BIGINT,
  CHECK ((retired_at IS NULL) = (verifies_until IS NULL))
);
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (algorithm) WHERE retired_at IS NULL;
