//! Signatures of webhooks: who sent these bytes, and when.
//!
//! * [`Stamped`]: a header `t=<time>,v1=<signature>`, as Stripe and Waffo send it.
//! * [`hmac`]: signatures by a shared secret, of which several may be active while one is replaced.
//! * [`rsa`]: signatures by a key pair.
//!
//! Everything here is a pure function of its arguments and takes the raw bytes of the request: a body that was
//! parsed and written again has another signature.

pub(crate) mod hmac;
pub(crate) mod rsa;

use std::time::Duration;

use downcity_types::Timestamp;

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// A header that carries the signature is not there.
    #[error("The request has no signature.")]
    Missing,
    /// A header that carries the signature cannot be read.
    #[error("The signature of the request cannot be read.")]
    Malformed,
    /// The signature is too old, or from the future.
    #[error("The signature of the request is too old or too new.")]
    Stale,
    /// No active secret or key makes this signature of these bytes.
    #[error("The signature of the request does not match.")]
    Wrong,
}

/// A header `t=<time>,v1=<signature>`; `v1` may stand several times, other fields are passed over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamped<'a> {
    /// The time as it stands in the header, which is part of what is signed.
    pub(crate) time: &'a str,
    /// The time as a number, in the unit of the provider.
    pub(crate) at: i64,
    /// All signatures of version 1.
    pub(crate) signatures: Vec<&'a str>,
}

impl<'a> Stamped<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`SignatureError::Malformed`] without exactly one time of digits and at least one signature.
    pub(crate) fn parse(header: &'a str) -> Result<Self, SignatureError> {
        let mut times = Vec::new();
        let mut signatures = Vec::new();
        for (name, value) in header.split(',').filter_map(|field| field.split_once('=')) {
            match name.trim() {
                "t" => times.push(value.trim()),
                "v1" => signatures.push(value.trim()),
                _ => {}
            }
        }
        let (&[time], false) = (&*times, signatures.is_empty()) else {
            return Err(SignatureError::Malformed);
        };
        Ok(Self { time, at: parse_time(time)?, signatures })
    }
}

/// A time of digits alone: `+1`, ` 1` and `1.0` are other bytes to the one who signed.
///
/// # Errors
/// [`SignatureError::Malformed`].
pub(crate) fn parse_time(text: &str) -> Result<i64, SignatureError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SignatureError::Malformed);
    }
    text.parse().map_err(|_| SignatureError::Malformed)
}

/// Refuses what was signed longer than `tolerance` before or after now.
///
/// # Errors
/// [`SignatureError::Stale`].
pub(crate) fn check_age(
    at_millis: Option<i64>,
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), SignatureError> {
    let at = at_millis.ok_or(SignatureError::Stale)?;
    let away = u128::from(now.millis().abs_diff(at));
    if away > tolerance.as_millis() { Err(SignatureError::Stale) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamped_header_has_one_time_and_any_number_of_signatures() {
        let stamped = Stamped::parse("t=1700000000, v1=ab,v0=x,v1=c=d").unwrap();
        assert_eq!(stamped.at, 1_700_000_000);
        assert_eq!(stamped.signatures, ["ab", "c=d"]);
        for header in [
            "",
            "t=1",
            "v1=ab",
            "t=,v1=a",
            "t=-1,v1=a",
            "t=+1,v1=a",
            "t=1.5,v1=a",
            "t=99999999999999999999,v1=a",
            "t=1,t=2,v1=a",
        ] {
            assert_eq!(Stamped::parse(header), Err(SignatureError::Malformed), "{header}");
        }
    }

    #[test]
    fn a_signature_is_believed_for_the_tolerance_on_both_sides() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let tolerance = Duration::from_secs(300);
        for (at, expected) in [
            (1_700_000_000_000, Ok(())),
            (1_699_999_700_000, Ok(())),
            (1_699_999_699_999, Err(SignatureError::Stale)),
            (1_700_000_300_000, Ok(())),
            (1_700_000_300_001, Err(SignatureError::Stale)),
            (i64::MAX, Err(SignatureError::Stale)),
            (i64::MIN, Err(SignatureError::Stale)),
        ] {
            assert_eq!(check_age(Some(at), now, tolerance), expected, "{at}");
        }
        assert_eq!(check_age(None, now, tolerance), Err(SignatureError::Stale));
    }
}
