//! One value as people read it.

use serde_json::Value;

/// A column of a table, or a line of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Where the value stands, such as `city.name`.
    path: &'static str,
    show: Show,
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// As it is; lists with commas between.
    Plain,
    /// A time of RFC 3339, to the second.
    Time,
    /// Microcredits as credits.
    Credits,
    /// A word that says how things stand: coloured by what it says.
    Status,
}

/// What a word says about how things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// Somebody or something has to come.
    Waits,
    /// Somebody has to look.
    Bad,
}

impl Column {
    pub(crate) const fn new(title: &'static str, path: &'static str) -> Self {
        Self { title, path, show: Show::Plain }
    }

    pub(crate) const fn time(title: &'static str, path: &'static str) -> Self {
        Self { title, path, show: Show::Time }
    }

    pub(crate) const fn credits(title: &'static str, path: &'static str) -> Self {
        Self { title, path, show: Show::Credits }
    }

    pub(crate) const fn status(title: &'static str, path: &'static str) -> Self {
        Self { title, path, show: Show::Status }
    }

    /// What its text says, where it is a status.
    pub(crate) fn mood(&self, text: &str) -> Option<Mood> {
        if self.show != Show::Status {
            return None;
        }
        Some(match text {
            "active" | "ok" | "yes" | "paid" | "credited" | "succeeded" | "set" | "success"
            | "done" => Mood::Good,
            "paused" | "pending" | "running" | "queued" | "retired" | "review" => Mood::Waits,
            "disabled" | "failed" | "error" | "dead" | "missing" | "no" | "revoked" => Mood::Bad,
            _ => return None,
        })
    }

    /// Where its value stands in a record.
    pub(crate) const fn path(&self) -> &'static str {
        self.path
    }

    /// The value of a record as running text, whose lines stay.
    pub(crate) fn steady(&self, record: &Value) -> String {
        match (self.show, at(record, self.path)) {
            (Show::Plain, Some(Value::String(text))) => steady(text),
            _ => self.text(record),
        }
    }

    /// Its text where there is little room: times without year and seconds.
    pub(crate) fn brief(&self, record: &Value) -> String {
        let text = self.text(record);
        match (self.show, text.get(5..16)) {
            (Show::Time, Some(brief)) => brief.to_owned(),
            _ => text,
        }
    }

    /// Whether a part of its text would mislead: of a time, an amount or a status.
    pub(crate) fn is_whole(&self) -> bool {
        self.show != Show::Plain
    }

    /// Whether numbers stand in it, which are aligned at their ends.
    pub(crate) fn is_number(&self) -> bool {
        self.show == Show::Credits
    }

    /// The value of a record as text; empty where it has none.
    pub(crate) fn text(&self, record: &Value) -> String {
        let Some(value) = at(record, self.path) else { return String::new() };
        match self.show {
            Show::Time => value.as_str().map(time).unwrap_or_default(),
            Show::Credits => value.as_i64().map(credits).unwrap_or_default(),
            Show::Plain | Show::Status => plain(value),
        }
    }
}

/// The value at a path of names with dots between.
pub(crate) fn at<'a>(record: &'a Value, path: &str) -> Option<&'a Value> {
    let found = path.split('.').try_fold(record, |value, name| value.get(name));
    found.filter(|value| !value.is_null())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Text without what would steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// The same for running text, whose lines and tabs stay.
pub(crate) fn steady(text: &str) -> String {
    let stays = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars().map(|letter| if stays(letter) { letter } else { '\u{fffd}' }).collect()
}

/// `2026-03-01T12:30:45.123Z` as `2026-03-01 12:30:45`.
fn time(text: &str) -> String {
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(time)) => printable(&format!("{day} {time}")),
        _ => printable(text),
    }
}

/// Microcredits as credits, with as many decimals as they need, two at least.
pub(crate) fn credits(micro: i64) -> String {
    let (whole, rest) = (micro.unsigned_abs() / 1_000_000, micro.unsigned_abs() % 1_000_000);
    let decimals = format!("{rest:06}");
    let kept = decimals.trim_end_matches('0').len().max(2);
    let sign = if micro < 0 { "-" } else { "" };
    format!("{sign}{whole}.{}", decimals.get(..kept).unwrap_or(&decimals))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credits_have_two_decimals_or_as_many_as_they_need() {
        for (micro, text) in [
            (0, "0.00"),
            (1_000_000, "1.00"),
            (1_500_000, "1.50"),
            (-1, "-0.000001"),
            (12_345_678, "12.345678"),
            (i64::MIN, "-9223372036854.775808"),
        ] {
            assert_eq!(credits(micro), text);
        }
    }

    #[test]
    fn values_are_found_and_shown() {
        let record = json!({
            "city": {"name": "A\u{1b}[2J"}, "at": "2026-03-01T12:30:45.123Z", "tags": ["a", "b"],
            "on": true, "none": null,
        });
        assert_eq!(Column::new("", "city.name").text(&record), "A\u{fffd}[2J");
        assert_eq!(Column::time("", "at").text(&record), "2026-03-01 12:30:45");
        assert_eq!(Column::new("", "tags").text(&record), "a, b");
        assert_eq!(Column::new("", "on").text(&record), "yes");
        assert_eq!(Column::new("", "none").text(&record), "");
        assert_eq!(Column::new("", "city.id.deep").text(&record), "");
    }
}
