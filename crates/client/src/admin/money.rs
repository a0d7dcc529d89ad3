//! Records and inputs of wallets. Amounts in records are microcredits: 1 credit = 1,000,000.

use downcity_types::{Microcredits, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Amount, CityId, RedeemCodeId, TopupId, UserId};

/// Writes a record: named fields, and the rest in `extra`.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Further fields.
            #[serde(flatten)]
            pub extra: Map<String, Value>,
        }
    };
}

record! {
    /// A wallet.
    BalanceAccount {
        /// Whose it is.
        user_id: UserId,
        /// What it holds, reserved amounts included, in microcredits.
        balance: Microcredits,
        /// What of it is reserved.
        #[serde(default)]
        held: Microcredits,
        /// What can be spent.
        #[serde(default)]
        available: Microcredits,
        /// When it was made.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
    }
}

record! {
    /// A change of a wallet.
    LedgerEntry {
        /// Its id.
        entry_id: String,
        /// Whose wallet it is in.
        user_id: UserId,
        /// What it was: `init`, `add`, `sub`, `topup`, `redeem`, `charge`, `refund` or `expire`.
        kind: String,
        /// By how much, in microcredits; negative for what was taken.
        amount: Microcredits,
        /// What the wallet held then.
        balance_after: Microcredits,
        /// A remark.
        note: String,
        /// A reference to something outside.
        #[serde(rename = "ref")]
        reference: String,
        /// Further facts, as the text of a JSON object.
        metadata_json: String,
        /// When.
        created_at: Timestamp,
    }
}

record! {
    /// A purchase of credits.
    Topup {
        /// Its id.
        topup_id: TopupId,
        /// Whose wallet it is for.
        user_id: UserId,
        /// How much, in microcredits.
        amount: Microcredits,
        /// The same in US cents, which is what is paid.
        #[serde(default)]
        amount_usd_cents: i64,
        /// Where it stands: `pending`, `paid` or `canceled`.
        status: String,
        /// A remark.
        note: String,
        /// A reference to something outside.
        #[serde(rename = "ref")]
        reference: String,
        /// Further facts, as the text of a JSON object.
        metadata_json: String,
        /// When it was made.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
    }
}

record! {
    /// What a user was charged.
    ChargeRecord {
        /// Its id.
        charge_id: String,
        /// Who was charged.
        user_id: UserId,
        /// How much, in microcredits.
        amount_microcredits: Microcredits,
        /// Where it stands: `settled`, `unpaid` or `refunded`.
        status: String,
        /// A remark.
        note: String,
        /// A reference to something outside.
        #[serde(rename = "ref")]
        reference: String,
        /// Further facts, as the text of a JSON object.
        metadata_json: String,
        /// When.
        created_at: Timestamp,
    }
}

record! {
    /// A redeem code, without the code itself.
    RedeemCode {
        /// Its id.
        redeem_code_id: RedeemCodeId,
        /// How much each use credits, in microcredits.
        amount: Microcredits,
        /// Where it stands: `active`, `redeemed` or `disabled`.
        status: String,
        /// Its ends, by which people tell codes apart.
        code_mask: String,
        /// A remark.
        note: String,
        /// A reference to something outside.
        #[serde(rename = "ref")]
        reference: String,
        /// Further facts, as the text of a JSON object.
        metadata_json: String,
        /// The last user who redeemed it; empty while nobody has.
        redeemed_by_user_id: String,
        /// When it was redeemed last (RFC 3339); empty while it was not.
        redeemed_at: String,
        /// When it was made.
        created_at: Timestamp,
        /// When it last changed.
        updated_at: Timestamp,
    }
}

/// A redeem code that was just made.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct IssuedRedeemCode {
    /// The code: shown here and never again.
    pub code: SecretString,
    /// Its record.
    #[serde(flatten)]
    pub record: RedeemCode,
}

/// Writes what all inputs share that move money.
macro_rules! noted {
    ($input:ident) => {
        impl $input {
            /// A remark for people; at most 500 characters.
            pub fn note(mut self, note: impl Into<String>) -> Self {
                self.extra.insert("note".to_owned(), Value::String(note.into()));
                self
            }

            /// Your own reference, such as the number of an order; at most 200 characters.
            pub fn reference(mut self, reference: impl Into<String>) -> Self {
                self.extra.insert("ref".to_owned(), Value::String(reference.into()));
                self
            }

            /// Further facts; at most 8 KiB as JSON.
            pub fn meta(mut self, meta: Map<String, Value>) -> Self {
                self.extra.insert("meta".to_owned(), Value::Object(meta));
                self
            }

            /// Adds any other field, or replaces one that a builder method wrote.
            pub fn extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
                self.extra.insert(key.into(), value.into());
                self
            }

            /// Names this call: sent again with the same key and input, it gets the first answer and
            /// moves nothing more. Made without it, so that a connection that breaks costs nobody.
            pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
                self.key = Some(key.into());
                self
            }
        }
    };
}

/// Credits to give to a user, or to take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct Mutation {
    user_id: UserId,
    #[serde(flatten)]
    amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    city_id: Option<CityId>,
    #[serde(flatten)]
    extra: Map<String, Value>,
    #[serde(skip)]
    pub(super) key: Option<String>,
}

/// What a user is charged.
pub type Charge = Mutation;

noted!(Mutation);

impl Mutation {
    /// So much for a user.
    pub fn new(user_id: impl Into<UserId>, amount: Amount) -> Self {
        Self { user_id: user_id.into(), amount, city_id: None, extra: Map::new(), key: None }
    }

    /// The city, where wallets are kept per city.
    pub fn city_id(mut self, id: impl Into<CityId>) -> Self {
        self.city_id = Some(id.into());
        self
    }
}

/// A top-up to end.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct TopupUpdate {
    topup_id: TopupId,
    #[serde(flatten)]
    extra: Map<String, Value>,
    #[serde(skip)]
    pub(super) key: Option<String>,
}

noted!(TopupUpdate);

impl TopupUpdate {
    /// This one.
    pub fn new(topup_id: impl Into<TopupId>) -> Self {
        Self { topup_id: topup_id.into(), extra: Map::new(), key: None }
    }
}

/// A redeem code to make.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct RedeemCreate {
    #[serde(flatten)]
    amount: Amount,
    #[serde(flatten)]
    extra: Map<String, Value>,
    #[serde(skip)]
    pub(super) key: Option<String>,
}

noted!(RedeemCreate);

impl RedeemCreate {
    /// A code of which each use credits so much.
    pub fn new(amount: Amount) -> Self {
        Self { amount, extra: Map::new(), key: None }
    }

    /// The code itself. One that the server makes is safer.
    pub fn code(self, code: impl Into<String>) -> Self {
        self.extra("code", code.into())
    }

    /// How often it can be redeemed; once without it.
    pub fn max_uses(self, uses: u64) -> Self {
        self.extra("max_uses", uses)
    }
}

/// A redeem code to take back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct RedeemDisable {
    redeem_code_id: RedeemCodeId,
    #[serde(flatten)]
    extra: Map<String, Value>,
    #[serde(skip)]
    pub(super) key: Option<String>,
}

noted!(RedeemDisable);

impl RedeemDisable {
    /// This one.
    pub fn new(redeem_code_id: impl Into<RedeemCodeId>) -> Self {
        Self { redeem_code_id: redeem_code_id.into(), extra: Map::new(), key: None }
    }
}

/// Which records to list, the newest first: 20 unless a limit is set, at most 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[must_use]
pub struct BalanceQuery {
    user_id: Option<UserId>,
    status: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl BalanceQuery {
    /// All records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of a user.
    pub fn user_id(mut self, id: impl Into<UserId>) -> Self {
        self.user_id = Some(id.into());
        self
    }

    /// Those with this status; of top-ups and redeem codes.
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = Some(status.into());
        self
    }

    /// So many at most.
    pub fn limit(mut self, records: u32) -> Self {
        self.limit = Some(records);
        self
    }

    /// From where a page before ended: its `next_cursor`.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}
