CREATE TABLE cities (
  city_id    TEXT PRIMARY KEY NOT NULL,
  name       TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('active', 'paused')),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX cities_by_age ON cities (created_at, city_id);

-- What ended before its time: all tokens of a city or of a user in it that were issued before
-- not_before, or one token. Seconds since 1970, as in tokens; created_at in milliseconds.
-- Rows outlive their city, so that an id that is used again revives no token.
CREATE TABLE revocations (
  kind       TEXT NOT NULL CHECK (kind IN ('city', 'user', 'token')),
  -- Empty for a token that was named by its id alone.
  city_id    TEXT NOT NULL,
  -- The user's id, the token's id, or empty for a whole city.
  subject    TEXT NOT NULL,
  not_before BIGINT NOT NULL,
  -- When the row stops to matter; NULL = never.
  expires_at BIGINT,
  -- The revision that wrote the row: nodes read what is newer than what they have seen.
  revision   BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (kind, city_id, subject)
);
CREATE INDEX revocations_by_revision ON revocations (revision);
