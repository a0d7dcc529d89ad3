//! `POST /v1/backup/create`.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use downcity_core::Body;
use downcity_db::{Db, DbOptions, DbUrl, came_from_postgres, sql};
use downcity_testkit::{ADMIN_KEY, Engine, TestApp, both_engines};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::json;
use tempfile::TempDir;

const PATH: &str = "/v1/backup/create";

fn asked() -> Request<Body> {
    Request::post(PATH)
        .header(AUTHORIZATION, format!("Bearer {ADMIN_KEY}"))
        .header(CONTENT_TYPE, "application/json")
        .body("{}".into())
        .unwrap()
}

/// Reads an answer into a file.
async fn kept(answer: Response<Body>, folder: &TempDir) -> PathBuf {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let path = folder.path().join("copy.sqlite");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The folders of copies beside a SQLite database, or among the temporary files.
fn folders(app: &TestApp) -> Vec<PathBuf> {
    let url = app.database_url();
    let parent = url.sqlite_path().and_then(Path::parent).map(Path::to_owned);
    let entries = std::fs::read_dir(parent.unwrap_or_else(std::env::temp_dir)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().contains(".downcity-backup-")).collect()
}

both_engines! {
    async fn the_answer_is_the_whole_database(app: TestApp) {
        app.create_city("shop").await;
        let answer = app.handle(asked()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/vnd.sqlite3");
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        let length = answer.headers()[CONTENT_LENGTH].to_str().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let copy = kept(answer, &folder).await;
        assert_eq!(copy.metadata().unwrap().len().to_string(), length);
        assert_eq!(came_from_postgres(&copy).unwrap(), app.runtime().db().engine() == Engine::Postgres);
        // The row of the trail is in the copy that it is about.
        let look = Db::open_to_read(&DbOptions::new(DbUrl::sqlite(&copy))).unwrap();
        let found = look.read(|tx| {
            let cities = tx.query_one(sql!("SELECT COUNT(*) FROM cities"), &[])?.at::<i64>(0)?;
            let rows = sql!("SELECT COUNT(*) FROM audit WHERE action = 'backup/create'");
            let rows = tx.query_one(rows, &[])?.at::<i64>(0)?;
            Ok::<_, downcity_db::DbError>((cities, rows))
        });
        assert_eq!(found.await.unwrap(), (2, 1));
        look.close().await;
        let trail = app.admin().get("/v1/audit/list?action=backup/create").await.expect(200);
        assert_eq!(trail["items"].as_array().unwrap().len(), 1, "{trail}");

        let key = json!({"name": "K", "actions": ["*"]});
        let issued = app.admin().post("/v1/keys/create", key).await.expect(200);
        let key = app.user(issued["key"].as_str().unwrap());
        key.post(PATH, json!({})).await.expect_error(403, "forbidden");
    }

    async fn one_copy_is_made_at_a_time(app: TestApp) {
        let first = app.handle(asked()).await;
        assert_eq!(first.status(), 200);
        // Not read to its end.
        let refused = app.admin().post(PATH, json!({})).await;
        refused.expect_error(409, "conflict");
        drop(first);
        assert_eq!(app.handle(asked()).await.status(), 200);
    }

    async fn a_client_that_leaves_leaves_nothing(app: TestApp) {
        let before = folders(&app);
        // While the copy is made: after each step of the work in turn.
        for steps in 1..40 {
            let mut call = pin!(app.handle(asked()));
            for _ in 0..steps {
                let step = tokio::time::timeout(Duration::from_micros(200), &mut call).await;
                if step.is_ok() {
                    break;
                }
            }
        }
        // While it is sent.
        let answer = answered(&app).await;
        let mut body = answer.into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        // What was under way ends by itself, then a copy can be made again.
        drop(answered(&app).await);
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while folders(&app).iter().any(|folder| !before.contains(folder)) {
            assert!(tokio::time::Instant::now() < until, "{:?}", folders(&app));
            tokio::task::yield_now().await;
        }
    }
}

/// The file of this size takes no room: nothing was ever written into most of it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_room_is_refused_at_once() {
    let app = TestApp::builder(Engine::Sqlite).start().await;
    let url = app.database_url();
    let file = std::fs::File::options().write(true).open(url.sqlite_path().unwrap()).unwrap();
    file.set_len(15 << 40).unwrap();
    let refused = app.admin().post(PATH, json!({})).await;
    refused.expect_error(507, "storage_full");
    assert_eq!(folders(&app), [] as [PathBuf; 0]);
    app.create_city("shop").await;
}

/// The answer of a copy, once the one before has ended.
async fn answered(app: &TestApp) -> Response<Body> {
    loop {
        let answer = app.handle(asked()).await;
        if answer.status() != 409 {
            assert_eq!(answer.status(), 200);
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_killed_process_has_left_is_removed() {
    let app = TestApp::builder(Engine::Sqlite).start().await;
    let url = app.database_url();
    let left = url.sqlite_path().unwrap().with_file_name(".downcity-backup-killed");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("lock"), "").unwrap();
    std::fs::write(left.join("copy.sqlite"), "half of it").unwrap();
    drop(answered(&app).await);
    assert_eq!(folders(&app), [] as [PathBuf; 0]);
}
