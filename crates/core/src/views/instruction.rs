//! The instruction document: what people and agents need to know to use a Federation.

use std::fmt::Write as _;

use downcity_types::EnvRequirement;

use crate::registry::ServiceEntry;
use crate::{Action, Registry, Settings};

/// English text in Markdown: what the server is and how to use it, then one section per service
/// with every env key, every route and the service's own text.
///
/// It names env keys and admin routes, so it is for the trusted side only.
pub fn instruction(registry: &Registry, settings: &Settings) -> String {
    let mut text = String::with_capacity(8 * 1024);
    federation(&mut text, registry, settings);
    for entry in registry.services() {
        service(&mut text, entry);
    }
    text
}

fn federation(text: &mut String, registry: &Registry, settings: &Settings) {
    let base = settings.public_url.as_deref().unwrap_or("");
    let ids = |builtin: bool| {
        let entries = registry.services().iter().filter(move |entry| !entry.is_hidden());
        let ids: Vec<&str> =
            entries.filter(|entry| !builtin || entry.is_builtin()).map(ServiceEntry::id).collect();
        if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
    };
    push(
        text,
        format_args!(
            "# Downcity Federation Instruction

## Federation
This is a Downcity Federation, version {version}: one backend that many AI products share. Each \
product is a city; its users call with a user_token, the product's own server calls with the admin \
key.

- Authenticate with `Authorization: Bearer <credential>`. The credential is a user_token, which \
your server issues with `POST {base}/v1/cities/tokens/apply`, or the admin key, which never leaves \
your server, or a service key, which stands for the admin key on the actions that it lists.
- Levels: `guest` needs no credential, `user` a user_token, `admin` the admin key or a service key \
that covers the action. An action is open to exactly the levels that its line names; the admin key \
does not stand for a user.
- GET actions take their input from the query string, POST actions from a JSON object. A user's \
city is the one of the token: `city_id` may be left out.
- A failed call answers `{{\"error\": \"<sentence>\", \"code\": \"<stable code>\", \"request_id\": \
\"...\"}}`; branch on `code`, and quote `request_id` when you ask the operator.
- Health: `GET {base}/health`. Services: `GET {base}/v1/services`. Every route with its input and \
output: `GET {base}/openapi.json` (OpenAPI 3.1).
- Provider keys and other settings are env entries: `GET {base}/v1/env/catalog` says which are \
missing, `POST {base}/v1/env/upsert` sets one; it works from the next call on.
- Built-in services: {builtin}
- Loaded modules: {all}
",
            version = settings.version,
            builtin = ids(true),
            all = ids(false),
        ),
    );
}

fn service(text: &mut String, entry: &ServiceEntry) {
    let kind = match (entry.is_hidden(), entry.is_builtin()) {
        (true, _) => "Kind: fixed routes; not in the list of modules",
        (false, true) => "Kind: built-in service",
        (false, false) => "Kind: custom service",
    };
    push(text, format_args!("\n## {} ({})\n{kind}\n", entry.name(), entry.id()));
    if !entry.env().is_empty() {
        text.push_str("\nEnv:\n");
        entry.env().iter().for_each(|requirement| env(text, requirement));
    }
    for scope in &entry.env_scopes {
        let requirements = (scope.requirements)();
        if !requirements.is_empty() {
            push(text, format_args!("\nEnv, {} ({}):\n", scope.name, scope.id));
            requirements.iter().for_each(|requirement| env(text, requirement));
        }
    }
    if !entry.actions().is_empty() {
        text.push_str("\nActions:\n");
        entry.actions().iter().for_each(|own| action(text, own));
    }
    if let Some(own) = &entry.instruction {
        push(text, format_args!("\n{}\n", own().trim()));
    }
}

fn env(text: &mut String, requirement: &EnvRequirement) {
    let need = if requirement.required { "required" } else { "optional" };
    push(text, format_args!("{} | {need} | {}\n", requirement.key, requirement.description));
}

fn action(text: &mut String, action: &Action) {
    let method = action.method().map_or("ANY", http::Method::as_str);
    let levels = action.access().names().join(" | ");
    push(
        text,
        format_args!("- {method} {} | auth: {levels} | {}\n", action.path(), action.summary()),
    );
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(line);
}
