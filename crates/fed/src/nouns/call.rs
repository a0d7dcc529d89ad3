//! `fed call` and `fed query`: whatever the Federation offers.

use std::io::Read as _;

use clap::{Args, ValueEnum};
use downcity_server::FailureKind;
use serde_json::{Value, json};

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

/// An action as the Federation describes it in its OpenAPI document.
struct Described<'a> {
    document: &'a Value,
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
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

fn operations(document: &Value) -> impl Iterator<Item = Described<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(move |(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| {
            let method = if method == "get" { "GET" } else { "POST" };
            Described { document, method, path, operation }
        })
    })
}

fn find<'a>(document: &'a Value, action: &str) -> Result<Described<'a>, Failure> {
    let wanted = format!("/v1/{}", action.trim().trim_matches('/'));
    operations(document).find(|described| described.path == wanted).ok_or_else(|| {
        let near = operations(document)
            .map(|described| described.path)
            .min_by_key(|path| strsim::damerau_levenshtein(path, &wanted));
        let near = near.map(|path| path.trim_start_matches("/v1/")).unwrap_or_default();
        let message = format!(
            "The Federation has no action {action:?}; did you mean {near:?}? `fed call` lists them."
        );
        Failure::new(FailureKind::NotFound, message)
    })
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
        text.push_str(&format!(" {mark} {:<22} {:<10} {}\n", field.name, field.kind, field.what));
    }
    print(&text)
}

/// A field of an action's input.
struct Field<'a> {
    name: &'a str,
    required: bool,
    kind: String,
    what: &'a str,
}

impl<'a> Described<'a> {
    /// What the action takes.
    fn fields(&self) -> Vec<Field<'a>> {
        let body = &self.operation["requestBody"]["content"]["application/json"]["schema"];
        if let Some(schema) = self.resolved(body) {
            let required = schema["required"].as_array();
            let is_required =
                |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
            let fields = schema["properties"].as_object().into_iter().flatten();
            return fields
                .map(|(name, field)| Field {
                    name,
                    required: is_required(name),
                    kind: self.kind(field),
                    what: field["description"].as_str().unwrap_or_default(),
                })
                .collect();
        }
        let parameters = self.operation["parameters"].as_array().into_iter().flatten();
        parameters
            .filter_map(|field| {
                Some(Field {
                    name: field["name"].as_str()?,
                    required: field["required"] == Value::Bool(true),
                    kind: self.kind(&field["schema"]),
                    what: field["description"].as_str().unwrap_or_default(),
                })
            })
            .collect()
    }

    /// A schema, wherever it stands in the document.
    fn resolved(&self, schema: &'a Value) -> Option<&'a Value> {
        match schema["$ref"].as_str() {
            Some(place) => self.document.pointer(place.strip_prefix('#')?),
            None => schema.is_object().then_some(schema),
        }
    }

    fn kind(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema).unwrap_or(schema);
        match &schema["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => {
                let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
                kinds.collect::<Vec<_>>().join(" or ")
            }
            _ => "value".to_owned(),
        }
    }

    /// Whether the trusted side cannot call it.
    fn is_for_users(&self) -> bool {
        let known = self.operation["security"].as_array();
        known.is_some_and(|ways| {
            let has = |name: &str| ways.iter().any(|way| way.get(name).is_some());
            has("user_token") && !has("admin_key")
        })
    }

    /// Finds what the server would refuse for sure: fields that are missing, and values of another
    /// kind.
    ///
    /// # Errors
    /// A sentence that names them.
    fn check(&self, input: &Value) -> Result<(), Failure> {
        let fields = self.fields();
        let given = input.as_object();
        let is_given = |name: &str| given.is_some_and(|given| given.contains_key(name));
        let missing: Vec<&str> = fields
            .iter()
            .filter(|field| field.required && !is_given(field.name))
            .map(|field| field.name)
            .collect();
        if !missing.is_empty() {
            return Err(Failure::usage(format!(
                "The input lacks {}. `--describe` shows what the action takes.",
                missing.join(", ")
            )));
        }
        for field in &fields {
            let value = input.get(field.name).filter(|value| !value.is_null());
            if let Some(value) = value
                && !is_of_kind(value, &field.kind)
            {
                return Err(Failure::usage(format!(
                    "{} must be {}, not {value}. `--describe` shows what the action takes.",
                    field.name, field.kind
                )));
            }
        }
        Ok(())
    }
}

/// Whether a value can stand where the schema wants one of these kinds, such as `string or integer`.
/// What says nothing about kinds takes all.
fn is_of_kind(value: &Value, kinds: &str) -> bool {
    kinds.split(" or ").any(|kind| match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    })
}
