-- Four TEXT columns, so that rows written by hand work on both engines.
CREATE TABLE env (
  key        TEXT PRIMARY KEY NOT NULL,
  value      TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT '',
  updated_at TEXT NOT NULL DEFAULT ''
);
