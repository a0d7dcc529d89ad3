//! Amounts of money as they are sent: exact, in one of two units.

use std::str::FromStr;

use downcity_types::Microcredits;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::Error;

/// Decimals of a credit.
const DECIMALS: usize = 6;

/// An amount to give, take or charge. 1 credit = 1 US dollar = 1,000,000 microcredits.
///
/// ```
/// use downcity::Amount;
/// use serde_json::json;
///
/// # fn main() -> downcity::Result<()> {
/// let amount = Amount::credits("1.25".parse()?);
/// assert_eq!(json!(amount), json!({ "amount": "1.25" }));
/// assert_eq!(amount.in_microcredits(), 1_250_000);
/// assert_eq!(json!(Amount::microcredits(5)), json!({ "amount_microcredits": 5 }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    microcredits: i64,
    in_credits: bool,
}

/// Credits as people write them, with up to six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credits(i64);

/// A text that is no amount of credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount of credits is a number such as 5 or 1.25, with at most 6 decimals")]
pub struct AmountError;

impl Amount {
    /// So many credits, sent as `amount`.
    #[must_use]
    pub fn credits(credits: Credits) -> Self {
        Self { microcredits: credits.0, in_credits: true }
    }

    /// So many microcredits, sent as `amount_microcredits`.
    #[must_use]
    pub fn microcredits(microcredits: i64) -> Self {
        Self { microcredits, in_credits: false }
    }

    /// The amount in microcredits.
    #[must_use]
    pub fn in_microcredits(self) -> i64 {
        self.microcredits
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        if self.in_credits {
            map.serialize_entry("amount", &Microcredits(self.microcredits).credits())?;
        } else {
            map.serialize_entry("amount_microcredits", &self.microcredits)?;
        }
        map.end()
    }
}

impl From<AmountError> for Error {
    fn from(error: AmountError) -> Self {
        Self::config("amount", error.to_string())
    }
}

impl FromStr for Credits {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS {
            return Err(AmountError);
        }
        let whole: i64 = whole.parse().map_err(|_| AmountError)?;
        let decimals: i64 = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| AmountError)?;
        whole
            .checked_mul(Microcredits::PER_CREDIT)
            .and_then(|whole| whole.checked_add(decimals))
            .map(Self)
            .ok_or(AmountError)
    }
}

impl From<u32> for Credits {
    fn from(credits: u32) -> Self {
        Self(i64::from(credits) * Microcredits::PER_CREDIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_exact() {
        for (text, micro) in [
            ("0", 0),
            ("300", 300_000_000),
            (" 1.25 ", 1_250_000),
            ("0.000001", 1),
            ("0.1", 100_000),
            ("9223372036854.775807", i64::MAX),
        ] {
            let credits: Credits = text.parse().unwrap();
            assert_eq!(credits.0, micro, "{text}");
            assert_eq!(Microcredits(micro).credits(), text.trim());
        }
        assert_eq!(Credits::from(3).0, 3_000_000);
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1,5",
            "９",
            "1 0",
            "9223372036854.775808",
            "99999999999999999999",
        ] {
            assert_eq!(text.parse::<Credits>(), Err(AmountError), "{text}");
        }
    }
}
