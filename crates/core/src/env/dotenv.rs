//! The reader of `.env` text, for imports and for the file that may hold the values.
//!
//! It takes everything that simpler readers take: what does not look like an assignment is skipped,
//! and quotes that do not fit together are part of the value.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::normalise_key;
use crate::Secret;

/// One assignment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The normalised key.
    pub key: String,
    /// The value.
    pub value: Secret,
    /// The line on which it starts, counted from 1.
    pub line: usize,
}

/// The key on this line, counted from 1, is no name. What stands there is not told: it may be part
/// of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey {
    /// The line.
    pub line: usize,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: what stands before '=' is no key; keys match [A-Z_][A-Z0-9_]*, and values of several lines need quotes",
            self.line
        )
    }
}

impl std::error::Error for BadKey {}

/// Reads the assignments of a text, in their order, duplicates included.
///
/// * A byte order mark, blank lines, lines that start with `#` and lines without a key and `=` are
///   skipped; `export ` before a key is dropped.
/// * `'…'` is literal, `"…"` knows `\n`, `\r`, `\t`, `\"` and `\\`; both may span lines.
/// * A value without quotes is trimmed and ends before ` #`, where a comment begins.
///
/// # Errors
/// [`BadKey`] for the first key that is no name.
pub fn parse(text: &str) -> Result<Vec<Entry>, BadKey> {
    let entry = |found: Assignment<'_>| {
        let key = found.key().ok_or(BadKey { line: found.line })?;
        Ok(Entry { key, value: Secret::new(found.value(text)), line: found.line })
    };
    assignments(text).into_iter().map(entry).collect()
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quote {
    /// As it is, on one line.
    Bare,
    /// As it is, in a pair of quotes that does not follow the rules for quotes, such as `'it's'`.
    Odd,
    /// Between `'`, literally.
    Single,
    /// Between `"`, with escapes.
    Double,
}

/// Where an assignment stands in its text.
#[derive(Clone, Debug)]
pub(crate) struct Assignment<'a> {
    /// The key as it is written.
    written: &'a str,
    /// The line on which it starts, counted from 1.
    pub(crate) line: usize,
    /// The bytes of its lines, with the end of the last one.
    pub(crate) lines: Range<usize>,
    /// The bytes of its value, with the quotes.
    pub(crate) span: Range<usize>,
    pub(crate) quote: Quote,
}

impl Assignment<'_> {
    /// The normalised key; `None` when what stands there is no name.
    pub(crate) fn key(&self) -> Option<String> {
        normalise_key(self.written)
    }

    /// The value. `text` is the one in which the assignment was found.
    pub(crate) fn value(&self, text: &str) -> String {
        let written = &text[self.span.clone()];
        let inside = || {
            let inside = written.get(1..written.len() - 1).unwrap_or_default();
            // An end of line means the same in every file.
            if inside.contains("\r\n") {
                inside.replace("\r\n", "\n").into()
            } else {
                Cow::Borrowed(inside)
            }
        };
        match self.quote {
            Quote::Bare => written.to_owned(),
            Quote::Odd | Quote::Single => inside().into_owned(),
            Quote::Double => unescaped(&inside()),
        }
    }
}

/// Finds the assignments of a text, in their order, those whose keys are no names included.
pub(crate) fn assignments(text: &str) -> Vec<Assignment<'_>> {
    let mut found = Vec::new();
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut line = 1;
    while at < text.len() {
        let end = line_end(text, at);
        let mut last = end;
        if let Some((written, value_at)) = assignment(&text[at..end]) {
            let (span, quote) = value(text, at + value_at..end);
            // A quoted value may have taken lines.
            last = line_end(text, span.end.max(value_at + at)).max(end);
            let lines = at..(last + 1).min(text.len());
            found.push(Assignment { written, line, lines, span, quote });
        }
        line += 1 + text[at..last].matches('\n').count();
        at = last + 1;
    }
    found
}

/// Where the line that goes through `at` ends, before its `\n`.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length)
}

/// The key of a line as it is written, and where its value begins.
fn assignment(line: &str) -> Option<(&str, usize)> {
    let trimmed = line.trim_start();
    if trimmed.starts_with('#') {
        return None;
    }
    let declared = trimmed
        .strip_prefix("export")
        .filter(|rest| rest.starts_with([' ', '\t']))
        .map_or(trimmed, str::trim_start);
    let (key, value) = declared.split_once('=')?;
    if key.trim().is_empty() { None } else { Some((key, line.len() - value.len())) }
}

/// Where in `text` the value stands whose line has this rest behind the `=`, and how it is written.
fn value(text: &str, rest: Range<usize>) -> (Range<usize>, Quote) {
    let behind_equals = &text[rest.clone()];
    let trimmed = behind_equals.trim();
    if trimmed.is_empty() {
        return (rest.start..rest.start, Quote::Bare);
    }
    let start = rest.start + (behind_equals.len() - behind_equals.trim_start().len());
    let quoted = match trimmed.as_bytes()[0] {
        b'"' => closing_double(&text[start + 1..]).map(|length| (length, Quote::Double)),
        b'\'' => text[start + 1..].find('\'').map(|length| (length, Quote::Single)),
        _ => None,
    };
    if let Some((length, quote)) = quoted {
        let end = start + 1 + length + 1;
        let comment = text[end..line_end(text, end)].trim();
        if comment.is_empty() || comment.starts_with('#') {
            return (start..end, quote);
        }
    }
    // A pair of quotes around others, such as `'it's'`: the outer pair goes.
    let has_pair =
        |quote| trimmed.strip_prefix(quote).is_some_and(|inside: &str| inside.ends_with(quote));
    if has_pair('"') || has_pair('\'') {
        return (start..start + trimmed.len(), Quote::Odd);
    }
    let mut before = behind_equals[..start - rest.start].chars().next_back();
    for (at, found) in trimmed.char_indices() {
        if found == '#' && before.is_some_and(char::is_whitespace) {
            let length = trimmed[..at].trim_end().len();
            let start = if length == 0 { rest.start } else { start };
            return (start..start + length, Quote::Bare);
        }
        before = Some(found);
    }
    (start..start + trimmed.len(), Quote::Bare)
}

/// How many bytes stand before the quote that closes a value in double quotes.
fn closing_double(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find(['"', '\\'])?;
        if text[at..].starts_with('"') {
            return Some(at);
        }
        at += 1 + text[at + 1..].chars().next()?.len_utf8();
    }
}

/// What stands between double quotes, with the escapes resolved.
fn unescaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(found) = characters.next() {
        if found != '\\' {
            value.push(found);
            continue;
        }
        match characters.next() {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some(escape @ ('"' | '\\')) => value.push(escape),
            other => value.extend(std::iter::once('\\').chain(other)),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        let entries = parse(text).unwrap();
        entries.into_iter().map(|e| (e.key, e.value.expose().to_owned(), e.line)).collect()
    }

    /// The values alone.
    fn read_values(text: &str) -> Vec<String> {
        read(text).into_iter().map(|(_, value, _)| value).collect()
    }

    #[test]
    fn lines_that_are_no_assignments_are_skipped() {
        let text = "\u{feff}# head\r\n\r\n  # more\nno equals\n=value\n = v\nexport =x\nA=1\nexport\tb = 2\nexport=3";
        let expected = [("A", "1", 8), ("B", "2", 9), ("EXPORT", "3", 10)];
        let expected = expected.map(|(k, v, line)| (k.to_owned(), v.to_owned(), line));
        assert_eq!(read(text), expected);
    }

    #[test]
    fn values_of_every_form() {
        for (text, value) in [
            ("A=", ""),
            ("A=  spaced out  ", "spaced out"),
            ("A=x=y=", "x=y="),
            ("A=x # note", "x"),
            ("A=x#y", "x#y"),
            ("A=#x", "#x"),
            ("A= # note", ""),
            ("A=x y  # note", "x y"),
            ("A=x\t# note", "x"),
            (r#"A="x" # note"#, "x"),
            (r#"A="x"#, "\"x"),
            ("A=\"", "\""),
            ("A='", "'"),
            ("A=''", ""),
            (r#"A="a # b""#, "a # b"),
            (r#"A="a\nb\t\"\\\q\r""#, "a\nb\t\"\\\\q\r"),
            (r"A='a\nb'", r"a\nb"),
            ("A='it's'", "it's"),
            (r#"A="a" and "b""#, r#"a" and "b"#),
            (r#"A="a"b # c"#, r#""a"b"#),
            (r"A='a\'", r"a\"),
            ("A=$HOME/${X}", "$HOME/${X}"),
            ("A=ключ # c", "ключ"),
        ] {
            assert_eq!(read_values(text), [value], "{text}");
        }
    }

    #[test]
    fn quoted_values_span_lines_and_lines_are_counted_on() {
        let text = "KEY=\"-----BEGIN\r\nabc=\r\n-----END\" # pem\r\nNEXT='a\nb'\nLAST=1";
        let expected =
            [("KEY", "-----BEGIN\nabc=\n-----END", 1), ("NEXT", "a\nb", 4), ("LAST", "1", 6)];
        assert_eq!(read(text), expected.map(|(k, v, line)| (k.to_owned(), v.to_owned(), line)));
    }

    #[test]
    fn a_lone_quote_does_not_swallow_the_next_assignment() {
        assert_eq!(read_values("A=\"x\nB=\"y\"\n"), ["\"x", "y"]);
        assert_eq!(read_values("A='don\nB='t'"), ["'don", "t"]);
    }

    #[test]
    fn duplicates_stay_in_order() {
        assert_eq!(read_values("A=1\nB=2\na=3"), ["1", "2", "3"]);
    }

    #[test]
    fn a_bad_key_is_told_by_its_line_alone() {
        let error = parse("A=1\n\nP=\"x\ny\"\nsk-secret/part=\n").unwrap_err();
        assert_eq!(error, BadKey { line: 5 });
        assert!(!error.to_string().contains("secret"));
        for text in ["1A=x", "A B=x", "A.B=x", "Ä=x"] {
            assert_eq!(parse(text).unwrap_err(), BadKey { line: 1 }, "{text}");
        }
    }

    /// A value in double quotes, as people are told to write it.
    fn quoted(value: &str) -> String {
        let mut text = String::from('"');
        for found in value.chars() {
            match found {
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '"' | '\\' => text.extend(['\\', found]),
                other => text.push(other),
            }
        }
        text + "\""
    }

    /// How a simple reader takes a line: one pair of quotes off, nothing else known.
    fn simple(text: &str) -> Option<Vec<String>> {
        let mut keys = Vec::new();
        for line in text.split('\n').map(|line| line.trim_end_matches('\r').trim()) {
            let line = line.strip_prefix("export ").unwrap_or(line);
            match line.split_once('=') {
                Some((key, _)) if !line.starts_with('#') && !key.is_empty() => {
                    keys.push(normalise_key(key)?);
                }
                _ => {}
            }
        }
        Some(keys)
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn any_text_of_its_alphabet_is_read_or_refused(text in "[A-B=#'\"\\\\ \t\r\nn]{0,60}") {
            let lines = text.split('\n').count();
            match parse(&text) {
                Ok(entries) => {
                    prop_assert!(entries.iter().all(|entry| entry.line <= lines));
                    prop_assert!(entries.is_sorted_by(|a, b| a.line < b.line));
                }
                Err(error) => prop_assert!(error.line <= lines),
            }
        }

        #[test]
        fn what_a_simple_reader_takes_is_taken(
            text in "([A-C]{1,2}=[a-b'\"\\\\# ]{0,6}\r?\n|#x\n|\n|export [A-C]=y\n){0,6}"
        ) {
            prop_assert!(simple(&text).is_none() || parse(&text).is_ok());
        }

        #[test]
        fn what_is_written_in_quotes_is_read_back(
            values in prop::collection::vec(any::<String>(), 0..5),
            end in prop::sample::select(vec!["\n", "\r\n", " # note\n"]),
        ) {
            let text: String =
                values.iter().map(|value| format!("K={}{end}", quoted(value))).collect();
            prop_assert_eq!(read_values(&text), values);
        }
    }
}
