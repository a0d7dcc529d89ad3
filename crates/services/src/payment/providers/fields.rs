//! Fields of what providers send, which is read leniently: what is not there, or of another kind, is absent.

use downcity_types::Timestamp;
use serde_json::Value;

/// The first text at one of these JSON pointers (RFC 6901) that is not empty.
pub(super) fn text<'a>(value: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    pointers
        .iter()
        .filter_map(|pointer| value.pointer(pointer)?.as_str())
        .map(str::trim)
        .find(|text| !text.is_empty())
}

/// The same as an owned text.
pub(super) fn owned(value: &Value, pointers: &[&str]) -> Option<String> {
    text(value, pointers).map(str::to_owned)
}

/// The first whole number at one of these pointers.
pub(super) fn whole(value: &Value, pointers: &[&str]) -> Option<i64> {
    pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_i64())
}

/// An amount as people write it (`29.00`, `4500`) in units of 10^-`digits`; exact or nothing.
pub(in crate::payment) fn minor(text: &str, digits: u32) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let kept = usize::try_from(digits).ok()?;
    let (kept, rest) = fraction.split_at_checked(kept).unwrap_or((fraction, ""));
    if rest.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let missing = digits.checked_sub(u32::try_from(kept.len()).ok()?)?;
    let parse = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i64>().ok() };
    let low = parse(kept)?.checked_mul(10_i64.checked_pow(missing)?)?;
    parse(whole)?.checked_mul(10_i64.checked_pow(digits)?)?.checked_add(low)
}

/// `minor` units of 10^-`digits` as people write them.
pub(super) fn display(minor: i64, digits: u32) -> String {
    let scale = 10_u64.pow(digits.min(18));
    let (sign, size) = (if minor < 0 { "-" } else { "" }, minor.unsigned_abs());
    let width = usize::try_from(digits).unwrap_or(0);
    match digits {
        0 => format!("{sign}{size}"),
        _ => format!("{sign}{}.{:0width$}", size / scale, size % scale),
    }
}

/// A time of RFC 3339.
pub(super) fn time(value: &Value, pointers: &[&str]) -> Option<Timestamp> {
    let time: jiff::Timestamp = text(value, pointers)?.parse().ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_text_with_content_counts() {
        let value = json!({"a": null, "b": {"c": " "}, "d": 5, "e": " x "});
        assert_eq!(text(&value, &["/a", "/b/c", "/d", "/e"]), Some("x"));
        assert_eq!(text(&value, &["/a/b/c", "/none"]), None);
        assert_eq!(whole(&value, &["/e", "/d"]), Some(5));
        assert_eq!(whole(&json!({"a": 5.5, "b": "7"}), &["/a", "/b"]), None);
        let at = json!({"at": "2026-01-02T03:04:05.678Z", "not": "soon"});
        assert_eq!(time(&at, &["/at"]), Some(Timestamp::from_millis(1_767_323_045_678)));
        assert_eq!(time(&at, &["/not"]), None);
    }

    #[test]
    fn amounts_are_exact_or_nothing() {
        for (text, digits, expected) in [
            ("29.00", 2, Some(2900)),
            ("29", 2, Some(2900)),
            ("29.9", 2, Some(2990)),
            ("29.990", 2, Some(2999)),
            ("29.999", 2, None),
            ("4500", 0, Some(4500)),
            ("4500.00", 0, Some(4500)),
            ("1.234", 3, Some(1234)),
            (".5", 2, None),
            ("", 2, None),
            ("-1", 2, None),
            ("1e3", 2, None),
            ("1,000.00", 2, None),
            ("99999999999999999999", 2, None),
            ("92233720368547758.07", 2, Some(i64::MAX)),
            ("92233720368547758.08", 2, None),
        ] {
            assert_eq!(minor(text, digits), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_displayed_is_read_again(amount in 0_i64.., digits in 0_u32..4) {
            prop_assert_eq!(minor(&display(amount, digits), digits), Some(amount));
        }

        #[test]
        fn any_text_is_an_amount_or_none(text in ".{0,30}", digits in 0_u32..4) {
            if let Some(amount) = minor(&text, digits) {
                prop_assert!(amount >= 0);
            }
        }
    }
}
