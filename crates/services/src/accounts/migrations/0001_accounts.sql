-- People, their ways to sign in, and their sessions. An account belongs to the Federation; a session is
-- of one city.
CREATE TABLE accounts_users (
  user_id            TEXT PRIMARY KEY NOT NULL,
  -- In lower case; a placeholder where a provider gives none.
  email              TEXT NOT NULL UNIQUE,
  email_verified     BOOLEAN NOT NULL,
  -- As given at registration, or by the first provider.
  name               TEXT NOT NULL,
  image              TEXT,
  -- What the user edits.
  display_name       TEXT NOT NULL,
  avatar_url         TEXT NOT NULL,
  bio                TEXT NOT NULL,
  -- active, disabled
  status             TEXT NOT NULL,
  created_at         BIGINT NOT NULL,
  updated_at         BIGINT NOT NULL,
  profile_updated_at BIGINT NOT NULL
);
CREATE INDEX accounts_users_by_age ON accounts_users (created_at, user_id);

-- How a user signs in: `credential` (a password; subject = user_id), or a provider and its id of the user.
CREATE TABLE accounts_identities (
  provider   TEXT NOT NULL,
  subject    TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  -- The hash of a password, and its kind: argon2id, scrypt.
  secret     TEXT,
  scheme     TEXT,
  -- What the provider said of the address.
  email      TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (provider, subject)
);
CREATE INDEX accounts_identities_by_user ON accounts_identities (user_id, provider);
CREATE INDEX accounts_identities_by_scheme ON accounts_identities (scheme);

-- A session is a token: its id is the token's `jti`.
CREATE TABLE accounts_sessions (
  session_id TEXT PRIMARY KEY NOT NULL,
  user_id    TEXT NOT NULL,
  city_id    TEXT NOT NULL,
  -- How it began: credential, magic_link, or a provider.
  method     TEXT NOT NULL,
  address    TEXT,
  user_agent TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX accounts_sessions_by_user ON accounts_sessions (user_id, created_at, session_id);
CREATE INDEX accounts_sessions_by_end ON accounts_sessions (expires_at, session_id);
CREATE INDEX accounts_sessions_by_city ON accounts_sessions (city_id, expires_at, session_id);

-- Single-use secrets that were mailed. Only their hashes are here.
CREATE TABLE accounts_codes (
  code_id    TEXT PRIMARY KEY NOT NULL,
  -- verify, reset, magic_link, code, email_change
  kind       TEXT NOT NULL,
  -- The address that the mail went to.
  email      TEXT NOT NULL,
  city_id    TEXT,
  -- The account it was made for, where it is for one alone.
  user_id    TEXT,
  -- SHA-256; nothing before the mail is written.
  secret     TEXT UNIQUE,
  tries      BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX accounts_codes_by_email ON accounts_codes (email, kind);
CREATE INDEX accounts_codes_by_end ON accounts_codes (expires_at);

-- What is counted against guessing and flooding. The bucket is a keyed hash: no address of a person or
-- of a machine can be read from it.
CREATE TABLE accounts_failures (
  bucket  TEXT PRIMARY KEY NOT NULL,
  count   BIGINT NOT NULL,
  ends_at BIGINT NOT NULL
);
CREATE INDEX accounts_failures_by_end ON accounts_failures (ends_at);

-- From where a user has signed in before; keyed hashes.
CREATE TABLE accounts_addresses (
  user_id TEXT NOT NULL,
  address TEXT NOT NULL,
  used_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, address)
);
CREATE INDEX accounts_addresses_by_use ON accounts_addresses (used_at);
