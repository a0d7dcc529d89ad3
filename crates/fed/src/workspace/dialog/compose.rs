//! A call of any action, asked for by what the OpenAPI document says of its input.

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::Entry;
use crate::actions::{Field, find, place};
use crate::fed::is_secret;
use crate::workspace::section::{ACTION_PATH, Answers, Kind};

/// The question for the token of the user that a call is made as. No field of an input is called so.
const USER_TOKEN: &str = "\u{0}user_token";
/// The question whether a call is made as the user whose token is kept, or as the trusted side.
const CALLER: &str = "\u{0}caller";
const KEPT_USER: &str = "user";
const TRUSTED: &str = "admin";

/// An action of the document.
#[derive(Clone)]
pub(in crate::workspace) struct Operation {
    pub(in crate::workspace) method: &'static str,
    /// Such as `balance/me`.
    pub(in crate::workspace) path: String,
    pub(in crate::workspace) summary: String,
    /// Whether users can call it, and whether the trusted side can.
    takes_user: bool,
    takes_admin: bool,
    fields: Vec<Asked>,
}

/// A field of the input.
#[derive(Clone)]
struct Asked {
    name: String,
    kind: Kind,
    /// What the document says of its value, such as `integer or string`.
    means: String,
    optional: bool,
    choices: Vec<String>,
    help: String,
}

/// The action of a row of the debugger.
pub(in crate::workspace) fn operation(document: &Value, row: &Value) -> Option<Operation> {
    let path = row[ACTION_PATH].as_str()?;
    let described = find(document, path).ok()?;
    Some(Operation {
        method: if described.method == "GET" { "GET" } else { "POST" },
        path: path.to_owned(),
        summary: described.operation["summary"].as_str().unwrap_or_default().to_owned(),
        takes_user: described.takes("user_token"),
        takes_admin: described.takes("admin_key"),
        fields: described.fields().iter().map(asked).collect(),
    })
}

/// What is asked for a field of the input.
fn asked(field: &Field<'_>) -> Asked {
    let mut choices: Vec<String> =
        field.choices.iter().map(|choice| (*choice).to_owned()).collect();
    let kind = match field.kind.as_str() {
        _ if field.is_secret || is_secret(field.name) => Kind::Secret,
        "boolean" => {
            choices = ["true", "false"].map(str::to_owned).to_vec();
            Kind::Choice
        }
        _ if !choices.is_empty() => Kind::Choice,
        "integer" => Kind::Number,
        kind if kind.contains("string") => Kind::Text,
        _ => Kind::Json,
    };
    let mut help = field.what.to_owned();
    if let Some(default) = field.default {
        help.push_str(&format!(" Left out: {default}."));
    }
    Asked {
        name: field.name.to_owned(),
        kind,
        means: field.kind.clone(),
        optional: !field.required,
        choices,
        help,
    }
}

impl Operation {
    /// The questions, and as whom it is called.
    pub(super) fn entries(&self, has_token: bool) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self
            .fields
            .iter()
            .map(|field| {
                let mut entry = Entry::new(&field.name, &field.name, field.kind, field.optional);
                entry.choices.clone_from(&field.choices);
                entry.help.clone_from(&field.help);
                entry
            })
            .collect();
        entries.extend(self.caller(has_token));
        entries
    }

    /// The question as whom it is called, where there is a choice.
    fn caller(&self, has_token: bool) -> Option<Entry> {
        let of = |help: &str, entry: Entry| Some(Entry { help: help.to_owned(), ..entry });
        let token =
            |optional| Entry::new(USER_TOKEN, "as user (user_token)", Kind::Secret, optional);
        match (self.takes_user, self.takes_admin, has_token) {
            (false, ..) | (true, false, true) => None,
            (true, false, false) => {
                of("Only users call this. t on a city issues a token.", token(false))
            }
            (true, true, false) => {
                of("Empty: as the trusted side, with the admin key.", token(true))
            }
            (true, true, true) => {
                let mut entry = Entry::new(CALLER, "as", Kind::Choice, false);
                entry.choices = [KEPT_USER, TRUSTED].map(str::to_owned).to_vec();
                entry.input = KEPT_USER.into();
                of("The user whose token was issued here, or the trusted side.", entry)
            }
        }
    }

    /// The token to call with: the one that was answered, or the kept one; without one, the trusted side
    /// calls.
    pub(in crate::workspace) fn user_token(
        &self,
        answers: &Answers,
        kept: Option<&SecretString>,
    ) -> Option<SecretString> {
        match (answers.get(USER_TOKEN), answers.get(CALLER)) {
            (Value::String(token), _) => Some(SecretString::from(token)),
            (_, caller) if caller == TRUSTED || !self.takes_user => None,
            _ => kept.cloned(),
        }
    }

    /// The path of the call and its input, of what was answered: what stands in the path is no field of
    /// the input.
    pub(in crate::workspace) fn call(&self, answers: &Answers) -> (String, Value) {
        let given =
            answers.0.iter().filter(|(name, value)| !name.starts_with('\u{0}') && !value.is_null());
        let mut input: Map<String, Value> =
            given.map(|(name, value)| (name.clone(), self.typed(name, value))).collect();
        let path = place(&self.path, &mut input);
        (path, Value::Object(input))
    }

    /// An answer as the action takes it: yes and no are booleans, and a number is one where the document
    /// knows a number of this field.
    fn typed(&self, name: &str, value: &Value) -> Value {
        let field = self.fields.iter().find(|field| field.name == name);
        let (Some(field), Some(text)) = (field, value.as_str()) else { return value.clone() };
        if field.means == "boolean" {
            return Value::Bool(text == "true");
        }
        let number = text.parse::<i64>().ok().filter(|_| field.means.contains("integer"));
        number.map_or_else(|| value.clone(), Value::from)
    }
}
