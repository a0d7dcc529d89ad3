-- Images and videos that are being made, or have been.
CREATE TABLE ai_jobs (
  job_id         TEXT PRIMARY KEY NOT NULL,
  -- The last words of its route: image or video.
  mode           TEXT NOT NULL,
  status         TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed')),
  model_id       TEXT NOT NULL,
  -- Who asked; none for the trusted side, unless it named a user who pays.
  city_id        TEXT,
  user_id        TEXT,
  -- Whether the caller was that user.
  is_by_user     BOOLEAN NOT NULL,
  action_id      TEXT NOT NULL,
  request_id     TEXT NOT NULL,
  -- What is to be made; empty once the job has ended.
  input_json     TEXT NOT NULL,
  -- What is held for it, where it costs money.
  bill_json      TEXT,
  -- What it consumed so far.
  metering_json  TEXT NOT NULL,
  -- Who works on it, once an upstream has taken it on.
  upstream_json  TEXT,
  upstream_id    TEXT,
  metadata_json  TEXT NOT NULL,
  result_json    TEXT,
  error          TEXT,
  code           TEXT,
  poll_after_ms  BIGINT,
  -- When it is looked at next.
  due_at         BIGINT NOT NULL,
  -- Who holds it: grows with every claim, so that an older one can change nothing.
  claim          BIGINT NOT NULL,
  claimed_until  BIGINT NOT NULL,
  created_at     BIGINT NOT NULL,
  updated_at     BIGINT NOT NULL,
  ended_at       BIGINT,
  CHECK ((status IN ('succeeded', 'failed')) = (ended_at IS NOT NULL)),
  CHECK ((status = 'succeeded') = (result_json IS NOT NULL))
);
CREATE INDEX ai_jobs_due ON ai_jobs (status, due_at);
CREATE INDEX ai_jobs_of_user ON ai_jobs (city_id, user_id, created_at, job_id);
CREATE INDEX ai_jobs_ended ON ai_jobs (ended_at) WHERE ended_at IS NOT NULL;
