//! What a row's hash is made of.
//!
//! The hash is SHA-256 in lower-case hexadecimal over the text `downcity-audit-v1` and the fields of
//! the row in the order of [`Link::fields`], each ending in a line feed. A field is its length in
//! bytes in decimal, a colon and its text; a number is its decimal text; NULL is a lone `-`. The
//! lengths keep text from moving over a border between two fields unseen.

use sha2::{Digest as _, Sha256};

use crate::hex::hex;

/// What the first row holds in place of a hash before it.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const FORM: &str = "downcity-audit-v1\n";

/// One row of the table `audit`, without its own hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: i64,
    pub(super) created_at: i64,
    pub(super) actor: String,
    pub(super) key_id: Option<String>,
    pub(super) key_name: Option<String>,
    pub(super) action: String,
    pub(super) target_kind: String,
    pub(super) target_id: String,
    pub(super) city_id: Option<String>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) client_address: Option<String>,
    pub(super) prev_hash: String,
}

impl Link {
    /// The hash of this row, the one before included.
    pub(super) fn hash(&self) -> String {
        let mut hasher = Sha256::new_with_prefix(FORM);
        let (seq, created_at) = (self.seq.to_string(), self.created_at.to_string());
        for field in self.fields(&seq, &created_at) {
            match field {
                Some(text) => {
                    hasher.update(text.len().to_string());
                    hasher.update(":");
                    hasher.update(text);
                }
                None => hasher.update("-"),
            }
            hasher.update("\n");
        }
        hex(&hasher.finalize())
    }

    fn fields<'a>(&'a self, seq: &'a str, created_at: &'a str) -> [Option<&'a str>; 14] {
        [
            Some(&self.prev_hash),
            Some(seq),
            Some(created_at),
            Some(&self.actor),
            self.key_id.as_deref(),
            self.key_name.as_deref(),
            Some(&self.action),
            Some(&self.target_kind),
            Some(&self.target_id),
            self.city_id.as_deref(),
            self.before.as_deref(),
            self.after.as_deref(),
            self.request_id.as_deref(),
            self.client_address.as_deref(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Link {
        Link {
            seq: 1,
            created_at: 1_767_323_045_678,
            actor: "service".to_owned(),
            key_id: Some("key_1".to_owned()),
            key_name: Some("Shop ü".to_owned()),
            action: "cities/create".to_owned(),
            target_kind: "city".to_owned(),
            target_id: "shop".to_owned(),
            city_id: Some("shop".to_owned()),
            before: None,
            after: Some(r#"{"name":"Shop"}"#.to_owned()),
            request_id: Some("req_1".to_owned()),
            client_address: None,
            prev_hash: GENESIS.to_owned(),
        }
    }

    /// The form is documented and checked by programs of others: it never changes.
    #[test]
    fn the_hash_is_that_of_the_documented_text() {
        let text = format!(
            "downcity-audit-v1\n64:{GENESIS}\n1:1\n13:1767323045678\n7:service\n5:key_1\n7:Shop ü\n\
             13:cities/create\n4:city\n4:shop\n4:shop\n-\n15:{{\"name\":\"Shop\"}}\n5:req_1\n-\n"
        );
        assert_eq!(row().hash(), hex(&Sha256::digest(text)));
    }

    #[test]
    fn text_that_moves_between_fields_changes_the_hash() {
        let mut moved = row();
        moved.key_id = Some("key_1Shop ü".to_owned());
        moved.key_name = Some(String::new());
        let mut absent = row();
        absent.before = Some(String::new());
        let mut swapped = row();
        swapped.target_id = "city".to_owned();
        swapped.target_kind = "shop".to_owned();
        for other in [moved, absent, swapped] {
            assert_ne!(other.hash(), row().hash());
        }
    }
}
