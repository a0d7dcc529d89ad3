//! Copies of PostgreSQL databases as SQLite files, and such files put into PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use downcity_db::testing::TestDatabase;
use downcity_db::{
    CopyWatch, Db, DbError, DbErrorKind, DbOptions, DbUrl, Engine, Migration, MigrationSet,
    MigrationSql, backup, came_from_postgres, migrations, restore, restore_server,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::common::{insert, schema, stored};

const fn chains() -> MigrationSet {
    migrations!(
        "chains",
        [(
            1,
            "init",
            {
                both: "../migrations/transfer.sql",
                sqlite: "../migrations/transfer_sqlite.sql",
                postgres: "../migrations/transfer_postgres.sql",
            }
        )]
    )
}

/// Rows of every kind; some are against what the triggers allow to be written later.
const ROWS: &str = "
    INSERT INTO chain (seq, text) VALUES (1, 'a'), (2, 'b'), (3, 'c');
    UPDATE head SET seq = 3;
    INSERT INTO parents (id) VALUES ('p');
    INSERT INTO children (parent, elder) VALUES ('p', NULL), ('p', 1), ('p', 2);
    UPDATE children SET elder = 3 WHERE id = 1;
    INSERT INTO children (parent, elder) VALUES ('p', NULL);
    DELETE FROM children WHERE id = 4;
    INSERT INTO pairs (one, two) VALUES ('x', 'y'), ('x', 'z');
    INSERT INTO kinds (id, text, big, small, flag, real, other) VALUES
        (1, NULL, NULL, NULL, NULL, NULL, NULL),
        (2, '', -9223372036854775807, -32768, FALSE, -0.1, '2026-11-21 20:00:00.123456+00'),
        (4611686018427387904, 'a\\tb	c\\N \u{1d11e}\u{200d}
''\\.', 9223372036854775807, 32767, TRUE, 1e300, NULL);";

struct Server {
    database: TestDatabase,
    folder: TempDir,
}

impl Server {
    fn empty() -> Self {
        let database =
            TestDatabase::new(Engine::Postgres).unwrap_or_else(|reason| panic!("{reason}"));
        Self { database, folder: tempfile::tempdir().unwrap() }
    }

    async fn migrated(sets: &[MigrationSet]) -> Self {
        let server = Self::empty();
        Db::open(server.options(), sets).await.unwrap().close().await;
        server
    }

    fn options(&self) -> DbOptions {
        let mut options = DbOptions::new(self.database.url());
        options.connect_timeout = Duration::from_secs(1);
        options
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn backup(&self, sets: &'static [MigrationSet], name: &str) -> Result<PathBuf, DbError> {
        let (options, target) = (self.options(), self.file(name));
        on_a_thread(move || {
            backup(&options, sets, &target, &mut CopyWatch::default()).map(|_bytes| target)
        })
        .await
    }

    async fn restore(
        &self,
        copy: &Path,
        sets: &'static [MigrationSet],
        replace: bool,
    ) -> Result<(), DbError> {
        self.restore_watched(copy, sets, replace, CopyWatch::default()).await
    }

    async fn restore_watched(
        &self,
        copy: &Path,
        sets: &'static [MigrationSet],
        replace: bool,
        mut watch: CopyWatch,
    ) -> Result<(), DbError> {
        let (options, copy) = (self.options(), copy.to_owned());
        let scratch = self.folder.path().to_owned();
        on_a_thread(move || restore_server(&copy, &scratch, &options, sets, replace, &mut watch))
            .await
    }

    fn dump(&self) -> String {
        let mut lines: Vec<_> = String::from_utf8(self.database.dump().unwrap())
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        // The histories of migrations say when each was applied. The order of rows may differ.
        let is_history = |line: &String| {
            let fields: Vec<_> = line.trim_matches(['(', ')']).split(',').collect();
            matches!(fields[..], [step, _, _, sum]
                if step.parse::<u32>().is_ok() && sum.parse::<u64>().is_ok())
        };
        lines.retain(|line| !is_history(line));
        lines.sort_unstable();
        lines.join("\n")
    }
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Everything of a file, table by table, and what gives numbers.
fn dump(file: &Path) -> Vec<String> {
    let connection = opened(file);
    let mut lines = Vec::new();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    for table in column(&connection, tables) {
        if !table.starts_with("schema_history_") {
            let names =
                column(&connection, &format!("SELECT name FROM pragma_table_info('{table}')"));
            let quoted: Vec<_> = names.iter().map(|name| format!("quote({name})")).collect();
            let text = format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || '|' || "));
            lines.extend(
                column(&connection, &text).into_iter().map(|row| format!("{table}: {row}")),
            );
        }
    }
    lines
}

fn opened(file: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(file).unwrap()
}

fn column(connection: &rusqlite::Connection, text: &str) -> Vec<String> {
    let mut statement = connection.prepare(text).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

const SHOP: &[MigrationSet] = &[schema()];
const CHAINS: &[MigrationSet] = &[chains()];
const BOTH: &[MigrationSet] = &[schema(), chains()];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_rules_and_numbers_arrive_as_they_are() {
    let server = Server::migrated(BOTH).await;
    server.database.execute(ROWS).unwrap();
    server
        .database
        .execute("UPDATE kinds SET bytes = '\\x00ff0a5c' WHERE id = 2; UPDATE db_revision SET value = 77")
        .unwrap();
    let copy = server.backup(BOTH, "copy.sqlite").await.unwrap();
    assert!(came_from_postgres(&copy).unwrap());

    // It is a file that the same services could have made.
    let made = server.file("made.sqlite");
    Db::open(DbOptions::new(DbUrl::sqlite(&made)), BOTH).await.unwrap().close().await;
    let connection = opened(&made);
    connection.execute_batch(ROWS).unwrap();
    connection
        .execute_batch(
            "UPDATE kinds SET bytes = x'00ff0a5c' WHERE id = 2; UPDATE db_revision SET value = 77",
        )
        .unwrap();
    drop(connection);
    assert_eq!(dump(&copy), dump(&made));

    // Its rules are in force, and numbers of deleted rows are not given again.
    let connection = opened(&copy);
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    for refused in [
        "INSERT INTO chain (seq, text) VALUES (3, 'x')",
        "DELETE FROM chain",
        "INSERT INTO children (parent) VALUES ('nobody')",
    ] {
        connection.execute_batch(refused).unwrap_err();
    }
    drop(connection);

    let other = Server::empty();
    for (file, replace) in [(&copy, false), (&made, true)] {
        other.restore(file, BOTH, replace).await.unwrap();
        assert_eq!(other.dump(), server.dump());
        for refused in [
            "DELETE FROM chain",
            "TRUNCATE head",
            "SET session_replication_role = replica; DELETE FROM head",
            "INSERT INTO children (parent) VALUES ('nobody')",
        ] {
            other.database.execute(refused).unwrap_err();
        }
    }
    other.database.execute("INSERT INTO children (parent) VALUES ('p')").unwrap();
    other.database.execute("INSERT INTO children (parent, elder) VALUES ('p', 6)").unwrap();

    // As the database of a server, the copy is one like others.
    let place = server.file("place.sqlite");
    let mut watch = CopyWatch::default();
    restore(&copy, &DbUrl::sqlite(&place), &server.file("aside"), &mut watch).unwrap();
    assert!(!came_from_postgres(&place).unwrap());
    Db::open(DbOptions::new(DbUrl::sqlite(&place)), BOTH).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_one_state_taken_while_others_write() {
    let server = Server::empty();
    let db = Db::open(server.options(), SHOP).await.unwrap();
    let stop = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (db, stop) = (db.clone(), Arc::clone(&stop));
        writers.spawn(async move {
            let mut number = 0;
            while stop.load(Ordering::Relaxed) == 0 {
                number += 1;
                // Two tables a transaction: a copy that is one state has both or none.
                db.write(move |tx| {
                    insert(tx, &format!("{writer} {number}"), number)?;
                    tx.execute(
                        downcity_db::sql!(
                            "INSERT INTO entries (id, wallet_id, amount) VALUES ($1, $2, $3)"
                        ),
                        &[&(writer * 1_000_000 + number), &format!("{writer} {number}"), &number],
                    )
                })
                .await
                .unwrap();
            }
        });
    }
    for number in 0..5 {
        let copy = server.backup(SHOP, &format!("copy-{number}")).await.unwrap();
        let lone = "SELECT CAST(COUNT(*) AS TEXT) FROM wallets
            WHERE NOT EXISTS (SELECT 1 FROM entries WHERE wallet_id = wallets.id)";
        assert_eq!(column(&opened(&copy), lone), ["0"]);
    }
    stop.store(1, Ordering::Relaxed);
    writers.join_all().await;
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_only_replaced_when_it_shall_be() {
    let server = Server::migrated(BOTH).await;
    server.database.execute(ROWS).unwrap();
    let copy = server.backup(BOTH, "copy").await.unwrap();
    // Migrated and never used: there is nothing to lose.
    let other = Server::migrated(BOTH).await;
    other.restore(&copy, BOTH, false).await.unwrap();
    let refused = other.restore(&copy, BOTH, false).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::NotEmpty, "{refused}");
    other.database.execute("INSERT INTO parents (id) VALUES ('new')").unwrap();
    other.restore(&copy, BOTH, true).await.unwrap();
    assert_eq!(other.dump(), server.dump());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_or_is_stopped_has_changed_nothing() {
    let server = Server::migrated(CHAINS).await;
    server.database.execute(ROWS).unwrap();
    let copy = server.backup(CHAINS, "copy").await.unwrap();
    let (used, empty) = (Server::migrated(CHAINS).await, Server::empty());
    used.database.execute("INSERT INTO parents (id) VALUES ('mine')").unwrap();
    let before = used.dump();
    // After every table in turn; the number of tables comes from the first.
    let tables = Arc::new(Mutex::new(1));
    let mut number = 1;
    while number <= *tables.lock().unwrap() {
        for (target, replace) in [(&used, true), (&empty, false)] {
            let watch = CopyWatch::default();
            let (stop, count) = (watch.stop(), Arc::clone(&tables));
            let watch = watch.telling(move |progress| {
                *count.lock().unwrap() = progress.of;
                if progress.number == number && progress.is_done {
                    stop.stop();
                }
            });
            let stopped = target.restore_watched(&copy, CHAINS, replace, watch).await.unwrap_err();
            assert_eq!(stopped.kind(), DbErrorKind::Closed);
        }
        assert_eq!(used.dump(), before);
        assert_eq!(empty.dump(), "");
        number += 1;
    }
    assert!(number > 5, "each table was tried");
    let left: Vec<_> = std::fs::read_dir(used.folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    // Stopped on its way out, too.
    let watch = CopyWatch::default();
    watch.stop().stop();
    let (options, target) = (server.options(), server.file("stopped"));
    let refused = on_a_thread({
        let target = target.clone();
        let mut watch = watch;
        move || backup(&options, CHAINS, &target, &mut watch).unwrap_err()
    })
    .await;
    assert_eq!(refused.kind(), DbErrorKind::Closed);
    assert!(!target.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_use_is_left_alone() {
    let server = Server::empty();
    let db = Db::open(server.options(), SHOP).await.unwrap();
    let copy = server.backup(SHOP, "copy").await.unwrap();
    let refused = server.restore(&copy, SHOP, true).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Busy, "{refused}");
    db.close().await;
    server.restore(&copy, SHOP, true).await.unwrap();

    // Whatever a node calls itself, it shows that it runs once it listens.
    let text = server.database.connection_string();
    let sign = if text.contains('?') { '&' } else { '?' };
    let url: DbUrl = format!("{text}{sign}application_name=own").parse().unwrap();
    let db = Db::open(DbOptions::new(url), SHOP).await.unwrap();
    db.read(|tx| tx.query(downcity_db::sql!("SELECT value FROM db_revision"), &[])).await.unwrap();
    let mut tries = 0;
    while server.restore(&copy, SHOP, true).await.is_ok() {
        tries += 1;
        assert!(tries < 100, "the node is not noticed");
    }
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_the_server_cannot_hold_are_named() {
    let server = Server::migrated(CHAINS).await;
    let copy = server.backup(CHAINS, "copy").await.unwrap();
    for (row, why) in [
        (
            "(1, 'a' || char(0) || 'b', 0, 0)",
            "row 1 of SELECT * FROM \"kinds\", column text: text with a NUL",
        ),
        (
            "(1, '', 0, 0), (2, x'00', 0, 0)",
            "row 2 of SELECT * FROM \"kinds\", column text: these are bytes",
        ),
        ("(1, '', 'many', 0)", "column big: this is not an integer"),
        (
            "(1, '', 0, 0), (2, '', 0, 70000)",
            "row 2 of SELECT * FROM \"kinds\", column small: the database refused",
        ),
    ] {
        let connection = opened(&copy);
        connection.execute_batch("DELETE FROM kinds").unwrap();
        connection
            .execute_batch(&format!("INSERT INTO kinds (id, text, big, small) VALUES {row}"))
            .unwrap();
        drop(connection);
        let refused = server.restore(&copy, CHAINS, false).await.unwrap_err();
        assert_eq!(refused.kind(), DbErrorKind::InvalidValue, "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
        assert!(!refused.to_string().contains("70000"), "no value is shown: {refused}");
    }
    server.database.execute("INSERT INTO kinds (id, real) VALUES (1, 'NaN')").unwrap();
    let refused = server.backup(CHAINS, "other").await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::InvalidValue, "{refused}");
    assert!(!server.file("other").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_this_program_does_not_have_are_not_forgotten() {
    let server = Server::migrated(BOTH).await;
    server.database.execute(ROWS).unwrap();
    let refused = server.backup(SHOP, "copy").await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::SchemaDivergent);
    assert!(refused.to_string().contains("\"chains\""), "{refused}");

    let copy = server.backup(BOTH, "copy").await.unwrap();
    let other = Server::empty();
    let refused = other.restore(&copy, SHOP, false).await.unwrap_err();
    assert!(refused.to_string().contains("start the program that has it"), "{refused}");
    assert_eq!(other.dump(), "");
    // Where the program that has it has made its tables, they are filled.
    let other = Server::migrated(BOTH).await;
    other.restore(&copy, SHOP, true).await.unwrap();
    assert_eq!(other.dump(), server.dump());

    // Others of the database would be left with what they had.
    let small = Server::migrated(SHOP).await;
    let small = small.backup(SHOP, "small").await.unwrap();
    let refused = other.restore(&small, SHOP, true).await.unwrap_err();
    assert!(refused.to_string().contains("restore into a new database"), "{refused}");
    assert_eq!(other.dump(), server.dump());
}

/// Another program at work on a table, and whether it is.
const AT_WORK: &str =
    "BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT";
const IS_AT_WORK: &str = "DO $$ BEGIN
    ASSERT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE c.relname = 'notes' AND l.mode = 'AccessExclusiveLock' AND l.granted); END $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_others_hold_no_copy_up() {
    let server = Arc::new(Server::migrated(SHOP).await);
    server.database.execute("CREATE TABLE notes (id BIGINT)").unwrap();
    let other = Arc::clone(&server);
    let work = tokio::task::spawn_blocking(move || other.database.execute(AT_WORK));
    let mut looks = 0;
    while server.database.execute(IS_AT_WORK).is_err() {
        looks += 1;
        assert!(looks < 500, "nobody is at work");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.backup(SHOP, "copy").await.unwrap();
    work.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_nobody_stay_out_of_it() {
    let server = Server::migrated(SHOP).await;
    server
        .database
        .execute("CREATE TABLE notes (id BIGINT); INSERT INTO notes VALUES (1)")
        .unwrap();
    let copy = server.backup(SHOP, "copy").await.unwrap();
    assert!(dump(&copy).iter().all(|line| !line.starts_with("notes")));
    server.restore(&copy, SHOP, true).await.unwrap();
    assert!(server.dump().contains("(1)"), "{}", server.dump());
    opened(&copy).execute_batch("CREATE TABLE lone (id BIGINT)").unwrap();
    let refused = server.restore(&copy, SHOP, true).await.unwrap_err();
    assert!(refused.to_string().contains("the table lone"), "{refused}");
}

const NEWER: &[MigrationSet] = &[MigrationSet {
    service: "shop",
    steps: &[
        schema().steps[0],
        Migration {
            version: 2,
            name: "note",
            sql: MigrationSql::Same(
                "ALTER TABLE wallets ADD COLUMN note TEXT NOT NULL DEFAULT 'old'",
            ),
        },
    ],
}];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_and_databases_of_other_versions() {
    let old = Server::migrated(SHOP).await;
    old.database.execute("INSERT INTO wallets (id, balance) VALUES ('a', 1)").unwrap();
    // A newer program copies what is there as it is, and brings it up to date where it restores it.
    let copy = old.backup(NEWER, "copy").await.unwrap();
    let place = DbUrl::sqlite(&copy);
    assert!(dump(&copy).iter().all(|line| !line.contains("old")));
    let new = Server::empty();
    new.restore(&copy, NEWER, false).await.unwrap();
    let db = Db::open(new.options(), NEWER).await.unwrap();
    assert_eq!(stored(&db, "a").await, Some(1));
    db.close().await;
    assert!(new.dump().contains("old"));
    old.restore(&copy, NEWER, true).await.unwrap();
    assert_eq!(old.dump(), new.dump());
    // An older program leaves what it does not know alone.
    let refused = new.backup(SHOP, "refused").await.unwrap_err();
    assert!(matches!(refused.kind(), DbErrorKind::SchemaNewer { .. }), "{refused}");
    let refused = new.restore(&copy, SHOP, true).await.unwrap_err();
    assert!(matches!(refused.kind(), DbErrorKind::SchemaNewer { .. }), "{refused}");
    Db::open(DbOptions::new(place), SHOP).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_server_has_nothing_to_copy() {
    let server = Server::empty();
    let refused = server.backup(BOTH, "copy").await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Unavailable, "{refused}");
    assert_eq!(std::fs::read_dir(server.folder.path()).unwrap().count(), 0);
}
