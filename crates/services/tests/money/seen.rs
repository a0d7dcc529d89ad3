//! What the tables hold, compared with the model.

use downcity_core::Error;
use downcity_db::{Row, Tx, sql};
use downcity_testkit::TestApp;

use crate::model::{Charge, Entry, Lot, Wallet};
use crate::steps::{Step, World};

/// Compares everything that a world knows of.
pub(crate) async fn compare(app: &TestApp, world: &World, step: &Step) {
    for (user, user_id) in world.user_ids.iter().enumerate() {
        let owner = user_id.clone();
        let seen = app.runtime().db().scan(move |tx| wallet(tx, &owner)).await.expect("it is read");
        let expected = &world.model.wallets[user];
        assert_eq!(seen.is_some(), expected.is_made, "{user_id} after {step:?}");
        if let Some(seen) = seen {
            seen.compare(expected, &format!("{user_id} after {step:?}"));
        }
    }
    let holds: Vec<_> = world.model.holds.iter().map(|hold| hold.status.to_owned()).collect();
    assert_eq!(statuses(app, Table::Holds, &world.hold_ids).await, holds, "after {step:?}");
    let topups: Vec<_> = world.model.topups.iter().map(|topup| topup.status.to_owned()).collect();
    assert_eq!(statuses(app, Table::Topups, &world.topup_ids).await, topups, "after {step:?}");
    let codes: Vec<_> = world.model.codes.iter().map(|code| code.status.to_owned()).collect();
    assert_eq!(statuses(app, Table::Codes, &world.code_ids).await, codes, "after {step:?}");
    for (number, charge_id) in world.charge_ids.iter().enumerate() {
        let Charge { user, amount, unpaid, refunded, status } = world.model.charges[number].clone();
        let id = charge_id.clone();
        let seen = app.runtime().db().scan(move |tx| charge(tx, &id)).await.expect("it is read");
        let user_id = world.user_ids[user].clone();
        assert_eq!(seen, (user_id, amount, unpaid, refunded, status.to_owned()), "after {step:?}");
    }
    let open = |user| {
        let open =
            world.model.holds.iter().filter(move |hold| hold.status == "open" && hold.user == user);
        open.map(|hold| hold.amount).sum::<i64>()
    };
    for (user, wallet) in world.model.wallets.iter().enumerate() {
        assert_eq!(wallet.held, open(user), "held is the sum of open holds, after {step:?}");
    }
}

/// A wallet as the tables have it.
struct Seen {
    balance: i64,
    held: i64,
    entries: i64,
    lots: Vec<Lot>,
    ledger: Vec<(i64, String, i64, i64)>,
}

impl Seen {
    fn compare(&self, expected: &Wallet, when: &str) {
        let kept: i64 = self.lots.iter().map(|lot| lot.remaining).sum();
        let summed: i64 = self.ledger.iter().map(|(_, _, amount, _)| amount).sum();
        let last = self.ledger.last().map_or(0, |(_, _, _, after)| *after);
        assert_eq!([kept, summed, last], [self.balance; 3], "lots, entries, last entry of {when}");
        assert!(self.held >= 0 && self.held <= self.balance, "{when}");
        assert_eq!(self.entries, self.ledger.len() as i64, "{when}");
        let numbers = self.ledger.iter().map(|(seq, ..)| *seq);
        assert!(numbers.eq(1..=self.entries), "{when}");

        assert_eq!((self.balance, self.held), (expected.balance(), expected.held), "{when}");
        assert_eq!(self.lots, expected.lots, "{when}");
        let ledger = self.ledger.iter();
        let ledger: Vec<_> =
            ledger.map(|(_, kind, amount, after)| (&**kind, *amount, *after)).collect();
        let model = expected.entries.iter();
        let model: Vec<_> = model
            .map(|Entry { kind, amount, balance_after }| (*kind, *amount, *balance_after))
            .collect();
        assert_eq!(ledger, model, "{when}");
    }
}

fn wallet(tx: &mut Tx<'_>, user_id: &str) -> Result<Option<Seen>, Error> {
    let found = tx.query_opt(
        sql!("SELECT wallet_id, balance, held, entries FROM balance_wallets WHERE user_id = $1"),
        &[&user_id],
    )?;
    let Some(row) = found else { return Ok(None) };
    let wallet_id: String = row.get("wallet_id")?;
    let lots = tx.query(
        sql!(
            "SELECT seq, remaining, expires_at FROM balance_lots WHERE wallet_id = $1
             ORDER BY seq LIMIT 1000"
        ),
        &[&wallet_id],
    )?;
    let ledger = tx.query(
        sql!(
            "SELECT seq, kind, amount, balance_after FROM balance_ledger WHERE wallet_id = $1
             ORDER BY seq LIMIT 1000"
        ),
        &[&wallet_id],
    )?;
    let lot = |row: &Row| {
        let (seq, remaining) = (row.get("seq")?, row.get("remaining")?);
        Ok::<_, Error>(Lot { seq, remaining, expires_at: row.get("expires_at")? })
    };
    let entry = |row: &Row| {
        let (seq, kind) = (row.get("seq")?, row.get("kind")?);
        Ok::<_, Error>((seq, kind, row.get("amount")?, row.get("balance_after")?))
    };
    Ok(Some(Seen {
        balance: row.get("balance")?,
        held: row.get("held")?,
        entries: row.get("entries")?,
        lots: lots.iter().map(lot).collect::<Result<_, _>>()?,
        ledger: ledger.iter().map(entry).collect::<Result<_, _>>()?,
    }))
}

fn charge(tx: &mut Tx<'_>, charge_id: &str) -> Result<(String, i64, i64, i64, String), Error> {
    let row = tx.query_one(
        sql!(
            "SELECT user_id, amount, unpaid, refunded, status FROM balance_charges
             WHERE charge_id = $1"
        ),
        &[&charge_id],
    )?;
    let (amount, unpaid) = (row.get("amount")?, row.get("unpaid")?);
    Ok((row.get("user_id")?, amount, unpaid, row.get("refunded")?, row.get("status")?))
}

#[derive(Clone, Copy)]
enum Table {
    Holds,
    Topups,
    Codes,
}

async fn statuses(app: &TestApp, table: Table, ids: &[String]) -> Vec<String> {
    let ids = ids.to_vec();
    let read = move |tx: &mut Tx<'_>| {
        let status = match table {
            Table::Holds => sql!("SELECT status FROM balance_holds WHERE hold_id = $1"),
            Table::Topups => sql!("SELECT status FROM balance_topups WHERE topup_id = $1"),
            Table::Codes => {
                sql!("SELECT status FROM balance_redeem_codes WHERE redeem_code_id = $1")
            }
        };
        ids.iter()
            .map(|id| Ok::<_, Error>(tx.query_one(status, &[id])?.get("status")?))
            .collect::<Result<Vec<String>, _>>()
    };
    app.runtime().db().scan(read).await.expect("it is read")
}
