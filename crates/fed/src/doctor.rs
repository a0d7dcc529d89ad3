//! `fed doctor`: what keeps a Federation from working, and what to do about it.

use std::path::Path;

use clap::Args;
use downcity_server::{FailureKind, Federation, FederationBuilder, StartError};
use serde_json::{Value, json};

use crate::args::Layers;
use crate::commands::{block_on, sources};
use crate::connection::Servers;
use crate::failure::Failure;
use crate::fed::Flags;
use crate::output::Column;
use crate::remote::Remote;

const CHECK: &[Column] = &[
    Column::new("CHECK", "check"),
    Column::status("STATUS", "status"),
    Column::new("WHAT", "what"),
];

/// Where to look.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    layers: Layers,
}

/// How one check went.
struct Found {
    check: &'static str,
    status: &'static str,
    what: String,
}

impl Found {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, status: "ok", what: what.into() }
    }

    /// Works, but somebody should know.
    fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, status: "warning", what: what.into() }
    }

    fn failed(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, status: "failed", what: what.into() }
    }
}

/// Looks at everything that can be looked at from here, and migrates nothing: what needs the tables of this
/// program is not looked at in a database of an older one.
pub(crate) fn run(flags: &Flags, args: DoctorArgs) -> Result<(), Failure> {
    let mut all = here(&args.layers)?;
    all.extend(there(flags)?);
    let failed = all.iter().filter(|found| found.status == "failed").count();
    let items: Vec<Value> = all
        .into_iter()
        .map(|found| json!({ "check": found.check, "status": found.status, "what": found.what }))
        .collect();
    flags.output.list(&json!({ "ok": failed == 0, "items": items }), CHECK)?;
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new(FailureKind::Failed, "1 check failed.")),
        more => Err(Failure::new(FailureKind::Failed, format!("{more} checks failed."))),
    }
}

/// The configuration and the database of this folder.
fn here(layers: &Layers) -> Result<Vec<Found>, Failure> {
    let loaded = match sources(layers.clone()).load() {
        Ok(loaded) => loaded,
        Err(error) => {
            let what = Failure::from(error).message().replace('\n', "; ");
            return Ok(vec![Found::failed("configuration", what)]);
        }
    };
    let file = loaded.file.as_ref().map(|path| path.display().to_string());
    let mut all = vec![match loaded.warnings.first() {
        Some(warning) => Found::warning("configuration", warning),
        None => Found::ok("configuration", file.unwrap_or_else(|| "no file; defaults".to_owned())),
    }];
    let url = loaded.config.database_url();
    if let Ok(Some(path)) = url.as_ref().map(|url| url.sqlite_path().map(Path::to_path_buf)) {
        if !path.exists() {
            let what = format!("{} is not there yet; fed serve makes it", path.display());
            all.push(Found::warning("database", what));
            return Ok(all);
        }
        all.extend(open_to_others(&path.with_file_name("master.key")));
    }
    let federation =
        || -> FederationBuilder { Federation::builder().config_sources(sources(layers.clone())) };
    let shown = url.map(|url| url.to_string()).unwrap_or_default();
    match block_on(federation().pending_migrations())? {
        Ok(0) => {}
        Ok(1) => {
            all.push(Found::warning("database", "1 migration is pending; fed serve applies it"));
            return Ok(all);
        }
        Ok(count) => {
            let what = format!("{count} migrations are pending; fed serve applies them");
            all.push(Found::warning("database", what));
            return Ok(all);
        }
        Err(error) => {
            all.push(refused("database", &error));
            return Ok(all);
        }
    }
    match block_on(federation().admin_key())? {
        Ok(_) => all.push(Found::ok("database", format!("{shown} opens with its master key"))),
        Err(error) => {
            all.push(refused("database", &error));
            return Ok(all);
        }
    }
    all.push(match block_on(federation().verify_ledger(|_| ()))? {
        Ok(found) if found.is_whole() => {
            Found::ok("ledger", format!("{} entries of {} wallets", found.entries, found.wallets))
        }
        Ok(found) => {
            let what = format!("{} problems; see fed ledger verify --database", found.problems);
            Found::failed("ledger", what)
        }
        Err(error) => refused("ledger", &error),
    });
    all.push(match block_on(federation().verify_audit(None, |_, _| ()))? {
        Ok(found) => match found.broken {
            None => Found::ok("audit trail", format!("{} rows", found.rows)),
            Some(broken) => Found::failed("audit trail", broken.to_string()),
        },
        Err(error) => refused("audit trail", &error),
    });
    Ok(all)
}

fn refused(check: &'static str, error: &StartError) -> Found {
    Found::failed(check, error.to_string())
}

/// Whether others on this machine can read the master key.
#[cfg(unix)]
fn open_to_others(key: &Path) -> Option<Found> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = key.metadata().ok()?.permissions().mode();
    let shown = key.display();
    Some(if mode & 0o077 == 0 {
        Found::ok("master key", format!("{shown} is its owner's alone"))
    } else {
        Found::failed("master key", format!("{shown} can be read by others; chmod 600 {shown}"))
    })
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<Found> {
    None
}

/// The Federation that commands go to.
fn there(flags: &Flags) -> Result<Vec<Found>, Failure> {
    let mut all = Vec::new();
    all.push(match Servers::open() {
        Ok(servers) => match servers.all().len() {
            0 => Found::warning("connections", "none are stored; see fed server add"),
            count => Found::ok("connections", format!("{count} in {}", servers.path().display())),
        },
        Err(error) => Found::failed("connections", error.message().to_owned()),
    });
    let connection = match flags.target.resolve() {
        Ok(connection) => connection,
        Err(error) if flags.target.is_named() => {
            all.push(Found::failed("server", error.message().to_owned()));
            return Ok(all);
        }
        // Nobody has chosen one yet.
        Err(_) => return Ok(all),
    };
    let url = connection.url.clone();
    let remote = match Remote::admin(connection) {
        Ok(remote) => remote,
        Err(error) => {
            all.push(Found::warning("server", error.message().to_owned()));
            return Ok(all);
        }
    };
    block_on(async {
        match remote.query(http::Method::GET, "/health", None).await {
            Ok(_) => all.push(Found::ok("server", format!("{url} answers"))),
            Err(error) => {
                all.push(Found::failed("server", error.message().to_owned()));
                return all;
            }
        }
        match remote.get("env/catalog", json!({})).await {
            Ok(_) => all.push(Found::ok("admin key", "the server takes it")),
            Err(error) => {
                all.push(Found::failed("admin key", error.message().to_owned()));
                return all;
            }
        }
        if let Ok(models) = remote.get("ai/models", json!({})).await {
            all.push(readiness(&models));
        }
        all
    })
}

/// Whether there is a model that products can call, and what the others lack. Nobody has asked for
/// those that are built in and wait for their keys.
fn readiness(models: &Value) -> Found {
    let is_wanted = |model: &&Value| model["source"] != "built-in" || model["ready"] == true;
    let items: Vec<&Value> =
        models["items"].as_array().into_iter().flatten().filter(is_wanted).collect();
    let ready = items.iter().filter(|model| model["ready"] == Value::Bool(true)).count();
    let missing = items.iter().flat_map(|model| model["missing_env"].as_array()).flatten();
    let mut missing: Vec<&str> = missing.filter_map(Value::as_str).collect();
    missing.sort_unstable();
    missing.dedup();
    let mut what = format!("{ready} of {} can be called", items.len());
    if !missing.is_empty() {
        what.push_str(&format!("; missing: {}; see fed env set", missing.join(", ")));
    }
    if ready == items.len() && ready > 0 {
        Found::ok("models", what)
    } else {
        Found::warning("models", what)
    }
}
