//! Money of users, as services that sell something need it.

use downcity_db::Tx;
use downcity_types::{Microcredits, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Result;

/// Wallets of users. A service that sells something is given them by its constructor; each function
/// runs in the caller's transaction.
pub trait Wallets: Send + Sync + 'static {
    /// Reserves an amount of the available balance until it is settled or released, or its deadline
    /// has passed. Makes the wallet where there is none.
    ///
    /// # Errors
    /// 402 `insufficient_balance`; 409 when there is a hold of this id.
    fn hold(&self, tx: &mut Tx<'_>, hold: &NewHold) -> Result<()>;

    /// Ends a hold with a charge, of less or more than was held. What the wallet cannot cover becomes
    /// the unpaid part of the charge. Happens once per hold: again, it gives the first result. A hold
    /// that has ended otherwise is charged to what is available now.
    ///
    /// # Errors
    /// 404 for an unknown hold.
    fn settle(&self, tx: &mut Tx<'_>, settlement: &Settlement) -> Result<Settled>;

    /// Ends a hold without a charge; of no effect when it has ended.
    ///
    /// # Errors
    /// 404 for an unknown hold.
    fn release(&self, tx: &mut Tx<'_>, hold_id: &str, now: Timestamp) -> Result<()>;
}

/// An amount to reserve.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// The id, unique for ever; made by the caller before its transaction.
    pub hold_id: String,
    /// Where it is spent.
    pub city_id: String,
    /// Whose money it is.
    pub user_id: String,
    /// How much; more than nothing.
    pub amount: Microcredits,
    /// A remark for people.
    pub note: String,
    /// What it is for, such as the id of a request.
    pub reference: String,
    /// Further facts.
    pub metadata: Map<String, Value>,
    /// When it ends by itself.
    pub deadline: Timestamp,
    /// The time of the call.
    pub now: Timestamp,
}

/// How a hold ends with a charge. It can be stored with a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settlement {
    /// The hold.
    pub hold_id: String,
    /// The id of the charge, unique for ever; made by the caller before its transaction.
    pub charge_id: String,
    /// What the call cost; may be nothing.
    pub amount: Microcredits,
    /// A remark for people.
    pub note: String,
    /// What it is for, such as the id of a request.
    pub reference: String,
    /// Further facts.
    pub metadata: Map<String, Value>,
    /// The time of the call.
    pub now: Timestamp,
}

/// How a hold was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The charge; empty when it cost nothing.
    pub charge_id: String,
    /// What the wallet paid.
    pub charged: Microcredits,
    /// What it could not pay.
    pub unpaid: Microcredits,
}
