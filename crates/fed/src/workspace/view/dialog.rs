//! What stands in front.

use crossterm::event::KeyCode;
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Wrap};

use super::hits::{Hits, Target};
use super::{BAD, CHOSEN, FAINT, KEY, TITLE, scrolled};
use crate::workspace::dialog::{Confirm, Dialog, Entry, Form, Search, Text, lines};
use crate::workspace::section::Kind;

/// How wide dialogs are at most, edges included.
const WIDTH: u16 = 100;
/// How wide the names of fields are.
const LABEL: u16 = 32;
/// How many things that were found are shown at once.
const FOUND: u16 = 14;

pub(super) fn draw(frame: &mut Frame<'_>, dialog: &mut Dialog, area: Rect, hits: &mut Hits) {
    match dialog {
        Dialog::Text(text) => self::text(frame, text, area),
        Dialog::Confirm(confirm) => self::confirm(frame, confirm, area, hits),
        Dialog::Form(form) => self::form(frame, form, area, hits),
        Dialog::Search(search) => self::search(frame, search, area, hits),
    }
}

/// How wide the room in a dialog is.
fn width(area: Rect) -> u16 {
    WIDTH.min(area.width.saturating_sub(4)).saturating_sub(4)
}

/// A frame in the middle of the screen, and the room in it.
fn framed(frame: &mut Frame<'_>, title: &str, lines: u16, area: Rect) -> Rect {
    let height = lines.saturating_add(2).min(area.height.saturating_sub(2));
    let across = Layout::horizontal([Constraint::Length(width(area) + 4)]).flex(Flex::Center);
    let [place] = across.areas(area);
    let [place] = Layout::vertical([Constraint::Length(height)]).flex(Flex::Center).areas(place);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .title(Line::styled(format!(" {title} "), TITLE));
    let room = block.inner(place);
    frame.render_widget(Clear, place);
    frame.render_widget(block, place);
    Rect { x: room.x + 1, width: room.width.saturating_sub(2), ..room }
}

fn count(lines: usize) -> u16 {
    u16::try_from(lines).unwrap_or(u16::MAX)
}

/// How many lines a text takes when it is broken at this width.
fn broken(text: &str, width: u16) -> u16 {
    count(Paragraph::new(text).wrap(Wrap { trim: false }).line_count(width))
}

fn text(frame: &mut Frame<'_>, text: &mut Text, area: Rect) {
    let width = width(area);
    // A long word is broken anywhere, so that it can be copied from the screen too.
    let lines: Vec<String> = text.text.lines().flat_map(|line| pieces(line, width)).collect();
    let shown = lines.join("\n");
    let height = broken(&shown, width);
    let room = framed(frame, &text.title, height.saturating_add(2), area);
    let [body, _, foot] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(1), Constraint::Length(1)])
            .areas(room);
    scrolled(frame, &shown, &mut text.offset, body);
    let more = if height > body.height { "↑ ↓ move   " } else { "" };
    frame.render_widget(Line::styled(format!("{more}{}", text.foot), FAINT), foot);
}

/// A line that is one word in pieces of this width; others as they are, to be broken between words.
fn pieces(line: &str, width: u16) -> Vec<String> {
    let letters: Vec<char> = line.chars().collect();
    if letters.is_empty() || letters.iter().any(|letter| letter.is_whitespace()) {
        return vec![line.to_owned()];
    }
    letters.chunks(usize::from(width.max(1))).map(|piece| piece.iter().collect()).collect()
}

fn confirm(frame: &mut Frame<'_>, confirm: &Confirm, area: Rect, hits: &mut Hits) {
    let mut said = confirm.question.clone();
    for line in &confirm.told {
        said.push_str("\n  ");
        said.push_str(line);
    }
    if !confirm.wanted.is_empty() {
        said.push_str(&format!("\n\nType {} to do it.", confirm.wanted.join(" or ")));
    }
    let room = framed(frame, "Sure?", broken(&said, width(area)).saturating_add(2), area);
    let [question, _, answer] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(1), Constraint::Length(1)])
            .areas(room);
    let text = Paragraph::new(said).wrap(Wrap { trim: false });
    frame.render_widget(text, question);
    if confirm.wanted.is_empty() {
        let [yes, no] =
            Layout::horizontal([Constraint::Length(12), Constraint::Length(12)]).areas(answer);
        for (place, key, label) in [(yes, 'y', "do it"), (no, 'n', "leave it")] {
            let hint = vec![Span::styled(key.to_string(), KEY), Span::raw(format!(" {label}"))];
            frame.render_widget(Line::from(hint), place);
            hits.add(place, Target::Key(KeyCode::Char(key)));
        }
        return;
    }
    let asked = "Type it and Enter: ";
    let at = answer.x.saturating_add(super::width(asked));
    let line = Line::from(vec![Span::styled(asked, FAINT), Span::raw(confirm.typed.value())]);
    frame.render_widget(line, answer);
    cursor(frame, at, confirm.typed.visual_cursor(), answer);
}

fn form(frame: &mut Frame<'_>, form: &Form, area: Rect, hits: &mut Hits) {
    let width = width(area);
    let (below, style) = match (&form.problem, form.entries.get(form.focus)) {
        (Some(problem), _) => (problem, BAD),
        (None, Some(entry)) if !entry.help.is_empty() => (&entry.help, FAINT),
        _ => (&form.hint, FAINT),
    };
    let said = broken(below, width).max(1);
    let fields = count(form.entries.len());
    let room = framed(frame, &form.title, fields.saturating_add(said).saturating_add(3), area);
    let [list, _, says, foot] = Layout::vertical([
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(said),
        Constraint::Length(1),
    ])
    .areas(room);
    // The question that is answered stays in sight.
    let first = form.focus.saturating_sub(usize::from(list.height).saturating_sub(1));
    for (place, (at, entry)) in list.rows().zip(form.entries.iter().enumerate().skip(first)) {
        field(frame, entry, at == form.focus, place);
        hits.add(place, Target::Field(at));
    }
    frame.render_widget(
        Paragraph::new(below.as_str()).style(style).wrap(Wrap { trim: false }),
        says,
    );
    let keys = "Enter next, at the last done   F2 done   Tab move   Esc leave";
    frame.render_widget(Line::styled(keys, FAINT), foot);
}

fn field(frame: &mut Frame<'_>, entry: &Entry, is_here: bool, area: Rect) {
    let [label, value] =
        Layout::horizontal([Constraint::Length(LABEL), Constraint::Min(0)]).areas(area);
    let mark = if entry.optional { " " } else { "*" };
    let style = if is_here { TITLE } else { Style::new() };
    frame.render_widget(Line::styled(format!("{mark} {}", entry.label), style), label);
    let text = entry.input.value();
    let letters = text.chars().count();
    let shown = match entry.kind {
        Kind::Secret if !text.contains('\n') => "•".repeat(letters),
        Kind::Secret | Kind::SecretLines => match text.lines().count() {
            0 => String::new(),
            count => format!("{}, {letters} letters", lines(count)),
        },
        Kind::Flag if text.is_empty() => "[ ] Space ticks it".to_owned(),
        Kind::Flag => "[x]".to_owned(),
        Kind::Choice if is_here => format!("‹ {text} ›  {}", entry.choices.join(" | ")),
        _ => text.to_owned(),
    };
    let is_typed = !matches!(entry.kind, Kind::Flag | Kind::Choice | Kind::SecretLines);
    let cursor = if is_typed { entry.input.visual_cursor() } else { 0 };
    // What is typed stays in sight where it is longer than its place.
    let scroll = (cursor + 1).saturating_sub(usize::from(value.width));
    frame.render_widget(Line::raw(from_column(&shown, scroll)), value);
    if is_here && is_typed {
        self::cursor(frame, value.x, cursor - scroll, value);
    }
}

/// A text without what takes its first columns.
fn from_column(text: &str, columns: usize) -> &str {
    let mut left = columns;
    for (at, letter) in text.char_indices() {
        if left == 0 {
            return &text[at..];
        }
        left = left.saturating_sub(usize::from(super::width(letter.encode_utf8(&mut [0; 4]))));
    }
    if columns == 0 { text } else { "" }
}

/// Where the person types: so many columns after a place, within an area.
fn cursor(frame: &mut Frame<'_>, begins: u16, after: usize, area: Rect) {
    let at = begins.saturating_add(count(after)).min(area.right().saturating_sub(1));
    frame.set_cursor_position((at, area.y));
}

fn search(frame: &mut Frame<'_>, search: &Search, area: Rect, hits: &mut Hits) {
    let room = framed(frame, "Search", FOUND + 1, area);
    let [line, found] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(room);
    let typed = Line::from(vec![Span::styled("/ ", KEY), Span::raw(search.text())]);
    frame.render_widget(typed, line);
    cursor(frame, line.x + 2, search.input.visual_cursor(), line);
    if search.found.is_empty() {
        return frame.render_widget(Line::styled("  Nothing is called so.", FAINT), found);
    }
    let first = search.selected.saturating_sub(usize::from(found.height).saturating_sub(1));
    for (place, (at, hit)) in found.rows().zip(search.found.iter().enumerate().skip(first)) {
        let style = if at == search.selected { CHOSEN } else { Style::new() };
        frame.render_widget(Line::styled(format!("  {}", hit.label), style), place);
        hits.add(place, Target::Found(at));
    }
}
