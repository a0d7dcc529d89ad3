use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::env::{ADMIN_KEY, SIGNING_KEY};

const FILE: &str = concat!(
    "\u{feff}# Keys of the shop\r\n",
    "\r\n",
    "export  OPENAI_API_KEY = \"sk-1\"   # of the team\r\n",
    "lower=plain\r\n",
    "DUP=first\r\n",
    "not an assignment\r\n",
    "PEM='-----BEGIN\r\nabc=\r\n-----END' # pem\r\n",
    "a.b=no name\r\n",
    "DUP=second # the last one counts\r\n",
    "EMPTY= # nothing yet\r\n",
    "LAST='it''s'",
);

fn values(text: &str) -> BTreeMap<String, String> {
    let values = Document::new(text.to_owned()).values().into_iter();
    values.map(|(key, value)| (key, value.expose().to_owned())).collect()
}

fn set(text: &str, key: &str, value: &str) -> String {
    let mut document = Document::new(text.to_owned());
    document.set(key, value).unwrap();
    document.text().to_owned()
}

fn removed(text: &str, key: &str) -> String {
    let mut document = Document::new(text.to_owned());
    document.remove(key).unwrap();
    document.text().to_owned()
}

#[test]
fn a_file_as_people_write_it_is_read() {
    let expected = [
        ("DUP", "second"),
        ("EMPTY", ""),
        ("LAST", "it''s"),
        ("LOWER", "plain"),
        ("OPENAI_API_KEY", "sk-1"),
        ("PEM", "-----BEGIN\nabc=\n-----END"),
    ];
    assert_eq!(values(FILE), expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    assert_eq!(Document::new(FILE.to_owned()).nameless(), [10]);
}

#[test]
fn a_change_touches_the_bytes_of_its_value_alone() {
    for (key, value, before, after) in [
        ("OPENAI_API_KEY", "sk-2", "\"sk-1\"", "\"sk-2\""),
        ("OPENAI_API_KEY", "a \"b\"\n", "\"sk-1\"", r#""a \"b\"\n""#),
        ("LOWER", "x", "lower=plain", "lower=x"),
        ("LOWER", "two words", "lower=plain", "lower=\"two words\""),
        ("LOWER", "$HOME and more", "lower=plain", "lower='$HOME and more'"),
        ("LOWER", "$it's", "lower=plain", "lower=\"$it's\""),
        ("DUP", "third", "DUP=second #", "DUP=third #"),
        ("EMPTY", "now", "EMPTY= #", "EMPTY=now #"),
        ("EMPTY", "#1", "EMPTY= #", "EMPTY=\"#1\" #"),
        ("PEM", "short", "'-----BEGIN\r\nabc=\r\n-----END'", "'short'"),
        ("PEM", "it's", "'-----BEGIN\r\nabc=\r\n-----END'", "\"it's\""),
        ("LAST", "plain", "'it''s'", "plain"),
    ] {
        let changed = set(FILE, key, value);
        assert_eq!(changed, FILE.replacen(before, after, 1), "{key}={value}");
        assert_eq!(values(&changed)[key], value);
    }
}

#[test]
fn a_new_key_goes_to_the_end_in_a_line_of_its_own() {
    assert_eq!(set("", "K", "v"), "K=v\n");
    assert_eq!(set("A=1\n", "K", "v w"), "A=1\nK=\"v w\"\n");
    assert_eq!(set("A=1", "K", "$x y"), "A=1\nK='$x y'\n");
    assert_eq!(set(FILE, "K", ""), format!("{FILE}\r\nK=\r\n"));
    assert_eq!(set("\u{feff}", "K", "v"), "\u{feff}K=v\n");
}

#[test]
fn a_key_goes_with_all_its_assignments_and_comments_stay() {
    let without =
        FILE.replace("DUP=first\r\n", "").replace("DUP=second # the last one counts\r\n", "");
    assert_eq!(removed(FILE, "DUP"), without);
    let without = FILE.replace("PEM='-----BEGIN\r\nabc=\r\n-----END' # pem\r\n", "");
    assert_eq!(removed(FILE, "PEM"), without);
    assert_eq!(removed(FILE, "LAST"), FILE.replace("LAST='it''s'", ""));
    assert_eq!(removed(FILE, "ABSENT"), FILE);
    assert_eq!(removed("\u{feff}A=1\n#x\n", "A"), "\u{feff}#x\n");
}

#[test]
fn a_lone_quote_elsewhere_is_not_completed_by_a_change() {
    // In double quotes the new value would end the one above, with a comment behind it.
    let file = "A=\"lone\nB=x\n";
    let changed = set(file, "B", "#1");
    assert_eq!(changed, "A=\"lone\nB='#1'\n");
    assert_eq!(values(&changed)["A"], "\"lone");
    let file = "A=\"lone\nC='lone\nB=x\n";
    let mut document = Document::new(file.to_owned());
    assert_eq!(document.set("B", "#1"), Err(Unfit));
    assert_eq!(document.text(), file);
    let mut document = Document::new("A=\"lone\nB='a\"b'\nC=\"#\"\n".to_owned());
    assert_eq!(document.remove("B"), Err(Unfit));
}

#[test]
fn system_keys_keep_the_name_that_the_file_uses() {
    let file = "VISIBLEBASE_ADMIN_SECRET_KEY=one # ours\nDOWNCITY_CITY_TOKEN_SIGNING_KEY=\nK=1\n";
    let read = values(file);
    assert_eq!(read.keys().map(String::as_str).collect::<Vec<_>>(), [ADMIN_KEY, SIGNING_KEY, "K"]);
    assert_eq!((read[ADMIN_KEY].as_str(), read[SIGNING_KEY].as_str()), ("one", ""));
    assert_eq!(set(file, ADMIN_KEY, "two"), file.replacen("one", "two", 1));
    assert_eq!(set(file, SIGNING_KEY, "two"), file.replacen("KEY=\n", "KEY=two\n", 1));
    // The first name wins, and a blank one counts for nothing beside one with a value.
    let both = format!("VISIBLEBASE_ADMIN_SECRET_KEY=old\n{ADMIN_KEY}=new\n");
    assert_eq!(values(&both), BTreeMap::from([(ADMIN_KEY.to_owned(), "new".to_owned())]));
    let blank = format!("VISIBLEBASE_ADMIN_SECRET_KEY=old\n{ADMIN_KEY}=\n");
    assert_eq!(values(&blank)[ADMIN_KEY], "old");
    assert_eq!(set(&blank, ADMIN_KEY, "new"), blank.replacen("old", "new", 1));
}

/// Files of lines as people write them, and of lines that nobody should write.
fn file() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "(export )?[A-D] ?= ?[a-c#'\"\\\\$ ]{0,8}( # c)?",
        2 => "[A-D]=(\"[a-c\\\\# \n']{0,6}\"|'[a-c\"\n ]{0,6}')( # c)?",
        1 => "#.{0,6}|\\s{0,2}|[a-z. ]{0,5}",
        1 => any::<String>(),
    ];
    let end = prop::sample::select(vec!["\n", "\n", "\r\n"]);
    let lines = prop::collection::vec((line, end), 0..8);
    (lines, any::<bool>()).prop_map(|(lines, bom)| {
        let lines: String = lines.into_iter().map(|(line, end)| line + end).collect();
        if bom { format!("\u{feff}{lines}") } else { lines }
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c#'\"\\\\$ =\r\n\t]{0,8}", any::<String>()]
}

proptest! {
    #[test]
    fn storing_what_is_stored_changes_no_byte(file in file()) {
        let mut document = Document::new(file.clone());
        for (key, value) in values(&file) {
            document.set(&key, &value).unwrap();
            prop_assert_eq!(document.text(), &*file);
        }
    }

    #[test]
    fn a_set_value_is_read_back_and_nothing_else_changes(
        file in file(), key in "[A-E]", value in value()
    ) {
        let mut document = Document::new(file.clone());
        match document.set(&key, &value) {
            Err(Unfit) => {
                prop_assert_eq!(document.text(), &*file);
                prop_assert!(file.contains(['\'', '"']), "without quotes everything fits");
            }
            Ok(()) => {
                let mut expected = values(&file);
                expected.insert(key.clone(), value);
                prop_assert_eq!(values(document.text()), expected);
                prop_assert!(differs_in_one_place(&file, document.text(), &key));
            }
        }
    }

    #[test]
    fn a_removed_key_is_gone_and_nothing_else(file in file(), key in "[A-D]") {
        let mut document = Document::new(file.clone());
        if document.remove(&key).is_ok() {
            let mut expected = values(&file);
            expected.remove(&key);
            prop_assert_eq!(values(document.text()), expected);
            // What is left are lines of the file, in their order.
            let unmarked = |text: &'_ str| text.trim_start_matches('\u{feff}').to_owned();
            let (before, after) = (unmarked(&file), unmarked(document.text()));
            let mut lines = before.split_inclusive('\n');
            for line in after.split_inclusive('\n') {
                prop_assert!(lines.any(|before| before == line), "{:?}", line);
            }
        }
    }

    #[test]
    fn any_text_takes_values_of_all_kinds_one_after_the_other(
        entries in prop::collection::btree_map("[A-Z]{1,3}", value(), 0..6)
    ) {
        let mut document = Document::new(String::new());
        for (key, value) in &entries {
            document.set(key, value).unwrap();
        }
        prop_assert_eq!(values(document.text()), entries);
    }
}

/// Whether the texts are the same before and behind the last assignment of the key, or `after` is
/// `before` with lines at its end.
fn differs_in_one_place(before: &str, after: &str, key: &str) -> bool {
    let found = dotenv::assignments(before);
    match found.iter().rfind(|found| found.key().as_deref() == Some(key)) {
        Some(place) => {
            after.starts_with(&before[..place.span.start])
                && after.ends_with(&before[place.span.end..])
        }
        None => after.starts_with(before),
    }
}
