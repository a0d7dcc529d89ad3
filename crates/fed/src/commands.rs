//! What the commands do.

use std::fmt::Write as _;
use std::future::Future;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use downcity_server::config::{self, ConfigSources, Effective};
use downcity_server::{FailureKind, Federation};
use serde_json::{Value, json};

use crate::args::{Command, ConfigCommand, KeyCommand, Layers, ServiceCommand, VaultCommand};
use crate::audit::{self, AuditCommand};
use crate::backup::{self, BackupCommand};
use crate::connection::{self, Target};
use crate::doctor;
use crate::failure::Failure;
use crate::fed::{Fed, Flags};
use crate::ledger::{self, LedgerCommand};
use crate::nouns;
use crate::nouns::model::ModelCommand;
use crate::nouns::server::ServerCommand;
use crate::output::{Ask, json as print_json, note, print};
use crate::payment::{self, PaymentCommand};
use crate::reference;
use crate::vault;
use crate::workspace;

/// Threads for work that blocks: files and DNS lookups. Databases have threads of their own.
const BLOCKING_THREADS: usize = 16;

/// Commands that change something and cannot say beforehand what.
fn only_acts(command: &Command) -> bool {
    match command {
        Command::Server(command) => !matches!(command, ServerCommand::List),
        Command::Payment(command) => matches!(command, PaymentCommand::Simulate(_)),
        Command::Config(command) => matches!(command, ConfigCommand::Init { .. }),
        Command::Admin
        | Command::Login
        | Command::Chat(_)
        | Command::Vault(_)
        | Command::Serve { .. }
        | Command::Man { .. } => true,
        _ => false,
    }
}

/// Commands that go to no server of the connections, by their names, with what they work on.
fn works_here(command: &Command) -> Option<(&'static str, &'static str)> {
    const DATABASE: &str = "works on the database here";
    const FILE: &str = "works on the configuration here";
    const LIST: &str = "works on the list of servers here";
    const PROGRAM: &str = "asks no server";
    Some(match command {
        Command::Serve { .. } => ("serve", DATABASE),
        Command::Key(KeyCommand::ShowAdmin { .. }) => ("key show-admin", DATABASE),
        Command::Key(KeyCommand::ResetAdmin { .. }) => ("key reset-admin", DATABASE),
        Command::Vault(_) => ("vault rekey", DATABASE),
        Command::Backup(BackupCommand::Create { here, .. }) if here.is_asked() => {
            ("backup create --database", DATABASE)
        }
        Command::Backup(BackupCommand::Verify { .. }) => ("backup verify", DATABASE),
        Command::Backup(BackupCommand::Restore { .. }) => ("backup restore", DATABASE),
        Command::Ledger(LedgerCommand::Verify { here }) if here.is_asked() => {
            ("ledger verify --database", DATABASE)
        }
        Command::Audit(AuditCommand::Verify { here, .. }) if here.is_asked() => {
            ("audit verify --database", DATABASE)
        }
        Command::Config(ConfigCommand::Check { .. }) => ("config check", FILE),
        Command::Config(ConfigCommand::Init { .. }) => ("config init", FILE),
        Command::Config(ConfigCommand::Reference) => ("config reference", PROGRAM),
        Command::Payment(PaymentCommand::Webhooks { .. }) => ("payment webhooks", FILE),
        Command::Payment(PaymentCommand::Simulate(_)) => {
            ("payment simulate", "goes to the address of --url")
        }
        Command::Server(ServerCommand::Add { .. }) => ("server add", LIST),
        Command::Server(ServerCommand::List) => ("server list", LIST),
        Command::Server(ServerCommand::Use { .. }) => ("server use", LIST),
        Command::Server(ServerCommand::Manage) => ("server manage", LIST),
        Command::Server(ServerCommand::Remove { .. }) => ("server remove", LIST),
        Command::Openapi => ("openapi", PROGRAM),
        Command::Errors => ("errors", PROGRAM),
        Command::Completions { .. } => ("completions", PROGRAM),
        Command::Man { .. } => ("man", PROGRAM),
        Command::Commands => ("commands", PROGRAM),
        _ => return None,
    })
}

/// Refuses flags that name a server where no such server is gone to: whoever gives them means another
/// one than what the command works on.
fn check_target(target: &Target, command: &Command) -> Result<(), Failure> {
    let Some((name, does)) = works_here(command) else { return Ok(()) };
    let (has_url, has_key) = match command {
        Command::Payment(PaymentCommand::Simulate(_)) => (true, true),
        Command::Payment(PaymentCommand::Webhooks { .. }) => (true, false),
        Command::Server(ServerCommand::Add { .. }) => (false, true),
        _ => (false, false),
    };
    let flags = [
        ("--server", target.server.is_some()),
        ("--url", target.url.is_some() && !has_url),
        ("--admin-key-file", target.admin_key_file.is_some() && !has_key),
    ];
    let given = flags.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag);
    let given: Vec<&str> = given.collect();
    let (mean, them) = match given.len() {
        0 => return Ok(()),
        1 => ("means", "it"),
        _ => ("mean", "them"),
    };
    let given = given.join(" and ");
    Err(Failure::usage(format!(
        "`fed {name}` {does}; {given} {mean} nothing to it. Leave {them} out."
    )))
}

pub(crate) fn run(flags: Flags, command: Command) -> Result<(), Failure> {
    check_target(&flags.target, &command)?;
    if flags.output.dry_run && only_acts(&command) {
        return Err(Failure::usage("This command cannot be tried with --dry-run."));
    }
    match command {
        Command::Admin => workspace::run(&flags),
        Command::Server(command) => command.run(&flags),
        Command::Login => nouns::server::login(&flags),
        Command::City(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Token(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Env(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Account(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Balance(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Redeem(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Usage(command) => Fed::run(&flags, |fed| command.run(fed)),
        // Models think, and all of them may be asked.
        Command::Model(command @ ModelCommand::Test { .. }) => {
            Fed::run_long(&flags, |fed| command.run(fed))
        }
        Command::Model(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Job(command) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Chat(args) => nouns::chat::run(&flags, args),
        Command::Call(args) => nouns::call::call(&flags, args),
        Command::Query(args) => nouns::call::query(&flags, args),
        Command::Service(ServiceCommand::List) => Fed::run(&flags, nouns::service::list),
        Command::Instruction => Fed::run(&flags, nouns::service::instruction),
        Command::Key(KeyCommand::Remote(command)) => Fed::run(&flags, |fed| command.run(fed)),
        Command::Serve { listen, layers } => serve(listen, layers),
        Command::Config(ConfigCommand::Check { layers }) => check(layers, flags.output.json),
        Command::Config(ConfigCommand::Init { path }) => init(&path),
        Command::Config(ConfigCommand::Reference) => print(&config::reference()),
        Command::Key(KeyCommand::ShowAdmin { layers }) => show_admin(layers),
        Command::Key(KeyCommand::ResetAdmin { layers }) => reset_admin(&flags, layers),
        Command::Vault(VaultCommand::Rekey { new_key_file, layers }) => {
            vault::rekey(layers, new_key_file.as_deref(), flags.output.json)
        }
        Command::Backup(command) => backup::run(&flags, command),
        Command::Doctor(args) => doctor::run(&flags, args),
        Command::Audit(command) => audit::run(&flags, command),
        Command::Ledger(command) => ledger::run(&flags, command),
        Command::Payment(command) => payment::run(&flags, command),
        Command::Openapi => openapi(),
        Command::Errors => print(&downcity_types::error_table_markdown()),
        Command::Completions { shell } => reference::completions(shell),
        Command::Man { folder } => reference::manual(&folder),
        Command::Commands => reference::markdown(),
    }
}

pub(crate) fn sources(layers: Layers) -> ConfigSources {
    let mut sources = ConfigSources::process();
    if let Some(path) = layers.config {
        sources = sources.file(path);
    }
    if let Some(url) = layers.database {
        sources = sources.flag("--database", "database.url", url);
    }
    if let Some(store) = layers.env_store {
        sources = sources.flag("--env-store", "env.store", store);
    }
    sources
}

fn serve(listen: Option<String>, layers: Layers) -> Result<(), Failure> {
    let mut sources = sources(layers);
    if let Some(listen) = listen {
        sources = sources.flag("--listen", "server.listen", listen);
    }
    let builder = Federation::builder().config_sources(sources);
    block_on(builder.when_listening(connection::remember).serve())??;
    Ok(())
}

fn check(layers: Layers, json: bool) -> Result<(), Failure> {
    let loaded = match sources(layers).load() {
        Ok(loaded) => loaded,
        Err(error) if json => {
            print_json(&json!({ "ok": false, "problems": error.problems }))?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    let effective = loaded.effective();
    if json {
        let file = loaded.file.as_ref().map(|path| path.display().to_string());
        return print_json(&json!({
            "ok": true,
            "file": file,
            "warnings": loaded.warnings,
            "values": effective,
        }));
    }
    let mut err = std::io::stderr();
    for warning in &loaded.warnings {
        writeln!(err, "fed: {warning}")?;
    }
    print(&table(&effective))
}

/// Keys, values and origins in columns.
fn table(values: &[Effective]) -> String {
    let shown = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let width = |length: fn(&Effective) -> usize| values.iter().map(length).max().unwrap_or(0);
    let key_width = width(|value| value.key.len());
    // Long values stand out of their column rather than widen it for all.
    let value_width =
        values.iter().map(|value| shown(&value.value).len()).max().unwrap_or(0).min(40);
    values.iter().fold(String::new(), |mut text, Effective { key, value, source }| {
        let value = shown(value);
        let _ = writeln!(text, "{key:key_width$}  {value:value_width$}  {source}");
        text
    })
}

fn init(path: &Path) -> Result<(), Failure> {
    let created = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = created.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(
            FailureKind::Conflict,
            format!("{} exists already and is left as it is.", path.display()),
        ),
        ErrorKind::PermissionDenied => Failure::new(
            FailureKind::NotAllowed,
            format!("{} cannot be written: {error}.", path.display()),
        ),
        _ => Failure::new(
            FailureKind::Failed,
            format!("{} cannot be written: {error}.", path.display()),
        ),
    })?;
    file.write_all(config::template().as_bytes())?;
    print(&format!("{}\n", path.display()))
}

fn show_admin(layers: Layers) -> Result<(), Failure> {
    let key = block_on(Federation::builder().config_sources(sources(layers)).admin_key())??;
    print(&format!("{}\n", key.expose()))
}

fn reset_admin(flags: &Flags, layers: Layers) -> Result<(), Failure> {
    if flags.output.dry_run {
        note("Would replace the admin key; the present one would be refused.");
        return Ok(());
    }
    let ask = Ask { what: "Replace the admin key and refuse the present one", typed: None };
    ask.confirm(flags.output)?;
    let key = block_on(Federation::builder().config_sources(sources(layers)).reset_admin_key())??;
    note("The key before is refused from now on. Store the new one with: fed login");
    print(&format!("{}\n", key.expose()))
}

fn openapi() -> Result<(), Failure> {
    let document = Federation::builder()
        .openapi()
        .map_err(|message| Failure::new(FailureKind::Failed, message))?;
    print_json(&document)
}

/// Runs the one asynchronous task of a command.
pub(crate) fn block_on<F: Future>(work: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("fed")
        .build()?;
    let output = runtime.block_on(work);
    // Whatever still blocks a thread has had its time in the shutdown of the node.
    runtime.shutdown_background();
    Ok(output)
}
