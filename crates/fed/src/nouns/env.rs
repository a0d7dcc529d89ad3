//! `fed env`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use downcity_server::{SYSTEM_KEYS, system_key, system_keys_in};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fed::{Change, Fed};
use crate::output::{Ask, Column, note, print, secret};

pub(crate) const ENTRY: &[Column] = &[
    Column::new("KEY", "key"),
    Column::new("VALUE", "value"),
    Column::new("FROM", "source"),
    Column::time("LAST READ", "last_read_at"),
    Column::new("PROBLEM", "error"),
];

pub(crate) const VERSION: &[Column] = &[
    Column::new("VERSION", "version"),
    Column::new("VALUE", "value"),
    Column::time("WRITTEN", "written_at"),
    Column::time("REPLACED", "replaced_at"),
    Column::new("PROBLEM", "error"),
];

pub(crate) const NEEDED: &[Column] = &[
    Column::new("KEY", "key"),
    Column::new("FOR", "scope"),
    Column::status("SET", "configured"),
    Column::new("REQUIRED", "required"),
    Column::new("DESCRIPTION", "description"),
];

/// Whose values.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The city's own values, in place of those of the Federation.
    #[arg(long, value_name = "CITY")]
    city: Option<String>,
}

/// Provider keys and secrets that the Federation keeps sealed and applies at runtime.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// List the stored values, masked.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Print one value in the clear.
    #[command(after_help = "Example:\n  fed env get OPENAI_API_KEY | wc -c")]
    Get {
        /// Name of the value.
        key: String,
        #[command(flatten)]
        of: Of,
    },
    /// Store a value; it applies at once on every node. The value is asked for, or read: it never
    /// stands in the command.
    #[command(
        after_help = "Examples:\n  fed env set OPENAI_API_KEY\n  pass show openai | fed env set OPENAI_API_KEY --from -"
    )]
    Set {
        /// Name of the value.
        key: String,
        /// Read the value from this file; - reads standard input.
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
        /// Store it without asking its provider whether it works.
        #[arg(long)]
        no_test: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Remove a value.
    Unset {
        /// Name of the value.
        key: String,
        #[command(flatten)]
        of: Of,
    },
    /// Store every assignment of a .env file, or none.
    #[command(after_help = "Examples:\n  fed env import .env\n  fed env import - < .env")]
    Import {
        /// The file; - reads standard input.
        file: PathBuf,
        /// Store all of it without asking the providers whether their values work.
        #[arg(long)]
        no_test: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Print all values in the clear as a .env file. The keys
    /// of the Federation itself are left out: another one has its own.
    #[command(after_help = "Example:\n  (umask 077; fed env export --yes > backup.env)")]
    Export {
        /// Also the admin key and the other keys of the Federation itself.
        #[arg(long)]
        system: bool,
        #[command(flatten)]
        of: Of,
    },
    /// List the versions of a value, the newest first.
    History {
        /// Name of the value.
        key: String,
        #[command(flatten)]
        of: Of,
    },
    /// Let the value of an earlier version apply again.
    Rollback {
        /// Name of the value.
        key: String,
        /// The version, as `fed env history` lists it.
        version: i64,
        #[command(flatten)]
        of: Of,
    },
    /// Apply what was edited by hand in the database or the env file.
    Refresh,
    /// List the values that services and models need, and which of them are set.
    Catalog,
}

impl EnvCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::List { of } => list(&fed, &of).await,
            Self::Get { key, of } => get(&fed, &key, &of).await,
            Self::Set { key, from, no_test, of } => {
                set(&fed, &key, from.as_deref(), no_test, &of).await
            }
            Self::Unset { key, of } => {
                let what = format!("Remove {key}");
                let ask = Ask { what: &what, typed: None };
                let change = Change::new("env/remove", json!({ "key": key, "city_id": of.city }))
                    .asking(ask);
                fed.carry_out(change, &format!("{key} is removed.")).await
            }
            Self::Import { file, no_test, of } => import(&fed, &file, no_test, &of).await,
            Self::Export { system, of } => export(&fed, system, &of).await,
            Self::History { key, of } => {
                let mut versions = fed
                    .remote
                    .get("env/history", json!({ "key": key, "city_id": of.city }))
                    .await?;
                mask_all(&mut versions);
                fed.output.list(&versions, VERSION)
            }
            Self::Rollback { key, version, of } => {
                let input = json!({ "key": key, "version": version, "city_id": of.city });
                let change = Change::new("env/rollback", input);
                let sentence = format!("{key} has the value of version {version} again.");
                stored(&fed, change, &of.replaced(system_key(&key)), &sentence).await
            }
            Self::Refresh => {
                let Some(answer) = fed.send(Change::new("env/refresh", json!({}))).await? else {
                    return Ok(());
                };
                let count = answer["count"].as_u64().unwrap_or(0);
                fed.output.done(&answer, &format!("{count} values apply."))
            }
            Self::Catalog => catalog(&fed).await,
        }
    }
}

impl Of {
    /// What of the Federation itself is replaced, where these of its keys are set. A city has none of
    /// them.
    fn replaced(&self, keys: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
        keys.into_iter().filter(|_| self.city.is_none()).collect()
    }
}

async fn set(
    fed: &Fed,
    key: &str,
    from: Option<&Path>,
    no_test: bool,
    of: &Of,
) -> Result<(), Failure> {
    let value = secret(from, &format!("{key}:"))?;
    // The server asks the provider unless it is told not to.
    let input = json!({
        "key": key, "value": value.expose_secret(), "test": no_test.then_some(false),
        "city_id": of.city,
    });
    let change = Change::new("env/upsert", input);
    let sentence = format!("{key} is stored and applies.");
    stored(fed, change, &of.replaced(system_key(key)), &sentence).await
}

async fn import(fed: &Fed, file: &Path, no_test: bool, of: &Of) -> Result<(), Failure> {
    let raw = secret(Some(file), "")?;
    let replaced = of.replaced(system_keys_in(raw.expose_secret()));
    let input = json!({
        "raw": raw.expose_secret(), "test": no_test.then_some(false), "city_id": of.city,
    });
    let change = Change::new("env/import", input);
    stored(fed, change, &replaced, "All of it is stored and applies.").await
}

/// Sends a change of values, and says what the server warns of. Asks first where it replaces keys with
/// which the Federation itself works: who knows the present ones may be locked out.
async fn stored(
    fed: &Fed,
    change: Change<'_>,
    replaced: &[&str],
    sentence: &str,
) -> Result<(), Failure> {
    let what = format!("Replace {}, with which the Federation itself works", replaced.join(", "));
    let ask = (!replaced.is_empty()).then_some(Ask { what: &what, typed: None });
    let Some(answer) = fed.send(Change { ask, ..change }).await? else { return Ok(()) };
    let several = answer["warnings"].as_array().into_iter().flatten();
    for warning in several {
        let text = |name: &str| warning[name].as_str().unwrap_or_default().to_owned();
        note(&format!("Warning: {}: {}", text("key"), text("warning")));
    }
    if let Some(warning) = answer["warning"].as_str() {
        note(&format!("Warning: {warning}"));
    }
    fed.output.done(&answer, sentence)
}

async fn list(fed: &Fed, of: &Of) -> Result<(), Failure> {
    let mut entries = fed.remote.get("env/list", json!({ "city_id": of.city })).await?;
    mask_all(&mut entries);
    fed.output.list(&entries, ENTRY)
}

/// Hides the values of a list: `fed env get` shows one.
fn mask_all(list: &mut Value) {
    let items = list.get_mut("items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        if let Some(value) = item["value"].as_str() {
            item["value"] = masked(value).into();
            item["masked"] = true.into();
        }
    }
}

/// A value by which people know it again: the last four characters of a long one.
pub(crate) fn masked(value: &str) -> String {
    let letters: Vec<char> = value.chars().collect();
    let shown = if letters.len() >= 12 { letters.len() - 4 } else { letters.len() };
    format!("••••{}", letters.iter().skip(shown).collect::<String>())
}

async fn get(fed: &Fed, key: &str, of: &Of) -> Result<(), Failure> {
    // As the server takes keys: in any case, and system keys under their earlier names.
    let key = system_key(key).map_or_else(|| key.trim().to_ascii_uppercase(), str::to_owned);
    let all = fed.remote.get("env/list", json!({ "reveal": true, "city_id": of.city })).await?;
    let entries = all["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(entry) = entries.iter().find(|entry| entry["key"] == key) else {
        return Err(Failure::new(
            downcity_server::FailureKind::NotFound,
            format!("{key} is not set. `fed env list` shows what is."),
        ));
    };
    if fed.output.json {
        return crate::output::json(entry);
    }
    print(&format!("{}\n", entry["value"].as_str().unwrap_or_default()))
}

async fn export(fed: &Fed, system: bool, of: &Of) -> Result<(), Failure> {
    if fed.output.dry_run {
        note("Would print every value in the clear.");
        return Ok(());
    }
    Ask { what: "Print every value in the clear", typed: None }.confirm(fed.output)?;
    let mut all = fed.remote.get("env/list", json!({ "reveal": true, "city_id": of.city })).await?;
    let entries = all.get_mut("items").and_then(Value::as_array_mut);
    if let (false, Some(entries)) = (system, entries) {
        let is_system = |entry: &Value| SYSTEM_KEYS.iter().any(|key| entry["key"] == *key);
        entries.retain(|entry| !is_system(entry));
    }
    if fed.output.json {
        return crate::output::json(&all);
    }
    let mut text = String::new();
    for entry in all["items"].as_array().into_iter().flatten() {
        if let (Some(key), Some(value)) = (entry["key"].as_str(), entry["value"].as_str()) {
            text.push_str(&format!("{key}={}\n", quoted(value)));
        }
    }
    print(&text)
}

/// A value as .env files have it.
fn quoted(value: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:+=@,%".contains(letter);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\n', '\r']) {
        return format!("'{value}'");
    }
    let escaped =
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{escaped}\"")
}

async fn catalog(fed: &Fed) -> Result<(), Failure> {
    let scopes = fed.remote.get("env/catalog", json!({})).await?;
    if fed.output.json {
        return crate::output::json(&scopes);
    }
    let mut rows = Vec::new();
    for scope in scopes["items"].as_array().into_iter().flatten() {
        for needed in scope["env"].as_array().into_iter().flatten() {
            let Some(mut row) = needed.as_object().cloned() else { continue };
            row.insert("scope".to_owned(), scope["name"].clone());
            rows.push(Value::Object(row));
        }
    }
    fed.output.list(&Value::Array(rows), NEEDED)
}
