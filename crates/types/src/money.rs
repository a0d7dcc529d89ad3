//! Money in whole microcredits.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Units per price step of per-million prices.
const PER_MILLION: i128 = 1_000_000;

/// An amount of money in microcredits: 1 credit = 1,000,000 microcredits.
///
/// The wire form is a JSON integer. Amounts that are read must lie within ±(2^53 − 1), the integers
/// that every JSON client keeps exact; amounts in memory use the whole `i64`. There is no operator
/// arithmetic: each sum says whether it fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Microcredits(pub i64);

/// Arithmetic that does not fit into an `i64` of microcredits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct MoneyError;

impl Microcredits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Microcredits in one credit.
    pub const PER_CREDIT: i64 = 1_000_000;

    /// Largest amount that is accepted on the wire: 2^53 − 1.
    pub const MAX_WIRE: i64 = (1 << 53) - 1;

    /// The amount as an integer, for the database.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The amount in credits, as a plain decimal number without zeros at its end: `53.4998`.
    #[must_use]
    pub fn credits(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micro = self.0.unsigned_abs();
        let per_credit = Self::PER_CREDIT.unsigned_abs();
        let text = format!("{sign}{}.{:06}", micro / per_credit, micro % per_credit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// `self + other`.
    ///
    /// # Errors
    /// [`MoneyError`] if the sum does not fit.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyError)
    }

    /// `self - other`; may be negative.
    ///
    /// # Errors
    /// [`MoneyError`] if the difference does not fit.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(other.0).map(Self).ok_or(MoneyError)
    }

    /// The price of `quantity` pieces at `self` each.
    ///
    /// # Errors
    /// [`MoneyError`] if the product does not fit.
    pub fn times(self, quantity: u64) -> Result<Self, MoneyError> {
        Self::narrow(i128::from(self.0) * i128::from(quantity))
    }

    /// The price of `units` at `self` per 1,000,000 units, such as tokens.
    ///
    /// A rest is rounded up to the next whole microcredit (towards +∞), once per call: so a positive
    /// price never makes a used unit free.
    ///
    /// # Errors
    /// [`MoneyError`] if the result does not fit.
    pub fn per_million(self, units: u64) -> Result<Self, MoneyError> {
        let exact = i128::from(self.0) * i128::from(units);
        let rest = i128::from(exact.rem_euclid(PER_MILLION) != 0);
        Self::narrow(exact.div_euclid(PER_MILLION) + rest)
    }

    fn narrow(wide: i128) -> Result<Self, MoneyError> {
        i64::try_from(wide).map(Self).map_err(|_| MoneyError)
    }
}

/// Credits, as people read them.
impl fmt::Display for Microcredits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.credits())
    }
}

impl<'de> Deserialize<'de> for Microcredits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = i64::deserialize(deserializer)?;
        if amount.unsigned_abs() > Self::MAX_WIRE.unsigned_abs() {
            return Err(de::Error::custom(format_args!(
                "an amount must lie between -{0} and {0} microcredits",
                Self::MAX_WIRE
            )));
        }
        Ok(Self(amount))
    }
}

impl JsonSchema for Microcredits {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Microcredits".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "description": "Microcredits; 1 credit = 1,000,000 microcredits.",
            "minimum": -Self::MAX_WIRE,
            "maximum": Self::MAX_WIRE,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn per_million_rounds_up_once() {
        let price = Microcredits(140_000);
        assert_eq!(price.per_million(0), Ok(Microcredits(0)));
        assert_eq!(price.per_million(1), Ok(Microcredits(1)));
        assert_eq!(price.per_million(1_000_000), Ok(price));
        assert_eq!(price.per_million(1_000_001), Ok(Microcredits(140_001)));
        assert_eq!(Microcredits(-3).per_million(500_000), Ok(Microcredits(-1)));
    }

    #[test]
    fn people_read_credits() {
        for (amount, text) in [
            (0, "0"),
            (1, "0.000001"),
            (53_499_800, "53.4998"),
            (-2_500_000, "-2.5"),
            (300_000_000, "300"),
            (i64::MIN, "-9223372036854.775808"),
        ] {
            assert_eq!(Microcredits(amount).to_string(), text);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let most = Microcredits(i64::MAX);
        assert_eq!(most.plus(Microcredits(1)), Err(MoneyError));
        assert_eq!(Microcredits(i64::MIN).minus(Microcredits(1)), Err(MoneyError));
        assert_eq!(most.times(2), Err(MoneyError));
        assert_eq!(most.per_million(u64::MAX), Err(MoneyError));
        assert_eq!(most.per_million(1_000_000), Ok(most));
    }

    #[test]
    fn the_wire_form_is_a_safe_integer() {
        assert_eq!(serde_json::to_string(&Microcredits(-5)).unwrap(), "-5");
        let read = serde_json::from_str::<Microcredits>;
        assert_eq!(read("9007199254740991").unwrap(), Microcredits(Microcredits::MAX_WIRE));
        for bad in [
            "9007199254740992",
            "-9007199254740992",
            "-9223372036854775808",
            "1.5",
            "1.0",
            "1e3",
            "\"1\"",
            "null",
            "99999999999999999999",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn sums_undo_each_other(a: i64, b: i64) {
            let (a, b) = (Microcredits(a), Microcredits(b));
            if let Ok(sum) = a.plus(b) {
                prop_assert_eq!(sum.minus(b), Ok(a));
                prop_assert_eq!(b.plus(a), Ok(sum));
            }
        }

        #[test]
        fn per_million_is_the_ceiling(price in 0..1_000_000_000_i64, units in 0..1_000_000_000_u64) {
            let got = i128::from(Microcredits(price).per_million(units).unwrap().get());
            let exact = i128::from(price) * i128::from(units);
            prop_assert!(got * 1_000_000 >= exact);
            prop_assert!((got - 1) * 1_000_000 < exact || got == 0);
        }

        #[test]
        fn splitting_a_bill_never_makes_it_cheaper(
            price in 0..1_000_000_000_i64, a in 0..1_000_000_u64, b in 0..1_000_000_u64,
        ) {
            let price = Microcredits(price);
            let whole = price.per_million(a + b).unwrap();
            let split = price.per_million(a).unwrap().plus(price.per_million(b).unwrap()).unwrap();
            prop_assert!(split >= whole && split.get() - whole.get() <= 1);
        }

        #[test]
        fn wire_amounts_round_trip(amount in -Microcredits::MAX_WIRE..=Microcredits::MAX_WIRE) {
            let text = serde_json::to_string(&Microcredits(amount)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Microcredits>(&text).unwrap().get(), amount);
        }
    }
}
