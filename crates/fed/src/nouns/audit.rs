//! `fed audit list`.

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::fed::{Fed, Page, Times};
use crate::output::Column;

pub(crate) const ROW: &[Column] = &[
    Column::new("ROW", "seq"),
    Column::time("TIME", "created_at"),
    Column::new("BY", "actor"),
    Column::new("KEY", "key_name"),
    Column::new("ACTION", "action"),
    Column::new("KIND", "target_kind"),
    Column::new("WHAT", "target_id"),
    Column::new("CITY", "city_id"),
    Column::new("FROM", "client_address"),
];

/// Which rows.
#[derive(Debug, Default, Args)]
pub(crate) struct ListArgs {
    /// Only those of this action, such as env/upsert.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only those about this record.
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// Only those of this city.
    #[arg(long, value_name = "CITY")]
    city: Option<String>,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    page: Page,
}

/// Lists what the trusted side has changed.
pub(crate) async fn list(fed: Fed, args: ListArgs) -> Result<(), Failure> {
    let ListArgs { action, target, city, times: Times { from, to }, page } = args;
    let filter =
        json!({ "action": action, "target": target, "city_id": city, "from": from, "to": to });
    fed.list("audit/list", page.query(filter), ROW).await
}
