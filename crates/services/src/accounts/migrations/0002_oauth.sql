-- Sign-ins with a provider that are under way. Of secrets only the SHA-256 is here.
CREATE TABLE accounts_oauth_states (
  flow_id      TEXT PRIMARY KEY NOT NULL,
  -- What the provider sends back, and what the starter asks for the result with.
  state        TEXT NOT NULL UNIQUE,
  poll         TEXT NOT NULL UNIQUE,
  -- started, called (the provider sent somebody back), asked (they are asked to confirm), done, delivered
  stage        TEXT NOT NULL,
  provider     TEXT NOT NULL,
  city_id      TEXT NOT NULL,
  user_code    TEXT NOT NULL,
  redirect_uri TEXT NOT NULL,
  return_url   TEXT,
  -- One half of what the PKCE verifier is made of; the other half is in the vault.
  nonce        TEXT NOT NULL,
  -- Where the starter called from.
  address      TEXT,
  -- The signed-in user to whom the provider's account is to be linked.
  link_user_id TEXT,
  -- What the page that asks for confirmation sends.
  confirmation TEXT UNIQUE,
  -- Whom the provider named, as JSON, until they have confirmed.
  person       TEXT,
  -- Who signed in, and the session that was opened for them.
  user_id      TEXT,
  session_id   TEXT,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL
);
CREATE INDEX accounts_oauth_states_by_end ON accounts_oauth_states (expires_at);
CREATE INDEX accounts_oauth_states_by_user ON accounts_oauth_states (user_id);
CREATE INDEX accounts_oauth_states_by_link ON accounts_oauth_states (link_user_id);

-- WeChat knows a person by an id per app, and by one of all apps once they are bound together: the
-- second name under which the same person comes.
ALTER TABLE accounts_identities ADD COLUMN alias TEXT;
CREATE UNIQUE INDEX accounts_identities_by_alias ON accounts_identities (provider, alias);
