//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;

use crate::audit::AuditCommand;
use crate::ledger::LedgerCommand;
use crate::model::ModelCommand;
use crate::payment::PaymentCommand;

const EXAMPLES: &str = "\
Examples:
  fed serve                                   run on ./.base/downcity.sqlite
  fed serve --listen 0.0.0.0:8080             listen on all addresses
  fed serve --database postgres://app@db/fed  keep the data in PostgreSQL
  fed config check                            show what is configured, and where
  fed key show-admin                          print the admin key
  fed audit verify                            prove that the audit trail is whole
  fed ledger verify                           prove that all money is where the ledger says
  fed vault rekey                             change the master key while servers run";

/// A Federation: one self-hosted backend that many AI products share.
#[derive(Debug, Parser)]
#[command(name = "fed", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server until SIGTERM or ctrl-c.
    Serve {
        /// Listen on this address and port [default: 127.0.0.1:43127].
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
        #[command(flatten)]
        layers: Layers,
    },
    /// Look at the configuration, or begin one.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show keys of the Federation.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Keep the keys of the env vault.
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Write a copy of the database. Works while servers run on it; SQLite only.
    #[command(
        after_help = "The copy holds env values sealed: keep the master key too, and elsewhere.\n\nExample:\n  fed backup /backups/downcity-monday.sqlite"
    )]
    Backup {
        /// Where to write it; never overwrites a file.
        path: PathBuf,
        #[command(flatten)]
        layers: Layers,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check the money of users.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Keep models in the database, beside those of the configuration.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Set up payment providers, and try what they may send.
    #[command(subcommand)]
    Payment(PaymentCommand),
    /// Print the OpenAPI document of every route. Needs no database.
    Openapi,
    /// Print the table of error codes as Markdown.
    Errors,
    /// Print the completions of a shell.
    #[command(
        after_help = "Example:\n  fed completions bash > ~/.local/share/bash-completion/completions/fed"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Flags that change the configuration.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Layers {
    /// Read this file in place of ./federation.toml.
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Keep the data in this database: sqlite:PATH or postgres://USER@HOST/NAME.
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Keep env values there: database, or dotenv:PATH for a .env file.
    #[arg(long, value_name = "STORE")]
    pub(crate) env_store: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value in effect and where it comes from; list all problems and end with exit
    /// code 1 when something is wrong.
    Check {
        #[command(flatten)]
        layers: Layers,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a federation.toml that shows every default; never overwrites a file.
    Init {
        /// Where to write it.
        #[arg(value_name = "PATH", default_value = downcity_server::config::DEFAULT_FILE)]
        path: PathBuf,
    },
    /// Print the table of all keys as Markdown.
    Reference,
}

const REKEY: &str = "\
The data key that seals the values stays, and is sealed under the new master key. Servers that run go on;
whatever starts later needs the new key, and the old one is refused.

The new key is, in this order: the content of --new-key-file; DOWNCITY_FEDERATION_NEW_MASTER_KEY; a new
random key, where the present one stands in the file master.key beside a SQLite database. That file is
then replaced, and the old key is kept beside it for backups that it opens. Otherwise give the new key to
every node before its next start.

This keeps out who has the old key and gets at the database from now on. It does not help against who has
the old key and a copy of the database from before: change the values themselves then.

Examples:
  fed vault rekey
  openssl rand -base64 32 > new.key && fed vault rekey --new-key-file new.key
  fed vault rekey --new-key-file - < /run/secrets/new-key";

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Seal the database under a new master key. Works while servers run on it.
    #[command(after_help = REKEY)]
    Rekey {
        /// Read the new master key from this file; - reads standard input.
        #[arg(long, value_name = "PATH")]
        new_key_file: Option<PathBuf>,
        #[command(flatten)]
        layers: Layers,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print the admin key. Works while the server runs; needs its database and master key.
    ShowAdmin {
        #[command(flatten)]
        layers: Layers,
    },
}
