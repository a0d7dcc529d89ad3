//! The configuration of a Federation: its sections, their defaults, and where values come from.
//!
//! A value comes from the first of these layers that names it: a flag of the command line, the
//! environment, the configuration file, the default. Secrets are not configuration; they live in
//! the env vault.

mod block;
mod check;
mod document;
mod env;
mod environment;
mod layers;
mod limits;
mod problem;
mod reference;
mod report;
mod schema;

use std::net::SocketAddr;

use downcity_ai::AiConfig;
use downcity_db::DbUrl;
use downcity_services::{
    AccountsConfig, BalanceConfig, GateUnit, MailConfig, PaymentConfig, UsageConfig,
};
use downcity_types::{TokenAlgorithm, Ttl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use block::AddressBlock;
pub use downcity_types::{ByteSize, Grace, Span};
pub use env::EnvConfig;
pub use layers::{ConfigSources, LoadedConfig};
pub use limits::LimitsConfig;
pub use problem::{ConfigError, Problem, Source};
pub use reference::{reference, template};
pub use report::Effective;

/// The file that is read when none is named and it exists in the working directory.
pub const DEFAULT_FILE: &str = "federation.toml";

/// Everything that can be configured. `Config::default()` is an unconfigured Federation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Where and how the Federation listens.
    pub server: ServerConfig,
    /// Where data is kept.
    pub database: DatabaseConfig,
    /// Where env values are kept: provider keys, the admin key and the other secrets.
    pub env: EnvConfig,
    /// The life of user tokens, and how they are signed.
    pub tokens: TokenConfig,
    /// How many calls are taken, of whom. A call beyond a limit is answered 429; figures are calls
    /// per `window`, and 0 is no limit.
    pub limits: LimitsConfig,
    /// Models, and the providers behind them.
    pub ai: AiConfig,
    /// People and their sessions.
    pub accounts: AccountsConfig,
    /// How mail is sent.
    pub mail: MailConfig,
    /// Wallets of users.
    pub balance: BalanceConfig,
    /// How users buy credits.
    pub payment: PaymentConfig,
    /// Which calls are recorded, and for how long.
    pub usage: UsageConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Figures for Prometheus.
    pub metrics: MetricsConfig,
    /// Spans of requests, for a tracing system.
    pub telemetry: TelemetryConfig,
    /// Background work.
    pub jobs: JobConfig,
    /// What clients of older generations meet.
    pub compat: CompatConfig,
}

/// What clients of older generations meet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CompatConfig {
    /// What one unit of an amount is worth to clients of the generation gate (`@downcity/gate`):
    /// `cent`, a hundredth of a credit, or `credit`. The server converts, in and out.
    pub gate_unit: GateUnit,
}

/// Where and how the Federation listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerConfig {
    /// Address and port, such as `127.0.0.1:43127`, `[::1]:8080` or `0.0.0.0:80`. Port 0 takes a
    /// free one.
    pub listen: String,
    /// Where clients reach the Federation, such as `https://fed.example.com`.
    pub public_url: Option<String>,
    /// Whether `GET /v1/services` shows guests which env keys services read.
    pub public_env_keys: bool,
    /// How many connections are served at the same time. Further ones take the place of the
    /// connection that has been idle longest; where none is idle they wait.
    pub max_connections: usize,
    /// How long a connection may take to send the head of its next request. Idle connections are
    /// closed after the same time.
    pub header_timeout: Span,
    /// How long a client may take to accept the next bytes of an answer. A connection or stream
    /// whose client does not read for as long is closed.
    pub write_timeout: Span,
    /// The largest sum of header names and values of a request.
    pub max_header_size: ByteSize,
    /// The longest path with query.
    pub max_uri_size: ByteSize,
    /// The largest request body, where an action does not set its own limit.
    pub body_limit: ByteSize,
    /// How long a request body may take to arrive.
    pub body_timeout: Span,
    /// How long an action may take until its answer starts, where it does not set its own limit.
    pub request_timeout: Span,
    /// How long a node that got SIGTERM goes on serving while `/readyz` answers 503, so that
    /// balancers find out. It stops at once when nobody has asked `/readyz` within a minute, and on
    /// SIGINT (ctrl-c).
    pub drain: Span,
    /// How long a shutdown waits for requests and streams under way.
    pub shutdown_timeout: Span,
    /// The reverse proxies that are believed about where a request comes from: addresses and
    /// blocks such as `10.0.0.0/8`. Without any, a request comes from where its connection comes
    /// from, whatever its headers say.
    pub trusted_proxies: Vec<AddressBlock>,
    /// The header in which those proxies name the client: `x-forwarded-for`, or `forwarded`
    /// (RFC 7239). The other one is not read, as clients could send it themselves.
    pub proxy_header: ProxyHeader,
    /// Which browsers may call.
    pub cors: CorsConfig,
}

/// How a reverse proxy names the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For: 192.0.2.1, 10.0.0.1`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1, for=10.0.0.1` (RFC 7239).
    Forwarded,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:43127".to_owned(),
            public_url: None,
            public_env_keys: true,
            max_connections: 10_000,
            header_timeout: Span::seconds(30),
            write_timeout: Span::seconds(30),
            max_header_size: ByteSize::kibibytes(64),
            max_uri_size: ByteSize::kibibytes(16),
            body_limit: ByteSize::kibibytes(10 * 1024),
            body_timeout: Span::seconds(30),
            request_timeout: Span::seconds(60),
            drain: Span::seconds(5),
            shutdown_timeout: Span::seconds(30),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
            cors: CorsConfig::default(),
        }
    }
}

/// Which browsers may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CorsConfig {
    /// Web origins that may call, such as `https://app.example.com`; `*` is any, an empty list none.
    pub origins: Vec<String>,
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self { origins: vec!["*".to_owned()] }
    }
}

/// Where data is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DatabaseConfig {
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
    pub url: String,
    /// How long `fed serve` waits on start for a PostgreSQL server that does not answer yet.
    pub start_timeout: Span,
}

/// The database of a Federation that was told nothing.
pub const DEFAULT_DATABASE: &str = "sqlite:.base/downcity.sqlite";

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: DEFAULT_DATABASE.to_owned(), start_timeout: Span::seconds(30) }
    }
}

/// The life of user tokens, and how they are signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenConfig {
    /// How long a token lives when its issuer names no `ttl`; without this it lives for ever.
    pub default_ttl: Option<Ttl>,
    /// The longest `ttl` that may be asked for; a token for which none is asked ends then at the
    /// latest.
    pub max_ttl: Option<Ttl>,
    /// How new tokens are signed: `hmac` (`ub_…`), or `ed25519`, JWTs that anybody can verify with
    /// the keys of `/.well-known/jwks.json`. Tokens of both kinds are accepted.
    pub algorithm: TokenAlgorithm,
    /// How long a signing key verifies after `POST /v1/keys/rotate` has replaced it; 0 ends it at
    /// once.
    pub rotation_grace: Grace,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            default_ttl: None,
            max_ttl: None,
            algorithm: TokenAlgorithm::Hmac,
            rotation_grace: Grace::seconds(7 * 86_400),
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged, and how. Log lines go to standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogConfig {
    /// `text` for people, `json` for collectors.
    pub format: LogFormat,
    /// The least level that is logged: `error`, `warn`, `info`, `debug` or `trace`; single modules
    /// may differ, as in `info,downcity_ai=debug`.
    pub level: String,
    /// Whether every request is logged as one line.
    pub requests: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned(), requests: false }
    }
}

/// Figures for Prometheus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MetricsConfig {
    /// Whether figures are collected and shown at `GET /metrics`.
    pub enabled: bool,
    /// An address of its own for `GET /metrics`, without a credential, such as `127.0.0.1:9464`.
    /// Without one it is served beside the API and needs the admin key.
    pub listen: Option<String>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { enabled: true, listen: None }
    }
}

/// Spans of requests, for a tracing system. A request that carries a W3C `traceparent` continues its
/// trace; nothing is exported unless an endpoint is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TelemetryConfig {
    /// Where spans are sent by OTLP over HTTP (protobuf): the base URL of a collector, such as
    /// `http://127.0.0.1:4318`, to which `/v1/traces` is added.
    pub otlp_endpoint: Option<String>,
    /// The name of this service in the tracing system.
    pub service_name: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, service_name: "downcity-federation".to_owned() }
    }
}

/// Background work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JobConfig {
    /// How many jobs run at the same time on this node; 0 leaves them to other nodes.
    pub workers: usize,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self { workers: 4 }
    }
}

impl Config {
    /// Where the database is.
    ///
    /// # Errors
    /// A sentence that never shows the URL, which may hold a password.
    pub fn database_url(&self) -> Result<DbUrl, String> {
        self.database.url.parse().map_err(|error: downcity_db::DbError| error.to_string())
    }

    /// The env keys that providers and models read. Their first values may come from the
    /// environment of the process.
    pub(crate) fn provider_keys(&self) -> impl Iterator<Item = &str> {
        let providers = self.ai.provider.iter().flat_map(|provider| {
            let named = provider.env_key.iter().chain(&provider.env_keys);
            named.chain(&provider.base_url_env).chain(provider.env.keys())
        });
        let models = self.ai.model.iter().flat_map(|model| model.env.keys());
        let storage = self.ai.storage.env_keys();
        providers.chain(models).map(String::as_str).chain(storage)
    }

    /// The sections that differ and need a restart.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let sections = [
            ("server", self.server == other.server),
            ("database", self.database == other.database),
            ("env", self.env == other.env),
            ("tokens", self.tokens == other.tokens),
            ("limits", self.limits == other.limits),
            ("accounts", self.accounts == other.accounts),
            ("mail", self.mail == other.mail),
            ("balance", self.balance == other.balance),
            ("payment", self.payment == other.payment),
            ("usage", self.usage == other.usage),
            ("log", self.log == other.log),
            ("metrics", self.metrics == other.metrics),
            ("telemetry", self.telemetry == other.telemetry),
            ("jobs", self.jobs == other.jobs),
            ("compat", self.compat == other.compat),
        ];
        sections.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }

    /// What the types alone do not say: each entry is a key and what is wrong with its value.
    pub(crate) fn validate(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut check = |key: &str, result: Result<(), String>| {
            if let Err(message) = result {
                wrong.push((key.to_owned(), message));
            }
        };
        check("server.listen", check_listen(&self.server.listen));
        if let Some(url) = &self.server.public_url {
            check("server.public_url", check_public_url(url));
        }
        for origin in &self.server.cors.origins {
            check("server.cors.origins", check_origin(origin));
        }
        if self.server.max_connections == 0 {
            check("server.max_connections", Err("must be at least 1".to_owned()));
        }
        check("database.url", self.database_url().map(|_| ()));
        check("env.store", self.env.store().map(|_| ()));
        if let (Some(default), Some(max)) = (self.tokens.default_ttl, self.tokens.max_ttl)
            && default > max
        {
            check("tokens.default_ttl", Err("is longer than tokens.max_ttl".to_owned()));
        }
        check("log.level", crate::telemetry::check_level(&self.log.level));
        if let Some(listen) = &self.metrics.listen {
            check("metrics.listen", check_listen(listen));
        }
        if let Some(endpoint) = &self.telemetry.otlp_endpoint {
            check("telemetry.otlp_endpoint", check_public_url(endpoint));
        }
        for (key, message) in self.accounts.validate() {
            check(&format!("accounts.{key}"), Err(message));
        }
        for (key, message) in self.mail.validate() {
            check(&format!("mail.{key}"), Err(message));
        }
        for (key, message) in self.balance.validate() {
            check(&format!("balance.{key}"), Err(message));
        }
        for (key, message) in self.payment.validate() {
            check(&format!("payment.{key}"), Err(message));
        }
        for (key, message) in self.usage.validate() {
            check(&format!("usage.{key}"), Err(message));
        }
        for problem in self.ai.validate() {
            check(&format!("ai.{}", problem.path), Err(problem.message));
        }
        wrong
    }
}

fn check_listen(listen: &str) -> Result<(), String> {
    if listen.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let advice = "must be an address and a port, such as 127.0.0.1:43127 or [::1]:43127";
    let (host, port) = listen.rsplit_once(':').ok_or(advice)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if host.is_empty() || !host.chars().all(is_name) || port.parse::<u16>().is_err() {
        return Err(advice.to_owned());
    }
    Ok(())
}

fn check_public_url(url: &str) -> Result<(), String> {
    let advice = "must be a URL such as https://fed.example.com, without query and fragment";
    let uri: http::Uri = url.parse().map_err(|_| advice)?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    if !web || uri.host().is_none_or(str::is_empty) || url.contains(['?', '#']) {
        return Err(advice.to_owned());
    }
    Ok(())
}

fn check_origin(origin: &str) -> Result<(), String> {
    if origin == "*" {
        return Ok(());
    }
    let advice = format!("{origin:?} must be an origin such as https://app.example.com, or *");
    let uri: http::Uri = origin.parse().map_err(|_| advice.clone())?;
    let bare = uri.scheme().is_some() && uri.host().is_some() && !origin.ends_with('/');
    if bare && uri.path() == "/" && uri.query().is_none() { Ok(()) } else { Err(advice) }
}
