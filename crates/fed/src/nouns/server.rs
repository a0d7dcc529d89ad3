//! `fed server` and `fed login`: which Federations this person works with.

use clap::Subcommand;
use downcity_server::FailureKind;
use serde_json::{Value, json};

use crate::commands::block_on;
use crate::connection::{Connection, Server, Servers, Target};
use crate::failure::Failure;
use crate::fed::Flags;
use crate::output::{Ask, Column, choose, note, secret};
use crate::remote::Remote;

/// The name of a Federation that was only ever given by its address.
const DEFAULT: &str = "default";

pub(crate) const SERVER: &[Column] = &[
    Column::new("", "current"),
    Column::new("NAME", "name"),
    Column::new("URL", "url"),
    Column::status("KEY", "admin_key"),
];

/// The Federations that commands can go to.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Add a Federation, or change the one of its name. Its admin key is asked for, or read with
    /// --admin-key-file, and tried before anything is stored.
    #[command(
        after_help = "Examples:\n  fed server add work https://fed.example.com\n  fed server add work https://fed.example.com --admin-key-file - < key.txt"
    )]
    Add {
        /// How to call it here.
        name: String,
        /// Its address.
        #[arg(value_name = "URL")]
        address: String,
        /// Store it without trying the key.
        #[arg(long)]
        unchecked: bool,
    },
    /// List the Federations; commands go to the one with the *.
    List,
    /// Let commands go there from now on.
    Use {
        /// Its name here.
        name: String,
    },
    /// Choose a Federation from a list, and what to do with it. Needs a terminal.
    Manage,
    /// Forget a Federation and its key. The Federation itself stays as it is.
    Remove {
        /// Its name here.
        name: String,
    },
}

impl ServerCommand {
    pub(crate) fn run(self, flags: &Flags) -> Result<(), Failure> {
        let servers = Servers::open()?;
        match self {
            Self::Add { name, address, unchecked } => {
                check_name(&name)?;
                let key = secret(flags.target.admin_key_file.as_deref(), "Admin key:")?;
                let server = Server { name, url: address, admin_key: Some(key) };
                if !unchecked {
                    block_on(check(&server))??;
                }
                store(servers, server, flags)
            }
            Self::List => flags.output.list(&list(&servers), SERVER),
            Self::Use { name } => go_to(servers, &name, flags),
            Self::Manage => manage(servers, flags),
            Self::Remove { name } => forget(servers, &name, flags),
        }
    }
}

/// The stored Federations as a list; keys are not in it.
pub(crate) fn list(servers: &Servers) -> Value {
    let current = servers.current().map(|server| server.name);
    let shown = |server: Server| {
        json!({
            "current": if current.as_ref() == Some(&server.name) { "*" } else { "" },
            "name": server.name,
            "url": server.url,
            "admin_key": if server.admin_key.is_some() { "set" } else { "missing" },
        })
    };
    json!({ "items": servers.all().into_iter().map(shown).collect::<Vec<_>>() })
}

fn go_to(mut servers: Servers, name: &str, flags: &Flags) -> Result<(), Failure> {
    known(&servers, name)?;
    servers.choose(name);
    servers.save()?;
    flags.output.done(&json!({ "current": name }), &format!("Commands go to {name}."))
}

fn forget(mut servers: Servers, name: &str, flags: &Flags) -> Result<(), Failure> {
    known(&servers, name)?;
    let what = format!("Forget {name} and its admin key");
    Ask { what: &what, typed: None }.confirm(flags.output)?;
    servers.remove(name);
    servers.save()?;
    flags.output.done(&json!({ "removed": name }), &format!("{name} is forgotten here."))
}

/// Asks which Federation is meant, and what to do with it.
fn manage(servers: Servers, flags: &Flags) -> Result<(), Failure> {
    const GO: &str = "let commands go there";
    const TRY: &str = "try its admin key";
    const FORGET: &str = "forget it here";
    let names: Vec<String> = servers.all().into_iter().map(|server| server.name).collect();
    if names.is_empty() {
        note("No Federation is stored. Add one with: fed server add NAME URL");
        return Ok(());
    }
    let name = choose("Which Federation?", names)?;
    let deed = choose("What about it?", [GO, TRY, FORGET].map(str::to_owned).to_vec())?;
    match deed.as_str() {
        GO => go_to(servers, &name, flags),
        FORGET => forget(servers, &name, flags),
        _ => {
            block_on(check(&known(&servers, &name)?))??;
            flags.output.done(&json!({ "name": name }), &format!("{name} takes the key."))
        }
    }
}

/// Stores the admin key of the Federation that commands go to, after trying it.
pub(crate) fn login(flags: &Flags) -> Result<(), Failure> {
    let place = Target { admin_key_file: None, ..flags.target.clone() }.resolve()?;
    let servers = Servers::open()?;
    let name = match place.name.clone() {
        Some(name) => name,
        None => name_of(&servers, &place.url)?,
    };
    let key =
        secret(flags.target.admin_key_file.as_deref(), &format!("Admin key of {}:", place.url))?;
    let server = Server { name, url: place.url, admin_key: Some(key) };
    block_on(check(&server))??;
    store(servers, server, flags)
}

/// The name for a Federation that was given by its address: the one that it has, or `default`.
fn name_of(servers: &Servers, url: &str) -> Result<String, Failure> {
    if let Some(known) = servers.all().into_iter().find(|known| known.is_at(url)) {
        return Ok(known.name);
    }
    match servers.get(DEFAULT) {
        None => Ok(DEFAULT.to_owned()),
        Some(other) => Err(Failure::new(
            FailureKind::Conflict,
            format!("{DEFAULT} is {}. Name this one: fed server add NAME {url}", other.url),
        )),
    }
}

fn store(mut servers: Servers, server: Server, flags: &Flags) -> Result<(), Failure> {
    servers.put(&server);
    servers.save()?;
    if servers.current().is_some_and(|current| current.name != server.name) {
        note(&format!("Commands still go elsewhere: fed server use {}", server.name));
    }
    let told = json!({ "name": server.name, "url": server.url, "file": servers.path() });
    flags.output.done(&told, &format!("{} is stored in {}.", server.name, servers.path().display()))
}

/// Whether the Federation takes the key.
///
/// # Errors
/// When it does not, or is not reached.
pub(crate) async fn check(server: &Server) -> Result<(), Failure> {
    let remote = Remote::admin(Connection::to(server.clone(), None))?;
    remote.get("env/catalog", json!({})).await.map(drop)
}

fn known(servers: &Servers, name: &str) -> Result<Server, Failure> {
    servers.get(name).ok_or_else(|| {
        let message = format!("No server is called {name:?}. `fed server list` shows them.");
        Failure::new(FailureKind::NotFound, message)
    })
}

/// Names that need no quotes in a shell.
///
/// # Errors
/// For all others.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(Failure::usage(format!(
            "{name:?} cannot be a name: use letters, digits, -, _ and ."
        )));
    }
    Ok(())
}
