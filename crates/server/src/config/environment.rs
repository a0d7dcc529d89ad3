//! Configuration from environment variables.

use serde_json::Value;

use super::problem::Source;
use super::schema::ConfigSchema;

/// `DOWNCITY_FEDERATION__SERVER__BODY_LIMIT` sets `server.body_limit`, and so on for every key.
pub(super) const PREFIX: &str = "DOWNCITY_FEDERATION__";

/// Variables with names of their own: the variable, an older name, the key.
pub(super) const NAMED: &[(&str, &str, &str)] = &[
    ("DOWNCITY_FEDERATION_BASE_URL", "DOWNCITY_CITY_BASE_URL", "server.public_url"),
    ("DOWNCITY_FEDERATION_DATABASE_URL", "DOWNCITY_CITY_DATABASE_URL", "database.url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("OTEL_SERVICE_NAME", "OTEL_SERVICE_NAME", "telemetry.service_name"),
];

/// A value from the environment.
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) source: Source,
}

/// The environment as configuration. Empty variables count as absent.
pub(super) struct Environment<'a> {
    variables: &'a [(String, String)],
}

impl<'a> Environment<'a> {
    pub(super) fn new(variables: &'a [(String, String)]) -> Self {
        Self { variables }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.variables.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// `HOST` and `PORT` change parts of an address; gives the new address and who changed it.
    pub(super) fn listen(&self, current: &str) -> Option<(String, Source)> {
        let (host, port) = (self.get("HOST"), self.get("PORT"));
        let (old_host, old_port) = current.rsplit_once(':').unwrap_or((current, ""));
        let names = match (host, port) {
            (None, None) => return None,
            (Some(_), None) => "HOST",
            (None, Some(_)) => "PORT",
            (Some(_), Some(_)) => "HOST, PORT",
        };
        let host = host.unwrap_or(old_host);
        let port = port.unwrap_or(old_port);
        let listen = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        Some((listen, Source::Env(names.to_owned())))
    }

    /// The variables with names of their own, and what to say about older names.
    pub(super) fn named(&self, warnings: &mut Vec<String>) -> Vec<Variable> {
        let mut found = Vec::new();
        for (name, alias, key) in NAMED {
            let (used, value) = match (self.get(name), self.get(alias)) {
                (Some(value), _) => (name, value),
                (None, Some(value)) => {
                    warnings.push(format!("{alias} is an older name; rename it to {name}"));
                    (alias, value)
                }
                (None, None) => continue,
            };
            found.push(Variable {
                key: (*key).to_owned(),
                value: Value::String(value.to_owned()),
                source: Source::Env((*used).to_owned()),
            });
        }
        found
    }

    /// The variables that name a key by [`PREFIX`].
    pub(super) fn prefixed(&self, schema: &ConfigSchema) -> Vec<Variable> {
        let named = self.variables.iter().filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (name, rest.to_lowercase(), value))
        });
        let variable = |(name, rest, value): (&String, String, &str)| {
            let path: Vec<&str> = rest.split("__").collect();
            Variable {
                value: read(schema, &path, value),
                key: path.join("."),
                source: Source::Env(name.clone()),
            }
        };
        named.map(variable).collect()
    }
}

/// Reads a text as the type that the key has: text as it stands, anything else as TOML.
fn read(schema: &ConfigSchema, path: &[&str], text: &str) -> Value {
    let is_text = schema.at(path).is_none_or(|found| schema.types(found).contains(&"string"));
    let parsed = if is_text { None } else { format!("value = {text}").parse::<toml::Table>().ok() };
    parsed
        .and_then(|mut table| table.remove("value"))
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
