//! `fed payment`, as far as it speaks to the server.

use clap::Subcommand;
use serde_json::json;

use crate::failure::Failure;
use crate::fed::{Change, Fed, Page};
use crate::output::{Ask, Column};

pub(crate) const METHOD: &[Column] = &[
    Column::new("ID", "id"),
    Column::status("ENABLED", "enabled"),
    Column::new("LABEL", "label"),
    Column::new("CURRENCY", "currency"),
    Column::new("TEST", "test"),
    Column::new("REASON", "reason"),
];

pub(crate) const PAYMENT: &[Column] = &[
    Column::new("ID", "payment_id"),
    Column::new("PROVIDER", "provider"),
    Column::new("USER", "user_id"),
    Column::status("STATUS", "status"),
    Column::new("MINOR UNITS", "amount_minor"),
    Column::new("CURRENCY", "currency"),
    Column::new("TEST", "test"),
    Column::new("TOP-UP", "topup_id"),
    Column::time("CREATED", "created_at"),
    Column::new("PROBLEM", "last_error"),
];

pub(crate) const EVENT: &[Column] = &[
    Column::new("ID", "event_id"),
    Column::new("PROVIDER", "provider"),
    Column::new("TYPE", "type"),
    Column::status("STATUS", "sync_status"),
    Column::new("PAYMENT", "payment_id"),
    Column::new("TRIES", "attempts"),
    Column::time("CREATED", "created_at"),
    Column::new("PROBLEM", "sync_error"),
];

/// Payments, and what providers told of them.
#[derive(Debug, Subcommand)]
pub(crate) enum PaymentCommand {
    /// List the ways to pay, and which of them can be used.
    Methods,
    /// List the payments, newest first.
    #[command(after_help = "Example:\n  fed payment list --status review")]
    List {
        /// Only those of this user.
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Only those of this provider.
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
        /// Only those with this status.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// List what providers told, newest first.
    Events {
        /// Only those of this provider.
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
        /// Only those with this status.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only those about this payment.
        #[arg(long, value_name = "PAYMENT")]
        payment: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Handle a stored event again. What it has brought about already is not brought about twice.
    Replay {
        /// Id of the event.
        #[arg(value_name = "EVENT")]
        event_id: String,
    },
    /// Decide on a payment in review.
    Resolve {
        /// Id of the payment.
        #[arg(value_name = "PAYMENT")]
        payment_id: String,
        /// Credit it to its user.
        #[arg(long, conflicts_with = "reject", required_unless_present = "reject")]
        credit: bool,
        /// Do not credit it.
        #[arg(long)]
        reject: bool,
    },
}

impl PaymentCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::Methods => fed.list("payment/methods", json!({}), METHOD).await,
            Self::List { user, provider, status, page } => {
                let filter = json!({ "user_id": user, "provider": provider, "status": status });
                fed.list("payment/payments", page.query(filter), PAYMENT).await
            }
            Self::Events { provider, status, payment, page } => {
                let filter =
                    json!({ "provider": provider, "status": status, "payment_id": payment });
                fed.list("payment/events", page.query(filter), EVENT).await
            }
            Self::Replay { event_id } => {
                let input = json!({ "event_id": event_id });
                fed.change(Change::new("payment/events/replay", input), EVENT).await
            }
            Self::Resolve { payment_id, credit, .. } => {
                let what = if credit {
                    format!("Credit the payment {payment_id} to its user")
                } else {
                    format!("Close the payment {payment_id} without crediting it")
                };
                let ask = Ask { what: &what, typed: None };
                let input = json!({ "payment_id": payment_id, "credit": credit });
                let change = Change::new("payment/payments/resolve", input).asking(ask);
                fed.change(change, PAYMENT).await
            }
        }
    }
}
