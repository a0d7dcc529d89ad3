//! What keys and answers do.

use crossterm::event::{KeyCode, KeyModifiers};
use serde_json::json;

use super::{Session, fixtures};

#[test]
fn destructive_actions_ask_and_do_nothing_without_agreement() {
    for (section, keys) in [("Env", "x"), ("Cities", "p"), ("Jobs", "x"), ("Users", "d")] {
        let mut session = Session::in_section(section);
        session.type_text(keys);
        assert!(session.shows("Sure?"), "{section}");
        session.enter().type_text("n");
        assert!(session.sent.is_empty() && !session.shows("Sure?"), "{section}");
        session.type_text(keys).type_text("y");
        assert_eq!(session.sent.len(), 1, "{section}");
    }
}

#[test]
fn a_city_is_removed_only_where_its_name_is_typed() {
    let mut session = Session::in_section("Cities");
    session.type_text("xNote").enter();
    assert!(session.sent.is_empty() && session.shows("Type Notes or city_notes"));
    session.type_text("s").enter();
    assert_eq!(session.sent, [("cities/remove".to_owned(), json!({ "city_id": "city_notes" }))]);
    assert!(session.shows("Done: Remove Notes"));
}

#[test]
fn what_the_server_refuses_can_be_answered_again() {
    let mut session = Session::in_section("Cities");
    session.type_text("nNotes").enter();
    session.fail_next("There is a city of this id.", false);
    session.type_text("city_notes").enter();
    assert!(session.shows("There is a city of this id.") && session.shows("city_notes"));
    session.press(KeyCode::Backspace).type_text("2").enter();
    let input = json!({ "name": "Notes", "city_id": "city_note2" });
    assert_eq!(session.sent[1], ("cities/create".to_owned(), input));
}

#[test]
fn who_does_not_agree_can_answer_differently() {
    let mut session = Session::in_section("Balance");
    session.type_text("s5").enter().enter();
    assert!(session.shows("Sure?"));
    session.type_text("n");
    assert!(session.shows("Take credits from ann") && !session.shows("Sure?"));
    session.press(KeyCode::Up).press(KeyCode::Backspace).type_text("2").enter().enter();
    session.type_text("y");
    let input = json!({ "user_id": "ann", "amount_microcredits": 2_000_000 });
    assert_eq!(session.sent, [("balance/sub".to_owned(), input)]);
}

#[test]
fn a_token_is_shown_once_and_kept_for_the_debugger_where_wanted() {
    let mut session = Session::in_section("Cities");
    session.type_text("tann").enter().enter();
    assert!(session.shows("shown once") && session.shows("ub_"));
    // Keys that close other texts leave it there.
    session.enter().type_text("q");
    assert!(session.shows("shown once") && !session.has_quit);
    session.type_text("c");
    assert!(session.copied[0].starts_with("ub_"));
    session.type_text("d");
    assert!(session.shows("calls as this user") && session.shows("ub_"));
    session.press(KeyCode::Esc);
    assert!(!session.shows("ub_"));
    session.go("Debugger");
    session.type_text("/balance/me").enter().type_text("c");
    session.enter();
    assert_eq!(session.sent.last().unwrap().0, "balance/me");
    assert!(session.was_user);
    // What the trusted side can call, too, is called as either.
    session.press(KeyCode::Esc).press(KeyCode::Esc);
    session.type_text("/ai/text").enter().type_text("c");
    session.press(KeyCode::Up);
    assert!(session.shows("‹ user ›") && session.shows("or the trusted side"));
    session.type_text(" ").press(KeyCode::F(2)).type_text("y");
    assert_eq!(session.sent.last().unwrap().0, "ai/text");
    assert!(!session.was_user);
}

#[test]
fn calls_of_the_debugger_that_change_something_are_confirmed() {
    let mut session = Session::in_section("Debugger");
    session.type_text("/cities/create").enter().type_text("cNotes").press(KeyCode::F(2));
    assert!(session.shows("Sure?") && session.sent.is_empty());
    session.type_text("y");
    let (path, input) = session.sent.last().unwrap();
    assert_eq!((path.as_str(), input), ("cities/create", &json!({ "name": "Notes" })));
    // The answer stands in front of the form, which can be sent again.
    session.press(KeyCode::Esc);
    assert!(session.shows("POST cities/create"));
}

#[test]
fn a_slow_server_blocks_nothing() {
    let mut session = Session::in_section("Cities");
    session.slow();
    session.type_text("p").type_text("y");
    assert!(session.shows("Esc breaks off"));
    session.type_text("?");
    assert!(session.shows("Help"));
    session.press(KeyCode::Esc).press(KeyCode::Tab);
    assert!(session.shows("Users"));
    session.press(KeyCode::Esc);
    assert!(session.shows("may have carried it out all the same"));
    assert!(!session.app.is_waiting());
    // What comes too late changes nothing.
    let before = session.screen(80, 24);
    session.answer();
    assert!(session.was_canceled);
    assert_eq!(session.screen(80, 24), before);
}

#[test]
fn a_server_that_is_gone_is_said_and_comes_back() {
    let mut session = Session::in_section("Cities");
    session.fail_next("https://fed.example.com is not reached.", true);
    session.type_text("r");
    assert!(session.shows("not reached") && session.shows("r tries again"));
    session.type_text("r");
    assert!(session.shows("Notes") && !session.shows("not reached"));
}

#[test]
fn search_finds_places_actions_and_records_of_lists_nobody_has_opened() {
    let mut session = Session::start();
    session.type_text("/redeem").enter();
    assert!(session.shows("CODE") && session.shows("new"));
    session.type_text("/refresh");
    session.press(KeyCode::Down).enter();
    assert_eq!(session.sent.last().unwrap().0, "env/refresh");
    let mut session = Session::start();
    session.type_text("/bob@example.com").enter();
    assert!(session.shows("E-MAIL") && session.shows("bob@example.com"));
}

#[test]
fn rows_are_narrowed_and_shown_again() {
    let mut session = Session::in_section("Users");
    session.type_text("/bob").enter();
    assert!(session.shows("only rows with") && !session.shows("ann@"));
    session.press(KeyCode::Esc);
    assert!(session.shows("ann@") && session.shows("bob@"));
}

#[test]
fn more_is_read_at_the_end_of_a_list() {
    let mut session = Session::in_section("Audit");
    assert!(session.shows("there is more below"));
    let before = session.app.page().unwrap().rows().len();
    session.press(KeyCode::End);
    let page = session.app.page().unwrap();
    assert!(page.rows().len() > before && page.next.is_none());
}

#[test]
fn a_missing_value_is_a_key_away() {
    let mut session = Session::in_section("Models");
    session.press(KeyCode::End).type_text("s");
    assert!(session.shows("Set DEEPSEEK_API_KEY"));
    session.type_text("sk-1").enter().enter();
    let input = json!({ "key": "DEEPSEEK_API_KEY", "value": "sk-1" });
    assert_eq!(session.sent, [("env/upsert".to_owned(), input)]);
    let mut session = Session::in_section("Models");
    session.press(KeyCode::Home).type_text("s");
    assert!(session.shows("It lacks nothing."));
}

#[test]
fn one_value_is_revealed_and_no_other() {
    let mut session = Session::in_section("Env");
    assert!(!session.shows("sk-clear-openai"));
    session.type_text("v");
    assert!(session.shows("for whoever sees this screen"));
    session.type_text("y");
    assert!(session.shows("sk-clear-openai") && !session.shows("sk-clear-deepseek"));
    session.press(KeyCode::Esc);
    assert!(!session.shows("sk-clear-openai"));
}

#[test]
fn a_file_is_imported_whole_and_what_is_wrong_with_it_is_said() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("keys.env");
    std::fs::write(&path, "A=1\nB=2\n").unwrap();
    let mut session = Session::in_section("Env");
    session.type_text("i/nowhere/keys.env").press(KeyCode::F(2));
    assert!(session.shows("cannot be read"));
    session.press_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    session.app.paste(path.to_str().unwrap());
    session.press(KeyCode::F(2)).type_text("y");
    assert_eq!(session.sent, [("env/import".to_owned(), json!({ "raw": "A=1\nB=2\n" }))]);
}

#[test]
fn the_mouse_does_what_keys_do() {
    let mut session = Session::start();
    session.click("Cities");
    assert!(session.shows("city_notes"));
    session.click("Service keys");
    assert!(session.shows("PER DAY") || session.shows("BEGINS"));
    session.click("? help");
    assert!(session.shows("Shift-Tab"));
    session.press(KeyCode::Esc);
    session.click("Users");
    session.click("bob@example.com");
    assert_eq!(session.app.page().unwrap().selected, 1);
    session.app.scrolled(-3);
    assert_eq!(session.app.page().unwrap().selected, 0);
    session.type_text("d");
    session.click("y do it");
    assert_eq!(session.sent.len(), 1);
}

#[test]
fn steps_lead_to_the_first_answer() {
    fixtures::with_nothing(|| {
        let mut session = Session::start();
        session.type_text("1");
        assert!(session.shows("Choose the key of a provider"));
        session.go("Overview");
        session.type_text("2");
        assert!(session.shows("Create a city"));
        session.press(KeyCode::Esc);
        session.go("Overview");
        // A call that counts is a user's: without a token, that comes first.
        session.type_text("4");
        assert!(session.shows("First a token") && session.shows("Issue a user_token in Downcity"));
        session.type_text("ann").press(KeyCode::F(2)).type_text("d").press(KeyCode::Esc);
        session.go("Overview");
        assert!(session.shows("3 ✓ Issue a token"));
        session.type_text("4");
        assert!(session.shows("POST ai/text"));
        // Whoever goes elsewhere meanwhile is not called back.
        session.press(KeyCode::Esc);
        session.go("Overview");
        session.slow();
        session.type_text("2");
        session.go("Jobs");
        session.answer();
        assert!(!session.shows("Create a city"));
        // Nor is what they type meanwhile answered for them.
        session.go("Overview");
        session.answer();
        session.type_text("2/");
        session.answer();
        assert!(session.shows("Search") && !session.shows("Create a city"));
    });
    // Steps that are all taken take no room.
    let mut session = Session::start();
    assert!(!session.shows("First steps"));
}

#[test]
fn a_key_that_the_federation_works_with_is_not_replaced_by_a_slip() {
    let mut session = Session::in_section("Env");
    session.type_text("/ADMIN_SECRET").enter().type_text("snew-admin-key-0123456789");
    session.press(KeyCode::F(2));
    assert!(session.shows("Type DOWNCITY_FEDERATION_ADMIN_SECRET_KEY") && session.sent.is_empty());
    session.type_text("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY").enter();
    assert_eq!(session.sent.len(), 1);
    session.press(KeyCode::Esc).type_text("svalue").press(KeyCode::F(2));
    assert_eq!(session.sent.len(), 2, "others are set at once");
    // Nor is it on the way of new ones, or of a text that holds it.
    session.type_text("ndowncity_city_admin_secret_key").enter().type_text("value");
    session.press(KeyCode::F(2));
    assert!(session.shows("choose it in the list") && session.sent.len() == 2);
    session.press(KeyCode::Esc).type_text("i\t");
    session.press(KeyCode::Tab);
    session.app.paste("A=1\nBETTER_AUTH_SECRET=value\n");
    session.press(KeyCode::F(2));
    assert!(session.shows("a key of the Federation itself") && session.sent.len() == 2);
}

#[test]
fn a_value_is_stored_without_asking_its_provider_where_that_is_wanted() {
    let mut session = Session::in_section("Env");
    session.type_text("nKEY").enter().type_text("value").enter().type_text(" ");
    session.press(KeyCode::F(2));
    let input = json!({ "key": "KEY", "value": "value", "test": false });
    assert_eq!(session.sent[0].1, input);
}

#[test]
fn ends_of_lines_are_taken_as_terminals_send_them() {
    for text in ["A=1\rB=2\r", "A=1\r\nB=2\r\n", "A=1\nB=2\n"] {
        let mut session = Session::in_section("Env");
        session.type_text("i\t");
        session.press(KeyCode::Tab);
        session.app.paste(text);
        assert!(session.shows("2 lines"), "{text:?}");
        session.press(KeyCode::F(2)).type_text("y");
        assert_eq!(session.sent[0].1["raw"], "A=1\nB=2", "{text:?}");
    }
    let mut session = Session::in_section("Env");
    session.type_text("i").press(KeyCode::F(2));
    assert!(session.shows("Name a file, or paste the text.") && session.sent.is_empty());
}

#[test]
fn values_of_the_env_stay_hidden_in_the_debugger() {
    let mut session = Session::in_section("Debugger");
    session.type_text("/env/list").enter().type_text("c").press(KeyCode::F(2));
    let screen = session.screen(100, 40);
    assert!(screen.contains("OPENAI_API_KEY") && !screen.contains("sk-clear"), "{screen}");
}

#[test]
fn a_negative_number_of_codes_is_the_servers_to_refuse() {
    let mut session = Session::in_section("Balance");
    session.press(KeyCode::Right).press(KeyCode::Right).press(KeyCode::Right);
    session.type_text("n2").enter().type_text("-5").press(KeyCode::F(2));
    assert_eq!(session.sent[0].1["count"], -5);
}

#[test]
fn another_federation_begins_anew() {
    let mut session = Session::in_section("Settings");
    session.press(KeyCode::Down).type_text("u");
    assert_eq!(session.app.place, "other · https://other.example.com");
    assert_eq!(session.place.as_ref(), Some(&session.app.place));
    assert!(session.shows("Connections"));
}

#[test]
fn what_is_shown_once_stays_when_another_federation_is_gone_to() {
    let mut session = Session::in_section("Cities");
    session.slow();
    session.type_text("tann").press(KeyCode::F(2));
    let left = session.hold();
    session.go("Settings");
    session.answer();
    session.press(KeyCode::Down).type_text("u");
    session.answer();
    // It comes when the workspace has moved on.
    session.release(left);
    session.answer();
    assert_eq!(session.app.place, "other · https://other.example.com");
    assert!(session.shows("ub_") && session.shows("Shown once"));
    // It is not one to call with here.
    session.type_text("d").press(KeyCode::Esc);
    assert!(!session.shows("ub_"));
    session.go("Debugger");
    session.answer();
    session.type_text("/balance/me").enter().type_text("c");
    assert!(session.shows("Only users call this"));
}

#[test]
fn quitting_is_a_key() {
    assert!(Session::start().press(KeyCode::Char('q')).has_quit);
    let mut session = Session::in_section("Cities");
    session.type_text("n");
    session.press_with(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(session.has_quit);
}

#[test]
fn what_has_no_answer_is_sent_again_for_one_effect() {
    let mut session = Session::in_section("Balance");
    session.fail_next("https://fed.example.com is not reached.", true);
    session.type_text("a5").enter().enter();
    assert!(session.shows("No answer:") && session.shows("Give credits to ann"));
    session.press(KeyCode::F(2));
    assert_eq!(session.onces.len(), 2);
    assert_eq!(session.onces[0], session.onces[1]);
    // What was refused, or has gone well, is another matter the next time.
    session.fail_next("More than a wallet holds.", false);
    session.type_text("a5").press(KeyCode::F(2)).press(KeyCode::F(2));
    assert!(session.onces[2] != session.onces[1] && session.onces[3] != session.onces[2]);
    // A proxy that gives up says nothing of the server.
    session.break_next("504 Gateway Time-out");
    session.type_text("a5").press(KeyCode::F(2));
    assert!(session.shows("504") && session.shows("No answer:"));
    session.press(KeyCode::F(2));
    assert_eq!(session.onces[4], session.onces[5]);
}

#[test]
fn a_call_of_the_debugger_that_has_no_answer_is_sent_again_for_one_effect() {
    let mut session = Session::in_section("Debugger");
    session.type_text("/cities/create").enter().type_text("cNotes").press(KeyCode::F(2));
    session.fail_next("https://fed.example.com is not reached.", true);
    session.type_text("y").press(KeyCode::F(2)).type_text("y");
    assert_eq!(session.onces.len(), 2);
    assert_eq!(session.onces[0], session.onces[1]);
    session.press(KeyCode::Esc).press(KeyCode::F(2)).type_text("y");
    assert_ne!(session.onces[2], session.onces[1]);
}

#[test]
fn what_was_typed_comes_back_when_a_call_is_broken_off() {
    let mut session = Session::in_section("Cities");
    session.slow();
    session.type_text("nNotes").press(KeyCode::F(2));
    session.press(KeyCode::Esc);
    assert!(
        session.shows("Create a city") && session.shows("Notes") && session.shows("No answer:")
    );
}

#[test]
fn a_late_answer_waits_behind_what_is_being_typed() {
    let mut session = Session::in_section("Env");
    session.slow();
    session.type_text("v").type_text("y").type_text("nKEY");
    session.answer();
    assert!(session.shows("Set a value") && !session.shows("sk-clear-openai"));
    session.type_text("c");
    assert!(session.copied.is_empty());
    session.press(KeyCode::Esc);
    assert!(session.shows("sk-clear-openai"));
}

#[test]
fn the_record_that_was_found_is_the_one_that_is_chosen() {
    let mut session = Session::start();
    session.type_text("/example.com");
    let hits = session.screen(80, 24);
    let at = |text: &str| hits.lines().position(|line| line.contains(text)).unwrap();
    for _ in at("Users: usr_ann")..at("Users: usr_bob") {
        session.press(KeyCode::Down);
    }
    session.enter();
    assert_eq!(session.app.page().unwrap().record().unwrap()["user_id"], "usr_bob");
}

#[test]
fn the_chosen_record_stays_chosen_when_rows_come_and_go() {
    let mut session = Session::in_section("Users");
    session.press(KeyCode::End);
    fixtures::with_a_new_user(|| {
        session.type_text("r");
    });
    let page = session.app.page().unwrap();
    assert_eq!(page.record().unwrap()["user_id"], "usr_bob");
    assert_eq!(page.selected, 2);
    // So does what the rows are narrowed to, whatever is done.
    session.type_text("/bob").enter();
    session.type_text("e");
    assert_eq!(session.sent.last().unwrap().0, "accounts/users/enable");
    assert!(session.shows("only rows with"));
}

#[test]
fn the_wallet_of_a_user_in_one_city_is_not_that_in_another() {
    fixtures::with_wallets_of_cities(|| {
        let mut session = Session::in_section("Balance");
        session.press(KeyCode::Down).type_text("a5").press(KeyCode::F(2));
        assert_eq!(session.sent[0].1["city_id"], "city_recipes");
        // It has changed meanwhile, and is the chosen one still.
        session.type_text("s1").press(KeyCode::F(2));
        assert!(session.shows("Take credits from ann in city_recipes?"));
        session.type_text("y");
        assert_eq!(session.sent[1].1["city_id"], "city_recipes");
    });
}

#[test]
fn several_lines_are_one_secret() {
    let mut session = Session::in_section("Env");
    session.type_text("nKEY").enter();
    session.app.paste("-----BEGIN-----\nabc\n-----END-----\n");
    assert!(session.shows("3 lines") && !session.shows("abc"));
    session.press(KeyCode::F(2));
    let value = "-----BEGIN-----\nabc\n-----END-----";
    assert_eq!(session.sent[0].1, json!({ "key": "KEY", "value": value }));
}

#[test]
fn passwords_are_secrets_wherever_an_action_asks_for_one() {
    let mut session = Session::in_section("Debugger");
    session.type_text("/accounts/password/change").enter().type_text("cvery-secret");
    assert!(session.shows("current_password") && !session.shows("very-secret"));
}

#[test]
fn long_texts_are_read_to_their_end() {
    let mut session = Session::in_section("Instruction");
    session.press(KeyCode::End);
    let end = session.screen(60, 16);
    assert!(end.contains("answer 403."), "{end}");
    session.press(KeyCode::Up);
    assert_ne!(session.screen(60, 16), end);
    session.go("Env");
    session.type_text("?");
    session.screen(60, 16);
    session.press(KeyCode::End);
    assert!(session.screen(60, 16).contains("Refresh runtime cache"));
}

#[test]
fn errors_that_do_not_fit_the_foot_are_shown_whole() {
    let mut session = Session::in_section("Cities");
    let says = "No.\nDo this instead, which takes a whole sentence to say.";
    session.fail_next(says, false);
    session.type_text("a");
    assert!(session.shows("which takes a whole sentence to say."));
}

#[test]
fn what_stands_in_a_path_is_put_there() {
    let mut session = Session::in_section("Debugger");
    session.type_text("/usage/requests").enter().type_text("creq_9").press(KeyCode::F(2));
    assert_eq!(session.sent, [("usage/requests/req_9".to_owned(), json!({}))]);
}

#[test]
fn a_sentence_before_a_call_of_the_debugger_says_what_is_sent() {
    let mut session = Session::in_section("Debugger");
    session.type_text("/env/upsert").enter().type_text("cKEY").enter().type_text("very-secret");
    session.press(KeyCode::F(2));
    assert!(session.shows("key: KEY") && !session.shows("very-secret"));
}

#[test]
fn reading_a_file_of_this_machine_says_nothing_of_the_server() {
    let mut session = Session::in_section("Cities");
    session.fail_next("https://fed.example.com is not reached.", true);
    session.type_text("r");
    session.go("Settings");
    assert!(session.shows("not reached") && session.shows("https://other.example.com"));
}
