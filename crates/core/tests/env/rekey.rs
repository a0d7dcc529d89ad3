//! A new master key while nodes serve, and every place where that may break off.

use std::path::{Path, PathBuf};

use downcity_core::SystemRandom;
use downcity_core::env::{MasterKey, MasterKeySource, rekey};
use downcity_db::{DbError, Row, sql};
use downcity_testkit::{Engine, TestApp, TestAppBuilder, both_engines};
use downcity_types::ErrorCode;

use crate::common::{applied, upsert};

fn key() -> MasterKey {
    MasterKey::generate(&SystemRandom).0
}

fn with_key(app: TestAppBuilder, key: impl Into<MasterKeySource>) -> TestAppBuilder {
    let key = key.into();
    app.options(move |options| options.master_key = key)
}

fn again(app: &TestApp, key: impl Into<MasterKeySource>) -> TestAppBuilder {
    with_key(TestApp::builder(app.runtime().db().engine()).on_database_of(app), key)
}

async fn refused(app: TestAppBuilder) -> String {
    app.try_start().await.err().expect("the start is refused").message().to_owned()
}

fn fingerprint(path: &Path) -> String {
    MasterKey::read_file(path).unwrap().fingerprint()
}

/// A node whose key stands in a file.
async fn with_file(folder: &Path) -> (TestApp, PathBuf, MasterKeySource) {
    let path = folder.join("master.key");
    let source = MasterKeySource::File(path.clone());
    let app = with_key(TestApp::builder(Engine::Sqlite), source.clone()).start().await;
    upsert(&app, "K", "v").await;
    (app, path, source)
}

both_engines! {
    async fn running_nodes_go_on_and_later_starts_need_the_new_key(app: TestApp) {
        app.stop().await;
        let (first, second) = (key(), key());
        // The key of the harness is not at hand: begin with one that is.
        let harness = MasterKey::parse("a passphrase for tests, of more than 32 characters").unwrap();
        let node = again(&app, harness.clone()).start().await;
        upsert(&node, "K", "before").await;
        let source = MasterKeySource::Given(harness.clone());
        let done = rekey(node.runtime(), &source, Some(first.clone())).await.unwrap();
        assert_eq!((done.before.clone(), done.after.clone()), (harness.fingerprint(), first.fingerprint()));
        assert_eq!((done.file, done.kept), (None, None));
        upsert(&node, "K", "after").await;
        assert_eq!(applied(&node, "K").as_deref(), Some("after"));
        let message = refused(again(&app, harness.clone())).await;
        assert!(message.contains(&first.fingerprint()), "{message}");
        let later = again(&app, first.clone()).start().await;
        assert_eq!(applied(&later, "K").as_deref(), Some("after"));
        // The node that began with the old key and the one with the new key are one Federation.
        upsert(&later, "L", "from later").await;
        node.runtime().state().refresh().await.unwrap();
        assert_eq!(applied(&node, "L").as_deref(), Some("from later"));
        for (source, given) in [(harness, Some(second.clone())), (first.clone(), Some(first)), (second, None)] {
            let error = rekey(later.runtime(), &source.into(), given).await.unwrap_err();
            assert!(matches!(error.code(), ErrorCode::Conflict | ErrorCode::InvalidInput), "{error:?}");
        }
        let recorded = later.runtime().db().scan(|tx| {
            let rows = tx.query(
                sql!("SELECT actor, after_json FROM audit WHERE action = 'vault/rekey'"), &[],
            )?;
            let row = |row: &Row| Ok((row.get("actor")?, row.get("after_json")?));
            rows.iter().map(row).collect::<Result<Vec<(String, String)>, DbError>>()
        });
        let recorded = recorded.await.unwrap();
        assert_eq!((recorded.len(), recorded[0].0.as_str()), (1, "system"));
        assert!(recorded[0].1.contains(&done.after), "{recorded:?}");
    }
}

#[tokio::test]
async fn a_key_file_is_replaced_and_the_old_one_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (app, path, source) = with_file(folder.path()).await;
    let old = fingerprint(&path);
    let done = rekey(app.runtime(), &source, None).await.unwrap();
    assert_eq!((done.before.as_str(), done.file.as_deref()), (old.as_str(), Some(&*path)));
    assert_eq!(fingerprint(&path), done.after);
    let kept = done.kept.unwrap();
    assert_eq!(fingerprint(&kept), old);
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(names.len(), 2, "{names:?}");
    #[cfg(unix)]
    for entry in names {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    app.stop().await;
    assert_eq!(applied(&again(&app, source).start().await, "K").as_deref(), Some("v"));
    assert!(
        refused(again(&app, MasterKey::read_file(&kept).unwrap()))
            .await
            .contains("another master key")
    );
}

#[tokio::test]
async fn wherever_a_change_breaks_off_one_of_the_files_opens_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (app, path, source) = with_file(folder.path()).await;
    let next = folder.path().join("master.key.next");
    // After the first step: the new key is written, the database has the old one.
    std::fs::write(&next, "b".repeat(64)).unwrap();
    let planned = fingerprint(&next);
    app.stop().await;
    let app = again(&app, source.clone()).start().await;
    assert!(next.exists(), "a key that the database may take at any moment stays");
    let other = rekey(app.runtime(), &source, Some(key())).await.unwrap_err();
    assert_eq!(other.code(), ErrorCode::Conflict);
    assert!(other.message().contains("master.key.next"), "{}", other.message());
    let done = rekey(app.runtime(), &source, None).await.unwrap();
    assert_eq!((done.after, fingerprint(&path), next.exists()), (planned.clone(), planned, false));
    // After the second and the third step: the database has the new key, the file the old one.
    let kept = done.kept.unwrap();
    std::fs::rename(&path, &next).unwrap();
    std::fs::copy(&kept, &path).unwrap();
    app.stop().await;
    let app = again(&app, source.clone()).start().await;
    assert_eq!(applied(&app, "K").as_deref(), Some("v"));
    assert!(!next.exists());
    // And where the old file is gone altogether.
    std::fs::rename(&path, &next).unwrap();
    app.stop().await;
    let app = again(&app, source.clone()).start().await;
    assert_eq!((applied(&app, "K").as_deref(), next.exists()), (Some("v"), false));
    // A half written key is no reason to lose the good one.
    std::fs::write(&next, "half").unwrap();
    app.stop().await;
    let app = again(&app, source.clone()).start().await;
    assert!(rekey(app.runtime(), &source, None).await.unwrap_err().message().contains("too short"));
}
