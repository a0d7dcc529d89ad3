//! What a simulation expected, and what it got.

use std::fmt;

use serde_json::{Value, json};

/// What can be seen of one delivery: the answer, the wallet and the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The status of the answer.
    pub(super) http: u16,
    /// What the answer says of the event; empty where it is refused.
    pub(super) sync: String,
    /// What the wallet holds, in microcredits; `None` where no wallet is looked at.
    pub(super) wallet: Option<i64>,
    /// What the payment says; empty where none is looked at.
    pub(super) payment: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.http)?;
        if !self.sync.is_empty() {
            write!(f, " {}", self.sync)?;
        }
        if !self.payment.is_empty() {
            write!(f, ", {}", self.payment)?;
        }
        if let Some(wallet) = self.wallet {
            write!(f, ", {wallet} µ")?;
        }
        Ok(())
    }
}

/// One thing that was tried.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) expected: Seen,
    pub(super) got: Seen,
}

impl Step {
    pub(super) fn is_right(&self) -> bool {
        self.expected == self.got
    }
}

/// The steps in columns.
pub(super) fn table(steps: &[Step]) -> String {
    let rows: Vec<[String; 4]> = steps
        .iter()
        .map(|step| {
            let verdict = if step.is_right() { "ok" } else { "WRONG" };
            [
                step.name.to_owned(),
                step.expected.to_string(),
                step.got.to_string(),
                verdict.to_owned(),
            ]
        })
        .collect();
    let head = ["event", "expected", "got", ""].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let [name, expected, got, verdict] = row;
        let [first, second, third] = widths;
        let line = format!("{name:first$}  {expected:second$}  {got:third$}  {verdict}");
        format!("{}\n", line.trim_end())
    };
    [&head].into_iter().chain(&rows).map(line).collect()
}

/// The steps as JSON.
pub(super) fn json(steps: &[Step]) -> Value {
    let seen = |seen: &Seen| {
        json!({
            "http": seen.http,
            "sync_status": if seen.sync.is_empty() { Value::Null } else { json!(seen.sync) },
            "payment_status": if seen.payment.is_empty() { Value::Null } else { json!(seen.payment) },
            "microcredits": seen.wallet,
        })
    };
    steps
        .iter()
        .map(|step| {
            json!({
                "event": step.name,
                "expected": seen(&step.expected),
                "got": seen(&step.got),
                "ok": step.is_right(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_stands_out() {
        let seen = |http, wallet| Seen {
            http,
            sync: "applied".to_owned(),
            wallet: Some(wallet),
            payment: "paid".to_owned(),
        };
        let steps = [
            Step { name: "paid", expected: seen(200, 5), got: seen(200, 5) },
            Step { name: "paid again", expected: seen(200, 5), got: seen(200, 10) },
        ];
        assert_eq!(
            table(&steps),
            "event       expected                got\n\
             paid        200 applied, paid, 5 µ  200 applied, paid, 5 µ   ok\n\
             paid again  200 applied, paid, 5 µ  200 applied, paid, 10 µ  WRONG\n"
        );
        assert_eq!(json(&steps)[1]["ok"], false);
    }
}
