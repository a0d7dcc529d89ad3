//! Which Federation a command talks to, and with which key.

mod servers;

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use downcity_server::{FailureKind, Hint, Listening};
use secrecy::{ExposeSecret as _, SecretString};

pub(crate) use servers::{Server, Servers};

use crate::failure::Failure;

/// The address of a Federation.
const URL: &str = "DOWNCITY_FEDERATION_URL";
/// Its admin key.
const ADMIN_KEY: &str = "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY";
/// The credential of a user.
const USER_TOKEN: &str = "DOWNCITY_USER_TOKEN";

/// Flags that choose the Federation; without them the environment, else the current one of
/// `fed server list`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Target {
    /// Talk to this Federation of `fed server list`.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) server: Option<String>,
    /// Talk to the Federation at this address [env: DOWNCITY_FEDERATION_URL].
    #[arg(long, global = true, value_name = "URL", conflicts_with = "server")]
    pub(crate) url: Option<String>,
    /// Read the admin key from this file; - reads standard input
    /// [env: DOWNCITY_FEDERATION_ADMIN_SECRET_KEY].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) admin_key_file: Option<PathBuf>,
}

/// A Federation and the credentials that are known for it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Its name, where it has one.
    pub(crate) name: Option<String>,
    pub(crate) url: String,
    pub(crate) admin_key: Option<SecretString>,
    pub(crate) user_token: Option<SecretString>,
}

impl Connection {
    /// To a stored server.
    pub(crate) fn to(server: Server, user_token: Option<SecretString>) -> Self {
        let name = Some(server.name).filter(|name| !name.is_empty());
        Self { name, url: server.url, admin_key: server.admin_key, user_token }
    }

    /// Where it goes, for people.
    pub(crate) fn place(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} · {}", self.url),
            None => self.url.clone(),
        }
    }
}

impl Target {
    /// Finds the Federation: flags, then the environment, then the current one of the file.
    ///
    /// # Errors
    /// When none is known, or the key cannot be read.
    pub(crate) fn resolve(&self) -> Result<Connection, Failure> {
        self.resolve_with(&variable, Servers::open)
    }

    /// Whether a flag or the environment says where commands go, or with which key.
    pub(crate) fn is_named(&self) -> bool {
        let is_flag = self.server.is_some() || self.url.is_some() || self.admin_key_file.is_some();
        is_flag || variable(URL).is_some_and(|url| !url.trim().is_empty())
    }

    fn resolve_with(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        servers: impl FnOnce() -> Result<Servers, Failure>,
    ) -> Result<Connection, Failure> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let url = self.url.clone().or_else(|| set(URL).filter(|_| self.server.is_none()));
        let server = match (url, &self.server) {
            (Some(url), _) => {
                let is_key_given = self.admin_key_file.is_some() || set(ADMIN_KEY).is_some();
                // Whoever gives the key, or calls as a user, needs no file.
                let known = if is_key_given { None } else { servers().ok() };
                let admin_key = known.and_then(|servers| servers.key_of(&url));
                Server { name: String::new(), url, admin_key }
            }
            (None, Some(name)) => {
                let servers = servers()?;
                servers.get(name).ok_or_else(|| unknown(name, &servers))?
            }
            (None, None) => servers()?.current().ok_or_else(none)?,
        };
        let given = match &self.admin_key_file {
            Some(path) => Some(read_secret(path)?),
            // The environment's belongs to an address that is given; a stored server has its own.
            None if !server.name.is_empty() => None,
            None => set(ADMIN_KEY).map(SecretString::from),
        };
        let user_token = set(USER_TOKEN).map(SecretString::from);
        let connection = Connection::to(server, user_token);
        Ok(Connection { admin_key: given.or(connection.admin_key), ..connection })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads a secret from a file, or from standard input where the path is `-`.
///
/// # Errors
/// When it cannot be read or is blank.
pub(crate) fn read_secret(path: &std::path::Path) -> Result<SecretString, Failure> {
    let is_stdin = path.as_os_str() == "-";
    let text = if is_stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let shown = if is_stdin { "Standard input".to_owned() } else { path.display().to_string() };
    let text = text.map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FailureKind::NotFound,
            std::io::ErrorKind::PermissionDenied => FailureKind::NotAllowed,
            _ => FailureKind::Failed,
        };
        Failure::new(kind, format!("{shown} cannot be read: {error}."))
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage(format!("{shown} is empty; it should hold the secret.")));
    }
    Ok(SecretString::from(text))
}

/// The name of the Federation of this machine.
const LOCAL: &str = "local";

/// Stores a server that has begun to listen, so that commands go to it at once: under the name `local`,
/// where nothing else has that name, and only where it serves this machine alone. Says so for the banner.
pub(crate) fn remember(listening: &Listening) -> Vec<Hint> {
    let Some(stored) = store_local(listening) else { return Vec::new() };
    let commands = |says: String| Hint { about: "Commands", says };
    match stored {
        Stored::Elsewhere => {
            vec![commands(format!("go elsewhere; fed server add NAME {}", listening.url))]
        }
        Stored::Here { path, goes_there } => {
            let named = if goes_there { "" } else { " --server local" };
            vec![
                commands(format!(
                    "go here{}; the key is in {path}",
                    named.replacen(' ', " with ", 1)
                )),
                Hint {
                    about: "Next",
                    says: format!("fed admin{named}, in another terminal, shows the first steps"),
                },
            ]
        }
    }
}

/// Where commands go after a server of this machine has begun to listen.
enum Stored {
    /// The name `local` is that of another server.
    Elsewhere,
    /// It is stored in this file; perhaps another one is the current one.
    Here { path: String, goes_there: bool },
}

fn store_local(listening: &Listening) -> Option<Stored> {
    let key = listening.admin_key.as_ref().filter(|_| listening.is_local)?;
    let mut servers = Servers::open().ok()?;
    let known = servers.get(LOCAL);
    if known.as_ref().is_some_and(|known| !known.is_at(&listening.url)) {
        return Some(Stored::Elsewhere);
    }
    let is_news = known.is_none_or(|known| {
        known.admin_key.is_none_or(|stored| stored.expose_secret() != key.expose())
    });
    if is_news {
        let admin_key = Some(SecretString::from(key.expose().to_owned()));
        let server = Server { name: LOCAL.to_owned(), url: listening.url.clone(), admin_key };
        servers.put(&server);
        servers.save().ok()?;
    }
    let goes_there = servers.current().is_some_and(|current| current.name == LOCAL);
    Some(Stored::Here { path: servers.path().display().to_string(), goes_there })
}

fn unknown(name: &str, servers: &Servers) -> Failure {
    let known: Vec<String> = servers.all().into_iter().map(|server| server.name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Failure::new(
        FailureKind::NotFound,
        format!("No server is called {name:?}; known here: {known}. Add it with: fed server add"),
    )
}

fn none() -> Failure {
    Failure::new(
        FailureKind::NotFound,
        "No Federation is chosen here. Start one with `fed serve`, or name one: \
         fed server add NAME URL, fed server use NAME",
    )
}
