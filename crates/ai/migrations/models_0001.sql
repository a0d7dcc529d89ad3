-- Models beside those of the configuration. definition is JSON in the form of an [[ai.model]], without
-- its id. Rows are read whole, in the order of position, then id.
CREATE TABLE ai_models (
  id         TEXT PRIMARY KEY NOT NULL,
  definition TEXT NOT NULL,
  enabled    BOOLEAN NOT NULL,
  position   BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
