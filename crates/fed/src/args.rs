//! The command line.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::audit::AuditCommand;
use crate::backup::BackupCommand;
use crate::doctor::DoctorArgs;
use crate::fed::Flags;
use crate::ledger::LedgerCommand;
use crate::nouns::account::AccountCommand;
use crate::nouns::balance::BalanceCommand;
use crate::nouns::call::{CallArgs, QueryArgs};
use crate::nouns::chat::ChatArgs;
use crate::nouns::city::CityCommand;
use crate::nouns::env::EnvCommand;
use crate::nouns::job::JobCommand;
use crate::nouns::model::ModelCommand;
use crate::nouns::redeem::RedeemCommand;
use crate::nouns::server::ServerCommand;
use crate::nouns::token::TokenCommand;
use crate::nouns::usage::UsageCommand;
use crate::payment::PaymentCommand;

const EXAMPLES: &str = "\
Plain `fed` in a terminal opens the workspace.

Examples:
  fed serve                                   run on ./.base/downcity.sqlite
  fed city create Notes                       a product that may call it
  fed token issue --city CITY --user ann      a credential for one of its users
  fed env set DEEPSEEK_API_KEY                a key of a provider
  fed chat                                    talk with a model
  fed serve --listen 0.0.0.0:8080             listen on all addresses
  fed serve --database postgres://app@db/fed  keep the data in PostgreSQL
  fed config check                            show what is configured, and where
  fed key show-admin                          print the admin key
  fed ledger verify                           prove that all money is where the ledger says
  fed doctor                                  find out what is wrong";

/// A Federation: one self-hosted backend that many AI products share.
#[derive(Debug, Parser)]
#[command(name = "fed", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
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
    /// Open the workspace: the whole Federation on one screen.
    #[command(
        after_help = "Plain `fed` in a terminal opens it too. ? lists the keys.\n\nExamples:\n  fed admin\n  fed admin --server work"
    )]
    Admin,
    /// Choose the Federations that commands go to.
    #[command(subcommand)]
    Server(ServerCommand),
    /// Try an admin key and store it for the Federation that commands go to.
    Login,
    /// Products that the Federation serves.
    #[command(subcommand)]
    City(CityCommand),
    /// Credentials of users.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Provider keys and secrets that the Federation keeps.
    #[command(subcommand)]
    Env(EnvCommand),
    /// Users who signed up here, and their sessions.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Credits of users.
    #[command(subcommand)]
    Balance(BalanceCommand),
    /// Codes that are worth credits.
    #[command(subcommand)]
    Redeem(RedeemCommand),
    /// What was called, and what it cost.
    #[command(subcommand)]
    Usage(UsageCommand),
    /// Models that products can call.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Durable work of the Federation.
    #[command(subcommand)]
    Job(JobCommand),
    /// What the Federation offers.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Talk with a model.
    #[command(
        after_help = "Examples:\n  fed chat\n  fed chat --model claude \"Name three rivers.\"\n  echo \"Sum this up: …\" | fed chat"
    )]
    Chat(ChatArgs),
    /// Call any action; its input is checked before it is sent.
    #[command(
        after_help = "Examples:\n  fed call\n  fed call balance/add --describe\n  fed call cities/list '{\"limit\": 5}'"
    )]
    Call(CallArgs),
    /// Call any route by its path.
    #[command(after_help = "Example:\n  fed query GET /health")]
    Query(QueryArgs),
    /// Print the text that explains the Federation to people and agents.
    Instruction,
    /// Look at the configuration, or begin one.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Keys of the trusted side, and those that sign user tokens.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Keep the keys of the env vault.
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Copies of the database: made, tried and put in its place.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Find out what keeps the Federation from working: configuration, database, ledger, audit trail,
    /// connection, models.
    #[command(after_help = "Examples:\n  fed doctor\n  fed doctor --server work --json")]
    Doctor(DoctorArgs),
    /// Check the audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check the money of users.
    #[command(subcommand)]
    Ledger(LedgerCommand),
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
    /// Write a manual page for each command.
    #[command(after_help = "Example:\n  fed man ~/.local/share/man/man1")]
    Man {
        /// The folder to write them into.
        folder: PathBuf,
    },
    /// Print the reference of all commands as Markdown.
    Commands,
}

/// What is run where no command is named: the workspace in a terminal; elsewhere nothing, and the help
/// is shown as for any call that is not complete.
pub(crate) fn without_command() -> Command {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Command::Admin;
    }
    let strict = Args::command().arg_required_else_help(true).subcommand_required(true);
    strict.get_matches();
    Command::Admin
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

/// Flags of commands that ask a server, or look at a database themselves.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Here {
    /// Read this database in place of asking a server: sqlite:PATH or postgres://USER@HOST/NAME;
    /// without a value the configured one.
    #[arg(long, value_name = "URL", num_args = 0..=1)]
    database: Option<Option<String>>,
    /// Read the database of this file, in place of asking a server.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

impl Here {
    /// Whether the database is looked at, and no server asked.
    pub(crate) fn is_asked(&self) -> bool {
        self.database.is_some() || self.config.is_some()
    }

    /// The configuration of the database to look at; `None` where a server is asked.
    pub(crate) fn layers(self) -> Option<Layers> {
        let is_asked = self.is_asked();
        let Self { database, config } = self;
        is_asked.then(|| Layers { config, database: database.flatten(), env_store: None })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every value in effect and where it comes from; list all problems and end with exit
    /// code 1 when something is wrong.
    Check {
        #[command(flatten)]
        layers: Layers,
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
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print the admin key. Works while the server runs; needs its database and master key.
    ShowAdmin {
        #[command(flatten)]
        layers: Layers,
    },
    /// Give the Federation a new admin key and print it, for when the present one is lost or known to
    /// others: the present one is refused at once, on every node. Needs the database and the master key.
    #[command(after_help = "Example:\n  fed key reset-admin --yes")]
    ResetAdmin {
        #[command(flatten)]
        layers: Layers,
    },
    #[command(flatten)]
    Remote(crate::nouns::key::KeyCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// List the services and the env values they read.
    List,
}
