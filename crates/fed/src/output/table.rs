//! Tables and records for people.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use serde_json::Value;

use super::cell::{Column, Mood};

/// A line per record under a line of titles, as wide as the terminal.
pub(super) fn rows(items: &[Value], columns: &[Column], is_colored: bool) -> String {
    let mut table = Table::new();
    if is_colored {
        table.enforce_styling();
    }
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| {
        let title = Cell::new(column.title);
        if is_colored { title.add_attribute(Attribute::Bold) } else { title }
    }));
    for item in items {
        table.add_row(columns.iter().map(|column| cell(column, item, is_colored)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        let is_last = at + 1 == columns.len();
        column.set_padding((0, if is_last { 0 } else { 2 }));
    }
    let text = table.to_string();
    text.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

fn cell(column: &Column, item: &Value, is_colored: bool) -> Cell {
    let text = column.text(item);
    let color = color(column, &text).filter(|_| is_colored);
    let mut cell = Cell::new(text);
    if column.is_number() {
        cell = cell.set_alignment(CellAlignment::Right);
    }
    match color {
        Some(color) => cell.fg(color),
        None => cell,
    }
}

fn color(column: &Column, text: &str) -> Option<Color> {
    column.mood(text).map(|mood| match mood {
        Mood::Good => Color::Green,
        Mood::Waits => Color::Yellow,
        Mood::Bad => Color::Red,
    })
}

/// A line per field that has a value.
pub(super) fn record(record: &Value, columns: &[Column], is_colored: bool) -> String {
    let width = columns.iter().map(|column| column.title.chars().count()).max().unwrap_or(0);
    let lines = columns.iter().map(|column| (column.title, column.text(record)));
    let mut text = String::new();
    for (title, value) in lines.filter(|(_, value)| !value.is_empty()) {
        let pad = " ".repeat(width.saturating_sub(title.chars().count()));
        let _ = if is_colored {
            writeln!(text, "\u{1b}[1m{title}\u{1b}[0m{pad}  {value}")
        } else {
            writeln!(text, "{title}{pad}  {value}")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("ID", "id"),
        Column::credits("BALANCE", "balance"),
        Column::status("STATUS", "status"),
    ];

    #[test]
    fn tables_are_aligned_and_have_no_trailing_blanks() {
        let items = [
            json!({"id": "a", "balance": 1_000_000, "status": "active"}),
            json!({"id": "longer", "balance": -12_500_000}),
        ];
        assert_eq!(
            rows(&items, COLUMNS, false),
            "ID      BALANCE  STATUS\na          1.00  active\nlonger   -12.50\n"
        );
    }

    #[test]
    fn records_leave_out_what_is_not_there() {
        assert_eq!(
            record(&json!({"id": "a", "status": "ok"}), COLUMNS, false),
            "ID       a\nSTATUS   ok\n"
        );
    }
}
