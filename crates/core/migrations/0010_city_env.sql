-- The env values of single cities, sealed as those of env are. The same four TEXT columns beside the
-- city, so that rows written by hand work on both engines. What a value was before stands in
-- env_versions, and when it was last read in env_reads, both under the key '<city_id>/<KEY>'.
CREATE TABLE city_env (
  city_id    TEXT NOT NULL,
  key        TEXT NOT NULL,
  value      TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT '',
  updated_at TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (city_id, key)
);
