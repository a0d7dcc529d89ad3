//! What rows said before they were sealed is gone from the files.

use std::path::{Path, PathBuf};

use downcity_core::SystemRandom;
use downcity_core::env::MasterKey;
use downcity_db::{CopyWatch, DbError, DbOptions, sql};
use downcity_testkit::{Engine, TestApp, both_engines};

use crate::common::{applied, refresh, stored, write_by_hand};

/// A whole copy: what a database has committed may still be in the log beside its file.
fn copy_of(app: &TestApp, target: &Path) {
    let options = DbOptions::new(app.database_url());
    downcity_db::backup(&options, &[], target, &mut CopyWatch::default()).unwrap();
}

/// Puts a copy in the place of a database and its log.
fn restore(copy: &Path, database: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    std::fs::copy(copy, database).unwrap();
}

fn database(app: &TestApp) -> PathBuf {
    app.database_url().sqlite_path().unwrap().to_owned()
}

/// The files of a database, copies included, that hold this text.
fn holding(database: &Path, text: &str) -> Vec<String> {
    let finder = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let entries = std::fs::read_dir(database.parent().unwrap()).unwrap();
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.filter(|path| finder(path)).map(|path| path.display().to_string()).collect()
}

both_engines! {
    async fn erasing_does_no_harm_and_can_be_repeated(app: TestApp) {
        write_by_hand(&app, "K", PLANTED).await;
        refresh(&app).await;
        let db = app.runtime().db();
        for _ in 0..2 {
            db.erase_replaced(&["env"]).await.unwrap();
        }
        assert!(stored(&app, "K").await.unwrap().starts_with("sealed:v1:"));
        refresh(&app).await;
        assert_eq!(applied(&app, "K").as_deref(), Some(PLANTED));
        let copies = db.rewrite_copies(|_| Ok::<_, DbError>(true));
        assert_eq!(copies.await.unwrap(), 0, "nothing was migrated");
    }
}

const PLANTED: &str = "planted-in-the-clear";

#[tokio::test]
async fn after_a_refresh() {
    let app = TestApp::builder(Engine::Sqlite).start().await;
    let database = database(&app);
    // Long values stand on pages of their own, and many rows split and join pages.
    for (number, length) in (0..120).map(|number| (number, [3, 700, 5_000, 60_000][number % 4])) {
        let value = format!("{PLANTED}-{}", "x".repeat(length));
        write_by_hand(&app, &format!("K{number}"), &value).await;
        write_by_hand(&app, &format!("K{number}"), &format!("{value}-again")).await;
    }
    assert!(!holding(&database, PLANTED).is_empty(), "the search finds what is there");
    refresh(&app).await;
    assert_eq!(holding(&database, PLANTED), [""; 0]);
    assert!(applied(&app, "K1").unwrap().starts_with(PLANTED));
    // Servers go on.
    write_by_hand(&app, "K1", PLANTED).await;
    assert_eq!(refresh(&app).await, 123);
    assert_eq!(holding(&database, PLANTED), [""; 0]);
}

/// Another tool frees pages without overwriting them, and the copy that is taken before a migration
/// has the clear rows as well.
#[tokio::test]
async fn after_a_start_that_migrates() {
    let app = TestApp::builder(Engine::Sqlite).start().await;
    let database = database(&app);
    write_by_hand(&app, "K", PLANTED).await;
    write_by_hand(&app, "LONG", &format!("{PLANTED}{}", "x".repeat(20_000))).await;
    app.stop().await;
    let copy = database.with_file_name(format!(
        "{}.before-core-1.bak",
        database.file_name().unwrap().to_str().unwrap()
    ));
    copy_of(&app, &copy);
    assert!(holding(&database, PLANTED).len() >= 2, "the database and its copy");
    let again = TestApp::builder(Engine::Sqlite).on_database_of(&app).start().await;
    assert_eq!(applied(&again, "K").as_deref(), Some(PLANTED));
    assert_eq!(holding(&database, PLANTED), [""; 0]);
    // The copy is a database that opens, with its values sealed.
    again.stop().await;
    restore(&copy, &database);
    let restored = TestApp::builder(Engine::Sqlite).on_database_of(&app).start().await;
    assert_eq!(applied(&restored, "K").as_deref(), Some(PLANTED));
    assert!(stored(&restored, "K").await.unwrap().starts_with("sealed:v1:"));
}

#[tokio::test]
async fn a_copy_with_another_vault_stays_as_it_is() {
    let other = TestApp::builder(Engine::Sqlite).options(|options| {
        options.master_key = MasterKey::generate(&SystemRandom).0.into();
    });
    let other = other.start().await;
    write_by_hand(&other, "K", PLANTED).await;
    let changed = other
        .runtime()
        .db()
        .write(|tx| tx.execute(sql!("UPDATE vault SET created_at = created_at - 1"), &[]));
    changed.await.map_err(|error: DbError| error).unwrap();
    other.stop().await;
    let app = TestApp::builder(Engine::Sqlite).start().await;
    write_by_hand(&app, "OWN", "mine").await;
    app.stop().await;
    let database = database(&app);
    let name = database.file_name().unwrap().to_str().unwrap();
    let copy = database.with_file_name(format!("{name}.before-core-1.bak"));
    copy_of(&other, &copy);
    let again = TestApp::builder(Engine::Sqlite).on_database_of(&app).start().await;
    assert_eq!(applied(&again, "OWN").as_deref(), Some("mine"));
    assert_eq!(holding(&database, PLANTED), [copy.display().to_string()]);
}
