//! Database URLs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::config::{Host, SslMode};

use crate::Engine;
use crate::error::{DbError, DbErrorKind};

/// Where a database is: `sqlite:PATH`, `file:PATH`, a bare path, or `postgres://..` /
/// `postgresql://..`.
///
/// A PostgreSQL URL may name a unix socket folder as its host, percent-encoded in place of the host
/// (`postgres://app@%2Frun%2Fpostgresql/db`) or as `?host=/run/postgresql`. `sslmode` is `disable`,
/// or one of `require`, `verify-ca` and `verify-full`, which all encrypt and verify certificate and
/// host name, against the public roots or against the PEM file `sslrootcert`. Without `sslmode` (or
/// with `prefer`, `allow`) connections to another machine are encrypted and verified, those over a
/// unix socket or the loopback interface are plain.
///
/// Neither `Display` nor `Debug` shows a password.
#[derive(Clone)]
pub struct DbUrl {
    pub(crate) target: Target,
}

#[derive(Clone)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    Postgres(Box<PostgresTarget>),
}

#[derive(Clone)]
pub(crate) struct PostgresTarget {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) tls: Tls,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    Off,
    /// Verified against the public roots, or against the certificates of a PEM file.
    Verified {
        roots: Option<PathBuf>,
    },
}

impl DbUrl {
    /// The engine that the URL asks for.
    pub fn engine(&self) -> Engine {
        match self.target {
            Target::Sqlite(_) => Engine::Sqlite,
            Target::Postgres(_) => Engine::Postgres,
        }
    }

    /// A SQLite database at `path`.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self { target: Target::Sqlite(path.into()) }
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.target {
            Target::Sqlite(path) => Some(path),
            Target::Postgres(_) => None,
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The same PostgreSQL server, another database.
    #[cfg(feature = "testing")]
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut url = self.clone();
        if let Target::Postgres(target) = &mut url.target {
            target.config.dbname(name);
        }
        url
    }
}

impl FromStr for DbUrl {
    type Err = DbError;

    fn from_str(url: &str) -> Result<Self, DbError> {
        let url = url.trim();
        let target = match url.split_once(':') {
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Target::Postgres(Box::new(postgres_target(rest)?))
            }
            Some(("sqlite" | "file", rest)) => Target::Sqlite(sqlite_path(rest)?),
            Some((scheme, rest)) if rest.starts_with("//") || scheme.starts_with("postgres") => {
                return Err(refuse(format!(
                    "the database URL starts with {scheme:?}; use sqlite:PATH or postgres://USER@HOST/NAME"
                )));
            }
            _ => Target::Sqlite(bare_path(url)?),
        };
        Ok(Self { target })
    }
}

impl fmt::Display for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Target::Postgres(target) => {
                f.write_str("postgres://")?;
                if let Some(user) = target.config.get_user() {
                    write!(f, "{user}@")?;
                }
                for (index, host) in target.config.get_hosts().iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    match host {
                        Host::Tcp(name) => f.write_str(name)?,
                        #[cfg(unix)]
                        Host::Unix(folder) => write!(f, "{}", folder.display())?,
                    }
                }
                for port in target.config.get_ports().iter().take(1) {
                    write!(f, ":{port}")?;
                }
                write!(f, "/{}", target.config.get_dbname().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DbUrl({self})")
    }
}

fn refuse(message: impl Into<String>) -> DbError {
    DbError::new(DbErrorKind::Config, message.into())
}

fn sqlite_path(rest: &str) -> Result<PathBuf, DbError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.contains('?') {
        return Err(refuse(
            "a SQLite URL takes no options after '?': this server sets journal mode, durability and limits itself",
        ));
    }
    bare_path(path)
}

fn bare_path(path: &str) -> Result<PathBuf, DbError> {
    if path.is_empty() {
        return Err(refuse(
            "the database URL names no file; use sqlite:PATH or postgres://USER@HOST/NAME",
        ));
    }
    if path.contains(":memory:") {
        return Err(refuse(
            "an in-memory SQLite database is not supported: every connection would see a database of its own; name a file",
        ));
    }
    if path.ends_with('/') {
        return Err(refuse("the database URL names a folder; name a file in it"));
    }
    Ok(PathBuf::from(path))
}

/// Parses what follows `postgres:`. Errors say nothing of the text, which holds the password.
fn postgres_target(rest: &str) -> Result<PostgresTarget, DbError> {
    // With a bare '@' in the password, the rest of it would be taken for the host, and shown.
    if rest.matches('@').count() > 1 {
        return Err(refuse(
            "the PostgreSQL URL holds more than one '@': write %40 for those of the password",
        ));
    }
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut mode = None;
    let mut roots = None;
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => roots = Some(PathBuf::from(percent_decoded(value)?)),
            _ => kept.push(pair),
        }
    }
    let mut url = format!("postgres:{base}");
    if !kept.is_empty() {
        url = format!("{url}?{}", kept.join("&"));
    }
    let mut config = tokio_postgres::Config::from_str(&url).map_err(|_unsafe_to_show| {
        refuse(
            "the PostgreSQL URL cannot be read; write postgres://USER:PASSWORD@HOST:PORT/NAME, percent-encode special characters, and use only options that PostgreSQL clients know",
        )
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(refuse(
            "the PostgreSQL URL names no host; for a unix socket add ?host=/run/postgresql",
        ));
    }
    let tls = tls_of(&config, mode, roots)?;
    config.ssl_mode(if tls == Tls::Off { SslMode::Disable } else { SslMode::Require });
    if config.get_application_name().is_none() {
        config.application_name("downcity");
    }
    Ok(PostgresTarget { config, tls })
}

fn tls_of(
    config: &tokio_postgres::Config,
    mode: Option<&str>,
    roots: Option<PathBuf>,
) -> Result<Tls, DbError> {
    match mode {
        Some("disable") => Ok(Tls::Off),
        Some("require" | "verify-ca" | "verify-full") => Ok(Tls::Verified { roots }),
        None | Some("prefer" | "allow") => {
            let local = config.get_hosts().iter().all(|host| match host {
                Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
                #[cfg(unix)]
                Host::Unix(_) => true,
            });
            Ok(if local { Tls::Off } else { Tls::Verified { roots } })
        }
        Some(_) => {
            Err(refuse("sslmode must be disable, prefer, require, verify-ca or verify-full"))
        }
    }
}

fn percent_decoded(text: &str) -> Result<String, DbError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
        let decoded = std::str::from_utf8(&digits)
            .ok()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or_else(|| refuse("sslrootcert is not percent-encoded properly"))?;
        bytes.push(decoded);
    }
    String::from_utf8(bytes).map_err(|_| refuse("sslrootcert is not UTF-8"))
}
