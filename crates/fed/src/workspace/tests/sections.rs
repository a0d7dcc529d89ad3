//! Every section with all of its lists, at both sizes.

use crossterm::event::KeyCode;
use insta::assert_snapshot;

use super::Session;
use crate::workspace::section::{Body, SECTIONS};

#[test]
fn every_section_is_drawn() {
    for section in SECTIONS {
        let mut session = Session::in_section(section.title);
        let count = match section.body {
            Body::Lists(lists) => lists.len(),
            _ => 1,
        };
        let mut screens = Vec::new();
        for _ in 0..count {
            assert!(session.shows("/ search  ? help  q quit"), "{}", section.title);
            screens.push(session.screens());
            session.press(KeyCode::Right);
        }
        assert_snapshot!(section.title.to_lowercase(), screens.join("\n\n"));
    }
}

#[test]
fn a_new_federation_shows_what_to_do_first() {
    super::fixtures::with_nothing(|| {
        let mut session = Session::start();
        let mut screens = vec![session.screens()];
        for section in ["Env", "Cities", "Users", "Balance", "Usage", "Jobs"] {
            session.go(section);
            screens.push(session.screen(80, 24));
        }
        assert_snapshot!("new", screens.join("\n\n"));
    });
}

#[test]
fn lists_that_do_not_come_say_why_and_what_to_do() {
    let mut session = Session::start();
    session.slow();
    session.go("Cities");
    let mut screens = vec![session.screen(80, 24)];
    session.fail_next("https://fed.example.com is not reached: connection refused.", true);
    session.answer();
    screens.push(session.screen(80, 24));
    assert_snapshot!("unreachable", screens.join("\n\n"));
}

#[test]
fn small_windows_say_so() {
    let mut session = Session::start();
    assert_snapshot!("small", session.screen(40, 10));
    for (width, height) in [(1, 1), (59, 16), (60, 15), (60, 16), (80, 24), (300, 100)] {
        for section in SECTIONS {
            session.go(section.title);
            session.screen(width, height);
            session.press(KeyCode::Char('?'));
            session.screen(width, height);
            session.press(KeyCode::Esc).press(KeyCode::Char('/')).type_text("a");
            session.screen(width, height);
            session.press(KeyCode::Esc);
        }
    }
}

#[test]
fn without_colours_everything_is_still_told() {
    use ratatui::style::Color;

    let mut session = Session::in_section("Jobs");
    let colored = session.buffer(80, 24);
    assert!(colored.content.iter().any(|cell| cell.fg == Color::Red));
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| drop(super::view::draw(frame, &mut session.app, 0, false))).unwrap();
    let plain = terminal.backend().buffer();
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert_eq!(super::lines(plain), super::lines(&colored));
}
