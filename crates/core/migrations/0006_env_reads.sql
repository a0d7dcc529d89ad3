-- When a value was last used by a call, to the second, over all nodes. Written in batches.
CREATE TABLE env_reads (
  key          TEXT PRIMARY KEY NOT NULL,
  last_read_at BIGINT NOT NULL
);
