//! Which part of a file a request asks for (RFC 9110 §14).

use http::HeaderValue;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no range, several of them, or one that cannot be read.
    Whole,
    /// From one byte to another, the last included.
    Part { first: u64, last: u64 },
    /// A part that lies beyond the file.
    Nothing,
}

/// What this header asks for of a file of `size` bytes.
pub(super) fn asked(range: Option<&HeaderValue>, size: u64) -> Asked {
    let Some(text) = range.and_then(|range| range.to_str().ok()) else { return Asked::Whole };
    let Some((unit, text)) = text.split_once('=') else { return Asked::Whole };
    let Some((first, last)) = text.trim().split_once('-') else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    match (number(first), number(last)) {
        // So many bytes at the end.
        (Number::None, Number::Is(0)) => Asked::Nothing,
        (Number::None, Number::Is(_)) if size == 0 => Asked::Nothing,
        (Number::None, Number::Is(count)) => {
            Asked::Part { first: size.saturating_sub(count), last: size - 1 }
        }
        (Number::Is(first), Number::Is(last)) if last < first => Asked::Whole,
        (Number::Is(first), _) if first >= size => match number(last) {
            Number::Bad => Asked::Whole,
            Number::None | Number::Is(_) => Asked::Nothing,
        },
        (Number::Is(first), Number::Is(last)) => Asked::Part { first, last: last.min(size - 1) },
        (Number::Is(first), Number::None) => Asked::Part { first, last: size - 1 },
        (Number::Bad, _) | (_, Number::Bad) | (Number::None, Number::None) => Asked::Whole,
    }
}

enum Number {
    None,
    Is(u64),
    Bad,
}

fn number(text: &str) -> Number {
    match text.trim() {
        "" => Number::None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // More than there can be is as good as the most.
            Number::Is(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Number::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |first, last| Asked::Part { first, last };
        for (range, size, expected) in [
            ("bytes=0-0", 10, part(0, 0)),
            ("bytes=0-", 10, part(0, 9)),
            ("bytes=3-5", 10, part(3, 5)),
            ("bytes=3-50", 10, part(3, 9)),
            ("Bytes = 9-99999999999999999999999", 10, part(9, 9)),
            ("bytes=-4", 10, part(6, 9)),
            ("bytes=-40", 10, part(0, 9)),
            ("bytes=10-", 10, Asked::Nothing),
            ("bytes=10-12", 10, Asked::Nothing),
            ("bytes=-0", 10, Asked::Nothing),
            ("bytes=0-", 0, Asked::Nothing),
            ("bytes=-1", 0, Asked::Nothing),
            ("bytes=5-3", 10, Asked::Whole),
            ("bytes=0-1,4-5", 10, Asked::Whole),
            ("bytes=10-x", 10, Asked::Whole),
            ("bytes=x-1", 10, Asked::Whole),
            ("bytes=-", 10, Asked::Whole),
            ("bytes=", 10, Asked::Whole),
            ("lines=0-1", 10, Asked::Whole),
            ("0-1", 10, Asked::Whole),
        ] {
            let range = HeaderValue::from_str(range).unwrap();
            assert_eq!(asked(Some(&range), size), expected, "{range:?}");
        }
        assert_eq!(asked(None, 10), Asked::Whole);
    }

    proptest::proptest! {
        #[test]
        fn a_part_lies_within_the_file(text in "bytes=[0-9]{0,21}-[0-9]{0,21}", size: u64) {
            let range = HeaderValue::from_str(&text).unwrap();
            if let Asked::Part { first, last } = asked(Some(&range), size) {
                assert!(first <= last && last < size);
            }
        }
    }
}
