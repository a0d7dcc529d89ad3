-- What nodes have counted of windows that are near their limit: one row per node, replaced about once
-- a second while there is something to tell, and deleted when it is over. `newest` counts slices of
-- time since 1970.
CREATE TABLE limit_windows (
  node   TEXT PRIMARY KEY NOT NULL,
  newest BIGINT NOT NULL,
  counts TEXT NOT NULL
);
