//! `fed balance`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fed::{Change, Fed, Page};
use crate::output::{Ask, Column, credits};

pub(crate) const WALLET: &[Column] = &[
    Column::new("USER", "user_id"),
    Column::new("CITY", "city_id"),
    Column::credits("BALANCE", "balance"),
    Column::credits("HELD", "held"),
    Column::credits("AVAILABLE", "available"),
    Column::time("CHANGED", "updated_at"),
];

pub(crate) const ENTRY: &[Column] = &[
    Column::time("TIME", "created_at"),
    Column::new("USER", "user_id"),
    Column::new("KIND", "kind"),
    Column::credits("AMOUNT", "amount"),
    Column::credits("AFTER", "balance_after"),
    Column::new("REF", "ref"),
    Column::new("NOTE", "note"),
];

pub(crate) const TOPUP: &[Column] = &[
    Column::new("ID", "topup_id"),
    Column::new("USER", "user_id"),
    Column::credits("AMOUNT", "amount"),
    Column::status("STATUS", "status"),
    Column::new("NOTE", "note"),
    Column::time("CREATED", "created_at"),
];

/// How much: credits as people say them, or microcredits.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Amount {
    /// In credits, such as 5 or 2.5.
    #[arg(value_name = "CREDITS", value_parser = micro)]
    credits: Option<i64>,
    /// In whole microcredits: 1,000,000 are one credit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    micro: Option<i64>,
}

impl Amount {
    /// In microcredits.
    pub(crate) fn micro(&self) -> i64 {
        self.credits.or(self.micro).unwrap_or(0)
    }
}

/// What is written beside a change.
#[derive(Debug, Default, Args)]
pub(crate) struct Remarks {
    /// A remark for the ledger.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Your own reference.
    #[arg(long = "ref", value_name = "TEXT")]
    pub(crate) reference: Option<String>,
    /// Do it once for this key, however often the command runs: for scripts that try again.
    #[arg(long = "once", value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// Credits of users.
#[derive(Debug, Subcommand)]
pub(crate) enum BalanceCommand {
    /// Show the wallet of a user; without one, list the wallets that changed last.
    Show {
        /// Id of the user.
        #[arg(value_name = "USER")]
        user_id: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Give credits to a user.
    #[command(
        after_help = "Examples:\n  fed balance add ann 5 --note \"welcome\"\n  fed balance add ann 10 --expires 2027-01-01T00:00:00Z"
    )]
    Add {
        #[arg(value_name = "USER")]
        user_id: String,
        #[command(flatten)]
        amount: Amount,
        #[command(flatten)]
        remarks: Remarks,
        /// When what is left of them ends.
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// The city of the wallet, where cities have their own.
        #[arg(long, value_name = "CITY")]
        city: Option<String>,
    },
    /// Take credits from a user; never more than are available.
    Sub {
        #[arg(value_name = "USER")]
        user_id: String,
        #[command(flatten)]
        amount: Amount,
        #[command(flatten)]
        remarks: Remarks,
        /// The city of the wallet, where cities have their own.
        #[arg(long, value_name = "CITY")]
        city: Option<String>,
    },
    /// List changes of wallets, newest first.
    History {
        /// Only those of this user.
        #[arg(value_name = "USER")]
        user_id: Option<String>,
        /// Only those of this kind, such as charge, topup or redeem.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// List top-ups, newest first.
    Topups {
        /// Only those of this user.
        #[arg(value_name = "USER")]
        user_id: Option<String>,
        /// Only those with this status: pending, paid or canceled.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// A top-up was paid elsewhere: credit it to its user.
    Finish {
        #[arg(value_name = "TOPUP")]
        topup_id: String,
        #[command(flatten)]
        remarks: Remarks,
    },
    /// Give up a pending top-up.
    Cancel {
        #[arg(value_name = "TOPUP")]
        topup_id: String,
        #[command(flatten)]
        remarks: Remarks,
    },
}

impl BalanceCommand {
    pub(crate) async fn run(self, fed: Fed) -> Result<(), Failure> {
        match self {
            Self::Show { user_id, page } => {
                let query = page.query(json!({ "user_id": user_id }));
                fed.list("balance/users", query, WALLET).await
            }
            Self::Add { user_id, amount, remarks, expires, city } => {
                let mut input = mutation(&user_id, &amount, &remarks, city);
                input["expires_at"] = json!(expires);
                let change = Change::new("balance/add", input).once(remarks.key);
                fed.change(change, WALLET).await
            }
            Self::Sub { user_id, amount, remarks, city } => {
                let what = format!("Take {} credits from {user_id}", credits(amount.micro()));
                let ask = Ask { what: &what, typed: None };
                let input = mutation(&user_id, &amount, &remarks, city);
                let change = Change::new("balance/sub", input).asking(ask).once(remarks.key);
                fed.change(change, WALLET).await
            }
            Self::History { user_id, kind, page } => {
                let query = page.query(json!({ "user_id": user_id, "kind": kind }));
                fed.list("balance/history", query, ENTRY).await
            }
            Self::Topups { user_id, status, page } => {
                let query = page.query(json!({ "user_id": user_id, "status": status }));
                fed.list("balance/topups", query, TOPUP).await
            }
            Self::Finish { topup_id, remarks } => {
                let what = format!("Credit the top-up {topup_id} to its user");
                let ask = Ask { what: &what, typed: None };
                let change = Change::new("balance/topups/finish", topup(&topup_id, &remarks));
                let change = change.once(remarks.key);
                fed.change(change.asking(ask), TOPUP).await
            }
            Self::Cancel { topup_id, remarks } => {
                let what = format!("Give up the top-up {topup_id}");
                let ask = Ask { what: &what, typed: None };
                let change = Change::new("balance/topups/cancel", topup(&topup_id, &remarks));
                let change = change.once(remarks.key);
                fed.change(change.asking(ask), TOPUP).await
            }
        }
    }
}

fn mutation(user_id: &str, amount: &Amount, remarks: &Remarks, city: Option<String>) -> Value {
    json!({
        "user_id": user_id, "city_id": city, "amount_microcredits": amount.micro(),
        "note": remarks.note, "ref": remarks.reference,
    })
}

fn topup(topup_id: &str, remarks: &Remarks) -> Value {
    json!({ "topup_id": topup_id, "note": remarks.note, "ref": remarks.reference })
}

/// Credits with at most six decimals as microcredits; more than nothing.
pub(crate) fn micro(text: &str) -> Result<i64, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || decimals.len() > 6 || !are_digits(whole) || !are_digits(decimals) {
        return Err("must be credits such as 5 or 2.5, with at most six decimals".to_owned());
    }
    let micro = format!("{whole}{decimals:0<6}").parse::<i64>().ok().filter(|micro| *micro > 0);
    micro.ok_or_else(|| "must be more than 0, and less than nine trillion".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credits_are_read_as_people_write_them() {
        assert_eq!(micro("5"), Ok(5_000_000));
        assert_eq!(micro("2.5"), Ok(2_500_000));
        assert_eq!(micro("0.000001"), Ok(1));
        for wrong in ["", "0", "-1", "1.", ".5", "1.2345678", "1,5", "9999999999999999", "1e3"] {
            let read = micro(wrong);
            assert_eq!(read.is_err(), wrong != "1.", "{wrong}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(amount in 1..i64::MAX) {
            prop_assert_eq!(micro(&credits(amount)), Ok(amount));
        }
    }
}
