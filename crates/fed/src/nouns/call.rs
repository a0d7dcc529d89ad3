//! `fed call` and `fed query`: whatever the Federation offers.

use std::io::Read as _;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::actions::{Described, find, operations, place};
use crate::commands::block_on;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::fed::{Flags, hidden, masked, would_call};
use crate::output::{Output, print};
use crate::remote::{Remote, city_of, without_nulls};

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
        refuse_bytes(&described)?;
        let mut input = input(args.input.as_deref())?;
        let is_user = as_user || described.is_for_users();
        if is_user {
            add_city(&described, &connection, &mut input);
        }
        described.check(&Value::Object(input.clone()))?;
        if flags.output.dry_run {
            return tell(flags.output, &described, input);
        }
        let remote = if is_user && !as_user { Remote::user(&connection)? } else { remote };
        let path = place(name(&described), &mut input);
        let input = without_nulls(Value::Object(input));
        let answer = remote.call(described.method == "GET", &path, &input, None).await?;
        show(flags.output, &answer)
    })?
}

/// Calls a route and prints its answer as it is.
pub(crate) fn query(flags: &Flags, args: QueryArgs) -> Result<(), Failure> {
    let (method, body) = match (args.method, &args.body) {
        (Method::Get, Some(_)) => {
            return Err(Failure::usage("GET takes no body; put fields into the query."));
        }
        (Method::Get, None) => (http::Method::GET, None),
        (Method::Post, body) => (http::Method::POST, Some(Value::Object(input(body.as_deref())?))),
    };
    if let (true, Some(body)) = (flags.output.dry_run, &body) {
        return would_call(flags.output, &args.path, &masked(body.clone()));
    }
    let remote = side(&flags.target.resolve()?, args.user)?;
    let answer = block_on(remote.query(method, &args.path, body.as_ref()))??;
    show(flags.output, &serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
}

/// Prints an answer as it is: one that is no JSON as text, unless JSON is asked for.
fn show(output: Output, answer: &Value) -> Result<(), Failure> {
    match answer {
        Value::String(text) if !output.json => print(&format!("{}\n", text.trim_end())),
        answer => crate::output::json(answer),
    }
}

/// The name of an action, such as `balance/me`.
fn name<'a>(described: &Described<'a>) -> &'a str {
    described.path.trim_start_matches("/v1/")
}

/// Tells what would be called, without the secrets of the input.
fn tell(
    output: Output,
    described: &Described<'_>,
    input: Map<String, Value>,
) -> Result<(), Failure> {
    let mut shown = masked(Value::Object(input));
    for field in described.fields().iter().filter(|field| field.is_secret) {
        if let Some(value) = shown.get_mut(field.name) {
            *value = hidden();
        }
    }
    would_call(output, name(described), &shown)
}

/// Refuses an action whose answer is a file: neither JSON nor text, which are all that is printed.
fn refuse_bytes(described: &Described<'_>) -> Result<(), Failure> {
    const FILES: &str = "ai/files/";
    let kinds = described.operation["responses"]["200"]["content"].as_object();
    // Surfaces of earlier clients do not say what they answer with, which is JSON or text.
    let is_unsaid = |kind: &str| kind == "*/*" && !name(described).starts_with(FILES);
    let is_printed =
        |kind: &str| kind.contains("json") || kind.starts_with("text/") || is_unsaid(kind);
    if kinds.is_none_or(|kinds| kinds.is_empty() || kinds.keys().any(|kind| is_printed(kind))) {
        return Ok(());
    }
    let name = name(described);
    Err(Failure::usage(match name {
        "backup/create" => "The answer is a file: get it with `fed backup create PATH`.".to_owned(),
        _ => format!(
            "The answer of {name} may be a file, which is not printed here: call it with curl or a client."
        ),
    }))
}

/// Calls of users say the city of their token where the action takes one: whoever signs in needs it.
fn add_city(described: &Described<'_>, connection: &Connection, input: &mut Map<String, Value>) {
    let takes_city = described.method == "POST"
        && described.fields().iter().any(|field| field.name == "city_id");
    let city = connection.user_token.as_ref().and_then(city_of);
    if let (true, Some(city)) = (takes_city, city) {
        input.entry("city_id").or_insert(city.into());
    }
}

fn side(connection: &Connection, is_user: bool) -> Result<Remote, Failure> {
    if is_user { Remote::user(connection) } else { Remote::admin(connection.clone()) }
}

/// A JSON object from the command, or from standard input for `-`.
fn input(text: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let text = match text {
        None => return Ok(Map::new()),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(text) => text.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(input)) => Ok(input),
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
            "action": name(&described),
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
