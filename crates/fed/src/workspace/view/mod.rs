//! Draws the workspace. Colours are those of the terminal, so that it reads on light and dark ones.

mod dialog;
mod hits;
mod list;
mod overview;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};

pub(super) use hits::{Hits, Target};

use super::section::{Body, SECTIONS};
use super::state::{App, Link, Stand};
use crossterm::event::KeyCode;

/// How wide the menu is.
const MENU: u16 = 14;
/// What turns while it is waited for.
const TURNS: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// The least that everything fits into.
const LEAST: (u16, u16) = (60, 16);

const TITLE: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red);
const WAITS: Style = Style::new().fg(Color::Yellow);
const KEY: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);

/// Draws everything, and says what stands where; `turn` counts up while something is waited for.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, turn: usize, is_colored: bool) -> Hits {
    let mut hits = Hits::default();
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("The window is too small: {} x {} at least.", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return hits;
    }
    let [head, middle, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(2)])
            .areas(area);
    let [menu, body] =
        Layout::horizontal([Constraint::Length(MENU), Constraint::Min(0)]).areas(middle);
    self::head(frame, app, turn, head);
    self::menu(frame, app, menu, &mut hits);
    match SECTIONS[app.section].body {
        Body::Overview => overview::draw(frame, app, body, &mut hits),
        Body::Lists(_) => list::draw(frame, app, body, &mut hits),
        Body::Instruction => instruction(frame, app, body),
    }
    self::foot(frame, app, foot, &mut hits);
    for dialog in &mut app.dialogs {
        // What stands behind is not clicked.
        hits = Hits::default();
        dialog::draw(frame, dialog, area, &mut hits);
    }
    if !is_colored {
        for cell in &mut frame.buffer_mut().content {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
    hits
}

fn head(frame: &mut Frame<'_>, app: &App, turn: usize, area: Rect) {
    let (mark, style) = match app.link {
        Link::Unknown => ("○", FAINT),
        Link::Up => ("●", GOOD),
        Link::Down => ("●", BAD),
    };
    let mut line = Line::from(vec![
        Span::styled(" Downcity  ", TITLE),
        Span::styled(mark, style),
        Span::raw(format!(" {}", app.place)),
    ]);
    if app.link == Link::Down {
        line.push_span(Span::styled("  not reached", BAD));
    }
    // What is being done stands beside it, never over it.
    let doing = if app.is_waiting() {
        let label = app.doing().map(|label| format!("{} · Esc breaks off ", short(label)));
        format!("{}{} ", label.unwrap_or_default(), TURNS[turn % TURNS.len()])
    } else {
        String::new()
    };
    let [left, right] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(width(&doing))]).areas(area);
    frame.render_widget(line, left);
    frame.render_widget(Line::styled(doing, WAITS), right);
}

/// The beginning of a long sentence.
fn short(text: &str) -> String {
    const LETTERS: usize = 28;
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn menu(frame: &mut Frame<'_>, app: &App, area: Rect, hits: &mut Hits) {
    let block = Block::new().borders(Borders::RIGHT).border_style(FAINT);
    let room = block.inner(area);
    frame.render_widget(block, area);
    for (place, (at, section)) in room.rows().zip(SECTIONS.iter().enumerate()) {
        let style = if at == app.section { CHOSEN } else { Style::new() };
        frame.render_widget(Line::styled(format!(" {:<12}", section.title), style), place);
        hits.add(place, Target::Section(at));
    }
}

/// What was said last, and the keys that mean something here.
fn foot(frame: &mut Frame<'_>, app: &App, area: Rect, hits: &mut Hits) {
    let [said, keys] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    if let Some(status) = &app.status {
        let style = if status.is_error { BAD } else { GOOD };
        let first = status.text.lines().next().unwrap_or_default();
        frame.render_widget(Line::styled(format!(" {first}"), style), said);
    }
    let everywhere = [('/', "search"), ('?', "help"), ('q', "quit")];
    let width = everywhere.iter().map(|(_, label)| hint_width(label)).sum();
    let [own, always] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(keys);
    hints(frame, everywhere, always, hits);
    if app.overview.has_steps() && matches!(SECTIONS[app.section].body, Body::Overview) {
        hints(frame, [('1', "to 4 first steps")], own, hits);
    }
    if let Some(page) = app.page() {
        let has_record = page.record().is_some();
        let can = page.list.actions.iter().filter(|action| has_record || !action.needs_record);
        hints(frame, can.map(|action| (action.key, action.label)), own, hits);
    }
}

/// How wide a key with its label is, and what is before it.
fn hint_width(label: &str) -> u16 {
    width(label).saturating_add(4)
}

/// How many columns of the terminal a text takes: some letters take two, some none.
fn width(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// Keys with what they do; where not all of them fit, the help tells the others.
fn hints<'a>(
    frame: &mut Frame<'_>,
    hints: impl IntoIterator<Item = (char, &'a str)>,
    mut room: Rect,
    hits: &mut Hits,
) {
    let mut hints = hints.into_iter().peekable();
    while let Some((key, label)) = hints.next() {
        let width = hint_width(label);
        let spare = if hints.peek().is_some() { 2 } else { 0 };
        if room.width < width + spare {
            frame.render_widget(Line::styled(" …", FAINT), room);
            return;
        }
        let place = Rect { x: room.x + 2, width: width - 2, ..room };
        let key_style = Span::styled(key.to_string(), KEY);
        frame.render_widget(Line::from(vec![key_style, Span::raw(format!(" {label}"))]), place);
        hits.add(place, Target::Key(KeyCode::Char(key)));
        room = Rect { x: room.x + width, width: room.width - width, ..room };
    }
}

fn instruction(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    let area = padded(area);
    match app.instruction.stand() {
        Stand::Failed(why) => failed(frame, why, area),
        Stand::Waits => waiting(frame, area),
        Stand::Here(text) => scrolled(frame, text, &mut app.scroll, area),
    }
}

/// A text that is moved by so many of its lines, but not beyond its end.
fn scrolled(frame: &mut Frame<'_>, text: &str, offset: &mut u16, area: Rect) {
    let paragraph = Paragraph::new(text).wrap(Wrap { trim: false });
    let lines = u16::try_from(paragraph.line_count(area.width)).unwrap_or(u16::MAX);
    *offset = (*offset).min(lines.saturating_sub(area.height));
    frame.render_widget(paragraph.scroll((*offset, 0)), area);
}

/// A place without its left edge.
fn padded(area: Rect) -> Rect {
    Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area }
}

/// Something did not come.
fn failed(frame: &mut Frame<'_>, why: &str, area: Rect) {
    let mut lines: Vec<Line<'_>> = why.lines().map(|line| Line::styled(line, BAD)).collect();
    lines.extend([Line::raw(""), Line::styled("r tries again.", FAINT)]);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}

/// Something is still to come.
fn waiting(frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(Line::styled("…", FAINT), area);
}
