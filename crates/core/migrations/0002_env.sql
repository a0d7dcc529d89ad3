-- Four TEXT columns, so that rows written by hand work on both engines.
CREATE TABLE env (
  key        TEXT PRIMARY KEY NOT NULL,
  value      TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT '',
  updated_at TEXT NOT NULL DEFAULT ''
);

-- What a value was before, sealed as it stood in env. written_at is NULL where nobody noted it.
CREATE TABLE env_versions (
  key         TEXT NOT NULL,
  version     BIGINT NOT NULL,
  value       TEXT NOT NULL,
  written_at  BIGINT,
  replaced_at BIGINT NOT NULL,
  PRIMARY KEY (key, version)
);

-- The key that seals env values, itself sealed by the master key. One row.
CREATE TABLE vault (
  id          BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
  fingerprint TEXT NOT NULL,
  data_key    TEXT NOT NULL,
  created_at  BIGINT NOT NULL
);

-- Facts about this Federation that must be remembered, such as what its first start has made.
CREATE TABLE federation (
  name  TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
);
