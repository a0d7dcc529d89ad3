//! A section of lists: their names, and the one that is shown.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState, Wrap};
use serde_json::Value;

use super::hits::{Hits, Target};
use super::{BAD, CHOSEN, FAINT, GOOD, TITLE, WAITS, failed, padded, waiting, width};
use crate::output::{Column, Mood};
use crate::workspace::dialog::record;
use crate::workspace::section::List;
use crate::workspace::state::{App, Page, Stand};

/// The widest a column gets while others need room.
const WIDEST: u16 = 40;
/// The narrowest that a text becomes before columns at the end are left out.
const NARROWEST: u16 = 12;
/// Between two columns.
const GAP: u16 = 2;
/// The narrowest that the first column becomes, which tells records apart.
const FIRST: u16 = 24;
/// From this width on times are shown whole.
const ROOMY: u16 = 110;
/// From this width on the chosen record stands beside the list.
const WIDE: u16 = 120;
/// How wide it is there.
const DETAIL: u16 = 52;

pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, area: Rect, hits: &mut Hits) {
    let [names, body] = Layout::vertical([Constraint::Length(2), Constraint::Min(0)]).areas(area);
    self::names(frame, app, names, hits);
    let body = padded(body);
    let Some(page) = app.page_mut() else { return };
    match page.load.stand() {
        Stand::Failed(why) => return failed(frame, why, body),
        Stand::Waits => return waiting(frame, body),
        Stand::Here(_) => {}
    }
    let rows = page.rows();
    if rows.is_empty() {
        let text = if page.filter.is_empty() {
            page.list.empty.to_owned()
        } else {
            let where_else = if page.next.is_some() { " that was read so far" } else { "" };
            format!("No row{where_else} holds {:?}. Esc shows all.", page.filter)
        };
        frame.render_widget(Paragraph::new(text).style(FAINT).wrap(Wrap { trim: true }), body);
        return;
    }
    let mut body = body;
    if body.width >= WIDE {
        let beside = Layout::horizontal([Constraint::Min(0), Constraint::Length(DETAIL)]);
        let [left, right] = beside.areas(body);
        detail(frame, page, right);
        body = left;
    }
    let (selected, offset, has_more) = (page.selected, page.offset, page.next.is_some());
    let offset = table(frame, page.list, &rows, Shown { selected, offset, has_more }, body, hits);
    page.offset = offset;
}

/// The names of the section's lists; or the heading of the one that was opened.
fn names(frame: &mut Frame<'_>, app: &App, area: Rect, hits: &mut Hits) {
    let shelf = &app.shelves[app.section];
    let mut place = Rect { height: 1, ..area };
    let mut write = |text: String, style: Style, target: Option<Target>| {
        let width = width(&text).min(place.width);
        let here = Rect { width, ..place };
        frame.render_widget(Line::styled(text, style), here);
        if let Some(target) = target {
            hits.add(here, target);
        }
        place = Rect { x: place.x + width, width: place.width - width, ..place };
    };
    if let Some(page) = shelf.opened.last() {
        let heading = page.heading.as_deref().unwrap_or(page.list.title);
        write(format!(" ‹ {heading} "), TITLE, None);
        write("  Esc goes back".to_owned(), FAINT, None);
    } else {
        for (at, page) in shelf.tabs.iter().enumerate() {
            let style = if at == shelf.tab { TITLE.patch(CHOSEN) } else { Style::new() };
            write(format!(" {} ", page.list.title), style, Some(Target::Tab(at)));
        }
    }
    if let Some(page) = app.page().filter(|page| !page.filter.is_empty()) {
        write(format!("  only rows with {:?}", page.filter), WAITS, None);
    }
}

/// How a table is shown.
struct Shown {
    selected: usize,
    offset: usize,
    /// Whether the server has more rows than are known.
    has_more: bool,
}

/// Draws the rows, and says which one is the first that is seen.
fn table(
    frame: &mut Frame<'_>,
    list: &List,
    rows: &[&Value],
    shown: Shown,
    area: Rect,
    hits: &mut Hits,
) -> usize {
    let text = if area.width < ROOMY { Column::brief } else { Column::text };
    let columns = fitting(list.columns, rows, text, area.width);
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let head = Row::new(columns.iter().map(|(column, _)| column.title));
    let cells =
        |row: &&Value| Row::new(columns.iter().map(|(column, _)| cell(column, text(column, row))));
    let table = Table::new(rows.iter().map(cells), widths)
        .header(head.style(FAINT))
        .column_spacing(GAP)
        .row_highlight_style(CHOSEN);
    let [body, more] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(u16::from(shown.has_more))])
            .areas(area);
    let mut state = TableState::new().with_selected(Some(shown.selected)).with_offset(shown.offset);
    frame.render_stateful_widget(table, body, &mut state);
    if shown.has_more {
        let text = format!("{} rows so far; there is more below.", rows.len());
        frame.render_widget(Line::styled(text, FAINT), more);
    }
    for (place, row) in body.rows().skip(1).zip(state.offset()..rows.len()) {
        hits.add(place, Target::Row(row));
    }
    state.offset()
}

/// The columns that have something to say and fit, each with its width: as many from the first one on as
/// fit at their narrowest, and what room is left goes to those that want more.
fn fitting(
    columns: &'static [Column],
    rows: &[&Value],
    text: fn(&Column, &Value) -> String,
    room: u16,
) -> Vec<(&'static Column, u16)> {
    let wanted = |column: &Column| {
        let widest = rows.iter().map(|row| width(&text(column, row))).max().unwrap_or(0);
        (widest > 0).then_some(widest.max(width(column.title)).min(WIDEST))
    };
    let mut left = room;
    let mut fits = Vec::new();
    for column in columns {
        let Some(wanted) = wanted(column) else { continue };
        // A part of a time or of a number says something wrong.
        let least = match fits.is_empty() {
            _ if column.is_whole() => wanted,
            true => wanted.min(FIRST),
            false => wanted.min(NARROWEST),
        };
        let gap = if fits.is_empty() { 0 } else { GAP };
        if least + gap > left && !fits.is_empty() {
            break;
        }
        left = left.saturating_sub(least + gap);
        fits.push((column, least, wanted));
    }
    let widen = |(column, least, wanted): (&'static Column, u16, u16)| {
        let more = (wanted - least).min(left);
        left -= more;
        (column, least + more)
    };
    fits.into_iter().map(widen).collect()
}

fn cell<'a>(column: &Column, text: String) -> Cell<'a> {
    let style = match column.mood(&text) {
        Some(Mood::Good) => GOOD,
        Some(Mood::Waits) => WAITS,
        Some(Mood::Bad) => BAD,
        None => Style::new(),
    };
    let line = Line::styled(text, style);
    Cell::from(if column.is_number() { line.right_aligned() } else { line })
}

/// The chosen record beside the list.
fn detail(frame: &mut Frame<'_>, page: &Page, area: Rect) {
    let block = Block::new().borders(Borders::LEFT).border_style(FAINT);
    let room = padded(block.inner(area));
    frame.render_widget(block, area);
    let Some(chosen) = page.record() else { return };
    let text = record(chosen, page.list.columns.iter().chain(page.list.more));
    let lines: Vec<Line<'_>> = text
        .lines()
        .map(|line| match line.split_once("  ") {
            Some((title, value)) if !line.starts_with(' ') => {
                Line::from(vec![Span::styled(title, FAINT), Span::raw("  "), Span::raw(value)])
            }
            _ => Line::raw(line),
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), room);
}
