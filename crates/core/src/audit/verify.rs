//! Whether the chain is whole.

use std::fmt;

use downcity_db::{Db, DbError};
use schemars::JsonSchema;
use serde::Serialize;

use super::chain::GENESIS;
use super::store::{self, Head, Stored};
use crate::Result;

/// Rows that are read at a time.
const CHUNK: u32 = 1_000;

/// What was found of an audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How many rows are good, counted from the first.
    pub rows: i64,
    /// The hash of the last good row; 64 zeros when there is none.
    pub hash: String,
    /// The first thing that is wrong; `None` when the trail is whole.
    pub broken: Option<Broken>,
}

/// What was found, as `audit/verify` answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditReport {
    /// Whether the trail is whole.
    pub ok: bool,
    /// How many rows are good, counted from the first.
    pub rows: i64,
    /// The hash of the last good row; 64 zeros when there is none.
    pub hash: String,
    /// The first thing that is wrong; `null` when the trail is whole.
    pub broken: Option<AuditProblem>,
}

/// A row of the audit trail that is not what was appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditProblem {
    /// The number of the row.
    pub seq: i64,
    /// `missing`, `changed`, `unlinked`, `cut_off`, `head`, `no_head` or `rewritten`.
    pub problem: String,
    /// What is wrong, in words.
    pub message: String,
}

impl From<Verification> for AuditReport {
    fn from(found: Verification) -> Self {
        let broken = found.broken.map(|broken| AuditProblem {
            seq: broken.seq,
            problem: broken.problem.as_str().to_owned(),
            message: broken.to_string(),
        });
        Self { ok: broken.is_none(), rows: found.rows, hash: found.hash, broken }
    }
}

/// A row that is not what was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number of the row.
    pub seq: i64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a row, or with the end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no such row, but later ones.
    Missing,
    /// Its content does not give its hash.
    Changed,
    /// It does not hold the hash of the row before.
    Unlinked,
    /// The chain ends before it, but the head knows it.
    CutOff,
    /// The head knows less than the table holds, or another hash.
    Head,
    /// The head is gone.
    NoHead,
    /// It does not have the hash that was noted of it.
    Rewritten,
}

impl Problem {
    /// The name for programs, in `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Unlinked => "unlinked",
            Self::CutOff => "cut_off",
            Self::Head => "head",
            Self::NoHead => "no_head",
            Self::Rewritten => "rewritten",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, problem } = self;
        match problem {
            Problem::Missing => write!(f, "row {seq} is missing, or another has its place"),
            Problem::Changed => write!(f, "row {seq} was changed: its content gives another hash"),
            Problem::Unlinked => {
                write!(f, "row {seq} does not follow the row before: one of the two was replaced")
            }
            Problem::CutOff => write!(f, "row {seq} and all after it were removed"),
            Problem::Head => {
                write!(f, "the head of the chain does not agree with the rows at row {seq}")
            }
            Problem::NoHead => write!(f, "the head of the chain (table audit_head) is gone"),
            Problem::Rewritten => {
                write!(
                    f,
                    "row {seq} does not have the hash that was noted: the trail was rewritten"
                )
            }
        }
    }
}

/// The number and the hash of a row, noted at an earlier time and kept elsewhere. Who can write the
/// whole database can also write a new chain; that it is another one shows here alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The number of the row.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

impl Anchor {
    /// One that somebody noted: the number of a row, from 1 on, and its hash of 64 hexadecimal digits,
    /// of either case. `None` where it cannot be one.
    pub fn noted(seq: i64, hash: &str) -> Option<Self> {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        (seq > 0 && is_hash).then(|| Self { seq, hash: hash.to_ascii_lowercase() })
    }
}

/// Walks the whole chain, some thousand rows at a time, up to its end as it stands when the walk
/// begins; writers are not kept waiting. `progress` is told how many rows are done, of how many.
///
/// # Errors
/// When the database does not answer, or has no audit trail.
pub async fn verify(
    db: &Db,
    anchor: Option<&Anchor>,
    mut progress: impl FnMut(i64, i64) + Send,
) -> Result<Verification> {
    // The head and what lies beyond it, in one state of the database.
    let begun = db.scan(|tx| {
        let head = store::head(tx)?;
        let end = head.as_ref().map_or(i64::MIN, |head| head.seq);
        // A chain of no rows has none of any number.
        let end = if end < 1 { i64::MIN } else { end };
        let beyond = store::after(tx, end, 1)?;
        Ok::<_, crate::Error>((head, !beyond.is_empty()))
    });
    let (head, has_more) = begun.await?;
    let mut walk = Walk { rows: 0, hash: GENESIS.to_owned() };
    let Some(head) = head else { return Ok(walk.broken(0, Problem::NoHead)) };
    // Below every number, so that rows before the first are seen too.
    let mut after = i64::MIN;
    while walk.rows < head.seq {
        let rows = db.scan(move |tx| store::after(tx, after, CHUNK)).await?;
        if rows.is_empty() {
            return Ok(walk.broken(walk.rows + 1, Problem::CutOff));
        }
        for row in rows {
            if walk.rows == head.seq {
                break;
            }
            if let Err(problem) = walk.step(row, anchor) {
                return Ok(walk.broken(walk.rows + 1, problem));
            }
        }
        after = walk.rows;
        progress(walk.rows, head.seq);
    }
    Ok(walk.end(&head, has_more, anchor))
}

/// How far a walk has come.
struct Walk {
    rows: i64,
    hash: String,
}

impl Walk {
    /// Takes the next row, or says what is wrong with it.
    fn step(
        &mut self,
        row: Result<Stored, DbError>,
        anchor: Option<&Anchor>,
    ) -> Result<(), Problem> {
        let Stored { link, hash } = row.map_err(|_| Problem::Changed)?;
        if link.seq != self.rows + 1 {
            return Err(Problem::Missing);
        }
        if link.hash() != hash {
            return Err(Problem::Changed);
        }
        if link.prev_hash != self.hash {
            return Err(Problem::Unlinked);
        }
        if anchor.is_some_and(|anchor| anchor.seq == link.seq && anchor.hash != hash) {
            return Err(Problem::Rewritten);
        }
        (self.rows, self.hash) = (link.seq, hash);
        Ok(())
    }

    /// Compares the end that was reached with the one that is known.
    fn end(self, head: &Head, has_more: bool, anchor: Option<&Anchor>) -> Verification {
        let rows = self.rows;
        if self.hash != head.hash || has_more || head.seq < 0 {
            return self.broken(rows, Problem::Head);
        }
        match anchor {
            Some(anchor) if anchor.seq > rows => self.broken(rows + 1, Problem::CutOff),
            _ => Verification { rows, hash: self.hash, broken: None },
        }
    }

    fn broken(&self, seq: i64, problem: Problem) -> Verification {
        let broken = Some(Broken { seq, problem });
        Verification { rows: self.rows, hash: self.hash.clone(), broken }
    }
}
