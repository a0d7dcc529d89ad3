//! Values come back as they went in, on both engines.

use downcity_db::{DbError, DbErrorKind, Engine, Row, sql};

use crate::common::{insert, on_both, open};

on_both!(
    nulls_and_values_of_every_type_survive,
    sums_are_integers,
    text_is_kept_as_it_is,
    parameters_bind_by_number,
    wrong_types_are_decode_errors,
);

#[derive(Debug, PartialEq)]
struct Wallet {
    label: Option<String>,
    active: bool,
    rate: Option<f64>,
    seen_at: Option<i64>,
}

impl Wallet {
    fn of(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            label: row.get("label")?,
            active: row.get("active")?,
            rate: row.get("rate")?,
            seen_at: row.get("seen_at")?,
        })
    }
}

async fn nulls_and_values_of_every_type_survive(engine: Engine) {
    let fixture = open(engine).await;
    let wallets = [
        Wallet { label: None, active: false, rate: None, seen_at: None },
        Wallet {
            label: Some("ünï \u{1f980} 'quoted' $1".to_owned()),
            active: true,
            rate: Some(-0.125),
            seen_at: Some(i64::MIN),
        },
        Wallet {
            label: Some(String::new()),
            active: true,
            rate: Some(f64::MAX),
            seen_at: Some(i64::MAX),
        },
    ];
    for (number, wallet) in wallets.into_iter().enumerate() {
        let id = format!("wallet-{number}");
        let read = fixture
            .db
            .write(move |tx| {
                let Wallet { label, active, rate, seen_at } = &wallet;
                tx.execute(
                    sql!(
                        "INSERT INTO wallets (id, balance, label, active, rate, seen_at)
                         VALUES ($1, 0, $2, $3, $4, $5)"
                    ),
                    &[&id, label, active, rate, seen_at],
                )?;
                let row = tx.query_one(
                    sql!(
                        "SELECT label, active, rate, seen_at FROM wallets
                         WHERE id = $1 AND active = $2"
                    ),
                    &[&id, active],
                )?;
                assert_eq!(Wallet::of(&row)?, wallet);
                Ok::<_, DbError>(())
            })
            .await;
        read.unwrap();
    }
    let active: i64 = fixture
        .db
        .scan(|tx| {
            tx.query_one(sql!("SELECT COUNT(*) AS active FROM wallets WHERE active"), &[])?
                .get("active")
        })
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    assert_eq!(active, 2);
}

async fn sums_are_integers(engine: Engine) {
    let fixture = open(engine).await;
    let sum = || {
        fixture.db.scan(|tx| {
            tx.query_one(
                sql!("SELECT CAST(SUM(balance) AS BIGINT) AS total, COUNT(*) AS n FROM wallets"),
                &[],
            )
            .and_then(|row| Ok::<_, DbError>((row.get::<Option<i64>>("total")?, row.at::<i64>(1)?)))
        })
    };
    assert_eq!(sum().await.unwrap(), (None, 0));
    fixture
        .db
        .write(|tx| {
            insert(tx, "a", 4_000_000_000)?;
            insert(tx, "b", 5_000_000_000)
        })
        .await
        .unwrap();
    assert_eq!(sum().await.unwrap(), (Some(9_000_000_000), 2));
}

async fn text_is_kept_as_it_is(engine: Engine) {
    let fixture = open(engine).await;
    for text in ["", " padded ", "1", "1e5", "true", "NULL", "line\nbreak\ttab", "%_\\'\""] {
        let read: String = fixture
            .db
            .write(move |tx| {
                tx.query_one(
                    sql!(
                        "INSERT INTO wallets (id, balance, label) VALUES ($1, 0, $1)
                         RETURNING label"
                    ),
                    &[&text],
                )?
                .get("label")
            })
            .await
            .unwrap_or_else(|error: DbError| panic!("{error}"));
        assert_eq!(read, text);
    }
}

async fn parameters_bind_by_number(engine: Engine) {
    let fixture = open(engine).await;
    let read: (String, String) = fixture
        .db
        .read(|tx| {
            let row = tx.query_one(
                sql!("SELECT CAST($2 AS TEXT) AS second, CAST($1 AS TEXT) || '$2' AS first -- $9"),
                &[&"one", &"two"],
            )?;
            Ok::<_, DbError>((row.get("first")?, row.get("second")?))
        })
        .await
        .unwrap();
    assert_eq!(read, ("one$2".to_owned(), "two".to_owned()));
}

async fn wrong_types_are_decode_errors(engine: Engine) {
    let fixture = open(engine).await;
    fixture.db.write(|tx| insert(tx, "a", 1)).await.unwrap();
    let row: Row = fixture
        .db
        .read(|tx| tx.query_one(sql!("SELECT id, balance, label FROM wallets"), &[]))
        .await
        .unwrap_or_else(|error: DbError| panic!("{error}"));
    let errors = [
        (row.get::<bool>("id").unwrap_err(), "column id: expected a boolean, found another type"),
        (row.get::<String>("label").unwrap_err(), "column label: expected text, found NULL"),
        (
            row.get::<f64>("balance").unwrap_err(),
            "column balance: expected a float, found another type",
        ),
        (row.get::<i64>("rate").unwrap_err(), "the result has no column rate"),
        (row.at::<i64>(3).unwrap_err(), "the result has 3 columns, none at 3"),
    ];
    for (error, text) in errors {
        assert_eq!(error.kind(), DbErrorKind::Decode);
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(format!("{row:?}").matches("\"a\"").count(), 0, "rows show no values");
}
