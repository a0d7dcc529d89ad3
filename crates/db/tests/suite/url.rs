//! Database URLs: what is understood, what is refused, and what is never shown.

use std::path::Path;

use downcity_db::{DbErrorKind, DbOptions, DbUrl, Engine};
use proptest::prelude::*;

#[test]
fn sqlite_files_are_found() {
    for (url, path) in [
        ("sqlite:.base/downcity.sqlite", ".base/downcity.sqlite"),
        ("sqlite:///var/lib/fed/db.sqlite", "/var/lib/fed/db.sqlite"),
        ("sqlite://relative.db", "relative.db"),
        ("file:/srv/db.sqlite", "/srv/db.sqlite"),
        ("file:///srv/db.sqlite", "/srv/db.sqlite"),
        (" plain.db ", "plain.db"),
        ("/abs/pla:in.db", "/abs/pla:in.db"),
    ] {
        let parsed: DbUrl = url.parse().unwrap();
        assert_eq!(parsed.engine(), Engine::Sqlite, "{url}");
        assert_eq!(parsed.sqlite_path(), Some(Path::new(path)), "{url}");
        assert_eq!(parsed.to_string(), format!("sqlite:{path}"));
    }
}

#[test]
fn postgres_servers_are_found() {
    for (url, shown) in [
        (
            "postgres://fed:s3cret@db.example.com:5433/main",
            "postgres://fed@db.example.com:5433/main",
        ),
        (
            "postgresql://fed:s3cret@localhost/main?sslmode=disable",
            "postgres://fed@localhost:5432/main",
        ),
        ("postgres://fed:s3cret@h/main?sslmode=verify-full", "postgres://fed@h:5432/main"),
        (
            "postgres://fed:s3cret@h/main?sslmode=prefer&application_name=x",
            "postgres://fed@h:5432/main",
        ),
        ("postgres://fed@%2Frun%2Fpostgresql/main", "postgres://fed@/run/postgresql:5432/main"),
        ("postgres:///main?host=/run/postgresql&user=fed", "postgres://fed@/run/postgresql/main"),
        (
            "postgres://fed:s3cret%40%3F@h/main?sslrootcert=%2Fetc%2Fca.pem",
            "postgres://fed@h:5432/main",
        ),
    ] {
        let parsed: DbUrl = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(parsed.engine(), Engine::Postgres);
        assert_eq!(parsed.sqlite_path(), None);
        assert_eq!(parsed.to_string(), shown);
        let debug = format!("{parsed:?} {:?}", DbOptions::new(parsed.clone()));
        assert!(!debug.contains("s3cret"), "{debug}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_a_reason() {
    for (url, reason) in [
        ("", "names no file"),
        ("sqlite:", "names no file"),
        ("sqlite::memory:", "in-memory"),
        (":memory:", "in-memory"),
        ("sqlite:x.db?mode=rwc", "no options after '?'"),
        ("data/", "names a folder"),
        ("mysql://root:s3cret@h/x", "\"mysql\""),
        ("libsql://x.turso.io", "\"libsql\""),
        ("postgres:/s3cret", "use sqlite:PATH or postgres://"),
        ("postgres:///main", "names no host"),
        ("postgres://fed:s3cret@h/main?sslmode=maybe", "sslmode must be"),
        ("postgres://fed:s3cret@h:port/main", "cannot be read"),
        ("postgres://fed:p@s3cret@h/main", "write %40"),
        ("postgres://h/main?sslrootcert=%zz", "not percent-encoded"),
    ] {
        let error = url.parse::<DbUrl>().unwrap_err();
        assert_eq!(error.kind(), DbErrorKind::Config, "{url}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(reason), "{url}: {shown}");
        assert!(!shown.contains("s3cret"), "{url}: {shown}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(url in ".{0,60}") {
        let _shown = url.parse::<DbUrl>().map(|url| url.to_string());
    }

    #[test]
    fn passwords_are_never_shown(
        password in "[A-Za-z0-9%?&=#/@:._~-]{0,12}",
        tail in "[a-z/?=&]{0,12}",
    ) {
        let marker = "TOPSECRET";
        let url = format!("postgres://user:{marker}{password}{marker}@host/{tail}");
        let shown = match url.parse::<DbUrl>() {
            Ok(url) => format!("{url} {url:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains(marker), "{shown}");
    }
}
