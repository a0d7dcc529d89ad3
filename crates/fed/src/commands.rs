//! What the commands do.

use std::fmt::Write as _;
use std::future::Future;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use downcity_server::config::{self, ConfigSources, Effective};
use downcity_server::{FailureKind, Federation};
use serde_json::{Value, json};

use crate::args::{Args, Command, ConfigCommand, KeyCommand, Layers, VaultCommand};
use crate::audit;
use crate::failure::Failure;
use crate::ledger;
use crate::model;
use crate::payment;
use crate::vault;

/// Threads for work that blocks: files and DNS lookups. Databases have threads of their own.
const BLOCKING_THREADS: usize = 16;

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve { listen, layers } => serve(listen, layers),
        Command::Config(ConfigCommand::Check { layers, json }) => check(layers, json),
        Command::Config(ConfigCommand::Init { path }) => init(&path),
        Command::Config(ConfigCommand::Reference) => print(&config::reference()),
        Command::Key(KeyCommand::ShowAdmin { layers }) => show_admin(layers),
        Command::Vault(VaultCommand::Rekey { new_key_file, layers, json }) => {
            vault::rekey(layers, new_key_file.as_deref(), json)
        }
        Command::Backup { path, layers, json } => backup(layers, &path, json),
        Command::Audit(command) => audit::run(command),
        Command::Ledger(command) => ledger::run(command),
        Command::Model(command) => model::run(command),
        Command::Payment(command) => payment::run(command),
        Command::Openapi => openapi(),
        Command::Errors => print(&downcity_types::error_table_markdown()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "fed", &mut script);
            Ok(std::io::stdout().write_all(&script)?)
        }
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
    block_on(Federation::builder().config_sources(sources).serve())??;
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

fn backup(layers: Layers, path: &Path, json: bool) -> Result<(), Failure> {
    let builder = Federation::builder().config_sources(sources(layers));
    let bytes = block_on(builder.backup(path))??;
    if json {
        return print_json(&json!({ "path": path, "bytes": bytes }));
    }
    print(&format!("{}\n", path.display()))
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

pub(crate) fn print(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    print(&format!("{text}\n"))
}
