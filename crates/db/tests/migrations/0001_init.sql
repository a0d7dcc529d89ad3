CREATE TABLE wallets (
    id TEXT NOT NULL PRIMARY KEY,
    balance BIGINT NOT NULL CHECK (balance >= 0),
    label TEXT,
    active BOOLEAN NOT NULL DEFAULT TRUE,
    rate DOUBLE PRECISION,
    seen_at BIGINT
);
CREATE TABLE entries (
    id BIGINT NOT NULL PRIMARY KEY,
    wallet_id TEXT NOT NULL REFERENCES wallets (id),
    amount BIGINT NOT NULL
);
