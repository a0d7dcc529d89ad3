//! What a check found.

use std::fmt;

use downcity_types::Microcredits;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// Problems that are kept with their place; further ones are counted.
const KEPT: usize = 100;

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// What all wallets hold together: digits as text, since it may be more than JSON numbers can say
    /// exactly.
    #[serde(rename = "balance_microcredits", serialize_with = "text")]
    #[schemars(with = "String")]
    pub balance: i128,
    /// What of it is reserved, in the same way.
    #[serde(rename = "held_microcredits", serialize_with = "text")]
    #[schemars(with = "String")]
    pub held: i128,
    /// How many things are wrong.
    pub problems: u64,
    /// The first hundred of them.
    pub broken: Vec<Broken>,
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
    /// What was looked at, and what is wrong.
    #[serde(flatten)]
    pub found: Verification,
}

impl From<Verification> for LedgerReport {
    fn from(found: Verification) -> Self {
        Self { ok: found.is_whole(), found }
    }
}

/// Something that is wrong with the money of a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "LedgerProblem")]
pub struct Broken {
    /// `balance`, `sequence`, `entry`, `lots`, `held`, `charge`, `hold`, `refund`, `topup`, `code`,
    /// `effect` or `orphan`.
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
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
        write!(f, "{problem} of {subject} in {wallet_id}: {message}")
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

/// The name for programs, in `snake_case`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
        })
    }
}

/// A value as its text.
fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Two amounts that should be one.
pub(super) fn differ(what: &str, found: i64, expected: i64) -> String {
    let (found, expected) = (Microcredits(found), Microcredits(expected));
    format!("{what} is {} microcredits, not {}", found.get(), expected.get())
}
