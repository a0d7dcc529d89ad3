//! The first page: how the Federation is, what it did, what failed, and what to do next.

use crossterm::event::KeyCode;
use jiff::civil::Date;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Bar, BarChart, BarGroup, Block, Paragraph};
use serde_json::Value;

use super::hits::{Hits, Target};
use super::{BAD, FAINT, GOOD, KEY, TITLE, WAITS, failed, padded, waiting};
use crate::output::{Column, credits};
use crate::workspace::state::{App, Part, Stand};

/// What is told of a call that failed.
const ERROR: [Column; 5] = [
    Column::time("TIME", "created_at"),
    Column::new("ACTION", "action"),
    Column::new("CODE", "code"),
    Column::new("ERROR", "error"),
    Column::new("REQUEST", "request_id"),
];
/// How wide the bar of a day is, and what is between two.
const BAR: (u16, u16) = (2, 1);

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect, hits: &mut Hits) {
    let area = padded(area);
    let has_steps = app.overview.has_steps();
    let [health, first, days, errors] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(if has_steps { 6 } else { 0 }),
        Constraint::Length(if area.height > 30 { 12 } else { 7 }),
        Constraint::Min(0),
    ])
    .areas(area);
    self::health(frame, app, health);
    if has_steps {
        steps(frame, app, first, hits);
    }
    self::days(frame, app, days);
    self::errors(frame, app, errors);
}

/// A place under a heading.
fn under(frame: &mut Frame<'_>, heading: &str, area: Rect) -> Rect {
    let block = Block::new().title(Line::styled(heading.to_owned(), TITLE));
    let room = block.inner(area);
    frame.render_widget(block, area);
    room
}

fn health(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let room = under(frame, "Federation", area);
    let health = match app.overview.part(Part::Health).stand() {
        Stand::Failed(why) => {
            let first = why.lines().next().unwrap_or_default();
            return frame.render_widget(Line::styled(first.to_owned(), BAD), room);
        }
        Stand::Waits => return waiting(frame, room),
        Stand::Here(health) => health,
    };
    let is_well = health["ok"] == Value::Bool(true);
    let (word, style) = if is_well { ("● up", GOOD) } else { ("● down", BAD) };
    let count = health["service_list"].as_array().map_or(0, Vec::len);
    let mut line = Line::from(vec![
        Span::styled(word, style),
        Span::raw(format!(
            "   version {}   {count} services",
            health["version"].as_str().unwrap_or("?")
        )),
    ]);
    if let Some(models) = app.overview.items(Part::Models) {
        let ready = models.iter().filter(|model| model["ready"] == Value::Bool(true)).count();
        let style = if ready == models.len() { Style::new() } else { WAITS };
        line.push_span(Span::styled(format!("   {ready} of {} models ready", models.len()), style));
    }
    frame.render_widget(line, room);
}

fn steps(frame: &mut Frame<'_>, app: &App, area: Rect, hits: &mut Hits) {
    let room = under(frame, "First steps", area);
    if let Some(why) = app.overview.steps_failed() {
        return failed(frame, why, room);
    }
    let Some(steps) = app.overview.steps() else { return waiting(frame, room) };
    for ((place, step), key) in room.rows().zip(steps).zip('1'..) {
        let (mark, style) = if step.is_done { ("✓", GOOD) } else { ("○", WAITS) };
        let line = Line::from(vec![
            Span::styled(format!("{key} "), KEY),
            Span::styled(format!("{mark} "), style),
            Span::raw(step.what),
        ]);
        frame.render_widget(line, place);
        hits.add(place, Target::Key(KeyCode::Char(key)));
    }
}

/// A day with its figures.
struct Day {
    date: Date,
    calls: u64,
    charged: u64,
}

/// The days from the first to the last of an answer, the oldest first; those without calls included.
fn all_days(records: &[Value]) -> Vec<Day> {
    let figure = |record: &Value, name: &str| record[name].as_u64().unwrap_or(0);
    let known = records.iter().filter_map(|record| {
        let date = record["day"].as_str()?.parse::<Date>().ok()?;
        let (calls, charged) = (figure(record, "count"), figure(record, "charge_microcredits"));
        Some(Day { date, calls, charged })
    });
    let mut known: Vec<Day> = known.collect();
    known.sort_unstable_by_key(|day| day.date);
    let mut days: Vec<Day> = Vec::new();
    for day in known {
        while let Some(next) = days.last().and_then(|last| last.date.tomorrow().ok())
            && next < day.date
        {
            days.push(Day { date: next, calls: 0, charged: 0 });
        }
        days.push(day);
    }
    days
}

fn days(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area);
    if let Stand::Failed(why) = app.overview.part(Part::Days).stand() {
        let room = under(frame, "Calls", area);
        return failed(frame, why, room);
    }
    let Some(records) = app.overview.items(Part::Days) else {
        let room = under(frame, "Calls", area);
        return waiting(frame, room);
    };
    let days = all_days(records);
    let calls: u64 = days.iter().map(|day| day.calls).sum();
    let charged: u64 = days.iter().map(|day| day.charged).sum();
    let credits = credits(i64::try_from(charged).unwrap_or(i64::MAX));
    chart(frame, &format!("Calls: {calls}"), &days, |day| day.calls, left);
    chart(frame, &format!("Charged: {credits} credits"), &days, |day| day.charged, right);
}

/// A bar per day, as many of the last ones as fit.
fn chart(frame: &mut Frame<'_>, heading: &str, days: &[Day], figure: fn(&Day) -> u64, area: Rect) {
    let room = under(frame, heading, area);
    if days.is_empty() {
        return frame.render_widget(Line::styled("None yet.", FAINT), room);
    }
    let fit = usize::from(room.width / (BAR.0 + BAR.1)).max(1);
    let shown = &days[days.len().saturating_sub(fit)..];
    let bars: Vec<Bar<'_>> = shown
        .iter()
        .map(|day| {
            let label = Line::styled(format!("{:02}", day.date.day()), FAINT);
            Bar::default().value(figure(day)).label(label).text_value(String::new())
        })
        .collect();
    let chart = BarChart::default()
        .data(BarGroup::default().bars(&bars))
        .bar_width(BAR.0)
        .bar_gap(BAR.1)
        .bar_style(Style::new().fg(ratatui::style::Color::Cyan));
    frame.render_widget(chart, Rect { height: room.height.saturating_sub(1), ..room });
}

fn errors(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let room = under(frame, "Last errors", area);
    if let Stand::Failed(why) = app.overview.part(Part::Errors).stand() {
        return failed(frame, why, room);
    }
    let Some(errors) = app.overview.items(Part::Errors) else { return waiting(frame, room) };
    if errors.is_empty() {
        return frame.render_widget(Line::styled("None.", FAINT), room);
    }
    let lines = errors.iter().map(|error| {
        let texts = ERROR.iter().map(|column| column.text(error)).filter(|text| !text.is_empty());
        Line::raw(texts.collect::<Vec<_>>().join("  "))
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), room);
}
