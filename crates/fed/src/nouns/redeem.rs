//! `fed redeem`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::balance::{Amount, Remarks};
use crate::failure::Failure;
use crate::fed::{Change, Fed, Page};
use crate::output::{Ask, Column, note, print};

pub(crate) const CODE: &[Column] = &[
    Column::new("ID", "redeem_code_id"),
    Column::new("CODE", "code_mask"),
    Column::credits("AMOUNT", "amount"),
    Column::status("STATUS", "status"),
    Column::new("USES", "uses"),
    Column::new("OF", "max_uses"),
    Column::new("BATCH", "batch_id"),
    Column::new("BY", "redeemed_by_user_id"),
    Column::time("ENDS", "expires_at"),
    Column::time("CREATED", "created_at"),
];

/// Codes that are worth credits.
#[derive(Debug, Subcommand)]
pub(crate) enum RedeemCommand {
    /// Make codes. They are printed once.
    #[command(
        after_help = "Examples:\n  fed redeem create 5\n  fed redeem create 5 --count 100 --csv > codes.csv\n  fed redeem create 10 --max-uses 50 --expires 2027-01-01T00:00:00Z"
    )]
    Create {
        #[command(flatten)]
        amount: Amount,
        /// So many codes, 1 to 500, of one batch.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
        count: Option<u16>,
        /// Print them as CSV with a line of titles.
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// How often each can be redeemed.
        #[arg(long, value_name = "N")]
        max_uses: Option<u64>,
        /// When they end.
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Only users of this city can redeem them.
        #[arg(long, value_name = "CITY")]
        city: Option<String>,
        #[command(flatten)]
        remarks: Remarks,
    },
    /// List the codes, newest first, masked.
    List {
        /// Only those with this status.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only those of this batch.
        #[arg(long, value_name = "BATCH")]
        batch: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Take a code back.
    Disable {
        #[arg(value_name = "ID")]
        redeem_code_id: String,
    },
}

impl RedeemCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::Create { amount, count, csv, max_uses, expires, city, remarks } => {
                let input = json!({
                    "amount_microcredits": amount.micro(), "count": count, "max_uses": max_uses,
                    "expires_at": expires, "city_id": city, "note": remarks.note,
                    "ref": remarks.reference,
                });
                let path = match count {
                    Some(_) => "balance/redeem-codes/batch",
                    None => "balance/redeem-codes/create",
                };
                match fed.send(Change::new(path, input).once(remarks.key)).await? {
                    Some(made) => made_known(&fed, &made, csv),
                    None => Ok(()),
                }
            }
            Self::List { status, batch, page } => {
                let query = page.query(json!({ "status": status, "batch_id": batch }));
                fed.list("balance/redeem-codes", query, CODE).await
            }
            Self::Disable { redeem_code_id } => {
                let what = format!("Take back the code {redeem_code_id}");
                let ask = Ask { what: &what, typed: None };
                let input = json!({ "redeem_code_id": redeem_code_id });
                let change = Change::new("balance/redeem-codes/disable", input).asking(ask);
                fed.change(change, CODE).await
            }
        }
    }
}

/// Prints new codes: the only place that shows them.
fn made_known(fed: &Fed, made: &Value, is_csv: bool) -> Result<(), Failure> {
    if fed.output.json {
        return crate::output::json(made);
    }
    let several = made["items"].as_array();
    let codes = several.map_or_else(|| vec![made], |items| items.iter().collect());
    note("They are not shown again.");
    let mut text = String::new();
    if is_csv {
        text.push_str("code,redeem_code_id,amount_microcredits,expires_at\n");
    }
    for code in codes {
        let field = |name: &str| code[name].as_str().unwrap_or_default();
        let line = if is_csv {
            let amount = &code["amount"];
            format!(
                "{},{},{amount},{}",
                field("code"),
                field("redeem_code_id"),
                field("expires_at")
            )
        } else {
            field("code").to_owned()
        };
        text.push_str(&line);
        text.push('\n');
    }
    print(&text)
}
