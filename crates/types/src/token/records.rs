//! Records about tokens and the keys that sign them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ErrorCode, Timestamp};

/// How tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenAlgorithm {
    /// HMAC-SHA256: `ub_<claims>.<signature>`. Whoever can verify can also issue.
    #[default]
    Hmac,
    /// Ed25519: a JWT, which anybody can verify with the keys of `/.well-known/jwks.json`.
    Ed25519,
}

impl TokenAlgorithm {
    /// The algorithm as it stands on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "hmac",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm of a text from the database; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "hmac" => Some(Self::Hmac),
            "ed25519" => Some(Self::Ed25519),
            _ => None,
        }
    }
}

/// What a signing key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SigningKeyStatus {
    /// It signs and verifies.
    Active,
    /// It verifies what it signed before, until its end.
    Retired,
}

/// A key that signs tokens, without its secret. All fields are always present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SigningKeyRecord {
    /// Names the key. An Ed25519 key's is the `kid` of its tokens.
    pub key_id: String,
    /// How it signs.
    pub algorithm: TokenAlgorithm,
    /// What it does.
    pub status: SigningKeyStatus,
    /// Whether new tokens are signed with it: it is active, and of the algorithm in use.
    pub issues: bool,
    /// When another key took its place; `null` while it is active.
    pub retired_at: Option<Timestamp>,
    /// When its tokens end at the latest; `null` while it is active.
    pub verifies_until: Option<Timestamp>,
}

/// What a Federation says of a token. All fields are always present; those behind `reason` are
/// `null` when the token is not one of this Federation, or not one that the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenStatus {
    /// Whether a call with this token would be a user's.
    pub active: bool,
    /// The code with which a call would be refused; `null` when it would not.
    pub reason: Option<ErrorCode>,
    /// What `tokens/revoke` takes as `jti`.
    pub token_id: Option<String>,
    /// The city it is for.
    pub city_id: Option<String>,
    /// The user it is for.
    pub user_id: Option<String>,
    /// What its issuer put into it.
    pub metadata: Option<Map<String, Value>>,
    /// How it is signed.
    pub algorithm: Option<TokenAlgorithm>,
    /// When it was issued, by the issuer's clock.
    pub issued_at: Option<Timestamp>,
    /// When it ends; `null` also for a token without end.
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_written_as_they_are_read() {
        for algorithm in [TokenAlgorithm::Hmac, TokenAlgorithm::Ed25519] {
            let text = algorithm.as_str();
            assert_eq!(TokenAlgorithm::parse(text), Some(algorithm));
            assert_eq!(serde_json::to_value(algorithm).unwrap(), text);
        }
        assert_eq!(TokenAlgorithm::parse("HMAC"), None);
    }

    #[test]
    fn a_status_has_all_fields_in_order() {
        let status =
            TokenStatus { reason: Some(ErrorCode::InvalidCredential), ..TokenStatus::default() };
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"active":false,"reason":"invalid_credential","token_id":null,"city_id":null,"user_id":null,"metadata":null,"algorithm":null,"issued_at":null,"expires_at":null}"#
        );
    }
}
