//! `fed service` and `fed instruction`: what the Federation offers.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fed::Fed;
use crate::output::{Column, print};

const SERVICE: &[Column] =
    &[Column::new("ID", "id"), Column::new("NAME", "name"), Column::new("ENV", "keys")];

/// Lists the services.
pub(crate) async fn list(fed: Fed) -> Result<(), Failure> {
    let services = fed.remote.services().await?;
    let answer = json!({ "items": services });
    if fed.output.json {
        return crate::output::json(&answer);
    }
    let rows = answer["items"].as_array().into_iter().flatten().map(|service| {
        let keys = service["env"].as_array().into_iter().flatten().map(|env| env["key"].clone());
        json!({ "id": service["id"], "name": service["name"], "keys": keys.collect::<Value>() })
    });
    fed.output.list(&rows.collect::<Value>(), SERVICE)
}

/// Prints the text that explains the Federation to people and agents.
pub(crate) async fn instruction(fed: Fed) -> Result<(), Failure> {
    let text = fed.remote.query(http::Method::GET, "/v1/base/instruction", None).await?;
    if fed.output.json {
        return crate::output::json(&json!({ "instruction": text }));
    }
    print(&format!("{}\n", text.trim_end()))
}
