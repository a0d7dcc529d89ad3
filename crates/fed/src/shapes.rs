//! The shape of what each command prints with `--json`: the answer of a route, or one of its own.

/// What a command prints with `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The answer of this route, as `openapi.json` has it.
    Answer(&'static str),
    /// Something beside: in words, with the names of its fields.
    Own(&'static str),
    /// It prints no JSON; the flag changes nothing.
    Nothing,
}

use Shape::{Answer, Nothing, Own};

/// Every command, in the order of the reference.
pub(crate) const SHAPES: &[(&str, Shape)] = &[
    ("serve", Nothing),
    ("admin", Nothing),
    ("server add", STORED),
    (
        "server list",
        Own("`items`: `current` (`*` or empty), `name`, `url`, `admin_key` (`set` or `missing`)"),
    ),
    ("server use", Own("`current`")),
    ("server manage", Own("that of what is chosen: `current`, `removed`, or `name`")),
    ("server remove", Own("`removed`")),
    ("login", STORED),
    ("city list", Answer("GET /v1/cities/list")),
    ("city create", Answer("POST /v1/cities/create")),
    ("city pause", Answer("POST /v1/cities/pause")),
    ("city activate", Answer("POST /v1/cities/activate")),
    ("city remove", Answer("POST /v1/cities/remove")),
    ("token issue", Answer("POST /v1/cities/tokens/apply")),
    ("token inspect", Answer("POST /v1/cities/tokens/verify")),
    ("token verify", Answer("POST /v1/cities/tokens/verify")),
    ("token revoke", Answer("POST /v1/cities/tokens/revoke")),
    ("env list", Answer("GET /v1/env/list")),
    ("env get", Own("one of the `items` of `GET /v1/env/list`")),
    ("env set", Answer("POST /v1/env/upsert")),
    ("env unset", Answer("POST /v1/env/remove")),
    ("env import", Answer("POST /v1/env/import")),
    ("env export", Answer("GET /v1/env/list")),
    ("env history", Answer("GET /v1/env/history")),
    ("env rollback", Answer("POST /v1/env/rollback")),
    ("env refresh", Answer("POST /v1/env/refresh")),
    ("env catalog", Answer("GET /v1/env/catalog")),
    ("account list", Answer("GET /v1/accounts/users")),
    ("account show", Own("one of the `items` of `GET /v1/accounts/users`")),
    ("account disable", Answer("POST /v1/accounts/users/disable")),
    ("account enable", Answer("POST /v1/accounts/users/enable")),
    (
        "account sessions",
        Own(
            "the answer of `GET /v1/accounts/sessions`, and with --revoke that of `POST /v1/accounts/users/sessions/revoke`",
        ),
    ),
    ("balance show", Answer("GET /v1/balance/users")),
    ("balance add", Answer("POST /v1/balance/add")),
    ("balance sub", Answer("POST /v1/balance/sub")),
    ("balance history", Answer("GET /v1/balance/history")),
    ("balance topups", Answer("GET /v1/balance/topups")),
    ("balance finish", Answer("POST /v1/balance/topups/finish")),
    ("balance cancel", Answer("POST /v1/balance/topups/cancel")),
    (
        "redeem create",
        Own(
            "the answer of `POST /v1/balance/redeem-codes/create`, and with --count that of `POST /v1/balance/redeem-codes/batch`",
        ),
    ),
    ("redeem list", Answer("GET /v1/balance/redeem-codes")),
    ("redeem disable", Answer("POST /v1/balance/redeem-codes/disable")),
    ("usage summary", Answer("GET /v1/usage/summary")),
    ("usage events", Answer("GET /v1/usage/events")),
    ("usage explain", Answer("GET /v1/usage/requests/{request_id}")),
    ("model list", Answer("GET /v1/ai/models")),
    ("model test", Answer("POST /v1/ai/test")),
    ("model prices", Answer("GET /v1/ai/models")),
    ("model stored", Answer("GET /v1/ai/models/stored")),
    ("model show", Own("one of the `items` of `GET /v1/ai/models/stored`")),
    ("model set", Answer("POST /v1/ai/models/set")),
    ("model remove", Answer("POST /v1/ai/models/remove")),
    ("model import", Answer("POST /v1/ai/models/set")),
    ("job list", Answer("GET /v1/jobs/list")),
    ("job retry", Answer("POST /v1/jobs/retry")),
    ("job cancel", Answer("POST /v1/jobs/cancel")),
    ("service list", Answer("GET /v1/services")),
    ("chat", Nothing),
    (
        "call",
        Own(
            "the answer of the action, as a string where it is no JSON; without an action `items`: `method`, `action`, `summary`; with --describe its operation of `openapi.json`",
        ),
    ),
    ("query", Own("the answer of the route; one that is no JSON as a string")),
    ("instruction", Own("`instruction`: the text")),
    (
        "config check",
        Own(
            "`ok`, and `file`, `warnings`, `values` (each `key`, `value`, `source`); with problems `ok` and `problems`",
        ),
    ),
    ("config init", Nothing),
    ("config reference", Nothing),
    ("key show-admin", Nothing),
    ("key reset-admin", Nothing),
    (
        "key list",
        Own("the answer of `GET /v1/keys/list`, and with --signing that of `GET /v1/keys/signing`"),
    ),
    ("key create", Answer("POST /v1/keys/create")),
    ("key revoke", Answer("POST /v1/keys/revoke")),
    ("key rotate", Answer("POST /v1/keys/rotate")),
    (
        "vault rekey",
        Own(
            "`before` and `after`: the ids of the keys; `file` and `kept`: where they stand, or `null`",
        ),
    ),
    ("backup create", Own("`path` and `bytes` of the copy")),
    (
        "backup verify",
        Own(
            "`ok`, `path`, `bytes`, `from` (`sqlite` or `postgres`), `opens` (with the master key), `ledger` (`ok`, `wallets`, `entries`, `problems`) and `audit` (`ok`, `rows`)",
        ),
    ),
    (
        "backup restore",
        Own(
            "`database`, `path` and `bytes` of what was restored, `kept`: where the database before stands, or `null`",
        ),
    ),
    ("doctor", Own("`ok` and `items`: `check`, `status` (`ok`, `warning`, `failed`), `what`")),
    ("audit list", Answer("GET /v1/audit/list")),
    ("audit verify", Answer("POST /v1/audit/verify")),
    ("ledger verify", Answer("POST /v1/balance/ledger/verify")),
    ("payment methods", Answer("GET /v1/payment/methods")),
    ("payment list", Answer("GET /v1/payment/payments")),
    ("payment events", Answer("GET /v1/payment/events")),
    ("payment replay", Answer("POST /v1/payment/events/replay")),
    ("payment resolve", Answer("POST /v1/payment/payments/resolve")),
    (
        "payment simulate",
        Own("`provider`, `url`, `ok` and `steps`: `event`, `expected`, `got`, `ok`"),
    ),
    (
        "payment webhooks",
        Own("an array: for each provider its `provider`, `url`, `events` and `env_key`"),
    ),
    ("openapi", Own("the document itself, with the flag or without")),
    ("errors", Nothing),
    ("completions", Nothing),
    ("man", Nothing),
    ("commands", Nothing),
];

const STORED: Shape = Own("`name`, `url` and `file`: where it is stored");

/// What a command such as `city list` prints with `--json`.
pub(crate) fn of(command: &str) -> Option<Shape> {
    SHAPES.iter().find(|(known, _)| *known == command).map(|(_, shape)| *shape)
}

impl Shape {
    /// The line of the reference.
    pub(crate) fn line(self) -> Option<String> {
        match self {
            Answer(route) => Some(format!("`--json`: the answer of `{route}`.")),
            Own(shape) => Some(format!("`--json`: {shape}.")),
            Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};
    use downcity_server::Federation;

    use super::*;

    /// The commands that do something, by their names.
    fn leaves(command: &Command, name: &str, all: &mut Vec<(String, Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let name = format!("{name} {}", sub.get_name()).trim().to_owned();
            if sub.has_subcommands() {
                leaves(sub, &name, all);
            } else {
                all.push((name, sub.clone()));
            }
        }
    }

    fn commands() -> Vec<(String, Command)> {
        let mut all = Vec::new();
        leaves(&crate::args::Args::command(), "", &mut all);
        assert!(all.len() > 60);
        all
    }

    #[test]
    fn every_command_says_what_it_prints_as_json() {
        let all = commands();
        let reference = crate::reference::text();
        for (name, command) in &all {
            let shape = of(name);
            assert!(shape.is_some() || command.is_hide_set(), "{name} has no shape");
            if let Some(line) = shape.and_then(Shape::line) {
                let section = reference.split(&format!("# fed {name}\n")).nth(1).unwrap();
                let section = section.split("\n## ").next().unwrap().split("\n### ").next();
                assert!(section.unwrap().contains(&line), "{name}: {line}");
            }
        }
        for (known, _) in SHAPES {
            assert!(all.iter().any(|(name, _)| name == known), "{known} is no command");
        }
    }

    #[test]
    fn every_route_of_a_shape_is_in_the_document() {
        let document = Federation::builder().openapi().unwrap();
        let routes = SHAPES.iter().flat_map(|(name, shape)| match shape {
            Answer(route) => vec![(name, (*route).to_owned())],
            Own(words) => {
                let quoted = words.split('`').skip(1).step_by(2);
                let routes =
                    quoted.filter(|word| word.starts_with("GET ") || word.starts_with("POST "));
                routes.map(|route| (name, route.to_owned())).collect()
            }
            Nothing => Vec::new(),
        });
        for (name, route) in routes {
            let (method, path) = route.split_once(' ').unwrap();
            let operation = &document["paths"][path][method.to_ascii_lowercase()];
            let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            assert!(answer.is_object(), "{name}: {route} is not in the document");
        }
    }

    /// Secrets are typed, or read from files: whoever lists processes, or looks into the history of a
    /// shell, sees none.
    #[test]
    fn no_command_takes_a_secret_as_a_value() {
        const SECRETS: &[&str] =
            &["key", "secret", "token", "password", "credential", "passphrase", "value"];
        /// Names of things, which are none themselves.
        const NAMES: &[(&str, &str)] = &[
            ("env get", "key"),
            ("env set", "key"),
            ("env unset", "key"),
            ("env history", "key"),
            ("env rollback", "key"),
        ];
        let mut files = 0;
        let root = crate::args::Args::command();
        let global = root.get_arguments().map(|arg| ("fed".to_owned(), arg.clone()));
        let own = commands().into_iter().flat_map(|(name, command)| {
            let all: Vec<_> = command.get_arguments().cloned().collect();
            all.into_iter().map(move |arg| (name.clone(), arg))
        });
        for (command, arg) in global.chain(own) {
            let id = arg.get_id().as_str().to_owned();
            let is_named = id.split(['_', '-']).any(|word| SECRETS.contains(&word));
            if !is_named || !arg.get_action().takes_values() {
                continue;
            }
            let value =
                arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
            let is_id = id.ends_with("_id") || value == Some("ID");
            if is_id || NAMES.contains(&(command.as_str(), id.as_str())) || is_idempotency(&arg) {
                continue;
            }
            assert_eq!(
                value,
                Some("PATH"),
                "fed {command}: {id} takes a value that may be a secret"
            );
            files += 1;
        }
        assert!(files >= 3, "only {files} secrets are read from files");
    }

    /// A key that makes a repeated call have one effect is none that opens anything.
    fn is_idempotency(arg: &clap::Arg) -> bool {
        arg.get_help().is_some_and(|help| help.to_string().contains("again"))
    }
}
