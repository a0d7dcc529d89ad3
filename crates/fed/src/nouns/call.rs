//! `fed call` and `fed query`: whatever the Federation offers.

use std::io::Read as _;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::actions::{Described, find, operations};
use crate::commands::block_on;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::fed::Flags;
use crate::output::{Output, note, print};
use crate::remote::Remote;

/// What is called.
#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The action, such as balance/me; without one, all are listed.
    #[arg(value_name = "SERVICE/ACTION")]
    action: Option<String>,
    /// Its input as a JSON object; - reads standard input.
    #[arg(value_name = "JSON")]
    input: Option<String>,
    /// Say what the action takes and gives, and call nothing.
    #[arg(long)]
    describe: bool,
    /// Call as the user of DOWNCITY_USER_TOKEN; actions for users alone are called so in any case.
    #[arg(long)]
    user: bool,
}

/// A route by its path.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// How.
    #[arg(value_enum, ignore_case = true)]
    method: Method,
    /// The path, with its query.
    path: String,
    /// The body as JSON; - reads standard input.
    #[arg(value_name = "JSON")]
    body: Option<String>,
    /// Call as the user of DOWNCITY_USER_TOKEN.
    #[arg(long)]
    user: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    Get,
    Post,
}

/// Calls an action after checking its input, or says what there is.
pub(crate) fn call(flags: &Flags, args: CallArgs) -> Result<(), Failure> {
    let connection = flags.target.resolve()?;
    let as_user = args.user || connection.admin_key.is_none() && connection.user_token.is_some();
    let remote = side(&connection, as_user)?;
    block_on(async {
        let text = remote.query(http::Method::GET, "/openapi.json", None).await?;
        let document: Value = serde_json::from_str(&text).map_err(std::io::Error::from)?;
        let Some(action) = args.action else { return list(flags.output, &document) };
        let described = find(&document, &action)?;
        if args.describe {
            return describe(flags.output, &described);
        }
        let input = input(args.input.as_deref())?;
        described.check(&input)?;
        if flags.output.dry_run {
            note(&format!("Would call {} {} with {input}", described.method, described.path));
            return Ok(());
        }
        let remote =
            if !as_user && described.is_for_users() { Remote::user(&connection)? } else { remote };
        let path = described.path.trim_start_matches("/v1/");
        let answer = if described.method == "GET" {
            remote.get(path, input).await?
        } else {
            remote.post(path, input).await?
        };
        crate::output::json(&answer)
    })?
}

/// Calls a route and prints its answer as it is.
pub(crate) fn query(flags: &Flags, args: QueryArgs) -> Result<(), Failure> {
    let (method, body) = match (args.method, &args.body) {
        (Method::Get, Some(_)) => {
            return Err(Failure::usage("GET takes no body; put fields into the query."));
        }
        (Method::Get, None) => (http::Method::GET, None),
        (Method::Post, body) => (http::Method::POST, Some(input(body.as_deref())?)),
    };
    if flags.output.dry_run && method == http::Method::POST {
        note(&format!("Would call POST {}", args.path));
        return Ok(());
    }
    let remote = side(&flags.target.resolve()?, args.user)?;
    let answer = block_on(remote.query(method, &args.path, body.as_ref()))??;
    match serde_json::from_str(&answer) {
        Ok(value) => crate::output::json(&value),
        Err(_) if flags.output.json => crate::output::json(&json!(answer)),
        Err(_) => print(&format!("{}\n", answer.trim_end())),
    }
}

fn side(connection: &Connection, is_user: bool) -> Result<Remote, Failure> {
    if is_user { Remote::user(connection) } else { Remote::admin(connection.clone()) }
}

/// A JSON object from the command, or from standard input for `-`.
fn input(text: Option<&str>) -> Result<Value, Failure> {
    let text = match text {
        None => return Ok(json!({})),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(text) => text.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(input @ Value::Object(_)) => Ok(input),
        Ok(_) => Err(Failure::usage("The input must be a JSON object, such as '{\"limit\": 5}'.")),
        Err(error) => Err(Failure::usage(format!("The input is not JSON: {error}."))),
    }
}

fn list(output: Output, document: &Value) -> Result<(), Failure> {
    const ACTION: &[crate::output::Column] = &[
        crate::output::Column::new("METHOD", "method"),
        crate::output::Column::new("ACTION", "action"),
        crate::output::Column::new("WHAT IT DOES", "summary"),
    ];
    let actions = operations(document).filter(|described| described.path.starts_with("/v1/"));
    let rows = actions.map(|described| {
        json!({
            "method": described.method,
            "action": described.path.trim_start_matches("/v1/"),
            "summary": described.operation["summary"],
        })
    });
    output.list(&json!({ "items": rows.collect::<Vec<_>>() }), ACTION)
}

fn describe(output: Output, described: &Described<'_>) -> Result<(), Failure> {
    if output.json {
        return crate::output::json(described.operation);
    }
    let mut text = format!(
        "{} {}\n{}\n",
        described.method,
        described.path,
        described.operation["summary"].as_str().unwrap_or_default()
    );
    if let Some(more) = described.operation["description"].as_str() {
        text.push_str(&format!("\n{more}\n"));
    }
    let fields = described.fields();
    if fields.is_empty() {
        text.push_str("\nIt takes no input.\n");
    } else {
        text.push_str("\nInput:\n");
    }
    for field in fields {
        let mark = if field.required { "*" } else { " " };
        let mut what = field.what.to_owned();
        if !field.choices.is_empty() {
            what.push_str(&format!(" One of {}.", field.choices.join(", ")));
        }
        if let Some(default) = field.default {
            what.push_str(&format!(" [default: {default}]"));
        }
        if field.is_secret {
            what.push_str(" A secret.");
        }
        text.push_str(&format!(" {mark} {:<22} {:<10} {}\n", field.name, field.kind, what.trim()));
    }
    print(&text)
}
