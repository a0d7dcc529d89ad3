-- Holds of a city, and of what a caller refers to: the list of them never reads its way through the others.
CREATE INDEX balance_holds_by_city ON balance_holds (city_id, created_at, hold_id);
CREATE INDEX balance_holds_by_ref ON balance_holds (ref, created_at, hold_id) WHERE ref <> '';
