//! Feeds parsers with bytes: arbitrary ones, and samples with a few slips in them.
//!
//! A target is a plain `Fn(&[u8])` that asserts what has to hold for any input, so that it serves a
//! fuzzer as it is. [`check`] runs it some hundred times; with `DOWNCITY_LONG_TESTS=1` a million times,
//! or for four minutes. What fails is shrunk and shown.

use std::fmt;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestError, TestRunner};

const SHORT_RUN: u32 = 400;
const LONG_RUN: u32 = 1_000_000;
const LONGEST_RUN: Duration = Duration::from_secs(240);
/// Between two looks at the time.
const BATCH: u32 = 10_000;
/// No input is longer than a few of these.
const LONGEST_ARBITRARY: usize = 300;
/// One input never takes this long: parsers take time in proportion to their input.
const LONGEST_CASE: Duration = Duration::from_secs(5);

/// What breaks parsers: put into samples, and put together.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\u005f",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b";",
    b"=",
    b"#",
    b"&",
    b"+",
    b"%",
    b"%00",
    b"%2e%2e%2f",
    b"%ff",
    b"..",
    b".",
    b"/",
    b"-",
    b"_",
    b"0",
    b"-0",
    b"-1",
    b"1e999",
    b"1.5",
    b"007",
    b"9223372036854775807",
    b"9223372036854775808",
    b"99999999999999999999999",
    b"null",
    b"true",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u{202e}".as_bytes(),
    "用户".as_bytes(),
    "e\u{301}".as_bytes(),
    "٣".as_bytes(),
    b"data:",
    b"data: ",
    b"\n\n",
    b"export ",
    b"ub_",
    b"city_id",
    b"\"city_id\":",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":",
];

/// Runs a target on the samples themselves, on samples with slips, and on arbitrary bytes.
///
/// # Panics
/// With the smallest input found that fails the target, or takes too long.
pub fn check<S: AsRef<[u8]>>(samples: &[S], target: impl Fn(&[u8])) {
    let samples: Vec<Vec<u8>> = samples.iter().map(|sample| sample.as_ref().to_vec()).collect();
    samples.iter().for_each(|sample| target(sample));
    let is_long = std::env::var_os("DOWNCITY_LONG_TESTS").is_some_and(|value| value == "1");
    let started = Instant::now();
    let mut left = if is_long { LONG_RUN } else { SHORT_RUN };
    while left > 0 && started.elapsed() < LONGEST_RUN {
        let cases = left.min(BATCH);
        left -= cases;
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&inputs(samples.clone()), |input| {
            let started = Instant::now();
            target(&input.0);
            prop_assert!(started.elapsed() < LONGEST_CASE, "took {:?}", started.elapsed());
            Ok(())
        });
        if let Err(TestError::Fail(reason, input)) = &outcome {
            assert!(outcome.is_ok(), "{input:?}: {reason}");
        }
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// An input, shown as a byte string.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "b\"{}\"", self.0.escape_ascii())
    }
}

fn inputs(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    let words = || prop::collection::vec(select(WORDS).prop_map(<[u8]>::to_vec), 0..12);
    let slips = prop::collection::vec(slip(samples.clone()), 1..6);
    prop_oneof![
        6 => (select(samples), slips).prop_map(|(sample, slips)| {
            slips.into_iter().fold(sample, |bytes, slip| slip.apply(bytes))
        }),
        2 => words().prop_map(|words| words.concat()),
        1 => prop::collection::vec(any::<u8>(), 0..LONGEST_ARBITRARY),
        1 => any::<String>().prop_map(String::into_bytes),
    ]
    .prop_map(Input)
}

/// One change of a sample.
#[derive(Clone, Debug)]
enum Slip {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Replace(Index, Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index),
    Cut(Index),
}

fn slip(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Slip> {
    let index = any::<Index>;
    let word = || select(WORDS).prop_map(<[u8]>::to_vec);
    prop_oneof![
        (index(), 0..8_u8).prop_map(|(at, bit)| Slip::Flip(at, bit)),
        (index(), word()).prop_map(|(at, word)| Slip::Insert(at, word)),
        (index(), select(samples)).prop_map(|(at, sample)| Slip::Insert(at, sample)),
        (index(), index(), word()).prop_map(|(from, to, word)| Slip::Replace(from, to, word)),
        (index(), index()).prop_map(|(from, to)| Slip::Remove(from, to)),
        (index(), index()).prop_map(|(from, to)| Slip::Repeat(from, to)),
        index().prop_map(Slip::Cut),
    ]
}

impl Slip {
    fn apply(self, mut bytes: Vec<u8>) -> Vec<u8> {
        let place = |at: Index, bytes: &[u8]| at.index(bytes.len() + 1);
        let range = |from: Index, to: Index, bytes: &[u8]| {
            let (one, other) = (place(from, bytes), place(to, bytes));
            one.min(other)..one.max(other)
        };
        match self {
            Self::Flip(at, bit) => {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                }
            }
            Self::Insert(at, word) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, word);
            }
            Self::Replace(from, to, word) => {
                let range = range(from, to, &bytes);
                bytes.splice(range, word);
            }
            Self::Remove(from, to) => drop(bytes.drain(range(from, to, &bytes))),
            Self::Repeat(from, to) => {
                let range = range(from, to, &bytes);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
            Self::Cut(at) => bytes.truncate(place(at, &bytes)),
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_found_and_shrunk() {
        let found = std::panic::catch_unwind(|| {
            check(&["key=value"], |bytes| assert!(!bytes.ends_with(b"=")));
        });
        let message = *found.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("=\""), "{message}");
    }

    #[test]
    fn samples_are_tried_as_they_are() {
        let seen = std::cell::Cell::new(false);
        check(&["a sample"], |bytes| seen.set(seen.get() || bytes == b"a sample"));
        assert!(seen.get());
    }
}
