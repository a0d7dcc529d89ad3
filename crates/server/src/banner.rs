//! What a start says to the person who started it.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use downcity_core::Secret;
use downcity_core::env::ADMIN_KEY;
use downcity_services::MailMode;

use crate::Federation;
use crate::builder::Guide;
use crate::config::{DEFAULT_DATABASE, LoadedConfig};

/// Databases of earlier generations, relative to the working directory.
const EARLIER_DATABASES: &[&str] =
    &["data.sqlite", ".base/visiblebase.sqlite", ".visiblebase/visiblebase.sqlite"];

/// A server that has begun to listen.
#[derive(Debug)]
pub struct Listening {
    /// An address that clients on this machine can use.
    pub url: String,
    /// Whether only clients on this machine reach it.
    pub is_local: bool,
    /// The admin key, when the vault holds one.
    pub admin_key: Option<Secret>,
}

/// A line of the banner.
#[derive(Debug)]
pub struct Hint {
    /// What it is about, in one word.
    pub about: &'static str,
    /// What it says.
    pub says: String,
}

/// Prints where the Federation is, where its data is, and what to try next.
pub(crate) fn print(federation: &Federation, address: SocketAddr, guide: Option<Guide>) {
    let config = federation.config();
    let url = config.server.public_url.clone().unwrap_or_else(|| local_url(address));
    let database = config.database_url().map(|url| url.to_string()).unwrap_or_default();
    let mut out = std::io::stdout();
    let shown = match &federation.first_start().admin_key {
        // A log or a pipe would keep the key; a person sees it once.
        Some(key) if out.is_terminal() => {
            format!("{}  (shown once; fed key show-admin prints it again)", key.expose())
        }
        _ => "fed key show-admin prints it".to_owned(),
    };
    // Nobody should wait for a mail that is never sent.
    let mail = match config.mail.mode {
        MailMode::Development => {
            "  Mail       development mailbox: GET /v1/accounts/mailbox; no mail is sent\n"
        }
        MailMode::Off | MailMode::Smtp => "",
    };
    let hints = guide.map(|guide| guide(&listening(federation, address))).unwrap_or_default();
    let hints = hints.into_iter().map(|hint| format!("  {:<9}  {}\n", hint.about, hint.says));
    let hints: String = hints.collect();
    let text = format!(
        "Downcity Federation {}\n  URL        {url}\n  Database   {database}\n  Admin key  {shown}\n{mail}{hints}  Try        curl {url}/health\n",
        env!("CARGO_PKG_VERSION"),
    );
    // Nobody may be reading; that is no reason to stop.
    let _ = out.write_all(text.as_bytes());
}

fn listening(federation: &Federation, address: SocketAddr) -> Listening {
    Listening {
        url: local_url(address),
        is_local: address.ip().is_loopback(),
        admin_key: federation.runtime().state().snapshot().env().get(ADMIN_KEY),
    }
}

/// An address that a client on this machine can use.
fn local_url(address: SocketAddr) -> String {
    let port = address.port();
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("http://127.0.0.1:{port}"),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("http://[::1]:{port}"),
        other => format!("http://{other}"),
    }
}

/// Databases of earlier generations that a new, empty default database would hide.
pub(crate) fn overlooked(loaded: &LoadedConfig, directory: &Path) -> Vec<&'static str> {
    let is_new = loaded
        .config
        .database_url()
        .is_ok_and(|url| url.sqlite_path().is_some_and(|path| !directory.join(path).exists()));
    if loaded.config.database.url != DEFAULT_DATABASE || !is_new {
        return Vec::new();
    }
    EARLIER_DATABASES.iter().copied().filter(|path| directory.join(path).is_file()).collect()
}
