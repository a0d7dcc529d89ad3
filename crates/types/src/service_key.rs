//! Records of service keys.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Microcredits, Timestamp};

/// A service key without its secret, as `keys/list` shows it. All fields are always present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceKeyRecord {
    /// Unique id.
    pub key_id: String,
    /// Display name.
    pub name: String,
    /// The first ten characters of the key, to tell keys apart by.
    pub prefix: String,
    /// What the key may call: `service/action`, `service/*`, or `*`.
    pub actions: Vec<String>,
    /// The cities that the key may name; empty = all, and calls that name none.
    pub cities: Vec<String>,
    /// When it ends; `null` when it does not.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked; `null` while it was not.
    pub revoked_at: Option<Timestamp>,
    /// The most that one call may move; `null` = any amount.
    pub amount_per_call: Option<Microcredits>,
    /// The most that all calls of one day (UTC) may move; `null` = any amount.
    pub amount_per_day: Option<Microcredits>,
    /// When a call last came with the key, to the second; `null` when none did. Calls to other
    /// nodes are seen within half a minute.
    pub last_used_at: Option<Timestamp>,
}

/// Answer of `keys/create`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedServiceKey {
    /// The key; a credential, shown once.
    pub key: String,
    /// The record that stays.
    #[serde(flatten)]
    pub record: ServiceKeyRecord,
}

impl fmt::Debug for IssuedServiceKey {
    /// Shows the record alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedServiceKey").field("record", &self.record).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_all_fields_in_order_and_its_key_is_not_printed() {
        let issued = IssuedServiceKey {
            key: "fk_secret".to_owned(),
            record: ServiceKeyRecord {
                key_id: "key_1".to_owned(),
                name: "Shop".to_owned(),
                prefix: "fk_0123456".to_owned(),
                actions: vec!["cities/*".to_owned()],
                cities: Vec::new(),
                expires_at: None,
                created_at: Timestamp::from_millis(0),
                revoked_at: None,
                amount_per_call: Some(Microcredits(5)),
                amount_per_day: None,
                last_used_at: None,
            },
        };
        let text = serde_json::to_string(&issued).unwrap();
        assert_eq!(
            text,
            r#"{"key":"fk_secret","key_id":"key_1","name":"Shop","prefix":"fk_0123456","actions":["cities/*"],"cities":[],"expires_at":null,"created_at":"1970-01-01T00:00:00.000Z","revoked_at":null,"amount_per_call":5,"amount_per_day":null,"last_used_at":null}"#
        );
        assert_eq!(serde_json::from_str::<IssuedServiceKey>(&text).unwrap(), issued);
        assert!(!format!("{issued:?}").contains("fk_secret"));
    }
}
