//! Everything that stands in front, at both sizes.

use crossterm::event::KeyCode;
use insta::assert_snapshot;

use super::Session;

/// A session after these keys in a section; `\n` is Enter, `\t` Tab, `>` the next list.
fn after(section: &str, keys: &str) -> Session {
    let mut session = Session::in_section(section);
    for key in keys.chars() {
        session.press(match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '>' => KeyCode::Right,
            '<' => KeyCode::Esc,
            key => KeyCode::Char(key),
        });
    }
    session
}

#[test]
fn every_dialog_is_drawn() {
    for (name, section, keys) in [
        ("help_of_overview", "Overview", "?"),
        ("help_of_list", "Env", "?"),
        ("search", "Overview", "/ann"),
        ("search_nothing", "Overview", "/zzzz"),
        ("record", "Users", "\n"),
        ("env_set", "Env", "nOPENAI_API_KEY\nsk-secret"),
        ("env_import", "Env", "i"),
        ("env_remove", "Env", "x"),
        ("env_reveal_asks", "Env", "v"),
        ("env_reveal", "Env", "vy"),
        ("env_history", "Env", "h"),
        ("env_roll_back", "Env", "hb"),
        ("env_test", "Env", "t"),
        ("model_test", "Models", "t"),
        ("model_missing", "Models", "Gs"),
        ("model_store", "Models", ">>n"),
        ("city_create", "Cities", "n"),
        ("city_remove", "Cities", "xNot"),
        ("city_token_form", "Cities", "t"),
        ("city_token", "Cities", "tann\n\n"),
        ("key_create", "Cities", ">n"),
        ("user_disable", "Users", "d"),
        ("user_wallet", "Users", "w"),
        ("balance_take", "Balance", "s1.5\nby mistake\n"),
        ("balance_wrong", "Balance", "s1.5.5\n\n"),
        ("codes_form", "Balance", ">>>n"),
        ("codes", "Balance", ">>>n2.5\n2\n\n\n"),
        ("receipt", "Usage", "e"),
        ("webhook", "Payment", "w"),
        ("replay", "Payment", ">>p"),
        ("compose", "Debugger", "/balance/add\nc"),
        ("compose_asks", "Debugger", "/balance/add\ncann\n\n1000000"),
        ("job_cancel", "Jobs", "x"),
        ("audit_row", "Audit", "\n"),
        ("server_add", "Settings", "n"),
        ("server_forget", "Settings", "x"),
    ] {
        assert_snapshot!(name, after(section, keys).screens());
    }
}

#[test]
fn secrets_are_not_shown_while_they_are_typed() {
    for (section, keys) in [
        ("Env", "nKEY\nvery-secret"),
        ("Settings", "nwork\nhttps://fed.example.com\nvery-secret"),
        ("Debugger", "/env/upsert\ncKEY\nvery-secret"),
    ] {
        let mut session = after(section, keys);
        assert!(session.shows("•••••"), "{section}");
        assert!(!session.shows("very-secret"), "{section}");
    }
    let mut session = after("Env", "i\t");
    session.app.paste("A=very-secret\nB=other-secret\n");
    assert!(session.shows("2 lines") && !session.shows("secret"), "pasted");
}
