//! The text of a token: its parts, and the way from text to claims. The one parser there is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{ClaimsError, ClaimsRef, TokenAlgorithm};

/// What a token with an HMAC begins with.
pub const PREFIX: &str = "ub_";

/// Longest token that is looked at, in bytes; a longer one is refused unread.
pub const MAX_TOKEN_BYTES: usize = 8_192;

/// Characters of 32 bytes in base64url without padding.
const HMAC_SIGNATURE_CHARS: usize = 43;
/// Characters of 64 bytes in base64url without padding.
const ED25519_SIGNATURE_CHARS: usize = 86;
/// Room to decode the longer signature: the decoder wants room for whole groups of three.
const SIGNATURE_ROOM: usize = ED25519_SIGNATURE_CHARS.div_ceil(4) * 3;

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It has neither form, is too long, or a part is no base64url.
    #[error("the token has neither the form ub_<claims>.<signature> nor that of a JWT")]
    Shape,
    /// No key that is asked made the signature.
    #[error("the signature is not of a known key")]
    Signature,
    /// The signature is good and what is signed is not.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

/// What a signature is over, and what it says by its form about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// Which algorithm the form stands for.
    pub algorithm: TokenAlgorithm,
    /// The header of a JWT, still encoded; empty in a token with an HMAC.
    pub header: &'a [u8],
    /// The bytes that were signed.
    pub message: &'a [u8],
    /// The signature, decoded: 32 bytes of an HMAC, 64 of Ed25519.
    pub signature: &'a [u8],
}

/// A token whose signature is good. Its claims are read, but not yet judged: see
/// [`ClaimsRef::check`].
#[derive(Clone, Debug)]
pub struct OpenToken<'a> {
    /// Which algorithm signed it.
    pub algorithm: TokenAlgorithm,
    /// What it says.
    pub claims: ClaimsRef<'a>,
    signature: &'a str,
}

impl OpenToken<'_> {
    /// What names this one token: its id (`jti`), or for tokens of older servers, which have none,
    /// its signature.
    #[must_use]
    pub fn token_id(&self) -> &str {
        self.claims.jti.as_deref().unwrap_or(self.signature)
    }
}

/// Whether the id of a token has the form of a signature, which stands for the id in tokens that have
/// none.
#[must_use]
pub fn is_signature(token_id: &str) -> bool {
    let mut room = [0; SIGNATURE_ROOM];
    matches!(token_id.len(), HMAC_SIGNATURE_CHARS | ED25519_SIGNATURE_CHARS)
        && URL_SAFE_NO_PAD.decode_slice(token_id, &mut room).is_ok()
}

/// Room for decoded claims: on the stack for all but unusual tokens.
pub struct TokenBuffer {
    small: [u8; 1024],
    large: Vec<u8>,
}

impl TokenBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
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

impl Default for TokenBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for TokenBuffer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TokenBuffer(…)")
    }
}

/// Takes a token apart, asks `is_good` for its signature, and only then reads its claims.
///
/// # Errors
/// The first of shape, signature and claims that is wrong.
pub fn open_token<'a>(
    token: &'a [u8],
    buffer: &'a mut TokenBuffer,
    is_good: impl FnOnce(&Signed<'_>) -> bool,
) -> Result<OpenToken<'a>, TokenError> {
    let parts = Parts::split(token).ok_or(TokenError::Shape)?;
    let mut room = [0; SIGNATURE_ROOM];
    let length =
        URL_SAFE_NO_PAD.decode_slice(parts.signature, &mut room).map_err(|_| TokenError::Shape)?;
    let Parts { algorithm, header, message, payload, signature } = parts;
    if !is_good(&Signed { algorithm, header, message, signature: &room[..length] }) {
        return Err(TokenError::Signature);
    }
    let claims = ClaimsRef::parse(buffer.decode(payload).ok_or(TokenError::Shape)?)?;
    Ok(OpenToken { algorithm, claims, signature })
}

/// The parts of a token, still encoded.
struct Parts<'a> {
    algorithm: TokenAlgorithm,
    header: &'a [u8],
    message: &'a [u8],
    payload: &'a [u8],
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a [u8]) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        match token.strip_prefix(PREFIX.as_bytes()) {
            Some(body) => Self::of_hmac(body),
            None => Self::of_jwt(token),
        }
    }

    /// Two parts, the second as long as an HMAC.
    fn of_hmac(body: &'a [u8]) -> Option<Self> {
        let (payload, signature) = split_signature(body, HMAC_SIGNATURE_CHARS)?;
        let algorithm = TokenAlgorithm::Hmac;
        is_one_part(payload).then_some(Self {
            algorithm,
            header: b"",
            message: payload,
            payload,
            signature,
        })
    }

    /// Three parts, the last as long as a signature of Ed25519.
    fn of_jwt(token: &'a [u8]) -> Option<Self> {
        let (message, signature) = split_signature(token, ED25519_SIGNATURE_CHARS)?;
        let (header, payload) = message.split_at(memchr::memchr(b'.', message)?);
        let payload = payload.strip_prefix(b".")?;
        let algorithm = TokenAlgorithm::Ed25519;
        (!header.is_empty() && is_one_part(payload)).then_some(Self {
            algorithm,
            header,
            message,
            payload,
            signature,
        })
    }
}

/// What stands before the last dot, and a signature of this length behind it.
fn split_signature(text: &[u8], chars: usize) -> Option<(&[u8], &str)> {
    let (message, rest) = text.split_at(text.len().checked_sub(chars + 1)?);
    Some((message, str::from_utf8(rest.strip_prefix(b".")?).ok()?))
}

fn is_one_part(part: &[u8]) -> bool {
    !part.is_empty() && memchr::memchr(b'.', part).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS: &str = r#"{"aud":"downcity:user","city_id":"c","user_id":"u","iat":1}"#;

    /// The parts as a key is asked about them.
    fn asked(token: &str) -> Option<(TokenAlgorithm, String, String, usize)> {
        let mut seen = None;
        let mut buffer = TokenBuffer::new();
        let _ = open_token(token.as_bytes(), &mut buffer, |signed| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let (header, message) = (text(signed.header), text(signed.message));
            seen = Some((signed.algorithm, header, message, signed.signature.len()));
            true
        });
        seen
    }

    #[test]
    fn the_form_says_which_algorithm_and_what_is_signed() {
        let claims = URL_SAFE_NO_PAD.encode(CLAIMS);
        let (short, long) = ("A".repeat(43), "A".repeat(86));
        let hmac = (TokenAlgorithm::Hmac, String::new(), claims.clone(), 32);
        assert_eq!(asked(&format!("ub_{claims}.{short}")), Some(hmac));
        let jwt = (TokenAlgorithm::Ed25519, "h".to_owned(), format!("h.{claims}"), 64);
        assert_eq!(asked(&format!("h.{claims}.{long}")), Some(jwt));
        for token in [
            format!("ub_{claims}.{long}"),
            format!("ub_h.{claims}.{long}"),
            format!("{claims}.{short}"),
            format!("{claims}.{long}"),
            format!("h.{claims}.{short}"),
            format!(".{claims}.{long}"),
            format!("h..{long}"),
            format!("h.h.{claims}.{long}"),
            format!("h.{claims}.{long}."),
            format!("h.{claims}.{}", "B".repeat(86)),
        ] {
            assert_eq!(asked(&token), None, "{token}");
        }
    }

    #[test]
    fn ids_that_are_signatures_are_told_from_others() {
        for id in ["A".repeat(43), "A".repeat(86)] {
            assert!(is_signature(&id), "{id}");
        }
        for id in ["", "tok_1", &"A".repeat(42), &"B".repeat(43), &"=".repeat(43)] {
            assert!(!is_signature(id), "{id}");
        }
    }

    #[test]
    fn claims_are_read_after_the_signature() {
        let claims = URL_SAFE_NO_PAD.encode(CLAIMS);
        let token = format!("ub_{claims}.{}", "A".repeat(43));
        let mut buffer = TokenBuffer::new();
        let refused = open_token(token.as_bytes(), &mut buffer, |_| false).unwrap_err();
        assert!(matches!(refused, TokenError::Signature), "{refused}");
        let open = open_token(token.as_bytes(), &mut buffer, |_| true).unwrap();
        assert_eq!((open.token_id(), &*open.claims.user_id), (&*"A".repeat(43), "u"));
        let garbage = format!("ub_!.{}", "A".repeat(43));
        let mut buffer = TokenBuffer::new();
        let refused = open_token(garbage.as_bytes(), &mut buffer, |_| true).unwrap_err();
        assert!(matches!(refused, TokenError::Shape), "{refused}");
    }
}
