-- As 0001_usage_sqlite.sql, for PostgreSQL.

-- One row per recorded call. The id is the time of the row in milliseconds, shifted left by 20 bits,
-- plus a number: rows are appended, and a span of time is a range of ids.
CREATE TABLE usage_events (
    id BIGINT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    city_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    service TEXT NOT NULL,
    action TEXT NOT NULL,
    status TEXT NOT NULL,
    http_status BIGINT NOT NULL,
    code TEXT,
    error TEXT,
    streamed BOOLEAN NOT NULL,
    provider_id TEXT NOT NULL,
    model_id TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cached_tokens BIGINT,
    image_count BIGINT,
    audio_seconds BIGINT,
    video_seconds BIGINT,
    first_byte_ms BIGINT,
    duration_ms BIGINT NOT NULL,
    charge_microcredits BIGINT NOT NULL,
    hold_id TEXT,
    charge_id TEXT,
    details_json TEXT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX usage_events_request ON usage_events (request_id);
CREATE INDEX usage_events_city ON usage_events (city_id, id);
CREATE INDEX usage_events_failed ON usage_events (id) WHERE status <> 'success';

-- The facts of each user, filled behind the facts: in their own order they are stored without looking
-- for the place of each user.
CREATE TABLE usage_of_users (
    user_id TEXT NOT NULL,
    city_id TEXT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (user_id, city_id, id)
);

-- The same sums of each user.
CREATE TABLE usage_daily_users (
    user_id TEXT NOT NULL,
    city_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    service TEXT NOT NULL,
    action TEXT NOT NULL,
    model_id TEXT NOT NULL,
    status TEXT NOT NULL,
    calls BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    image_count BIGINT NOT NULL,
    audio_seconds BIGINT NOT NULL,
    video_seconds BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    charge_microcredits BIGINT NOT NULL,
    PRIMARY KEY (user_id, city_id, day, service, action, model_id, status)
);
