//! Copies for keeps.

use std::path::{Path, PathBuf};

use downcity_db::testing::{names_in, run_on, tables_of};
use downcity_db::{
    CopyWatch, Db, DbError, DbErrorKind, DbOptions, DbUrl, migrate_copy, migrations,
    pending_migrations, restore,
};

use crate::common::{insert, schema, stored};

/// A copy of a SQLite database.
fn backup(url: &DbUrl, target: &Path) -> Result<u64, DbError> {
    downcity_db::backup(&DbOptions::new(url.clone()), &[], target, &mut CopyWatch::default())
}

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
        tokio::task::spawn_blocking(move || backup(&url, &target).unwrap())
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
    let error = backup(&url, &taken).unwrap_err();
    assert_eq!(error.kind(), DbErrorKind::Unavailable);
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");

    let nowhere = folder.path().join("no/such/folder/copy");
    let error = backup(&url, &nowhere).unwrap_err();
    assert_eq!((error.kind(), error.is_local()), (DbErrorKind::Unavailable, true));
    db.close().await;

    let broken = folder.path().join("broken.sqlite");
    std::fs::write(&broken, "this is no database, whatever its name says").unwrap();
    let target = folder.path().join("copy");
    backup(&DbUrl::sqlite(&broken), &target).unwrap_err();
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("copy"))
        .collect();
    assert_eq!(left, [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_copies_to_one_place_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let url = DbUrl::sqlite(folder.path().join("fed.sqlite"));
    let db = Db::open(DbOptions::new(url.clone()), &[schema()]).await.unwrap();
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let target = folder.path().join("copy");
    backup(&url, &target).unwrap();
    let made = std::fs::read(&target).unwrap();
    db.write(|tx| insert(tx, "b", 2)).await.unwrap();
    backup(&url, &target).unwrap_err();
    assert_eq!(std::fs::read(&target).unwrap(), made, "the first copy stays");
    let drafts = std::fs::read_dir(folder.path()).unwrap();
    let drafts =
        drafts.filter(|file| file.as_ref().unwrap().path().extension() == Some("part".as_ref()));
    assert_eq!(drafts.count(), 0);
}

/// A closed database with one row, and a copy of it from before that row.
async fn with_copy(folder: &Path) -> (DbUrl, PathBuf) {
    let url = DbUrl::sqlite(folder.join("fed.sqlite"));
    let copy = folder.join("copy.sqlite");
    let db = Db::open(DbOptions::new(url.clone()), &[schema()]).await.unwrap();
    backup(&url, &copy).unwrap();
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    db.close().await;
    (url, copy)
}

#[tokio::test]
async fn a_restore_that_is_stopped_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (url, copy) = with_copy(folder.path()).await;
    let before =
        (names_in(folder.path()).unwrap(), std::fs::read(url.sqlite_path().unwrap()).unwrap());
    let mut watch = CopyWatch::default();
    watch.stop().stop();
    let aside = folder.path().join("aside");
    let stopped = restore(&copy, &url, &aside, &mut watch).unwrap_err();
    assert_eq!(stopped.kind(), DbErrorKind::Closed);
    let after =
        (names_in(folder.path()).unwrap(), std::fs::read(url.sqlite_path().unwrap()).unwrap());
    assert!(before == after, "{:?}", after.0);
    restore(&copy, &url, &aside, &mut CopyWatch::default()).unwrap();
    let db = Db::open(DbOptions::new(url), &[schema()]).await.unwrap();
    assert_eq!(stored(&db, "a").await, None);
}

#[tokio::test]
async fn an_older_copy_is_brought_to_the_schema_of_today() {
    let folder = tempfile::tempdir().unwrap();
    let (_, copy) = with_copy(folder.path()).await;
    let newer = migrations!(
        "shop",
        [(1, "init", "../migrations/0001_init.sql"), (2, "note", "../migrations/0002_note.sql"),]
    );
    migrate_copy(&copy, &[newer]).unwrap();
    let options = DbOptions::new(DbUrl::sqlite(&copy));
    assert_eq!(pending_migrations(&options, &[newer]).await.unwrap(), 0);
    let refused = migrate_copy(&copy, &[schema()]).unwrap_err();
    assert!(matches!(refused.kind(), DbErrorKind::SchemaNewer { .. }), "{refused}");

    let other = folder.path().join("other.sqlite");
    run_on(&other, "CREATE TABLE notes (id BIGINT)").unwrap();
    let refused = migrate_copy(&other, &[schema()]).unwrap_err();
    assert!(refused.to_string().contains("no database of a Federation"), "{refused}");
    assert_eq!(tables_of(&other).unwrap().len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_stays_and_its_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (url, copy) = with_copy(folder.path()).await;
    let file = url.sqlite_path().unwrap();
    let links = folder.path().join("links");
    std::fs::create_dir(&links).unwrap();
    let link = links.join("link.sqlite");
    std::os::unix::fs::symlink(file, &link).unwrap();
    let linked = DbUrl::sqlite(&link);
    let aside = folder.path().join("aside");
    restore(&copy, &linked, &aside, &mut CopyWatch::default()).unwrap();
    assert!(link.is_symlink() && aside.is_file());
    assert_eq!(names_in(&links).unwrap(), ["link.sqlite"]);
    let db = Db::open(DbOptions::new(url.clone()), &[schema()]).await.unwrap();
    assert_eq!(stored(&db, "a").await, None);
    db.close().await;

    std::fs::remove_file(file).unwrap();
    let refused = restore(&copy, &linked, &aside, &mut CopyWatch::default()).unwrap_err();
    assert!(refused.to_string().contains("link.sqlite is a link"), "{refused}");
    assert!(link.is_symlink() && !file.exists());
}

#[tokio::test]
async fn what_is_damaged_is_put_aside_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (url, copy) = with_copy(folder.path()).await;
    let path = url.sqlite_path().unwrap();
    let file = |name: &str| folder.path().join(name);
    let whole = std::fs::read(path).unwrap();
    // No database; one whose first page is damaged behind its header; one that was cut off.
    let mut damaged = whole.clone();
    damaged[100..].fill(0xa5);
    for (number, content) in
        [b"noise".repeat(100), damaged, whole[..600].to_vec()].iter().enumerate()
    {
        std::fs::write(path, content).unwrap();
        std::fs::write(file("fed.sqlite-wal"), "a log").unwrap();
        let aside = file(&format!("aside-{number}"));
        restore(&copy, &url, &aside, &mut CopyWatch::default()).unwrap();
        assert!(std::fs::read(&aside).unwrap() == *content, "{number}");
        let log = std::fs::read_to_string(file(&format!("aside-{number}-wal")));
        assert_eq!(log.unwrap(), "a log");
        let db = Db::open(DbOptions::new(url.clone()), &[schema()]).await.unwrap();
        assert_eq!(stored(&db, "a").await, None);
        db.close().await;
    }
}

/// Files of these sizes take no room: nothing was ever written into most of them.
#[cfg(unix)]
#[tokio::test]
async fn no_copy_is_begun_where_there_is_no_room_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (url, copy) = with_copy(folder.path()).await;
    let grow = |path: &Path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(15 << 40).unwrap();
    };
    grow(&copy);
    let aside = folder.path().join("aside");
    let before = names_in(folder.path()).unwrap();
    let refused = restore(&copy, &url, &aside, &mut CopyWatch::default()).unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::DiskFull, "{refused}");
    let named = format!("the disk of {} has no room", folder.path().display());
    assert!(refused.to_string().contains(&named), "{refused}");
    grow(url.sqlite_path().unwrap());
    let refused = backup(&url, &folder.path().join("other")).unwrap_err();
    assert_eq!(refused.kind(), DbErrorKind::DiskFull, "{refused}");
    assert!(refused.to_string().contains("MiB are needed"), "{refused}");
    assert_eq!(names_in(folder.path()).unwrap(), before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_folder_leads_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = with_copy(folder.path()).await;
    let mine = folder.path().join("mine");
    std::fs::write(&mine, "mine").unwrap();
    let target = folder.path().join("other");
    for ending in ["part", &format!("{}.part", std::process::id())] {
        let link = folder.path().join(format!("other.{ending}"));
        std::os::unix::fs::symlink(&mine, link).unwrap();
    }
    backup(&url, &target).unwrap();
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
}
