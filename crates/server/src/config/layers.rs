//! Puts the layers together.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::check;
use super::document::{Document, join};
use super::environment::{Environment, NAMED, PREFIX, Variable};
use super::problem::{ConfigError, Problem, Source};
use super::report::Effective;
use super::schema::{ConfigSchema, nested};
use super::{Config, DEFAULT_FILE};
use crate::error::FailureKind;

/// Where a configuration is read from. It may be read again at any time, with the same flags and
/// environment.
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    file: Option<PathBuf>,
    /// Whether the file may be absent.
    is_optional: bool,
    environment: Vec<(String, String)>,
    flags: Vec<(&'static str, &'static str, String)>,
}

impl ConfigSources {
    /// The environment of this process, and `federation.toml` of the working directory where there
    /// is one.
    pub fn process() -> Self {
        Self {
            file: Some(PathBuf::from(DEFAULT_FILE)),
            is_optional: true,
            environment: process_environment(),
            flags: Vec::new(),
        }
    }

    /// These environment variables in place of the process's, and no file.
    pub fn with_environment<K: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let environment =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { environment, ..Self::default() }
    }

    /// Reads this file, which must exist.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self.is_optional = false;
        self
    }

    /// Sets a key to what a flag of the command line says.
    #[must_use]
    pub fn flag(mut self, flag: &'static str, key: &'static str, value: String) -> Self {
        self.flags.push((flag, key, value));
        self
    }

    /// The file that is read, or would be read if it were there.
    pub(crate) fn watched_file(&self) -> Option<PathBuf> {
        self.file.clone()
    }

    /// An environment variable; `None` when it is absent or empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.trim().is_empty())
    }

    /// The variables that may stand in for env values: all that have a value, those that are
    /// configuration or open the database or the vault left out.
    pub(crate) fn env_fallback(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = |name: &str| {
            name.starts_with(PREFIX)
                || name.contains("MASTER_KEY")
                || NAMED.iter().any(|(own, older, _)| name == *own || name == *older)
        };
        let variables =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        variables.filter(move |(name, _)| !own(name))
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn load(&self) -> Result<LoadedConfig, ConfigError> {
        let file = self.file.clone().filter(|path| !self.is_optional || path.exists());
        let document = match &file {
            Some(path) => read_document(path)?,
            None => Document::default(),
        };
        let mut layers = Layers {
            schema: ConfigSchema::new(),
            values: document.values,
            sources: document.sources,
            problems: Vec::new(),
        };
        let mut warnings = Vec::new();
        layers.add_environment(&Environment::new(&self.environment), &mut warnings);
        for (flag, key, value) in &self.flags {
            layers.set(key, Value::String(value.clone()), Source::Flag(flag));
        }
        let (config, sources) = layers.finish()?;
        if config.ai.starter && config.ai.names_its_own() && sources.contains_key("ai.starter") {
            warnings.push("ai.starter has no effect beside a provider or a model".to_owned());
        }
        Ok(LoadedConfig { config, file, warnings, sources })
    }
}

/// Names that are not Unicode are nobody's configuration.
fn process_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn read_document(path: &Path) -> Result<Document, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Document::parse(path, &text).map_err(ConfigError::mistakes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    let (kind, message) = match error.kind() {
        ErrorKind::NotFound => {
            (FailureKind::NotFound, "there is no such file; fed config init writes one".to_owned())
        }
        ErrorKind::PermissionDenied => {
            (FailureKind::NotAllowed, "this user may not read the file".to_owned())
        }
        _ => (FailureKind::Failed, format!("cannot be read: {error}")),
    };
    let source = Source::WholeFile(path.to_path_buf());
    ConfigError { kind, problems: vec![Problem { source, key: String::new(), message }] }
}

/// A configuration and where it comes from.
#[derive(Clone, Debug, Default)]
pub struct LoadedConfig {
    /// The values.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What works but should be changed.
    pub warnings: Vec<String>,
    pub(super) sources: BTreeMap<String, Source>,
}

impl From<Config> for LoadedConfig {
    /// A configuration that nobody read from anywhere.
    fn from(config: Config) -> Self {
        Self { config, ..Self::default() }
    }
}

impl LoadedConfig {
    /// Where the value of a key comes from.
    pub fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or_default()
    }

    /// What is wrong with `[ai]`, with its places.
    pub(crate) fn ai_error(&self, problems: Vec<downcity_ai::Problem>) -> ConfigError {
        let located = problems.into_iter().map(|problem| {
            let key = format!("ai.{}", problem.path);
            Problem { source: source_of(&self.sources, &key), key, message: problem.message }
        });
        ConfigError::mistakes(located.collect())
    }

    /// Every value with its origin, in the order of the sections. The password of the database and the values of
    /// providers' headers are left out.
    pub fn effective(&self) -> Vec<Effective> {
        super::report::effective(self)
    }
}

/// The origin of a key, or of the nearest table around it.
fn source_of(sources: &BTreeMap<String, Source>, key: &str) -> Source {
    let mut key = key;
    loop {
        if let Some(source) = sources.get(key) {
            return source.clone();
        }
        match key.rfind(['.', '[']) {
            Some(end) => key = &key[..end],
            None => return Source::Default,
        }
    }
}

struct Layers {
    schema: ConfigSchema,
    values: Map<String, Value>,
    sources: BTreeMap<String, Source>,
    problems: Vec<Problem>,
}

impl Layers {
    fn add_environment(&mut self, environment: &Environment<'_>, warnings: &mut Vec<String>) {
        let configured = self.values.get("server").and_then(|server| server.get("listen"));
        let default = Config::default().server.listen;
        let listen = configured.and_then(Value::as_str).unwrap_or(&default).to_owned();
        if let Some((listen, source)) = environment.listen(&listen) {
            self.set("server.listen", Value::String(listen), source);
        }
        for Variable { key, value, source } in environment.named(warnings) {
            self.set(&key, value, source);
        }
        for Variable { key, value, source } in environment.prefixed(&self.schema) {
            self.set(&key, value, source);
        }
    }

    fn set(&mut self, key: &str, value: Value, source: Source) {
        let path: Vec<&str> = key.split('.').collect();
        self.note(key, &value, &source);
        if let Value::Object(layer) = nested(&path, value) {
            merge(&mut self.values, layer);
        }
    }

    /// Everything within a value comes from where the value comes from; a list takes the place of
    /// the one below it.
    fn note(&mut self, key: &str, value: &Value, source: &Source) {
        match value {
            Value::Array(items) => {
                let inside = format!("{key}[");
                self.sources.retain(|known, _| !known.starts_with(&inside));
                for (index, item) in items.iter().enumerate() {
                    self.note(&format!("{key}[{index}]"), item, source);
                }
            }
            Value::Object(table) => {
                for (name, value) in table {
                    self.note(&join(key, name), value, source);
                }
            }
            _ => {}
        }
        self.sources.insert(key.to_owned(), source.clone());
    }

    /// Notes the first problem of a key; what follows from it says nothing new.
    fn problem(&mut self, key: String, message: String) {
        if self.problems.iter().any(|known| known.key == key) {
            return;
        }
        let source = source_of(&self.sources, &key);
        self.problems.push(Problem { source, key, message });
    }

    fn finish(mut self) -> Result<(Config, BTreeMap<String, Source>), ConfigError> {
        for mismatch in check::check(&self.schema, &mut self.values) {
            self.problem(mismatch.path, mismatch.message);
        }
        let config = self.read();
        for (key, message) in config.iter().flat_map(Config::validate).collect::<Vec<_>>() {
            self.problem(key, message);
        }
        match config {
            Some(config) if self.problems.is_empty() => Ok((config, self.sources)),
            _ => {
                self.problems.sort_by(|a, b| a.source.cmp(&b.source));
                Err(ConfigError::mistakes(self.problems))
            }
        }
    }

    /// Reads the values section by section and key by key, so that one bad value hides no other.
    fn read(&mut self) -> Option<Config> {
        // Each round takes one bad value out: there are no more rounds than values.
        loop {
            let values = Value::Object(self.values.clone());
            let error = match serde_path_to_error::deserialize::<_, Config>(values) {
                Ok(config) => return Some(config),
                Err(error) => error,
            };
            let path = error.path().to_string();
            let message = error.into_inner().to_string();
            let gone = path.split('[').next().unwrap_or_default().to_owned();
            self.problem(path, message);
            if !remove(&mut self.values, &gone) {
                return None;
            }
        }
    }
}

/// Lays a table over another; lists and single values are replaced as a whole.
fn merge(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Takes the value at a path of keys out; says whether there was one.
fn remove(values: &mut Map<String, Value>, path: &str) -> bool {
    match path.split_once('.') {
        None => values.remove(path).is_some(),
        Some((first, rest)) => match values.get_mut(first) {
            Some(Value::Object(inner)) => remove(inner, rest),
            _ => false,
        },
    }
}
