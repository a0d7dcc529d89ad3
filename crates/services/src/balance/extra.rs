//! What a change of money may carry: a remark, a reference, further facts.

use downcity_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Characters of a note, and of a reference.
const NOTE_MOST: usize = 500;
const REFERENCE_MOST: usize = 200;

/// Bytes of the further facts as JSON.
const META_MOST: usize = 8 * 1024;

/// Remark, reference and further facts as they were sent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Extra {
    /// A remark; trimmed, at most 500 characters.
    #[serde(default)]
    note: Option<String>,
    /// A reference to something outside; trimmed, at most 200 characters.
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    /// Further facts, at most 8 KiB as JSON.
    #[serde(default)]
    meta: Option<Map<String, Value>>,
}

/// Remark, reference and further facts as they are kept.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// A remark; `None` where there is none.
    pub note: Option<String>,
    /// A reference to something outside.
    pub reference: Option<String>,
    /// Further facts.
    pub meta: Map<String, Value>,
}

impl Extra {
    /// A remark alone.
    pub(super) fn of_note(note: Option<String>) -> Self {
        Self { note, ..Self::default() }
    }

    /// With these facts in place of `meta` where there are any.
    pub(super) fn or_meta(self, meta: Option<Map<String, Value>>) -> Self {
        Self { meta: meta.or(self.meta), ..self }
    }

    /// What is kept of it.
    ///
    /// # Errors
    /// 400 for what is too long.
    pub(super) fn checked(self) -> Result<Noted> {
        let meta = self.meta.unwrap_or_default();
        if serde_json::to_string(&meta).map_err(Error::internal)?.len() > META_MOST {
            return Err(Error::invalid("meta", format!("must have at most {META_MOST} bytes")));
        }
        Ok(Noted {
            note: text("note", self.note, NOTE_MOST)?,
            reference: text("ref", self.reference, REFERENCE_MOST)?,
            meta,
        })
    }
}

impl Noted {
    /// As a user's word beside that of the operator: all of it stands under `user`. Empty where
    /// nothing was said.
    pub(super) fn of_user(self) -> Map<String, Value> {
        let mut said = Map::new();
        if let Some(note) = self.note {
            said.insert("note".to_owned(), note.into());
        }
        if let Some(reference) = self.reference {
            said.insert("ref".to_owned(), reference.into());
        }
        if !self.meta.is_empty() {
            said.insert("meta".to_owned(), self.meta.into());
        }
        let mut metadata = Map::new();
        if !said.is_empty() {
            metadata.insert("user".to_owned(), said.into());
        }
        metadata
    }
}

fn text(path: &str, text: Option<String>, most: usize) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim();
    if text.chars().count() > most {
        return Err(Error::invalid(path, format!("must have at most {most} characters")));
    }
    if text.contains('\0') {
        return Err(Error::invalid(path, "must not have NUL characters"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
