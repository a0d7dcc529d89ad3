//! Tokens: their two forms, their claims, the keys that verify them.
//!
//! | Form | Signature |
//! |---|---|
//! | `ub_<claims>.<signature>` | HMAC-SHA256 over the text of the claims |
//! | `<header>.<claims>.<signature>` (a JWT) | Ed25519 over the text before the last dot |
//!
//! Parts are base64url without padding; claims are compact UTF-8 JSON. The form alone says which
//! algorithm a token is held against. The header of a JWT has no say: it has to be, to the byte, the
//! one header that a known key writes.

mod claims;
mod jwks;
mod keys;
mod offline;
mod records;
mod text;

pub use claims::{AUDIENCE, Claims, ClaimsError, ClaimsRef, MAX_FUTURE_SECONDS};
pub use jwks::{Jwk, JwkSet, JwksError};
pub use keys::{Ed25519Key, HmacKey};
pub use offline::{VerifyingKeys, verify_offline};
pub use records::{SigningKeyRecord, SigningKeyStatus, TokenAlgorithm, TokenStatus};
pub use text::{
    MAX_TOKEN_BYTES, OpenToken, PREFIX, Signed, TokenBuffer, TokenError, is_signature, open_token,
};
