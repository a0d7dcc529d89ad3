//! The arrows between crates, and the statements on both engines.

#![cfg(test)]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// What each crate may build on. A crate that is not listed may build on nothing of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("downcity-types", &[]),
    ("downcity-db", &[]),
    ("downcity-core", &["downcity-types", "downcity-db"]),
    ("downcity-ai", &["downcity-types", "downcity-db", "downcity-core"]),
    ("downcity-services", &["downcity-types", "downcity-db", "downcity-core"]),
    (
        "downcity-server",
        &["downcity-types", "downcity-db", "downcity-core", "downcity-ai", "downcity-services"],
    ),
    ("downcity", &["downcity-types"]),
    ("fed", &["downcity-types", "downcity-server", "downcity"]),
    ("downcity-testkit", &["downcity-types", "downcity-db", "downcity-core"]),
    (
        "bench",
        &[
            "downcity-types",
            "downcity-db",
            "downcity-core",
            "downcity-ai",
            "downcity-services",
            "downcity-server",
        ],
    ),
    ("notes", &["downcity-server"]),
];

#[test]
fn arrows_between_crates_point_down() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let ours: BTreeSet<&str> = packages.iter().map(|package| name(&package["name"])).collect();
    assert!(ours.len() > 6, "the workspace is read: {ours:?}");

    let mut wrong = Vec::new();
    for package in packages {
        let from = name(&package["name"]);
        let allowed = ARROWS.iter().find(|(crate_name, _)| *crate_name == from);
        let allowed = allowed.map_or(&[][..], |(_, allowed)| allowed);
        for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
            let to = name(&dependency["name"]);
            // Tests may use the test kit and whatever it is built on.
            if ours.contains(to) && dependency["kind"] != "dev" && !allowed.contains(&to) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up or sideways: {wrong:?}");
}

#[test]
fn only_the_database_layer_names_a_driver() {
    let drivers = ["rusqlite", "postgres", "tokio-postgres", "refinery"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in std::fs::read_dir(root).expect("the crates are there") {
        let folder = entry.expect("an entry").path();
        if folder.ends_with("db") {
            continue;
        }
        let Ok(manifest) = std::fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        for driver in drivers {
            let named = manifest.lines().any(|line| line.starts_with(&format!("{driver}.")));
            assert!(!named, "{} names {driver}", folder.display());
        }
    }
}

fn name(value: &Value) -> &str {
    value.as_str().expect("a name")
}

mod on_both_engines {
    use downcity_ai::{Ai, AiConfig, Billing};
    use downcity_services::{
        Accounts, AccountsConfig, Balance, BalanceConfig, MailConfig, Payment, PaymentConfig,
        Usage, UsageConfig,
    };
    use downcity_testkit::{TestAppBuilder, both_engines};

    fn everything(builder: TestAppBuilder) -> TestAppBuilder {
        let balance = Balance::new(BalanceConfig::default());
        let usage = Usage::new(UsageConfig::default());
        let billing = Billing { wallets: balance.clone(), facts: usage.clone() };
        let ai = Ai::new(AiConfig::default(), billing).expect("the defaults are valid");
        let accounts = Accounts::new(AccountsConfig::default(), MailConfig::default());
        let payment = Payment::new(PaymentConfig::default(), balance.clone());
        builder.builtin(accounts).builtin(balance).builtin(payment).builtin(usage).builtin(ai)
    }

    both_engines! {
        async fn every_statement_can_be_prepared(app: TestApp = everything) {
            let registered = downcity_db::registered_statements().count();
            assert!(registered > 10, "statements are registered: {registered}");
            let faults = downcity_db::prepare_all(app.runtime().db()).await.err();
            assert!(faults.is_none(), "{faults:#?}");
        }
    }
}
