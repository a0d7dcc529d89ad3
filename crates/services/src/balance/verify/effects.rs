//! What entries stand for: charges, what settled holds, and what went back. Each has one entry.

use std::collections::BTreeMap;

use downcity_core::Result;
use downcity_db::{Db, Row, Tx, sql};
use serde_json::Value;

use super::report::{Problem, Verification, differ};
use crate::balance::wallet::Kind;

/// Rows that are read at a time, and charges that one statement looks up.
pub(super) const ROWS: i64 = 2_000;
const LOOKED_UP: usize = 16;

/// What an entry says it stands for.
pub(super) struct Claim {
    wallet_id: String,
    amount: i64,
    of: Of,
}

enum Of {
    /// Nothing that is looked at here.
    Itself,
    Charge(String),
    Refund(String),
    Topup(String),
    Code(String),
    /// It should name something, and does not.
    Nothing(Problem),
}

impl Claim {
    pub(super) fn of(row: &Row) -> Result<Self> {
        let kind: String = row.get("kind")?;
        let of = if kind == Kind::Charge.as_str() {
            named(&row.get::<String>("metadata")?, "charge_id")
                .map_or(Of::Nothing(Problem::Charge), Of::Charge)
        } else if kind == Kind::Refund.as_str() {
            row.get::<Option<String>>("effect")?.map_or(Of::Nothing(Problem::Refund), Of::Refund)
        } else if kind == Kind::Redeem.as_str() {
            row.get::<Option<String>>("effect")?.map_or(Of::Nothing(Problem::Code), Of::Code)
        } else if kind == Kind::Topup.as_str() {
            named(&row.get::<String>("metadata")?, "topup_id")
                .map_or(Of::Nothing(Problem::Topup), Of::Topup)
        } else {
            Of::Itself
        };
        Ok(Self { wallet_id: row.get("wallet_id")?, amount: row.get("amount")?, of })
    }
}

/// A text among the facts of a row.
pub(super) fn named(metadata: &str, name: &str) -> Option<String> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    Some(metadata.get(name)?.as_str()?.to_owned())
}

/// What is wrong with each of these claims.
pub(super) fn check(tx: &mut Tx<'_>, claims: &[Claim]) -> Result<Vec<Option<(Problem, String)>>> {
    let charged: Vec<&str> = claims
        .iter()
        .filter_map(|claim| match &claim.of {
            Of::Charge(charge_id) => Some(charge_id.as_str()),
            _ => None,
        })
        .collect();
    let mut paid = BTreeMap::new();
    for charge_ids in charged.chunks(LOOKED_UP) {
        look_up(tx, charge_ids, &mut paid)?;
    }
    claims.iter().map(|claim| wrong(tx, claim, &paid)).collect()
}

/// What was paid of these charges, and out of which wallet.
fn look_up(
    tx: &mut Tx<'_>,
    charge_ids: &[&str],
    paid: &mut BTreeMap<String, (String, i64)>,
) -> Result<()> {
    let id = |index: usize| charge_ids.get(index).copied().unwrap_or_default();
    let rows = tx.query(
        sql!(
            "SELECT charge_id, wallet_id, amount, unpaid FROM balance_charges WHERE charge_id IN
             ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
        ),
        &[
            &id(0),
            &id(1),
            &id(2),
            &id(3),
            &id(4),
            &id(5),
            &id(6),
            &id(7),
            &id(8),
            &id(9),
            &id(10),
            &id(11),
            &id(12),
            &id(13),
            &id(14),
            &id(15),
        ],
    )?;
    for row in &rows {
        let (amount, unpaid): (i64, i64) = (row.get("amount")?, row.get("unpaid")?);
        let of = (row.get("wallet_id")?, amount.wrapping_sub(unpaid));
        paid.insert(row.get("charge_id")?, of);
    }
    Ok(())
}

fn wrong(
    tx: &mut Tx<'_>,
    claim: &Claim,
    paid: &BTreeMap<String, (String, i64)>,
) -> Result<Option<(Problem, String)>> {
    let (problem, id, found) = match &claim.of {
        Of::Itself => return Ok(None),
        Of::Nothing(problem) => return Ok(Some((*problem, "it names nothing".to_owned()))),
        Of::Charge(charge_id) => (Problem::Charge, charge_id, paid.get(charge_id).cloned()),
        Of::Refund(effect) => (Problem::Refund, effect, gone_back(tx, effect)?),
        Of::Topup(topup_id) => (Problem::Topup, topup_id, paid_topup(tx, claim, topup_id)?),
        Of::Code(effect) => (Problem::Code, effect, redeemed(tx, claim, effect)?),
    };
    let Some((wallet_id, moved)) = found else {
        return Ok(Some((problem, format!("there is no {id}"))));
    };
    if wallet_id != claim.wallet_id {
        return Ok(Some((problem, format!("{id} is of {wallet_id}"))));
    }
    let expected = if problem == Problem::Charge { moved.wrapping_neg() } else { moved };
    if claim.amount == expected {
        return Ok(None);
    }
    Ok(Some((problem, differ(&format!("the amount for {id}"), claim.amount, expected))))
}

/// By how much a refund changed which wallet.
fn gone_back(tx: &mut Tx<'_>, effect: &str) -> Result<Option<(String, i64)>> {
    let row = if let Some(charge_id) = effect.strip_prefix("charge_refund:") {
        tx.query_opt(
            sql!("SELECT wallet_id, refunded AS moved FROM balance_charges WHERE charge_id = $1"),
            &[&charge_id],
        )?
    } else if let Some(refund_id) = effect.strip_prefix("refund:") {
        tx.query_opt(
            sql!("SELECT wallet_id, -taken AS moved FROM balance_refunds WHERE refund_id = $1"),
            &[&refund_id],
        )?
    } else {
        None
    };
    row.map(|row| Ok((row.get("wallet_id")?, row.get("moved")?))).transpose()
}

/// What a top-up that was paid brought.
fn paid_topup(tx: &mut Tx<'_>, claim: &Claim, topup_id: &str) -> Result<Option<(String, i64)>> {
    let row = tx.query_opt(
        sql!("SELECT amount FROM balance_topups WHERE topup_id = $1 AND status = 'paid'"),
        &[&topup_id],
    )?;
    row.map(|row| Ok((claim.wallet_id.clone(), row.get("amount")?))).transpose()
}

/// What one use of a code brought.
fn redeemed(tx: &mut Tx<'_>, claim: &Claim, effect: &str) -> Result<Option<(String, i64)>> {
    let Some((code_id, number)) =
        effect.strip_prefix("redeem:").and_then(|rest| rest.rsplit_once(':'))
    else {
        return Ok(None);
    };
    let Ok(number) = number.parse::<i64>() else { return Ok(None) };
    let row = tx.query_opt(
        sql!("SELECT amount FROM balance_redeem_codes WHERE redeem_code_id = $1 AND uses >= $2"),
        &[&code_id, &number],
    )?;
    row.map(|row| Ok((claim.wallet_id.clone(), row.get("amount")?))).transpose()
}

/// Something that is wrong with a row of a table.
pub(super) struct Finding {
    pub(super) problem: Problem,
    pub(super) wallet_id: String,
    pub(super) subject: String,
    pub(super) message: String,
}

/// A row that was looked at: its id, and what is wrong with it.
pub(super) type Looked = (String, Vec<Finding>);

/// Looks at all rows of a table, some at a time; says how many there are.
pub(super) async fn walk(
    db: &Db,
    report: &mut Verification,
    look: fn(&mut Tx<'_>, &str) -> Result<Vec<Looked>>,
) -> Result<u64> {
    let (mut after, mut total) = (String::new(), 0);
    loop {
        let from = after.clone();
        let looked = db.scan(move |tx| look(tx, &from)).await?;
        let number = looked.len();
        for (id, findings) in looked {
            for found in findings {
                report.add(found.problem, &found.wallet_id, &found.subject, found.message);
            }
            after = id;
        }
        total += number as u64;
        if number < ROWS as usize {
            return Ok(total);
        }
    }
}

pub(super) async fn charges(db: &Db, report: &mut Verification) -> Result<()> {
    report.charges = walk(db, report, look_at_charges).await?;
    Ok(())
}

fn look_at_charges(tx: &mut Tx<'_>, after: &str) -> Result<Vec<Looked>> {
    let rows = tx.query(
        sql!(
            "SELECT c.charge_id, c.wallet_id, c.amount, c.unpaid, c.refunded, c.status, c.hold_id,
               c.entry, l.kind, l.amount AS entry_amount, l.metadata AS entry_metadata,
               r.amount AS back_amount, r.wallet_id AS back_wallet, h.charge_id AS hold_charge
             FROM balance_charges c
             LEFT JOIN balance_ledger l ON l.wallet_id = c.wallet_id AND l.seq = c.entry
             LEFT JOIN balance_ledger r ON r.effect = 'charge_refund:' || c.charge_id
             LEFT JOIN balance_holds h ON h.hold_id = c.hold_id
             WHERE c.charge_id > $1 ORDER BY c.charge_id LIMIT $2"
        ),
        &[&after, &ROWS],
    )?;
    rows.iter().map(look_at_charge).collect()
}

fn look_at_charge(row: &Row) -> Result<Looked> {
    let id: String = row.get("charge_id")?;
    let (amount, unpaid): (i64, i64) = (row.get("amount")?, row.get("unpaid")?);
    let (paid, refunded) = (amount.wrapping_sub(unpaid), row.get::<i64>("refunded")?);
    let wallet_id: String = row.get("wallet_id")?;
    let mut findings = Vec::new();
    let mut add = |problem, message: String| {
        let (wallet_id, subject) = (wallet_id.clone(), id.clone());
        findings.push(Finding { problem, wallet_id, subject, message });
    };
    if amount <= 0 || unpaid < 0 || paid < 0 || !is_status_of(row, paid, unpaid, refunded)? {
        let status: String = row.get("status")?;
        add(Problem::Charge, format!("it cannot be {status} with these amounts"));
    }
    let entry = row.get::<Option<String>>("kind")?;
    match entry {
        Some(kind) => {
            let moved: i64 = row.get("entry_amount")?;
            if kind != Kind::Charge.as_str() || moved != paid.wrapping_neg() {
                add(Problem::Charge, format!("its entry is {kind} of {moved} microcredits"));
            }
            let charge_id = named(&row.get::<String>("entry_metadata")?, "charge_id");
            if charge_id.as_deref() != Some(&id) {
                add(Problem::Charge, "its entry names another charge".to_owned());
            }
        }
        None if paid != 0 || row.get::<i64>("entry")? != 0 => {
            add(Problem::Charge, "it has no entry".to_owned());
        }
        None => {}
    }
    let back = row.get::<Option<i64>>("back_amount")?.unwrap_or(0);
    if back != refunded {
        add(Problem::Refund, differ("what was given back", back, refunded));
    }
    if row.get::<Option<String>>("back_wallet")?.is_some_and(|back| back != wallet_id) {
        add(Problem::Refund, "it was given back to another wallet".to_owned());
    }
    if !row.get::<String>("hold_id")?.is_empty()
        && row.get::<Option<String>>("hold_charge")?.as_deref() != Some(&id)
    {
        add(Problem::Hold, "the hold that it settled does not name it".to_owned());
    }
    Ok((id, findings))
}

fn is_status_of(row: &Row, paid: i64, unpaid: i64, refunded: i64) -> Result<bool> {
    Ok(match row.get::<String>("status")?.as_str() {
        "settled" => unpaid == 0 && refunded == 0,
        "unpaid" => unpaid > 0 && refunded == 0,
        "refunded" => refunded == paid,
        _ => false,
    })
}

pub(super) async fn holds(db: &Db, report: &mut Verification) -> Result<()> {
    report.holds = walk(db, report, look_at_holds).await?;
    Ok(())
}

fn look_at_holds(tx: &mut Tx<'_>, after: &str) -> Result<Vec<Looked>> {
    let rows = tx.query(
        sql!(
            "SELECT h.hold_id, h.wallet_id, h.status, h.charge_id, c.hold_id AS charged,
               c.wallet_id AS charged_wallet
             FROM balance_holds h LEFT JOIN balance_charges c ON c.charge_id = h.charge_id
             WHERE h.hold_id > $1 ORDER BY h.hold_id LIMIT $2"
        ),
        &[&after, &ROWS],
    )?;
    rows.iter()
        .map(|row| {
            let (id, wallet_id): (String, String) = (row.get("hold_id")?, row.get("wallet_id")?);
            if row.get::<String>("charge_id")?.is_empty() {
                return Ok((id, Vec::new()));
            }
            let settled = row.get::<String>("status")? == "settled";
            let names_it = row.get::<Option<String>>("charged")?.as_ref() == Some(&id);
            let same = row.get::<Option<String>>("charged_wallet")?.as_ref() == Some(&wallet_id);
            let mut findings = Vec::new();
            if !settled || !names_it || !same {
                findings.push(Finding {
                    problem: Problem::Hold,
                    wallet_id,
                    subject: id.clone(),
                    message: "its charge is not there, or is that of another hold".to_owned(),
                });
            }
            Ok((id, findings))
        })
        .collect()
}

pub(super) async fn refunds(db: &Db, report: &mut Verification) -> Result<()> {
    report.refunds = walk(db, report, look_at_refunds).await?;
    Ok(())
}

fn look_at_refunds(tx: &mut Tx<'_>, after: &str) -> Result<Vec<Looked>> {
    let rows = tx.query(
        sql!(
            "SELECT f.refund_id, f.wallet_id, f.amount, f.taken, l.amount AS entry_amount,
               l.wallet_id AS entry_wallet
             FROM balance_refunds f
             LEFT JOIN balance_ledger l ON l.effect = 'refund:' || f.refund_id
             WHERE f.refund_id > $1 ORDER BY f.refund_id LIMIT $2"
        ),
        &[&after, &ROWS],
    )?;
    rows.iter()
        .map(|row| {
            let (id, wallet_id): (String, String) = (row.get("refund_id")?, row.get("wallet_id")?);
            let (amount, taken): (i64, i64) = (row.get("amount")?, row.get("taken")?);
            let moved = row.get::<Option<i64>>("entry_amount")?.unwrap_or(0);
            let entry_wallet = row.get::<Option<String>>("entry_wallet")?;
            let same = entry_wallet.is_none_or(|entry| entry == wallet_id);
            let mut findings = Vec::new();
            if taken < 0 || taken > amount || moved != taken.wrapping_neg() || !same {
                findings.push(Finding {
                    problem: Problem::Refund,
                    wallet_id,
                    subject: id.clone(),
                    message: differ("what was taken back", moved.wrapping_neg(), taken),
                });
            }
            Ok((id, findings))
        })
        .collect()
}

/// Effects that stand more than once.
pub(super) async fn repeated(db: &Db, report: &mut Verification) -> Result<()> {
    walk(db, report, look_at_effects).await?;
    Ok(())
}

fn look_at_effects(tx: &mut Tx<'_>, after: &str) -> Result<Vec<Looked>> {
    let rows = tx.query(
        sql!(
            "SELECT effect, MIN(wallet_id) AS wallet_id, COUNT(*) AS number FROM balance_ledger
             WHERE effect IS NOT NULL AND effect > $1 GROUP BY effect ORDER BY effect LIMIT $2"
        ),
        &[&after, &ROWS],
    )?;
    rows.iter()
        .map(|row| {
            let (effect, number): (String, i64) = (row.get("effect")?, row.get("number")?);
            let mut findings = Vec::new();
            if number > 1 {
                findings.push(Finding {
                    problem: Problem::Effect,
                    wallet_id: row.get("wallet_id")?,
                    subject: effect.clone(),
                    message: format!("it stands {number} times"),
                });
            }
            Ok((effect, findings))
        })
        .collect()
}
