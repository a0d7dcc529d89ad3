//! Top-ups that were paid and codes that were redeemed: each has its entries.

use downcity_core::Result;
use downcity_db::{Db, Row, Tx, sql};

use super::effects::{Finding, Looked, ROWS, named, walk};
use super::report::{Problem, Verification};

pub(super) async fn topups(db: &Db, report: &mut Verification) -> Result<()> {
    report.topups = walk(db, report, look_at_topups).await?;
    Ok(())
}

fn look_at_topups(tx: &mut Tx<'_>, after: &str) -> Result<Vec<Looked>> {
    let rows = tx.query(
        sql!(
            "SELECT t.topup_id, t.user_id, t.amount, t.status, t.metadata,
               l.wallet_id AS entry_wallet, l.user_id AS entry_user, l.amount AS entry_amount
             FROM balance_topups t
             LEFT JOIN balance_ledger l ON l.effect = 'topup:' || t.topup_id
             WHERE t.topup_id > $1 ORDER BY t.topup_id LIMIT $2"
        ),
        &[&after, &ROWS],
    )?;
    rows.iter().map(|row| look_at_topup(tx, row)).collect()
}

fn look_at_topup(tx: &mut Tx<'_>, row: &Row) -> Result<Looked> {
    let id: String = row.get("topup_id")?;
    let mut entry = Credited::of(row)?;
    if entry.is_none() {
        // One that a payment paid is credited as this payment.
        if let Some(payment_id) = named(&row.get::<String>("metadata")?, "payment_id") {
            entry = credited(tx, &format!("payment:{payment_id}"))?;
        }
    }
    let is_paid = row.get::<String>("status")? == "paid";
    let (user_id, amount): (String, i64) = (row.get("user_id")?, row.get("amount")?);
    let message = match &entry {
        None if is_paid => "it is paid, but was never credited".to_owned(),
        Some(_) if !is_paid => "it was credited, but is not paid".to_owned(),
        Some(entry) if entry.user_id != user_id || entry.amount != amount => {
            format!("{} microcredits were credited to {}", entry.amount, entry.user_id)
        }
        _ => return Ok((id, Vec::new())),
    };
    let wallet_id = entry.map_or_else(String::new, |entry| entry.wallet_id);
    let finding = Finding { problem: Problem::Topup, wallet_id, subject: id.clone(), message };
    Ok((id, vec![finding]))
}

/// The entry that an effect left.
struct Credited {
    wallet_id: String,
    user_id: String,
    amount: i64,
}

impl Credited {
    fn of(row: &Row) -> Result<Option<Self>> {
        let Some(wallet_id) = row.get::<Option<String>>("entry_wallet")? else { return Ok(None) };
        let (user_id, amount) = (row.get("entry_user")?, row.get("entry_amount")?);
        Ok(Some(Self { wallet_id, user_id, amount }))
    }
}

fn credited(tx: &mut Tx<'_>, effect: &str) -> Result<Option<Credited>> {
    let row = tx.query_opt(
        sql!(
            "SELECT wallet_id AS entry_wallet, user_id AS entry_user, amount AS entry_amount
             FROM balance_ledger WHERE effect = $1"
        ),
        &[&effect],
    )?;
    row.map_or(Ok(None), |row| Credited::of(&row))
}

pub(super) async fn codes(db: &Db, report: &mut Verification) -> Result<()> {
    report.codes = walk(db, report, look_at_codes).await?;
    Ok(())
}

fn look_at_codes(tx: &mut Tx<'_>, after: &str) -> Result<Vec<Looked>> {
    let rows = tx.query(
        sql!(
            "SELECT c.redeem_code_id, c.amount, c.uses, l.amount AS last_amount,
               (SELECT COUNT(*) FROM balance_redemptions r
                WHERE r.redeem_code_id = c.redeem_code_id) AS redemptions
             FROM balance_redeem_codes c
             LEFT JOIN balance_ledger l
               ON l.effect = 'redeem:' || c.redeem_code_id || ':' || CAST(c.uses AS TEXT)
             WHERE c.redeem_code_id > $1 ORDER BY c.redeem_code_id LIMIT $2"
        ),
        &[&after, &ROWS],
    )?;
    rows.iter()
        .map(|row| {
            let id: String = row.get("redeem_code_id")?;
            let (uses, redemptions): (i64, i64) = (row.get("uses")?, row.get("redemptions")?);
            let last: Option<i64> = row.get("last_amount")?;
            let expected = if uses > 0 { Some(row.get("amount")?) } else { None };
            let mut findings = Vec::new();
            if uses != redemptions || last != expected {
                findings.push(Finding {
                    problem: Problem::Code,
                    wallet_id: String::new(),
                    subject: id.clone(),
                    message: format!("{uses} uses, {redemptions} redemptions, or no entry of one"),
                });
            }
            Ok((id, findings))
        })
        .collect()
}
