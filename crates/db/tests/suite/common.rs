//! What the tests of this crate share: a schema, databases on both engines, statements.

use downcity_db::testing::TestDatabase;
use downcity_db::{Db, DbError, DbOptions, Engine, MigrationSet, Tx, migrations, sql};

/// The schema of the tests.
pub(crate) const fn schema() -> MigrationSet {
    migrations!("shop", [(1, "init", "../migrations/0001_init.sql")])
}

/// An open database that is removed with this value.
pub(crate) struct Fixture {
    pub(crate) db: Db,
    pub(crate) database: TestDatabase,
}

/// An empty database with the schema of the tests.
pub(crate) async fn open(engine: Engine) -> Fixture {
    open_with(engine, |_options| {}).await
}

pub(crate) async fn open_with(engine: Engine, adjust: impl FnOnce(&mut DbOptions)) -> Fixture {
    let database = TestDatabase::new(engine).unwrap_or_else(|reason| panic!("{reason}"));
    let db = reopen(&database, adjust).await;
    Fixture { db, database }
}

/// Another handle on the same database.
pub(crate) async fn reopen(database: &TestDatabase, adjust: impl FnOnce(&mut DbOptions)) -> Db {
    let mut options = DbOptions::new(database.url());
    adjust(&mut options);
    Db::open(options, &[schema()]).await.unwrap()
}

pub(crate) fn insert(tx: &mut Tx<'_>, id: &str, balance: i64) -> Result<(), DbError> {
    tx.execute(sql!("INSERT INTO wallets (id, balance) VALUES ($1, $2)"), &[&id, &balance])
        .map(drop)
}

pub(crate) fn balance(tx: &mut Tx<'_>, id: &str) -> Result<Option<i64>, DbError> {
    tx.query_opt(sql!("SELECT balance FROM wallets WHERE id = $1"), &[&id])?
        .map(|row| row.get("balance"))
        .transpose()
}

/// The balance as another transaction sees it.
pub(crate) async fn stored(db: &Db, id: &str) -> Option<i64> {
    let id = id.to_owned();
    db.read(move |tx| balance(tx, &id)).await.unwrap()
}

/// Makes a test for each engine of an async function that takes one.
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        mod sqlite {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(downcity_db::Engine::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(downcity_db::Engine::Postgres).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;
