//! Databases and the master key that sealed them.

use downcity_core::SystemRandom;
use downcity_core::env::{MasterKey, MasterKeySource};
use downcity_db::{DbError, Engine, sql};
use downcity_testkit::{TestApp, TestAppBuilder, both_engines};
use downcity_types::ErrorCode;

use crate::common::{applied, upsert, write_by_hand};

fn with_key(app: TestAppBuilder, key: impl Into<MasterKeySource>) -> TestAppBuilder {
    let key = key.into();
    app.options(move |options| options.master_key = key)
}

async fn refusal(app: TestAppBuilder) -> String {
    let error = app.try_start().await.err().expect("the start is refused");
    assert_eq!(error.code(), ErrorCode::MissingConfig);
    error.message().to_owned()
}

both_engines! {
    async fn another_key_is_refused_with_both_fingerprints(app: TestApp) {
        app.stop().await;
        let again = || TestApp::builder(app.runtime().db().engine()).on_database_of(&app);
        let (key, text) = MasterKey::generate(&SystemRandom);
        let message = refusal(with_key(again(), key.clone())).await;
        assert!(message.contains(&key.fingerprint()), "{message}");
        assert!(message.contains("DOWNCITY_FEDERATION_MASTER_KEY"), "{message}");
        assert!(!message.contains(&*text));
        again().start().await;
    }

    async fn sealed_values_without_their_data_key_are_refused(app: TestApp) {
        upsert(&app, "K", "v").await;
        let emptied = app.runtime().db().write(|tx| tx.execute(sql!("DELETE FROM vault"), &[]));
        emptied.await.map_err(|error: DbError| error).unwrap();
        app.stop().await;
        let again = TestApp::builder(app.runtime().db().engine()).on_database_of(&app);
        assert!(refusal(again).await.contains("vault"));
    }

    async fn a_damaged_data_key_is_refused(app: TestApp) {
        let damage = sql!("UPDATE vault SET data_key = 'sealed:v1:1:AAAA'");
        let damaged = app.runtime().db().write(move |tx| tx.execute(damage, &[]));
        damaged.await.map_err(|error: DbError| error).unwrap();
        app.stop().await;
        let again = TestApp::builder(app.runtime().db().engine()).on_database_of(&app);
        assert!(refusal(again).await.contains("damaged"));
    }
}

#[test]
fn a_key_file_is_made_once_and_never_for_a_database_that_needs_another() {
    downcity_testkit::block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let file = || MasterKeySource::File(path.clone());
        let app = with_key(TestApp::builder(Engine::Sqlite), file()).start().await;
        upsert(&app, "K", "v").await;
        app.stop().await;
        let again = || with_key(TestApp::builder(Engine::Sqlite).on_database_of(&app), file());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let message = refusal(again()).await;
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains("DOWNCITY_FEDERATION_MASTER_KEY_FILE"), "{message}");
        assert!(!path.exists(), "no other key takes its place");
        std::fs::write(&path, text).unwrap();
        assert_eq!(applied(&again().start().await, "K").as_deref(), Some("v"));
    });
}

#[test]
fn clear_rows_alone_need_no_old_key() {
    downcity_testkit::block_on(async {
        let app = TestApp::builder(Engine::Sqlite).start().await;
        write_by_hand(&app, "K", "from a dump").await;
        let emptied = app.runtime().db().write(|tx| {
            tx.execute(sql!("DELETE FROM vault WHERE id = 1"), &[])?;
            tx.execute(sql!("DELETE FROM env WHERE key <> 'K'"), &[])
        });
        emptied.await.map_err(|error: DbError| error).unwrap();
        app.stop().await;
        let again = TestApp::builder(Engine::Sqlite).on_database_of(&app);
        let (key, _) = MasterKey::generate(&SystemRandom);
        let app = with_key(again, key).start().await;
        assert_eq!(applied(&app, "K").as_deref(), Some("from a dump"));
    });
}
