//! A configuration file that changes while the Federation runs.

use std::path::Path;

use downcity_db::Engine;
use downcity_db::testing::TestDatabase;
use downcity_server::Federation;
use downcity_server::config::ConfigSources;
use downcity_testkit::block_on;

use crate::support::{builder, connect};

const PROVIDER: &str =
    "[[ai.provider]]\nid = \"local\"\nprotocol = \"echo\"\n\n[[ai.model]]\nprovider = \"local\"\n";

fn write(path: &Path, model: &str, more: &str) {
    let text = format!("{PROVIDER}id = \"{model}\"\nname = \"{model}\"\n{more}");
    std::fs::write(path, text).unwrap();
}

async fn models(federation: &Federation) -> Vec<String> {
    let answer = connect(federation).await.admin_get("/v1/ai/models").await;
    let list: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let items = list["items"].as_array().unwrap();
    items.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn models_change_without_a_restart_and_a_bad_file_changes_nothing() {
    block_on(async {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("federation.toml");
        write(&path, "first", "");
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let none: [(&str, &str); 0] = [];
        let sources = ConfigSources::with_environment(none).file(&path);
        let federation = builder(&database, |_| ()).config_sources(sources).build().await.unwrap();
        assert_eq!(models(&federation).await, ["first"]);

        write(&path, "second", "[log]\nlevel = \"debug\"\n");
        federation.reload().unwrap();
        assert_eq!(models(&federation).await, ["second"]);
        // Other sections wait for a restart.
        assert_eq!(federation.config().log.level, "info");

        write(&path, "third", "zzz = 1\n[serve]\n");
        let error = federation.reload().unwrap_err();
        assert_eq!(error.problems.len(), 2, "{error}");
        assert_eq!(models(&federation).await, ["second"]);

        std::fs::remove_file(&path).unwrap();
        federation.reload().unwrap_err();
        assert_eq!(models(&federation).await, ["second"]);
    });
}
