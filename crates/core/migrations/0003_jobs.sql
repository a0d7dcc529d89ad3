-- What was answered to a request with an Idempotency-Key. Rows of failures do not exist.
CREATE TABLE idempotency (
  scope        TEXT NOT NULL,
  key          TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  reply        TEXT NOT NULL,
  created_at   BIGINT NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- `due_at` of a running job is the end of its lease. `lease` counts the claims: only the holder of
-- the newest one may change the row.
CREATE TABLE jobs (
  job_id          TEXT PRIMARY KEY NOT NULL,
  kind            TEXT NOT NULL,
  payload         TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status IN ('queued', 'running', 'done', 'dead')),
  due_at          BIGINT NOT NULL,
  lease           BIGINT NOT NULL DEFAULT 0,
  attempts        BIGINT NOT NULL DEFAULT 0,
  idempotency_key TEXT,
  city_id         TEXT,
  user_id         TEXT,
  last_error      TEXT,
  created_at      BIGINT NOT NULL,
  updated_at      BIGINT NOT NULL,
  UNIQUE (kind, idempotency_key)
);
CREATE INDEX jobs_by_due ON jobs (kind, status, due_at);
CREATE INDEX jobs_by_end ON jobs (status, due_at);
