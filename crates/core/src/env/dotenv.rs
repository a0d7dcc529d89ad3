//! The reader of `.env` text for imports.
//!
//! It takes everything that simpler readers take: what does not look like an assignment is skipped,
//! and quotes that do not fit together are part of the value.

use std::fmt;

use zeroize::Zeroizing;

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
    let text = Zeroizing::new(text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n"));
    let mut entries = Vec::new();
    let mut rest = text.as_str();
    let mut line = 1;
    while !rest.is_empty() {
        let here = rest.split('\n').next().unwrap_or(rest);
        let mut taken = here.len();
        if let Some((key, value_at)) = assignment(here) {
            let key = normalise_key(key).ok_or(BadKey { line })?;
            let (value, length) = value(&rest[value_at..], here.len() - value_at);
            entries.push(Entry { key, value: Secret::new(value), line });
            taken = value_at + length;
        }
        line += 1 + rest[..taken].matches('\n').count();
        rest = rest.get(taken + 1..).unwrap_or_default();
    }
    Ok(entries)
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

/// The value at the start of `text`, whose line is `line` bytes long, and how many bytes it and the
/// comment behind it take, up to a line's end.
fn value(text: &str, line: usize) -> (String, usize) {
    let start = text[..line].len() - text[..line].trim_start().len();
    let found = match text[start..line].chars().next() {
        Some('"') => double_quoted(&text[start + 1..]),
        Some('\'') => single_quoted(&text[start + 1..]),
        _ => None,
    };
    if let Some((value, length)) = found {
        let behind = &text[start + 1 + length..];
        let behind = behind.split('\n').next().unwrap_or(behind);
        let comment = behind.trim();
        if comment.is_empty() || comment.starts_with('#') {
            return (value, start + 1 + length + behind.len());
        }
    }
    (unquoted(&text[..line]), line)
}

/// Up to the closing quote: the value, and the bytes it takes with that quote.
fn double_quoted(text: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\'])?;
        value.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(escaped) = rest.strip_prefix('\\') else {
            return Some((value, text.len() - rest.len() + 1));
        };
        let escape = escaped.chars().next()?;
        match escape {
            'n' => value.push('\n'),
            'r' => value.push('\r'),
            't' => value.push('\t'),
            '"' | '\\' => value.push(escape),
            other => value.extend(['\\', other]),
        }
        rest = &escaped[escape.len_utf8()..];
    }
}

fn single_quoted(text: &str) -> Option<(String, usize)> {
    let end = text.find('\'')?;
    Some((text[..end].to_owned(), end + 1))
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    // A pair of quotes around others, such as `'it's'`: the outer pair goes.
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    let comment = text.char_indices().find(|(at, found)| {
        *found == '#' && text[..*at].chars().next_back().is_some_and(char::is_whitespace)
    });
    comment.map_or(text, |(at, _)| text[..at].trim_end()).to_owned()
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
