//! Commit, rollback and the meaning of errors.

use downcity_db::{DbError, DbErrorKind, Engine, Sql, ToValue, Tx, sql};
use tokio::task::JoinSet;

use crate::common::{balance, insert, on_both, open, stored};

on_both!(
    ok_commits_and_an_error_rolls_back,
    errors_have_the_same_kind,
    errors_hold_no_values,
    a_failed_statement_ends_the_transaction,
    one_row_means_one_row,
    guarded_debits_never_overdraw,
    every_statement_prepares,
    statements_without_their_tables_are_named,
);

async fn ok_commits_and_an_error_rolls_back(engine: Engine) {
    let fixture = open(engine).await;
    let db = &fixture.db;
    let given = db.write(|tx| insert(tx, "a", 70).map(|()| "given back")).await;
    assert_eq!(given, Ok::<_, DbError>("given back"));
    assert_eq!(stored(db, "a").await, Some(70));

    let refused: Result<(), DbError> = db
        .write(|tx| {
            insert(tx, "b", 1)?;
            assert_eq!(balance(tx, "b")?, Some(1), "a transaction sees its own changes");
            tx.query_one(sql!("SELECT balance FROM wallets WHERE id = $1"), &[&"nobody"])?;
            Ok(())
        })
        .await;
    assert_eq!(refused.unwrap_err().kind(), DbErrorKind::RowCount);
    assert_eq!(stored(db, "b").await, None);
    assert_eq!(db.engine(), engine);
    db.ping().await.unwrap();
}

/// The error of one statement, run in a transaction of its own.
async fn failure(
    db: &downcity_db::Db,
    sql: &'static Sql,
    params: Vec<Box<dyn ToValue + Send>>,
) -> DbError {
    db.write(move |tx: &mut Tx<'_>| {
        let params: Vec<&dyn ToValue> = params.iter().map(|param| &**param as _).collect();
        tx.execute(sql, &params)
    })
    .await
    .unwrap_err()
}

async fn errors_have_the_same_kind(engine: Engine) {
    let fixture = open(engine).await;
    let db = &fixture.db;
    db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let text = |text: &str| -> Box<dyn ToValue + Send> { Box::new(text.to_owned()) };
    let number = |number: i64| -> Box<dyn ToValue + Send> { Box::new(number) };

    let wallet = sql!("INSERT INTO wallets (id, balance, active) VALUES ($1, $2, TRUE)");
    let unique = failure(db, wallet, vec![text("a"), number(1)]).await;
    assert_eq!(unique.kind(), DbErrorKind::UniqueViolation);
    assert!(unique.is_unique_violation() && !unique.is_transient());
    let check = failure(db, wallet, vec![text("b"), number(-1)]).await;
    assert_eq!(check.kind(), DbErrorKind::CheckViolation);
    let null = failure(db, wallet, vec![text("b"), Box::new(None::<i64>)]).await;
    assert_eq!(null.kind(), DbErrorKind::NotNull);
    let entry = sql!("INSERT INTO entries (id, wallet_id, amount) VALUES ($1, $2, 1)");
    let foreign = failure(db, entry, vec![number(1), text("nobody")]).await;
    assert_eq!(foreign.kind(), DbErrorKind::ForeignKeyViolation);
    let nul = failure(db, wallet, vec![text("a\0b"), number(1)]).await;
    assert_eq!(nul.kind(), DbErrorKind::InvalidValue);
    let few = failure(db, wallet, vec![text("a")]).await;
    assert_eq!(few.kind(), DbErrorKind::InvalidValue);

    static MALFORMED: Sql = Sql::new("SELEC 1", file!(), line!());
    let malformed = failure(db, &MALFORMED, vec![]).await;
    assert_eq!(malformed.kind(), DbErrorKind::Engine);
    assert!(malformed.to_string().contains("transactions.rs:"), "{malformed}");
}

async fn errors_hold_no_values(engine: Engine) {
    let fixture = open(engine).await;
    let secret = "s3cret-value";
    for balance in [1_i64, 1, -1] {
        let outcome = fixture.db.write(move |tx| insert(tx, secret, balance)).await;
        if let Err(error) = outcome {
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("common.rs:"), "{shown}");
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let error: DbError = fixture
        .db
        .read(move |tx| {
            let row = tx.query_one(sql!("SELECT id FROM wallets WHERE id = $1"), &[&secret])?;
            row.get::<i64>("id")
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DbErrorKind::Decode);
    assert_eq!(error.to_string(), "column id: expected an integer, found another type");
}

async fn a_failed_statement_ends_the_transaction(engine: Engine) {
    let fixture = open(engine).await;
    fixture.db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let ignored: Result<(), DbError> = fixture
        .db
        .write(|tx| {
            insert(tx, "b", 1)?;
            assert!(insert(tx, "a", 1).is_err());
            let again = insert(tx, "c", 1).unwrap_err();
            assert_eq!(again.kind(), DbErrorKind::UniqueViolation);
            Ok(())
        })
        .await;
    assert_eq!(ignored.unwrap_err().kind(), DbErrorKind::UniqueViolation);
    assert_eq!(stored(&fixture.db, "b").await, None);
}

async fn one_row_means_one_row(engine: Engine) {
    let fixture = open(engine).await;
    fixture
        .db
        .write(|tx| {
            insert(tx, "a", 1)?;
            insert(tx, "b", 1)
        })
        .await
        .unwrap();
    let all = sql!("SELECT id FROM wallets ORDER BY id");
    let several: DbError = fixture.db.scan(move |tx| tx.query_opt(all, &[])).await.unwrap_err();
    assert_eq!(several.kind(), DbErrorKind::RowCount);
    let rows: Vec<String> = fixture
        .db
        .scan(move |tx| tx.query(all, &[])?.iter().map(|row| row.at(0)).collect())
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    assert_eq!(rows, ["a", "b"]);
    let touched: u64 = fixture
        .db
        .write(|tx| tx.execute(sql!("UPDATE wallets SET balance = balance + 1"), &[]))
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    assert_eq!(touched, 2);
}

async fn guarded_debits_never_overdraw(engine: Engine) {
    let fixture = open(engine).await;
    fixture.db.write(|tx| insert(tx, "a", 70)).await.unwrap();
    let mut debits = JoinSet::new();
    for _ in 0..40 {
        let db = fixture.db.clone();
        debits.spawn(async move {
            db.write(|tx| {
                let row = tx.query_opt(
                    sql!(
                        "UPDATE wallets SET balance = balance - $2
                         WHERE id = $1 AND balance >= $2 RETURNING balance"
                    ),
                    &[&"a", &5_i64],
                )?;
                Ok::<_, DbError>(row.is_some())
            })
            .await
            .unwrap()
        });
    }
    let succeeded = debits.join_all().await.into_iter().filter(|debited| *debited).count();
    assert_eq!(succeeded, 14);
    assert_eq!(stored(&fixture.db, "a").await, Some(0));
}

async fn every_statement_prepares(engine: Engine) {
    let fixture = open(engine).await;
    downcity_db::prepare_all(&fixture.db).await.unwrap();
    let here = downcity_db::registered_statements().filter(|sql| sql.file() == file!()).count();
    assert!(here >= 5, "{here} statements of this file are registered");
}

async fn statements_without_their_tables_are_named(engine: Engine) {
    let database = downcity_db::testing::TestDatabase::new(engine).unwrap();
    let options = downcity_db::DbOptions::new(database.url());
    let bare = downcity_db::Db::open(options, &[]).await.unwrap();
    let refused = downcity_db::prepare_all(&bare).await.unwrap_err();
    assert!(refused.iter().any(|(location, error)| {
        location.starts_with(file!()) && error.to_string().contains("wallets")
    }));
    assert!(!refused.iter().any(|(location, _)| location.contains("revision.rs")));
}
