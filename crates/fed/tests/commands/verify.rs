use downcity_db::{Db, DbOptions, Sql, Tx, sql};
use insta::assert_snapshot;

use crate::world::{World, steady};

/// Changes the database behind the back of its server.
pub(crate) fn by_hand(world: &World, statements: [&'static Sql; 2]) {
    let file = world.folder.path().join(".base/downcity.sqlite");
    let options = DbOptions::new(format!("sqlite:{}", file.display()).parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = Db::open(options, &[]).await.unwrap();
        let change = move |tx: &mut Tx<'_>| {
            statements.iter().try_for_each(|statement| tx.execute(statement, &[]).map(drop))
        };
        db.write(change).await.unwrap();
        db.close().await;
    });
}

#[test]
fn money_is_checked_by_the_server() {
    let world = World::start();
    world.fed(&["balance", "add", "ann", "5"]).ok();
    assert_snapshot!("ledger_whole", world.fed(&["ledger", "verify"]).ok());
    let report = world.json(&["ledger", "verify"], "POST /v1/balance/ledger/verify");
    assert_eq!(report["balance_microcredits"], "5000000");
    // The database itself says the same, without a server.
    let mut command = world.bare();
    command.args(["ledger", "verify", "--json", "--database"]);
    assert_eq!(world.run(command, "").value(), report);

    by_hand(
        &world,
        [
            sql!(
                "INSERT INTO balance_wallets VALUES ('wal_~', '', 'u\u{1b}[2J', 5, 0, 0, 0, 0, 0)"
            ),
            sql!("UPDATE balance_wallets SET balance = 6 WHERE user_id = 'ann'"),
        ],
    );
    let broken = world.fed(&["ledger", "verify"]);
    assert_snapshot!("ledger_broken", broken.fails(1));
    let broken = world.fed(&["ledger", "verify", "--json"]);
    assert_eq!(broken.code, 1, "{broken:?}");
    let report = serde_json::from_str(&broken.out).unwrap();
    world.check(&report, "POST /v1/balance/ledger/verify");
    let broken = report["broken"].as_array().unwrap();
    assert!(broken.iter().any(|broken| broken["wallet_id"] == "wal_~"), "{report}");
}

#[test]
fn the_audit_trail_is_checked_by_the_server() {
    let world = World::start();
    world.fed(&["city", "create", "Notes"]).ok();
    let report = world.json(&["audit", "verify"], "POST /v1/audit/verify");
    let hash = report["hash"].as_str().unwrap();
    assert_eq!(
        steady(&world.fed(&["audit", "verify"]).ok()).replace(hash, "(hash)"),
        format!("The audit trail is whole: {} rows, the last with hash (hash)\n", report["rows"])
    );
    let seen = format!("{}:{hash}", report["rows"]);
    world.fed(&["audit", "verify", "--expect", &seen]).ok();
    world.fed(&["audit", "verify", "--expect", &format!("0:{hash}")]).fails(2);
    let other = world.fed(&["audit", "verify", "--expect", &format!("2:{hash}")]).fails(1);
    assert!(other.contains("row 2 does not have the hash that was noted"), "{other}");

    by_hand(
        &world,
        [
            sql!("DROP TRIGGER audit_is_not_changed"),
            sql!("UPDATE audit SET action = 'x' WHERE seq = 3"),
        ],
    );
    assert_snapshot!("audit_broken", world.fed(&["audit", "verify"]).fails(1));
    let broken = world.fed(&["audit", "verify", "--json"]);
    assert_eq!(broken.code, 1, "{broken:?}");
    let report = serde_json::from_str(&broken.out).unwrap();
    world.check(&report, "POST /v1/audit/verify");
    assert_eq!(report["broken"]["seq"], 3);
}

#[test]
fn who_may_not_check_or_has_no_server_is_told() {
    let world = World::start();
    let mut command = world.bare();
    command.args(["ledger", "verify"]);
    world.run(command, "").fails(3);
    let mut command = world.bare();
    command.args(["audit", "verify", "--url", &world.url]);
    world.run(command, "admin_of_nobody_0123456789").fails(4);
    let mut command = world.bare();
    command.args(["ledger", "verify", "--database", "sqlite:nowhere.sqlite"]);
    world.run(command, "").fails(3);
}
