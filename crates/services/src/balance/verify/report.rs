//! What a check found.

use std::fmt;

use downcity_types::Microcredits;
use schemars::JsonSchema;
use serde::Serialize;

/// Problems that are kept with their place; further ones are counted.
const KEPT: usize = 100;

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Wallets.
    pub wallets: u64,
    /// Entries of the ledger.
    pub entries: u64,
    /// Charges.
    pub charges: u64,
    /// Holds, ended ones included.
    pub holds: u64,
    /// Payments that went back.
    pub refunds: u64,
    /// Top-ups, paid or not.
    pub topups: u64,
    /// Redeem codes, used or not.
    pub codes: u64,
    /// What all wallets hold together.
    pub balance: i128,
    /// What of it is reserved.
    pub held: i128,
    /// The first hundred things that are wrong.
    pub broken: Vec<Broken>,
    /// How many there are.
    pub problems: u64,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems == 0
    }

    pub(super) fn add(
        &mut self,
        problem: Problem,
        wallet_id: &str,
        subject: impl fmt::Display,
        message: impl Into<String>,
    ) {
        self.problems += 1;
        if self.broken.len() < KEPT {
            self.broken.push(Broken {
                problem,
                wallet_id: wallet_id.to_owned(),
                subject: subject.to_string(),
                message: message.into(),
            });
        }
    }
}

/// What was found, as `balance/ledger/verify` answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LedgerReport {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Wallets.
    pub wallets: u64,
    /// Entries of the ledger.
    pub entries: u64,
    /// Charges.
    pub charges: u64,
    /// Holds, ended ones included.
    pub holds: u64,
    /// Payments that went back.
    pub refunds: u64,
    /// Top-ups, paid or not.
    pub topups: u64,
    /// Redeem codes, used or not.
    pub codes: u64,
    /// What all wallets hold together: digits as text, since it may be more than JSON numbers can say
    /// exactly.
    pub balance_microcredits: String,
    /// What of it is reserved, in the same way.
    pub held_microcredits: String,
    /// How many things are wrong.
    pub problems: u64,
    /// The first hundred of them.
    pub broken: Vec<LedgerProblem>,
}

/// Something that is wrong with the money of a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LedgerProblem {
    /// `balance`, `sequence`, `entry`, `lots`, `held`, `charge`, `hold`, `refund`, `topup`, `code`,
    /// `effect` or `orphan`.
    pub problem: String,
    /// The wallet that it is in.
    pub wallet_id: String,
    /// What it is about: a user, the number of an entry, an id.
    pub subject: String,
    /// What was found, in words.
    pub message: String,
}

impl From<Verification> for LedgerReport {
    fn from(found: Verification) -> Self {
        Self {
            ok: found.is_whole(),
            wallets: found.wallets,
            entries: found.entries,
            charges: found.charges,
            holds: found.holds,
            refunds: found.refunds,
            topups: found.topups,
            codes: found.codes,
            balance_microcredits: found.balance.to_string(),
            held_microcredits: found.held.to_string(),
            problems: found.problems,
            broken: found.broken.into_iter().map(LedgerProblem::from).collect(),
        }
    }
}

impl From<Broken> for LedgerProblem {
    fn from(broken: Broken) -> Self {
        Self {
            problem: broken.problem.as_str().to_owned(),
            wallet_id: broken.wallet_id,
            subject: broken.subject,
            message: broken.message,
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What kind of thing.
    pub problem: Problem,
    /// The wallet that it is in.
    pub wallet_id: String,
    /// What it is about: a user, the number of an entry, an id.
    pub subject: String,
    /// What was found, in words.
    pub message: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, wallet_id, subject, message } = self;
        write!(f, "{} of {subject} in {wallet_id}: {message}", problem.as_str())
    }
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The balance of a wallet is not that of its last entry, or negative.
    Balance,
    /// The numbers of the entries of a wallet have gaps, or go on beyond its last one.
    Sequence,
    /// An entry does not follow from the one before, or is no entry that this program writes.
    Entry,
    /// The lots of a wallet are not its credits.
    Lots,
    /// What a wallet has reserved is not the sum of its open holds.
    Held,
    /// A charge and its entry are not the same.
    Charge,
    /// A hold and what settled it are not the same.
    Hold,
    /// Something that was given or taken back and its entry are not the same.
    Refund,
    /// A top-up and its entry are not the same.
    Topup,
    /// A redeem code and the entries of its uses are not the same.
    Code,
    /// Something has changed a balance twice that may do so once.
    Effect,
    /// Rows of a wallet that is not there.
    Orphan,
}

impl Problem {
    /// The name for programs, in `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balance => "balance",
            Self::Sequence => "sequence",
            Self::Entry => "entry",
            Self::Lots => "lots",
            Self::Held => "held",
            Self::Charge => "charge",
            Self::Hold => "hold",
            Self::Refund => "refund",
            Self::Topup => "topup",
            Self::Code => "code",
            Self::Effect => "effect",
            Self::Orphan => "orphan",
        }
    }
}

/// Two amounts that should be one.
pub(super) fn differ(what: &str, found: i64, expected: i64) -> String {
    let (found, expected) = (Microcredits(found), Microcredits(expected));
    format!("{what} is {} microcredits, not {}", found.get(), expected.get())
}
