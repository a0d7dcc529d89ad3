CREATE TABLE cities (
  city_id    TEXT PRIMARY KEY NOT NULL,
  name       TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('active', 'paused')),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX cities_by_age ON cities (created_at, city_id);
