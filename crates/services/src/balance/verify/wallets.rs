//! Wallets with their entries, lots and open holds.

use std::collections::BTreeMap;

use downcity_core::Result;
use downcity_db::{Db, Row, Tx, sql};

use super::effects::{self, Claim};
use super::report::{Problem, Verification, differ};
use crate::balance::wallet::{Kind, NEVER, entry_id};

/// Wallets whose state is read at a time, and entries.
const WALLETS: i64 = 500;
const ENTRIES: i64 = 2_000;

/// A wallet as it stood at one time, and how far its entries were walked.
struct State {
    user_id: String,
    balance: i64,
    held: i64,
    entries: i64,
    next_expiry: i64,
    open_holds: i64,
    lots: Lots,
    /// The last entry that was looked at, and what the balance was then.
    seq: i64,
    sum: i64,
    /// What came in: how often, and how much together.
    credits: (i64, i64),
}

/// The lots of a wallet together.
#[derive(Clone, Copy)]
struct Lots {
    number: i64,
    amount: i64,
    remaining: i64,
    /// When the first of those ends that hold something.
    first: i64,
}

/// Some wallets in a row.
struct Stretch {
    last: String,
    is_end: bool,
    states: BTreeMap<String, State>,
    /// Wallets that are not there, and what was found of them.
    orphans: Vec<(String, &'static str)>,
}

pub(super) async fn walk(
    db: &Db,
    report: &mut Verification,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<()> {
    let mut after = String::new();
    loop {
        let from = after.clone();
        let mut stretch = db.scan(move |tx| states(tx, &from)).await?;
        for (wallet_id, what) in &stretch.orphans {
            report.add(Problem::Orphan, wallet_id, what, "there is no such wallet");
        }
        walk_entries(db, report, &after, &mut stretch, progress).await?;
        for (wallet_id, state) in &stretch.states {
            compare(report, wallet_id, state);
        }
        if stretch.is_end {
            return Ok(());
        }
        after = stretch.last;
    }
}

/// The wallets after `after`, with what is known of them, all at one time.
fn states(tx: &mut Tx<'_>, after: &str) -> Result<Stretch> {
    let rows = tx.query(
        sql!(
            "SELECT wallet_id, user_id, balance, held, entries, next_expiry FROM balance_wallets
             WHERE wallet_id > $1 ORDER BY wallet_id LIMIT $2"
        ),
        &[&after, &WALLETS],
    )?;
    let mut states = BTreeMap::new();
    let mut last = after.to_owned();
    for row in &rows {
        last = row.get("wallet_id")?;
        states.insert(last.clone(), State::of(row)?);
    }
    let is_end = states.len() < WALLETS as usize;
    let mut stretch = Stretch { last, is_end, states, orphans: Vec::new() };
    add_lots(tx, after, &mut stretch)?;
    add_holds(tx, after, &mut stretch)?;
    if is_end {
        find_beyond(tx, &mut stretch)?;
    }
    Ok(stretch)
}

impl State {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            user_id: row.get("user_id")?,
            balance: row.get("balance")?,
            held: row.get("held")?,
            entries: row.get("entries")?,
            next_expiry: row.get("next_expiry")?,
            open_holds: 0,
            lots: Lots { number: 0, amount: 0, remaining: 0, first: NEVER },
            seq: 0,
            sum: 0,
            credits: (0, 0),
        })
    }
}

fn add_lots(tx: &mut Tx<'_>, after: &str, stretch: &mut Stretch) -> Result<()> {
    let rows = tx.query(
        sql!(
            "SELECT wallet_id, COUNT(*) AS number, CAST(SUM(amount) AS BIGINT) AS amount,
               CAST(SUM(remaining) AS BIGINT) AS remaining,
               MIN(CASE WHEN remaining > 0 THEN expires_at END) AS first
             FROM balance_lots WHERE wallet_id > $1 AND wallet_id <= $2 GROUP BY wallet_id"
        ),
        &[&after, &stretch.last],
    )?;
    for row in &rows {
        let wallet_id: String = row.get("wallet_id")?;
        let lots = Lots {
            number: row.get("number")?,
            amount: row.get("amount")?,
            remaining: row.get("remaining")?,
            first: row.get::<Option<i64>>("first")?.unwrap_or(NEVER),
        };
        match stretch.states.get_mut(&wallet_id) {
            Some(state) => state.lots = lots,
            None => stretch.orphans.push((wallet_id, "lots")),
        }
    }
    Ok(())
}

fn add_holds(tx: &mut Tx<'_>, after: &str, stretch: &mut Stretch) -> Result<()> {
    let rows = tx.query(
        sql!(
            "SELECT wallet_id, CAST(SUM(amount) AS BIGINT) AS amount FROM balance_holds
             WHERE status = 'open' AND wallet_id > $1 AND wallet_id <= $2 GROUP BY wallet_id"
        ),
        &[&after, &stretch.last],
    )?;
    for row in &rows {
        let wallet_id: String = row.get("wallet_id")?;
        match stretch.states.get_mut(&wallet_id) {
            Some(state) => state.open_holds = row.get("amount")?,
            None => stretch.orphans.push((wallet_id, "holds")),
        }
    }
    Ok(())
}

/// Rows of wallets after the last one.
fn find_beyond(tx: &mut Tx<'_>, stretch: &mut Stretch) -> Result<()> {
    let rows = [
        ("lots", sql!("SELECT wallet_id FROM balance_lots WHERE wallet_id > $1 LIMIT 1")),
        (
            "holds",
            sql!(
                "SELECT wallet_id FROM balance_holds WHERE status = 'open' AND wallet_id > $1
                 LIMIT 1"
            ),
        ),
        ("entries", sql!("SELECT wallet_id FROM balance_ledger WHERE wallet_id > $1 LIMIT 1")),
    ];
    for (what, beyond) in rows {
        if let Some(row) = tx.query_opt(beyond, &[&stretch.last])? {
            stretch.orphans.push((row.get("wallet_id")?, what));
        }
    }
    Ok(())
}

/// An entry as it was read, and what it says it belongs to.
struct Entry {
    wallet_id: String,
    seq: i64,
    entry_id: String,
    user_id: String,
    kind: String,
    amount: i64,
    balance_after: i64,
    /// What is wrong with what it belongs to.
    claim: Option<(Problem, String)>,
    place: Place,
}

/// Where an entry stands in its wallet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It was there when the wallet was read.
    Known,
    /// It was written since.
    Later,
    /// The wallet knows of no such entry.
    Beyond,
    /// There is no such wallet.
    Nowhere,
}

async fn walk_entries(
    db: &Db,
    report: &mut Verification,
    after: &str,
    stretch: &mut Stretch,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<()> {
    // Below every number: a wallet has no entry 0, but somebody may have written one.
    let mut at = (after.to_owned(), NEVER);
    loop {
        let (from, last) = (at.clone(), stretch.last.clone());
        let known = stretch.states.iter().map(|(id, state)| (id.clone(), state.entries)).collect();
        let entries = db.scan(move |tx| entries(tx, &from, &last, &known)).await?;
        let Some(end) = entries.last() else { return Ok(()) };
        at = (end.wallet_id.clone(), end.seq);
        let is_end = entries.len() < ENTRIES as usize;
        for entry in &entries {
            let (wallet_id, subject) = (&entry.wallet_id, format!("entry {}", entry.seq));
            match (entry.place, stretch.states.get_mut(wallet_id)) {
                (Place::Known, Some(state)) => step(report, state, entry),
                (Place::Known | Place::Later, _) => {}
                (Place::Beyond, _) => {
                    let message = "the wallet counts fewer entries";
                    report.add(Problem::Sequence, wallet_id, subject, message);
                }
                (Place::Nowhere, _) => {
                    report.add(Problem::Orphan, wallet_id, subject, "there is no such wallet");
                }
            }
        }
        progress(report.entries);
        if is_end {
            return Ok(());
        }
    }
}

/// The entries after `from`, up to the wallet `last`. `known` are the wallets with their numbers of
/// entries.
fn entries(
    tx: &mut Tx<'_>,
    from: &(String, i64),
    last: &str,
    known: &BTreeMap<String, i64>,
) -> Result<Vec<Entry>> {
    let rows = tx.query(
        sql!(
            "SELECT wallet_id, seq, entry_id, user_id, kind, amount, balance_after, metadata, effect
             FROM balance_ledger WHERE (wallet_id, seq) > ($1, $2) AND wallet_id <= $3
             ORDER BY wallet_id, seq LIMIT $4"
        ),
        &[&from.0, &from.1, &last, &ENTRIES],
    )?;
    let claims = rows.iter().map(Claim::of).collect::<Result<Vec<_>>>()?;
    let claims = effects::check(tx, &claims)?;
    // Asked for once per wallet.
    let mut now = BTreeMap::new();
    let mut entries = Vec::with_capacity(rows.len());
    for (row, claim) in rows.iter().zip(claims) {
        let (wallet_id, seq): (String, i64) = (row.get("wallet_id")?, row.get("seq")?);
        let place = if known.get(&wallet_id).is_some_and(|entries| seq <= *entries) {
            Place::Known
        } else {
            if !now.contains_key(&wallet_id) {
                now.insert(wallet_id.clone(), number_of_entries(tx, &wallet_id)?);
            }
            match now.get(&wallet_id).copied().flatten() {
                Some(entries) if seq <= entries => Place::Later,
                Some(_) => Place::Beyond,
                None => Place::Nowhere,
            }
        };
        entries.push(Entry {
            seq,
            entry_id: row.get("entry_id")?,
            user_id: row.get("user_id")?,
            kind: row.get("kind")?,
            amount: row.get("amount")?,
            balance_after: row.get("balance_after")?,
            wallet_id,
            claim,
            place,
        });
    }
    Ok(entries)
}

/// How many entries a wallet has now; `None` where there is none.
fn number_of_entries(tx: &mut Tx<'_>, wallet_id: &str) -> Result<Option<i64>> {
    let row = tx.query_opt(
        sql!("SELECT entries FROM balance_wallets WHERE wallet_id = $1"),
        &[&wallet_id],
    )?;
    row.map(|row| Ok(row.get("entries")?)).transpose()
}

/// Compares an entry with the one before it.
fn step(report: &mut Verification, state: &mut State, entry: &Entry) {
    report.entries += 1;
    let subject = format!("entry {}", entry.seq);
    let mut add = |problem, message: String| {
        report.add(problem, &entry.wallet_id, &subject, message);
    };
    if entry.seq != state.seq + 1 {
        add(Problem::Sequence, format!("it comes after entry {}", state.seq));
    }
    let sum = state.sum.wrapping_add(entry.amount);
    if entry.balance_after != sum {
        add(Problem::Entry, differ("the balance after it", entry.balance_after, sum));
    }
    if entry.entry_id != entry_id(&entry.wallet_id, entry.seq) {
        add(Problem::Entry, format!("{} is not its id", entry.entry_id));
    }
    if entry.user_id != state.user_id {
        add(Problem::Entry, format!("it names the user {}", entry.user_id));
    }
    if !fits(&entry.kind, entry.amount) || entry.balance_after < 0 {
        add(Problem::Entry, format!("{} of {} microcredits cannot be", entry.kind, entry.amount));
    }
    if let Some((problem, message)) = &entry.claim {
        add(*problem, message.clone());
    }
    if entry.amount > 0 {
        let (number, amount) = state.credits;
        state.credits = (number + 1, amount.wrapping_add(entry.amount));
    }
    // Goes on with what is there, so that one change is one problem.
    (state.seq, state.sum) = (entry.seq, entry.balance_after);
}

/// Whether there are entries of this kind with an amount of this sign.
fn fits(kind: &str, amount: i64) -> bool {
    match Kind::ALL.into_iter().find(|known| known.as_str() == kind) {
        Some(Kind::Init | Kind::Add | Kind::Topup | Kind::Redeem) => amount > 0,
        Some(Kind::Sub | Kind::Charge | Kind::Expire) => amount < 0,
        Some(Kind::Refund) => amount != 0,
        None => false,
    }
}

/// Compares a wallet with its entries, lots and holds.
fn compare(report: &mut Verification, wallet_id: &str, state: &State) {
    report.wallets += 1;
    report.balance += i128::from(state.balance);
    report.held += i128::from(state.held);
    let lots = state.lots;
    let mut add = |problem, message: String| {
        report.add(problem, wallet_id, format_args!("user {}", state.user_id), message);
    };
    if state.seq != state.entries {
        let (last, counted) = (state.seq, state.entries);
        add(Problem::Sequence, format!("its last entry is {last}, but it counts {counted}"));
    }
    if state.balance != state.sum || state.balance < 0 {
        add(Problem::Balance, differ("the balance", state.balance, state.sum));
    }
    if state.held != state.open_holds || state.held < 0 || state.held > state.balance {
        add(Problem::Held, differ("what is reserved", state.held, state.open_holds));
    }
    if lots.remaining != state.balance {
        add(Problem::Lots, differ("what is left in its lots", lots.remaining, state.balance));
    }
    if (lots.number, lots.amount) != state.credits {
        let (number, amount) = state.credits;
        add(Problem::Lots, differ(&format!("what {number} lots began with"), lots.amount, amount));
    }
    if lots.first < state.next_expiry {
        add(Problem::Lots, "credits end before it looks for ended ones".to_owned());
    }
}
