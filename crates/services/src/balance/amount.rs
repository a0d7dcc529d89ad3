//! Amounts as callers write them: credits as a decimal number, or whole microcredits.

use downcity_core::{Error, Result};
use downcity_types::Microcredits;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Number, Value};

/// Decimals of a credit: one credit is 1,000,000 microcredits.
const DECIMALS: usize = 6;

/// An amount in one of its two forms; a part of the input of actions that take one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(super) struct AmountIn {
    /// Credits: a number, or a decimal text such as `"12.5"`, above 0, with at most 6 decimals.
    /// Numbers are exact up to 999,999,999 credits; larger amounts are written as a text.
    #[serde(default)]
    #[schemars(with = "Option<f64>")]
    amount: Option<Value>,
    /// The same as whole microcredits, in place of `amount`: 1 credit is 1,000,000.
    #[serde(default)]
    #[schemars(with = "Option<i64>")]
    amount_microcredits: Option<Value>,
}

impl AmountIn {
    /// The amount, which is more than nothing.
    ///
    /// # Errors
    /// 400 where there is none, where there are both, and for what is no amount.
    pub(super) fn positive(&self) -> Result<Microcredits> {
        self.at_least(1, "positive")
    }

    /// The amount, which may be nothing.
    ///
    /// # Errors
    /// As for [`AmountIn::positive`].
    pub(super) fn not_negative(&self) -> Result<Microcredits> {
        self.at_least(0, "non-negative")
    }

    fn at_least(&self, least: i64, what: &str) -> Result<Microcredits> {
        match (&self.amount, &self.amount_microcredits) {
            (Some(_), Some(_)) => Err(Error::invalid(
                "amount_microcredits",
                "is sent beside amount; send one of them",
            )),
            (Some(credits), None) => {
                parse_credits(credits).filter(|amount| amount.get() >= least).ok_or_else(|| {
                    let advice = format!("must be a {what} credits amount with at most 6 decimals");
                    Error::invalid("amount", advice)
                })
            }
            (None, Some(micro)) => micro
                .as_i64()
                .filter(|amount| (least..=Microcredits::MAX_WIRE).contains(amount))
                .map(Microcredits)
                .ok_or_else(|| {
                    let advice = format!("must be a {what} microcredits integer");
                    Error::invalid("amount_microcredits", advice)
                }),
            (None, None) => {
                Err(Error::invalid("amount", format!("must be a {what} credits amount")))
            }
        }
    }
}

/// Credits as a number or a text; `None` for what is no amount.
pub(super) fn parse_credits(value: &Value) -> Option<Microcredits> {
    match value {
        Value::Number(number) => of_number(number),
        Value::String(text) => of_decimal(text),
        _ => None,
    }
}

/// A number of JSON is read by its shortest decimal form: no arithmetic rounds it.
fn of_number(number: &Number) -> Option<Microcredits> {
    let text = number.to_string();
    match text.split_once(['e', 'E']) {
        None => of_decimal(&text),
        Some((digits, exponent)) => of_decimal(&shifted(digits, exponent.parse().ok()?)?),
    }
}

/// A decimal with its point moved, as numbers with an exponent write it.
fn shifted(digits: &str, exponent: i32) -> Option<String> {
    // Beyond these no amount fits.
    if !(-30..=30).contains(&exponent) {
        return None;
    }
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let all = format!("{whole}{rest}");
    let point = usize::try_from(point).unwrap_or(0);
    let zeros = usize::try_from(-(i32::try_from(whole.len()).ok()? + exponent)).unwrap_or(0);
    let all = format!("{}{all}", "0".repeat(zeros));
    Some(if point >= all.len() {
        format!("{all}{}", "0".repeat(point - all.len()))
    } else {
        let (whole, rest) = all.split_at_checked(point)?;
        format!("{}.{rest}", if whole.is_empty() { "0" } else { whole })
    })
}

/// A plain decimal such as `12`, `12.5` or `0.000001`.
pub(super) fn of_decimal(text: &str) -> Option<Microcredits> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let rest = rest.trim_end_matches('0');
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(rest) || rest.len() > DECIMALS {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let rest: i64 = format!("{rest:0<DECIMALS$}").parse().ok()?;
    let amount = whole.checked_mul(Microcredits::PER_CREDIT)?.checked_add(rest)?;
    (amount <= Microcredits::MAX_WIRE).then_some(Microcredits(amount))
}

/// An amount in credits as people write it: up to 6 decimals, none of them a zero at the end.
pub(super) fn credits_text(amount: Microcredits) -> String {
    amount.credits()
}

/// An amount in credits as a number of JSON, which is exact up to 999,999,999 credits.
pub(super) fn credits_number(amount: Microcredits) -> Number {
    credits_text(amount).parse().unwrap_or_else(|_| Number::from(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn amount(value: Value) -> Option<i64> {
        serde_json::from_value::<AmountIn>(json!({"amount": value}))
            .unwrap()
            .positive()
            .ok()
            .map(Microcredits::get)
    }

    #[test]
    fn credits_are_decimals() {
        for (value, micro) in [
            (json!(1), 1_000_000),
            (json!(0.000_001), 1),
            (json!(1e-6), 1),
            (json!(1.5e3), 1_500_000_000),
            (json!(53.4998), 53_499_800),
            (json!("5"), 5_000_000),
            (json!("12.50"), 12_500_000),
            (json!("0.1000000"), 100_000),
            (json!(999_999_999.999_999), 999_999_999_999_999),
            (json!("9007199254.740991"), 9_007_199_254_740_991),
        ] {
            assert_eq!(amount(value.clone()), Some(micro), "{value}");
        }
        for value in [
            json!(0),
            json!(-1),
            json!(0.000_000_1),
            json!(1e300),
            json!(1e-300),
            json!(true),
            json!([5]),
            json!("0x10"),
            json!("1e3"),
            json!("-1"),
            json!("+1"),
            json!(""),
            json!("."),
            json!(".5"),
            json!("1.0000001"),
            json!("9007199254.740992"),
            json!("١"),
        ] {
            assert_eq!(amount(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn one_form_is_sent() {
        let read = |value| serde_json::from_value::<AmountIn>(value).unwrap().positive();
        assert!(read(json!({})).is_err());
        assert!(read(json!({"amount": 1, "amount_microcredits": 1_000_000})).is_err());
        assert_eq!(read(json!({"amount_microcredits": 7})).unwrap(), Microcredits(7));
        for bad in [json!(0), json!(-1), json!(1.5), json!("7"), json!(1_i64 << 53)] {
            assert!(read(json!({"amount_microcredits": bad})).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(micro in 1..=Microcredits::MAX_WIRE) {
            let text = credits_text(Microcredits(micro));
            prop_assert_eq!(of_decimal(&text), Some(Microcredits(micro)));
        }

        #[test]
        fn numbers_of_up_to_15_digits_are_exact(micro in 1..1_000_000_000_000_000_i64) {
            let number = Value::Number(credits_number(Microcredits(micro)));
            let number: Value = serde_json::from_str(&number.to_string()).unwrap();
            prop_assert_eq!(parse_credits(&number), Some(Microcredits(micro)), "{}", number);
        }

        #[test]
        fn any_text_is_an_amount_or_none(text in ".{0,40}") {
            let _ = of_decimal(&text);
            let _ = shifted(&text, 3);
        }
    }
}
