//! Copies for keeps.

use std::time::Duration;

use downcity_db::testing::TestDatabase;
use downcity_db::{Db, DbErrorKind, DbOptions, DbUrl, Engine, backup};

use crate::common::{insert, schema, stored};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_one_state_taken_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let url = DbUrl::sqlite(folder.path().join("fed.sqlite"));
    let db = Db::open(DbOptions::new(url.clone()), &[schema()]).await.unwrap();
    // Two rows a transaction: a copy that is one state has both or none.
    let pair = |number: i64| {
        let db = db.clone();
        async move {
            db.write(move |tx| {
                insert(tx, &format!("left {number}"), number)?;
                insert(tx, &format!("right {number}"), number)
            })
            .await
            .unwrap();
        }
    };
    pair(0).await;
    let target = folder.path().join("copy.sqlite");
    let copying = {
        let (url, target) = (url.clone(), target.clone());
        tokio::task::spawn_blocking(move || backup(&url, &target, PATIENCE).unwrap())
    };
    for number in 1..200 {
        pair(number).await;
    }
    let bytes = copying.await.unwrap();
    assert_eq!(bytes, target.metadata().unwrap().len());

    let copy = Db::open(DbOptions::new(DbUrl::sqlite(&target)), &[schema()]).await.unwrap();
    assert_eq!(stored(&copy, "left 0").await, Some(0));
    for number in 0..200 {
        let sides = ["left", "right"].map(|side| format!("{side} {number}"));
        let left = stored(&copy, &sides[0]).await;
        assert_eq!(left, stored(&copy, &sides[1]).await, "{number}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn nothing_is_overwritten_and_nothing_half_made_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let url = DbUrl::sqlite(folder.path().join("fed.sqlite"));
    let db = Db::open(DbOptions::new(url.clone()), &[schema()]).await.unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "mine").unwrap();
    let error = backup(&url, &taken, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), DbErrorKind::Unavailable);
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");

    let nowhere = folder.path().join("no/such/folder/copy");
    assert_eq!(backup(&url, &nowhere, PATIENCE).unwrap_err().kind(), DbErrorKind::Unavailable);
    db.close().await;

    let broken = folder.path().join("broken.sqlite");
    std::fs::write(&broken, "this is no database, whatever its name says").unwrap();
    let target = folder.path().join("copy");
    backup(&DbUrl::sqlite(&broken), &target, PATIENCE).unwrap_err();
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("copy"))
        .collect();
    assert_eq!(left, [] as [String; 0]);
}

#[test]
fn postgres_is_left_to_its_own_tools() {
    let database = TestDatabase::new(Engine::Postgres).unwrap_or_else(|reason| panic!("{reason}"));
    let folder = tempfile::tempdir().unwrap();
    let error = backup(&database.url(), &folder.path().join("copy"), PATIENCE).unwrap_err();
    assert_eq!(error.kind(), DbErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_copies_to_one_place_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let url = DbUrl::sqlite(folder.path().join("fed.sqlite"));
    let db = Db::open(DbOptions::new(url.clone()), &[schema()]).await.unwrap();
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let target = folder.path().join("copy");
    backup(&url, &target, PATIENCE).unwrap();
    let made = std::fs::read(&target).unwrap();
    db.write(|tx| insert(tx, "b", 2)).await.unwrap();
    backup(&url, &target, PATIENCE).unwrap_err();
    assert_eq!(std::fs::read(&target).unwrap(), made, "the first copy stays");
    let drafts = std::fs::read_dir(folder.path()).unwrap();
    let drafts =
        drafts.filter(|file| file.as_ref().unwrap().path().extension() == Some("part".as_ref()));
    assert_eq!(drafts.count(), 0);
}
