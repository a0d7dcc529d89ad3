//! Where the configuration says that env values are kept.

use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, Engine};
use downcity_server::Federation;
use downcity_server::config::ConfigSources;
use downcity_testkit::block_on;

const VARIABLES: [(&str, &str); 6] = [
    ("VISIBLEBASE_ADMIN_SECRET_KEY", "admin_of_an_earlier_generation"),
    ("BETTER_AUTH_SECRET", "a secret of the process"),
    ("SHOP_KEY", "of the process"),
    ("DOWNCITY_FEDERATION_MASTER_KEY", "a passphrase of more than 32 characters"),
    ("DOWNCITY_FEDERATION_BASE_URL", "https://fed.example.com"),
    ("DOWNCITY_FEDERATION__LOG__LEVEL", "warn"),
];

async fn start(database: &TestDatabase, sources: ConfigSources) -> Federation {
    let builder = Federation::builder().database(DbOptions::new(database.url()));
    builder.config_sources(sources).build().await.unwrap()
}

fn value(federation: &Federation, key: &str) -> Option<String> {
    let snapshot = federation.runtime().snapshot();
    snapshot.env().get(key).map(|value| value.expose().to_owned())
}

#[test]
fn a_flag_names_a_file_and_the_process_environment_stands_in() {
    block_on(async {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join(".env");
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let store = format!("dotenv:{}", path.display());
        let sources =
            ConfigSources::with_environment(VARIABLES).flag("--env-store", "env.store", store);
        let federation = start(&database, sources).await;
        let found = |key| value(&federation, key);
        let text = std::fs::read_to_string(&path).unwrap();
        let made: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
        assert_eq!(made, ["DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY"], "{text}");
        assert_eq!(
            found("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY").as_deref(),
            Some("admin_of_an_earlier_generation")
        );
        assert_eq!(found("SHOP_KEY").as_deref(), Some("of the process"));
        for key in [
            "DOWNCITY_FEDERATION_MASTER_KEY",
            "DOWNCITY_FEDERATION_BASE_URL",
            "DOWNCITY_FEDERATION__LOG__LEVEL",
        ] {
            assert_eq!(found(key), None, "{key}");
        }
        assert!(federation.shutdown().await);
    });
}

#[test]
fn the_database_is_the_store_where_nothing_is_said_and_variables_do_not_stand_in() {
    block_on(async {
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let sources = ConfigSources::with_environment(VARIABLES);
        let federation = start(&database, sources).await;
        assert_eq!(value(&federation, "SHOP_KEY"), None);
        assert_eq!(
            value(&federation, "BETTER_AUTH_SECRET").as_deref(),
            Some("a secret of the process")
        );
        assert!(federation.shutdown().await);
    });
}

#[test]
fn variables_stand_in_for_the_database_where_that_is_asked_for() {
    block_on(async {
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let asked = ("DOWNCITY_FEDERATION__ENV__PROCESS_FALLBACK", "true");
        let sources = ConfigSources::with_environment(VARIABLES.into_iter().chain([asked]));
        let federation = start(&database, sources).await;
        assert_eq!(value(&federation, "SHOP_KEY").as_deref(), Some("of the process"));
        assert!(federation.shutdown().await);
    });
}
