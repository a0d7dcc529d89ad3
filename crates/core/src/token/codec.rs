//! The format: `ub_` + base64url(claims) + `.` + base64url(HMAC-SHA256 over the encoded claims).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_types::{Claims, ClaimsError, ClaimsRef, MAX_TOKEN_BYTES, PREFIX};

use super::KeyRing;

/// Characters of a signature: 32 bytes in base64url without padding.
const SIGNATURE_LEN: usize = 43;

/// A token whose signature and claims hold.
pub(crate) struct Verified<'a> {
    pub(crate) claims: ClaimsRef<'a>,
    signature: &'a str,
}

impl Verified<'_> {
    /// What names this one token: its id, or for tokens of older servers, which have none, its
    /// signature.
    pub(crate) fn token_id(&self) -> &str {
        self.claims.jti.as_deref().unwrap_or(self.signature)
    }
}

/// Whether the id of a token has the form of a signature, which stands for the id in tokens of
/// older servers.
pub(crate) fn is_signature(token_id: &str) -> bool {
    let mut bytes = [0; SIGNATURE_LEN.div_ceil(4) * 3];
    token_id.len() == SIGNATURE_LEN && URL_SAFE_NO_PAD.decode_slice(token_id, &mut bytes).is_ok()
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error("the token does not have the shape ub_<claims>.<signature>")]
    Shape,
    #[error("the signature is not of this Federation")]
    Signature,
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

/// Room for decoded claims: on the stack for all but unusual tokens.
pub(crate) struct Buffer {
    small: [u8; 1024],
    large: Vec<u8>,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { small: [0; 1024], large: Vec::new() }
    }

    fn decode(&mut self, text: &[u8]) -> Option<&[u8]> {
        let room = base64::decoded_len_estimate(text.len());
        let buffer = if room <= self.small.len() {
            &mut self.small[..]
        } else {
            self.large.resize(room, 0);
            &mut self.large[..]
        };
        let length = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
        buffer.get(..length)
    }
}

/// Writes and signs a token. `None` when it would be longer than any reader takes.
///
/// # Errors
/// Those of writing the claims as JSON.
pub(crate) fn encode(keys: &KeyRing, claims: &Claims) -> Result<Option<String>, serde_json::Error> {
    let json = claims.to_json()?;
    let length = PREFIX.len() + (json.len() * 4).div_ceil(3) + 1 + SIGNATURE_LEN;
    if length > MAX_TOKEN_BYTES {
        return Ok(None);
    }
    let mut token = String::with_capacity(length);
    token.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(json, &mut token);
    let signature = keys.sign(&token.as_bytes()[PREFIX.len()..]);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(Some(token))
}

/// Checks shape, signature and claims, in this order, at `now` in seconds since 1970.
///
/// # Errors
/// The first rule that the token breaks.
pub(crate) fn verify<'a>(
    keys: &KeyRing,
    token: &'a [u8],
    now: i64,
    buffer: &'a mut Buffer,
) -> Result<Verified<'a>, TokenFault> {
    let (payload, signature) = split(token).ok_or(TokenFault::Shape)?;
    // The decoder wants room for whole groups of three.
    let mut signed = [0; SIGNATURE_LEN.div_ceil(4) * 3];
    let length =
        URL_SAFE_NO_PAD.decode_slice(signature, &mut signed).map_err(|_| TokenFault::Shape)?;
    if !keys.verify(payload, &signed[..length]) {
        return Err(TokenFault::Signature);
    }
    let claims = ClaimsRef::parse(buffer.decode(payload).ok_or(TokenFault::Shape)?)?;
    claims.check(now)?;
    Ok(Verified { claims, signature })
}

/// Payload and signature, still encoded: two parts, the second as long as a signature is.
fn split(token: &[u8]) -> Option<(&[u8], &str)> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let body = token.strip_prefix(PREFIX.as_bytes())?;
    let dot = body.len().checked_sub(SIGNATURE_LEN + 1)?;
    let (payload, rest) = body.split_at(dot);
    let signature = str::from_utf8(rest.strip_prefix(b".")?).ok()?;
    let two_parts = !payload.is_empty() && memchr::memchr(b'.', payload).is_none();
    two_parts.then_some((payload, signature))
}

#[cfg(test)]
mod tests;
