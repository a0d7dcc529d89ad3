//! Migrations: refused, repeated, raced, and with a copy taken first.

use std::fs;
use std::path::{Path, PathBuf};

use downcity_db::testing::TestDatabase;
use downcity_db::{
    Db, DbError, DbErrorKind, DbOptions, DbUrl, Engine, Migration, MigrationSet, MigrationSql,
    migrations,
};
use tokio::task::JoinSet;

use crate::common::{insert, on_both, schema, stored};

on_both!(
    a_newer_schema_is_refused,
    a_changed_step_is_refused,
    a_failing_step_leaves_nothing_behind,
    handles_that_start_together_migrate_once,
    mistakes_in_the_declaration_are_named,
    parts_for_both_come_before_those_of_one_engine,
    a_look_creates_and_migrates_nothing,
);

fn next_schema() -> MigrationSet {
    migrations!(
        "shop",
        [
            (1, "init", "../migrations/0001_init.sql"),
            (2, "note", { sqlite: "../migrations/0002_note.sql", postgres: "../migrations/0002_note.sql" }),
        ]
    )
}

const fn one_step(service: &'static str, steps: &'static [Migration]) -> MigrationSet {
    MigrationSet { service, steps }
}

async fn open(url: DbUrl, set: MigrationSet) -> Result<Db, DbError> {
    Db::open(DbOptions::new(url), &[set]).await
}

async fn a_newer_schema_is_refused(engine: Engine) {
    let database = TestDatabase::new(engine).unwrap();
    let newer = open(database.url(), next_schema()).await.unwrap();
    newer.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let refused = open(database.url(), schema()).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::SchemaNewer { service: "shop", found: 2, known: 1 });
    assert!(refused.to_string().contains("start the newer binary"), "{refused}");
    assert_eq!(stored(&newer, "a").await, Some(1));
}

async fn a_changed_step_is_refused(engine: Engine) {
    let database = TestDatabase::new(engine).unwrap();
    open(database.url(), schema()).await.unwrap().close().await;
    let changed = one_step(
        "shop",
        &[Migration { version: 1, name: "init", sql: MigrationSql::Same("SELECT 1") }],
    );
    let refused = open(database.url(), changed).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::SchemaDivergent, "{refused}");
    open(database.url(), schema()).await.unwrap();
}

async fn a_failing_step_leaves_nothing_behind(engine: Engine) {
    let database = TestDatabase::new(engine).unwrap();
    let broken = one_step(
        "shop",
        &[
            Migration {
                version: 1,
                name: "first",
                sql: MigrationSql::Same("CREATE TABLE wallets (id TEXT NOT NULL PRIMARY KEY)"),
            },
            Migration { version: 2, name: "second", sql: MigrationSql::Same("CREATE NONSENSE") },
        ],
    );
    let failed = open(database.url(), broken).await.unwrap_err();
    assert_eq!(failed.kind(), DbErrorKind::Engine, "{failed}");
    assert!(failed.to_string().contains("\"shop\""), "{failed}");
    // The first step of the same set was rolled back, or this one could not be applied.
    open(database.url(), schema()).await.unwrap();
}

async fn handles_that_start_together_migrate_once(engine: Engine) {
    let database = TestDatabase::new(engine).unwrap();
    let mut starting = JoinSet::new();
    for _ in 0..4 {
        starting.spawn(open(database.url(), next_schema()));
    }
    for handle in starting.join_all().await {
        handle.unwrap().ping().await.unwrap();
    }
}

async fn mistakes_in_the_declaration_are_named(engine: Engine) {
    let database = TestDatabase::new(engine).unwrap();
    let step = |version| Migration { version, name: "x", sql: MigrationSql::Same("SELECT 1") };
    let unordered: &[Migration] = Box::leak(Box::new([step(2), step(2)]));
    for (set, reason) in [
        (one_step("Shop; DROP", &[]), "may hold a-z"),
        (one_step("db", &[]), "another service has the same id"),
        (one_step("shop", unordered), "must ascend"),
    ] {
        let refused = open(database.url(), set).await.unwrap_err();
        assert_eq!(refused.kind(), DbErrorKind::Config);
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

/// Names in a folder that hold `part`, sorted.
fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(part))
        .collect();
    found.sort();
    found
}

#[cfg(unix)]
fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
}

#[tokio::test]
async fn a_new_file_is_private_and_needs_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/inside/fed.sqlite");
    let db = open(DbUrl::sqlite(&path), schema()).await.unwrap();
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    for file in files(path.parent().unwrap(), "fed.sqlite") {
        assert_private(&file);
    }
    assert_eq!(files(path.parent().unwrap(), ".bak"), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_copy_is_taken_before_migrating_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fed.sqlite");
    let old = open(DbUrl::sqlite(&path), schema()).await.unwrap();
    old.write(|tx| insert(tx, "a", 1)).await.unwrap();
    // Opened while the old handle still has its latest change in the write-ahead log.
    open(DbUrl::sqlite(&path), next_schema()).await.unwrap().close().await;
    old.close().await;

    let first = folder.path().join("fed.sqlite.before-shop-2.bak");
    assert_eq!(files(folder.path(), ".before-"), std::slice::from_ref(&first));
    assert_private(&first);
    open(DbUrl::sqlite(&path), next_schema()).await.unwrap().close().await;
    assert_eq!(files(folder.path(), ".before-").len(), 1, "nothing pending, no copy");

    // Back to the copy, as an operator would, and on again after some work.
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    fs::copy(&first, &path).unwrap();
    let back = open(DbUrl::sqlite(&path), schema()).await.unwrap();
    back.write(|tx| insert(tx, "b", 2)).await.unwrap();
    back.close().await;
    open(DbUrl::sqlite(&path), next_schema()).await.unwrap().close().await;
    let second = folder.path().join("fed.sqlite.before-shop-2.2.bak");
    assert_eq!(files(folder.path(), ".before-"), [second.clone(), first.clone()]);

    for (copy, b) in [(first, None), (second, Some(2))] {
        let restored = open(DbUrl::sqlite(&copy), schema()).await.unwrap();
        assert_eq!(stored(&restored, "a").await, Some(1));
        assert_eq!(stored(&restored, "b").await, b);
        restored.close().await;
    }
}

#[tokio::test]
async fn starts_that_fail_again_and_again_keep_one_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fed.sqlite");
    open(DbUrl::sqlite(&path), schema()).await.unwrap().close().await;
    let failing = MigrationSet {
        service: "shop",
        steps: const {
            &[
                schema().steps[0],
                Migration { version: 2, name: "note", sql: MigrationSql::Same("CREATE NONSENSE") },
            ]
        },
    };
    for _ in 0..3 {
        open(DbUrl::sqlite(&path), failing).await.unwrap_err();
    }
    let copies = files(folder.path(), ".before-");
    assert_eq!(copies, [folder.path().join("fed.sqlite.before-shop-2.bak")]);
}

#[tokio::test]
async fn without_its_copy_a_database_is_not_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fed.sqlite");
    open(DbUrl::sqlite(&path), schema()).await.unwrap().close().await;
    let occupied = folder.path().join("occupied");
    fs::write(&occupied, "a file, not a folder").unwrap();
    let mut options = DbOptions::new(DbUrl::sqlite(&path));
    options.backup_dir = Some(occupied);
    let refused = Db::open(options.clone(), &[next_schema()]).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Unavailable);
    assert!(refused.to_string().contains("not migrated"), "{refused}");

    options.backup_dir = Some(folder.path().join("copies"));
    Db::open(options, &[next_schema()]).await.unwrap();
    assert_eq!(files(&folder.path().join("copies"), "fed.sqlite.before-shop-2.bak").len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "not a database, and longer than a header of one hundred bytes: ".repeat(4))
        .unwrap();
    let refused = open(DbUrl::sqlite(&path), schema()).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Engine, "{refused}");
    let refused = open(DbUrl::sqlite(folder.path()), schema()).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Unavailable, "{refused}");
}

async fn parts_for_both_come_before_those_of_one_engine(engine: Engine) {
    let set = migrations!(
        "shop",
        [(
            1,
            "init",
            {
                both: "../migrations/0001_init.sql",
                sqlite: "../migrations/0002_note.sql",
                postgres: "../migrations/0002_note.sql",
            }
        )]
    );
    let database = TestDatabase::new(engine).unwrap();
    let db = open(database.url(), set).await.unwrap();
    database.execute("INSERT INTO wallets (id, balance, note) VALUES ('a', 1, 'x')").unwrap();
    assert_eq!(stored(&db, "a").await, Some(1));
}

async fn a_look_creates_and_migrates_nothing(engine: Engine) {
    let database = TestDatabase::new(engine).unwrap();
    let options = DbOptions::new(database.url());
    let empty = Db::open_to_read(&options).unwrap();
    empty.revision().await.unwrap_err();
    if let Some(path) = options.url.sqlite_path() {
        assert!(!path.exists());
    }
    let server = open(database.url(), schema()).await.unwrap();
    server.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let look = Db::open_to_read(&options).unwrap();
    assert_eq!(stored(&look, "a").await, Some(1));
    let refused = look.write(|tx| insert(tx, "b", 1)).await.unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::Closed);
    look.close().await;
    assert_eq!(stored(&server, "a").await, Some(1));
}
