//! A service as a product writes it: users keep notes in their city.

use downcity_server::prelude::*;

/// The service `notes`.
pub struct Notes;

#[derive(Deserialize, JsonSchema)]
struct NewNote {
    /// What to remember.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct NoteIn {
    /// The city of the note.
    city_id: String,
    note_id: String,
}

#[derive(Clone, Serialize, JsonSchema)]
struct Note {
    note_id: String,
    text: String,
}

impl Service for Notes {
    fn id(&self) -> &'static str {
        "notes"
    }

    fn name(&self) -> &'static str {
        "Notes"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.migrations(migrations!("notes", [(1, "notes", "../migrations/0001_notes.sql")]));
        s.env("NOTES_BANNED_WORDS", "Words that no note may hold, separated by commas.", true);
        s.instruction("Users keep short notes; nobody sees those of another.");
        s.post("add", USER, &self, Self::add).summary("Keep a note.").hook(Moderation);
        s.get("list", USER, &self, Self::list).summary("List the caller's notes, newest first.");
        s.post("remove", ADMIN, &self, Self::remove).summary("Remove a note of any user.");
    }
}

impl Notes {
    async fn add(self: Arc<Self>, cx: Cx, input: NewNote) -> Result<Note> {
        if input.text.trim().is_empty() {
            return Err(Error::invalid("text", "is empty"));
        }
        let note = Note { note_id: cx.runtime().ids().sortable("note_"), text: input.text };
        let (user, row) = (cx.user()?.clone(), note.clone());
        cx.write(move |tx, _| insert(tx, &user, &row)).await?;
        Ok(note)
    }

    async fn list(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Items<Note>> {
        let user = cx.user()?.clone();
        Ok(cx.runtime().db().scan(move |tx| newest(tx, &user)).await?.into())
    }

    async fn remove(self: Arc<Self>, cx: Cx, input: NoteIn) -> Result<Note> {
        cx.write(move |tx, trail| {
            let note = delete(tx, &input)?
                .ok_or_else(|| Error::new(ErrorCode::NotFound, "The city has no such note."))?;
            trail.record(Target::new("note", &note.note_id).in_city(&input.city_id), &note, ());
            Ok(note)
        })
        .await
    }
}

/// Refuses notes with words that the operator has banned.
struct Moderation;

#[async_trait]
impl Hook for Moderation {
    async fn before(&self, call: &mut Call) -> Result<()> {
        let banned = call.require_env("NOTES_BANNED_WORDS")?.expose().to_lowercase();
        let text = call.input()["text"].as_str().unwrap_or_default().to_lowercase();
        let mut words = banned.split(',').map(str::trim).filter(|word| !word.is_empty());
        if words.any(|word| text.contains(word)) {
            return Err(Error::new(ErrorCode::Unprocessable, "The text holds a banned word."));
        }
        Ok(())
    }
}

fn insert(tx: &mut Tx<'_>, user: &UserIdentity, note: &Note) -> Result<()> {
    let (city_id, user_id) = (&user.city.city_id, &*user.user_id);
    let insert =
        sql!("INSERT INTO notes (note_id, city_id, user_id, text) VALUES ($1, $2, $3, $4)");
    tx.execute(insert, &[&note.note_id, city_id, &user_id, &note.text])?;
    Ok(())
}

fn newest(tx: &mut Tx<'_>, user: &UserIdentity) -> Result<Vec<Note>> {
    let (city_id, user_id) = (&user.city.city_id, &*user.user_id);
    let newest = sql!(
        "SELECT note_id, text FROM notes WHERE city_id = $1 AND user_id = $2
         ORDER BY note_id DESC LIMIT 100"
    );
    tx.query(newest, &[city_id, &user_id])?.iter().map(note).collect()
}

fn delete(tx: &mut Tx<'_>, input: &NoteIn) -> Result<Option<Note>> {
    let delete =
        sql!("DELETE FROM notes WHERE city_id = $1 AND note_id = $2 RETURNING note_id, text");
    tx.query_opt(delete, &[&input.city_id, &input.note_id])?.as_ref().map(note).transpose()
}

fn note(row: &Row) -> Result<Note> {
    Ok(Note { note_id: row.get("note_id")?, text: row.get("text")? })
}
