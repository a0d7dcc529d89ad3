//! Env values in a `.env` file, and edits from outside that apply by themselves.

use std::fs;
use std::path::{Path, PathBuf};

use downcity_core::Secret;
use downcity_core::env::{ADMIN_KEY, AUTH_SECRET, EnvOptions, EnvStore, SIGNING_KEY, SYSTEM_KEYS};
use downcity_testkit::{ADMIN_KEY as ADMIN, TestApp, TestAppBuilder, both_engines};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{
    applied, listed, refresh, stored, stored_keys, upsert, versions, write_by_hand,
};

/// As people write it: every line end is CRLF, and no line ends the file.
const HAND_WRITTEN: &str = concat!(
    "# Keys of the shop\r\n",
    "\r\n",
    "export OPENAI_API_KEY = \"sk-1\"   # of the team\r\n",
    "DUP=first\r\n",
    "lower='it is'\r\n",
    "not an assignment\r\n",
    "PEM=\"-----BEGIN\r\nabc=\r\n-----END\"\r\n",
    "DUP=second # counts\r\n",
    "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY=admin_test_key_0123456789\r\n",
    "DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY=sign_test_key_0123456789\r\n",
    "BETTER_AUTH_SECRET=better_auth_test_key_0123456789\r\n",
    "# the end",
);

/// A file in a folder of its own.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(".env");
        Self { folder, path }
    }

    fn with(text: &str) -> Self {
        let place = Self::new();
        place.write(text);
        place
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

fn options(path: &Path) -> EnvOptions {
    EnvOptions { store: EnvStore::Dotenv(path.to_path_buf()), ..EnvOptions::default() }
}

fn again(app: &TestApp, env: EnvOptions) -> TestAppBuilder {
    let builder = TestApp::builder(app.runtime().db().engine()).on_database_of(app);
    builder.options(move |options| options.env = env)
}

/// A node on the database of another, with its values in the file.
async fn on_file(app: &TestApp, place: &Place) -> TestApp {
    again(app, options(&place.path)).start().await
}

async fn remove(app: &TestApp, key: &str) -> Value {
    app.admin().post("/v1/env/remove", json!({"key": key})).await.expect(200)
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Waits for what a task of the node does by itself.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen");
}

both_engines! {
    async fn a_file_is_the_source_and_its_other_lines_stay(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        set_mode(&place.path, 0o640);
        let node = on_file(&app, &place).await;
        assert_eq!(place.text(), HAND_WRITTEN, "nothing was missing");
        for (key, value) in [
            ("OPENAI_API_KEY", "sk-1"), ("DUP", "second"), ("LOWER", "it is"),
            ("PEM", "-----BEGIN\nabc=\n-----END"),
        ] {
            let entry = listed(&node, key).await.unwrap();
            assert_eq!((&entry["value"], &entry["source"]), (&json!(value), &json!("dotenv")));
        }
        assert_eq!(listed(&node, ADMIN_KEY).await.unwrap()["masked"], true);

        upsert(&node, "openai_api_key", "sk-2").await;
        assert_eq!(remove(&node, "dup").await["removed"], true);
        assert_eq!(remove(&node, "dup").await["removed"], false);
        let raw = "LOWER=\"it's $5\"\nNEW=plain\n";
        node.admin().post("/v1/env/import", json!({"raw": raw})).await.expect(200);
        let expected = HAND_WRITTEN
            .replace("sk-1", "sk-2")
            .replace("DUP=first\r\n", "")
            .replace("DUP=second # counts\r\n", "")
            .replace("'it is'", "\"it's $5\"");
        assert_eq!(place.text(), format!("{expected}\r\nNEW=plain\r\n"));
        assert_eq!(mode(&place.path), 0o600, "secrets are for the owner alone");
        assert_eq!(applied(&node, "NEW").as_deref(), Some("plain"));
        assert_eq!(applied(&node, "DUP"), None);
        // The table stays as the other store left it.
        assert_eq!(stored_keys(&app).await, [AUTH_SECRET, ADMIN_KEY, SIGNING_KEY]);
        // Other nodes on the file show it too.
        let bad = json!({"raw": "A=1\nb.c=2"});
        node.admin().post("/v1/env/import", bad).await.expect_error(400, "invalid_key");
        assert_eq!(applied(&node, "A"), None);
        let entries = fs::read_dir(place.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".env", ".env.lock"], "nothing else is left in the folder");
    }

    async fn a_first_start_makes_a_private_file_and_a_restart_leaves_it_alone(app: TestApp) {
        let place = Place::new();
        let unseeded = |builder: TestAppBuilder, path: PathBuf| {
            builder.options(move |with| {
                with.seeds.clear();
                with.env = options(&path);
            })
        };
        let node = unseeded(again(&app, EnvOptions::default()), place.path.clone()).start().await;
        let made = node.kernel().first_start().admin_key.as_ref().unwrap().expose().to_owned();
        let text = place.text();
        let keys: Vec<&str> = text.lines().map(|line| line.split_once('=').unwrap().0).collect();
        assert_eq!(keys, [ADMIN_KEY, SIGNING_KEY, AUTH_SECRET]);
        assert!(text.contains(&made));
        assert_eq!(mode(&place.path), 0o600);
        node.user(&made).get("/v1/env/list").await.expect(200);
        node.user(ADMIN).get("/v1/env/list").await.expect_error(401, "invalid_credential");
        let stamp = fs::metadata(&place.path).unwrap().modified().unwrap();
        node.stop().await;
        let node = unseeded(again(&app, EnvOptions::default()), place.path.clone()).start().await;
        assert!(node.kernel().first_start().admin_key.is_none());
        let same = json!({"key": AUTH_SECRET, "value": applied(&node, AUTH_SECRET)});
        node.user(&made).post("/v1/env/upsert", same).await.expect(200);
        assert_eq!(place.text(), text);
        assert_eq!(fs::metadata(&place.path).unwrap().modified().unwrap(), stamp);
    }

    async fn previous_versions_are_in_the_database(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        let node = on_file(&app, &place).await;
        for value in ["one", "two", "two"] {
            upsert(&node, "OPENAI_API_KEY", value).await;
        }
        let history = async || {
            let path = "/v1/env/history?key=OPENAI_API_KEY&reveal=true";
            let list = node.admin().get(path).await.expect(200);
            let shown = |item: &Value| (item["version"].as_i64().unwrap(), item["value"].clone());
            list["items"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>()
        };
        let versions_of = |all: &[(i64, &str)]| -> Vec<(i64, Value)> {
            all.iter().map(|(version, value)| (*version, json!(value))).collect()
        };
        assert_eq!(history().await, versions_of(&[(3, "two"), (2, "one"), (1, "sk-1")]));
        let kept = versions(&app, "OPENAI_API_KEY").await;
        assert!(kept.iter().all(|(_, sealed)| sealed.starts_with("sealed:v1:")), "{kept:?}");
        let back = json!({"key": "OPENAI_API_KEY", "version": 1});
        let back = node.admin().post("/v1/env/rollback", back).await.expect(200);
        assert_eq!(back["version"], 4);
        assert_eq!(place.text(), HAND_WRITTEN);
        remove(&node, "OPENAI_API_KEY").await;
        let expected = versions_of(&[(4, "sk-1"), (3, "two"), (2, "one"), (1, "sk-1")]);
        assert_eq!(history().await, expected);
    }

    async fn edits_from_outside_apply_after_a_refresh_and_are_recorded(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        let node = on_file(&app, &place).await;
        place.write(&HAND_WRITTEN.replace("sk-1", "sk-outside").replace("lower=", "#"));
        assert_eq!(applied(&node, "OPENAI_API_KEY").as_deref(), Some("sk-1"));
        assert_eq!(listed(&node, "OPENAI_API_KEY").await.unwrap()["value"], "sk-1");
        assert_eq!(refresh(&node).await, 6);
        assert_eq!(applied(&node, "OPENAI_API_KEY").as_deref(), Some("sk-outside"));
        assert_eq!(applied(&node, "LOWER"), None);
        let list = node.admin().get("/v1/audit/list?limit=1").await.expect(200);
        let row = &list["items"][0];
        let edited = row["after"]["edited"].as_object().unwrap();
        assert_eq!((&row["action"], edited.len()), (&json!("env/refresh"), 2), "{row}");
        assert!(edited["OPENAI_API_KEY"].as_str().unwrap().starts_with("fp_"), "{row}");
        assert_eq!(edited["LOWER"], Value::Null);
    }

    async fn a_watched_file_applies_by_itself(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        let watched = EnvOptions { auto_refresh: true, ..options(&place.path) };
        let node = again(&app, watched).start().await;
        place.write(&HAND_WRITTEN.replace("sk-1", "sk-in-place"));
        let shows = |value| move |node: &TestApp| applied(node, "OPENAI_API_KEY").as_deref() == Some(value);
        eventually("the first edit", || shows("sk-in-place")(&node)).await;
        let other = place.folder.path().join("other");
        fs::write(&other, HAND_WRITTEN.replace("sk-1", "sk-replaced")).unwrap();
        fs::rename(&other, &place.path).unwrap();
        eventually("the second edit", || shows("sk-replaced")(&node)).await;
        // What is no text of a file leaves the values alone, and so does a file that is gone.
        fs::write(&place.path, b"OPENAI_API_KEY=\xff").unwrap();
        let broken = json!({"key": "K", "value": "v"});
        node.admin().post("/v1/env/upsert", broken).await.expect_error(500, "env_file");
        fs::remove_file(&place.path).unwrap();
        refresh_quietly(&node).await;
        assert!(shows("sk-replaced")(&node));
        place.write("OPENAI_API_KEY=sk-back\n");
        eventually("the last edit", || shows("sk-back")(&node)).await;
        // The file has lost the system keys: they stay in effect for this process.
        node.admin().get("/v1/env/list").await.expect(200);
        assert!(SYSTEM_KEYS.iter().all(|key| applied(&node, key).is_some()));
    }

    async fn concurrent_changes_lose_nothing(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        let nodes = [on_file(&app, &place).await, on_file(&app, &place).await];
        // A Federation of its own, which shares nothing but the file.
        let path = place.path.clone();
        let stranger = TestApp::builder(app.runtime().db().engine());
        let stranger = stranger.options(move |with| with.env = options(&path)).start().await;
        let all = [&nodes[0], &nodes[1], &stranger];
        let writes = (0..50).map(|number| {
            let client = all[number % 3].admin();
            let key = format!("KEY_{number}");
            async move {
                let input = json!({"key": key, "value": format!("value {number}")});
                client.post("/v1/env/upsert", input).await.expect(200);
            }
        });
        join_all(writes).await;
        for node in all {
            refresh(node).await;
            for number in 0..50 {
                let value = applied(node, &format!("KEY_{number}"));
                assert_eq!(value, Some(format!("value {number}")));
            }
        }
        let text = place.text();
        assert!(text.starts_with(HAND_WRITTEN), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("KEY_")).count(), 50);
    }

    async fn a_file_that_cannot_be_written_goes_on_being_read(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        // Nobody can lock what is a folder; this holds for root too.
        fs::create_dir(place.folder.path().join(".env.lock")).unwrap();
        let node = on_file(&app, &place).await;
        let rows = async || {
            let list = node.admin().get("/v1/audit/list").await.expect(200);
            list["items"].as_array().unwrap().len()
        };
        let before = rows().await;
        let input = json!({"key": "OPENAI_API_KEY", "value": "sk-2"});
        let error = node.admin().post("/v1/env/upsert", input).await.expect_error(500, "env_file");
        assert!(error["error"].as_str().unwrap().contains("cannot be written"), "{error}");
        assert!(!error.to_string().contains("sk-2"), "{error}");
        assert_eq!(place.text(), HAND_WRITTEN);
        assert_eq!(rows().await, before, "what did not happen is not recorded");
        assert_eq!(listed(&node, "OPENAI_API_KEY").await.unwrap()["value"], "sk-1");
        assert_eq!(versions(&app, "OPENAI_API_KEY").await, []);
        upsert(&node, "OPENAI_API_KEY", "sk-1").await;
    }

    async fn a_change_that_is_not_stored_is_not_in_the_file(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        let node = on_file(&app, &place).await;
        app.database().execute("ALTER TABLE audit RENAME TO audit_away").unwrap();
        let input = json!({"key": "OPENAI_API_KEY", "value": "sk-2"});
        node.admin().post("/v1/env/upsert", input.clone()).await.expect(500);
        assert_eq!(place.text(), HAND_WRITTEN);
        app.database().execute("ALTER TABLE audit_away RENAME TO audit").unwrap();
        node.admin().post("/v1/env/upsert", input).await.expect(200);
        assert_eq!(place.text(), HAND_WRITTEN.replace("sk-1", "sk-2"));
    }

    async fn a_link_leads_to_the_file_that_is_written(app: TestApp) {
        let place = Place::new();
        let folder = place.folder.path().join("real");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("values"), HAND_WRITTEN).unwrap();
        std::os::unix::fs::symlink("real/values", &place.path).unwrap();
        let node = on_file(&app, &place).await;
        upsert(&node, "OPENAI_API_KEY", "sk-2").await;
        assert!(fs::symlink_metadata(&place.path).unwrap().is_symlink());
        let text = fs::read_to_string(folder.join("values")).unwrap();
        assert_eq!(text, HAND_WRITTEN.replace("sk-1", "sk-2"));
        assert!(folder.join("values.lock").exists());
    }

    async fn system_keys_keep_the_name_that_the_file_uses(app: TestApp) {
        let older = HAND_WRITTEN.replace("DOWNCITY_FEDERATION_", "VISIBLEBASE_");
        let place = Place::with(&older);
        let node = on_file(&app, &place).await;
        assert_eq!(place.text(), older, "nothing was missing");
        assert_eq!(listed(&node, ADMIN_KEY).await.unwrap()["masked"], true);
        assert_eq!(listed(&node, "VISIBLEBASE_ADMIN_SECRET_KEY").await, None);
        // Under each of its names it is the system key: no service key gets at it.
        let key = json!({"name": "k", "actions": ["env/*"]});
        let key = node.admin().post("/v1/keys/create", key).await.expect(200);
        let service = node.user(key["key"].as_str().unwrap_or_else(|| panic!("{key}")));
        for name in ["VISIBLEBASE_ADMIN_SECRET_KEY", "downcity_city_admin_secret_key"] {
            let input = json!({"key": name, "value": "admin_of_somebody_else"});
            service.post("/v1/env/upsert", input).await.expect_error(403, "forbidden");
            let raw = json!({"raw": format!("{name}=admin_of_somebody_else")});
            service.post("/v1/env/import", raw).await.expect_error(403, "forbidden");
            let gone = json!({"key": name});
            node.admin().post("/v1/env/remove", gone).await.expect_error(400, "system_key");
        }
        let input = json!({"key": "VISIBLEBASE_ADMIN_SECRET_KEY", "value": "admin_test_key_another"});
        let answer = node.admin().post("/v1/env/upsert", input).await.expect(200);
        assert_eq!(answer["key"], ADMIN_KEY);
        assert_eq!(place.text(), older.replace("admin_test_key_0123456789", "admin_test_key_another"));
        node.user("admin_test_key_another").get("/v1/env/list").await.expect(200);
        node.admin().get("/v1/env/list").await.expect_error(401, "invalid_credential");
    }

    async fn the_process_environment_stands_in_without_being_written(app: TestApp) {
        let text = "SHOP_KEY=from the file\nBLANK=\n";
        let place = Place::with(text);
        let process = [
            (ADMIN_KEY, ADMIN), (SIGNING_KEY, "sign_of_the_process"), ("shop_key", "hidden"),
            ("BLANK", "hidden"), ("OTHER_KEY", "of the process"), ("EXAMPLE_KEY", "sk-..."),
        ];
        let fallback = process.map(|(key, value)| (key.to_owned(), Secret::new(value))).to_vec();
        let env = EnvOptions { fallback, ..options(&place.path) };
        let node = again(&app, env).start().await;
        let made = place.text().strip_prefix(text).unwrap().to_owned();
        assert!(made.starts_with(AUTH_SECRET) && made.lines().count() == 1, "{made}");
        let cases = [
            ("SHOP_KEY", Some("from the file")), ("BLANK", None), ("EXAMPLE_KEY", None),
            ("OTHER_KEY", Some("of the process")), ("other_key", Some("of the process")),
            (SIGNING_KEY, Some("sign_of_the_process")),
        ];
        for (key, value) in cases {
            assert_eq!(applied(&node, key).as_deref(), value, "{key}");
        }
        assert_eq!(listed(&node, "OTHER_KEY").await, None, "lists show what is stored");
        upsert(&node, "OTHER_KEY", "of the file").await;
        assert_eq!(applied(&node, "OTHER_KEY").as_deref(), Some("of the file"));
        remove(&node, "OTHER_KEY").await;
        assert_eq!(applied(&node, "OTHER_KEY").as_deref(), Some("of the process"));
    }

    async fn a_rotation_writes_the_signing_key_and_tokens_live_on(app: TestApp) {
        let place = Place::with(HAND_WRITTEN);
        let node = on_file(&app, &place).await;
        node.create_city("city_a").await;
        let token = node.token("city_a", "user_1").await;
        node.admin().post("/v1/keys/rotate", json!({})).await.expect(200);
        let new = applied(&node, SIGNING_KEY).unwrap();
        assert_eq!(place.text(), HAND_WRITTEN.replace("sign_test_key_0123456789", &new));
        let verify = json!({"user_token": token});
        let verified = node.admin().post("/v1/cities/tokens/verify", verify).await.expect(200);
        assert_eq!(verified["user_id"], "user_1", "{verified}");
    }

    async fn what_looks_sealed_in_a_file_is_a_value(app: TestApp) {
        let place = Place::with(&format!("{HAND_WRITTEN}\r\nODD=sealed:v1:1:AAAA"));
        let node = on_file(&app, &place).await;
        assert_eq!(applied(&node, "ODD").as_deref(), Some("sealed:v1:1:AAAA"));
        upsert(&node, "ODD", "other").await;
        let back = json!({"key": "ODD", "version": 1});
        node.admin().post("/v1/env/rollback", back).await.expect(200);
        assert_eq!(applied(&node, "ODD").as_deref(), Some("sealed:v1:1:AAAA"));
    }

    async fn rows_edited_by_hand_apply_at_once_where_that_is_asked_for(app: TestApp) {
        let env = EnvOptions { auto_refresh: true, ..EnvOptions::default() };
        let node = again(&app, env).start().await;
        write_by_hand(&app, "K", "by hand").await;
        assert_eq!(listed(&app, "K").await, None, "other nodes wait for a refresh");
        let entry = listed(&node, "K").await.unwrap();
        assert_eq!((&entry["value"], &entry["source"]), (&json!("by hand"), &json!("database")));
        let sealed = stored(&app, "K").await.unwrap();
        assert!(sealed.starts_with("sealed:v1:"), "{sealed}");
        let revision = app.runtime().db().revision().await.unwrap();
        node.admin().get("/v1/env/list").await.expect(200);
        assert_eq!(app.runtime().db().revision().await.unwrap(), revision, "a look writes nothing");
        let list = node.admin().get("/v1/audit/list?limit=1").await.expect(200);
        assert_eq!(list["items"][0]["action"], "env/auto_refresh");
    }
}

async fn refresh_quietly(app: &TestApp) {
    app.runtime().state().refresh().await.unwrap();
}
