//! Transactions behave the same on both engines.

use crate::common::{balance, insert, on_both, open, stored};
use downcity_db::{DbError, DbErrorKind, Engine, sql};

on_both!(an_ok_commits_and_an_error_rolls_back, statements_of_the_program_prepare);

async fn an_ok_commits_and_an_error_rolls_back(engine: Engine) {
    let fixture = open(engine).await;
    fixture.db.write(|tx| insert(tx, "a", 70)).await.unwrap();
    assert_eq!(stored(&fixture.db, "a").await, Some(70));

    let refused: Result<(), DbError> = fixture
        .db
        .write(|tx| {
            insert(tx, "b", 1)?;
            assert_eq!(balance(tx, "b")?, Some(1));
            insert(tx, "a", 2)
        })
        .await;
    assert_eq!(refused.unwrap_err().kind(), DbErrorKind::UniqueViolation);
    assert_eq!(stored(&fixture.db, "b").await, None);
    let _ = sql!("SELECT value FROM db_revision");
}

async fn statements_of_the_program_prepare(engine: Engine) {
    let fixture = open(engine).await;
    downcity_db::prepare_all(&fixture.db).await.unwrap();
    assert!(downcity_db::registered_statements().any(|sql| sql.file().contains("common")));
}
