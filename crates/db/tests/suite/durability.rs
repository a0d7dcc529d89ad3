//! SQLite: a write that was answered survives the sudden death of the process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use downcity_db::{Db, DbError, DbOptions, DbUrl, sql};
use tokio::task::JoinSet;

use crate::common::schema;

/// Set for the child process: the database that it writes to until it is killed.
const CHILD: &str = "DOWNCITY_TEST_WRITE_UNTIL_KILLED";
const NAME: &str = "durability::answered_writes_survive_a_kill";
const WRITERS: i64 = 8;
/// The child ends by itself after this many writes, should nobody kill it.
const WRITES_PER_WRITER: i64 = 20_000;
const ANSWERS_BEFORE_THE_KILL: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_writes_survive_a_kill() {
    if let Some(path) = std::env::var_os(CHILD) {
        write_until_killed(DbUrl::sqlite(path)).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.sqlite");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answered = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if let Some(id) = line.strip_prefix("written ").and_then(|id| id.strip_suffix('\n')) {
            answered.push(id.parse::<i64>().unwrap());
            if answered.len() == ANSWERS_BEFORE_THE_KILL {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    assert!(!child.wait().unwrap().success(), "the child was killed at work");
    assert!(answered.len() >= ANSWERS_BEFORE_THE_KILL, "{} answers", answered.len());

    let db = Db::open(DbOptions::new(DbUrl::sqlite(&path)), &[schema()]).await.unwrap();
    let stored: std::collections::HashSet<i64> = db
        .scan(|tx| {
            tx.query(sql!("SELECT id FROM entries"), &[])?.iter().map(|row| row.at(0)).collect()
        })
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    let lost: Vec<_> = answered.iter().filter(|id| !stored.contains(id)).collect();
    assert!(lost.is_empty(), "answered but lost: {lost:?}");
}

async fn write_until_killed(url: DbUrl) {
    let db = Db::open(DbOptions::new(url), &[schema()]).await.unwrap();
    db.write(|tx| crate::common::insert(tx, "w", 1)).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let db = db.clone();
        writers.spawn(async move {
            for number in 0..WRITES_PER_WRITER {
                let id = writer * WRITES_PER_WRITER + number;
                db.write(move |tx| {
                    tx.execute(
                        sql!("INSERT INTO entries (id, wallet_id, amount) VALUES ($1, $2, $3)"),
                        &[&id, &"w", &number],
                    )
                })
                .await
                .unwrap_or_else(|error: DbError| panic!("{error}"));
                let mut out = std::io::stdout().lock();
                writeln!(out, "written {id}").and_then(|()| out.flush()).unwrap();
            }
        });
    }
    writers.join_all().await;
}
