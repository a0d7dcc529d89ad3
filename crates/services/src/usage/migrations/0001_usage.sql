-- Sums per day (days since 1970, UTC) of all users together, kept for ever.
CREATE TABLE usage_daily (
    day BIGINT NOT NULL,
    city_id TEXT NOT NULL,
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
    PRIMARY KEY (day, city_id, service, action, model_id, status)
);

-- Facts with ids below summed_to are in the sums and among those of their users; those below erased_to
-- may be gone.
CREATE TABLE usage_state (
    id BIGINT NOT NULL PRIMARY KEY,
    summed_to BIGINT NOT NULL,
    erased_to BIGINT NOT NULL
);

INSERT INTO usage_state (id, summed_to, erased_to) VALUES (1, 0, 0);

