CREATE TABLE notes (
  note_id TEXT PRIMARY KEY NOT NULL,
  city_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  text    TEXT NOT NULL
);
CREATE INDEX notes_by_user ON notes (city_id, user_id, note_id);
