//! The binary as an operator uses it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests report by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use downcity_db::{Db, DbOptions, sql};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

/// `fed` in an empty folder, with nothing of the developer's environment.
fn fed(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
    command.env_clear().current_dir(folder);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    fed(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server, ended by its id when the test ends.
struct Server {
    child: Child,
    banner: Vec<String>,
    /// `HOST:PORT`, as the banner says.
    address: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The banner comes when the server listens; its last line says what to try.
        let mut banner = Vec::new();
        for line in lines {
            let line = line.unwrap();
            let is_last = line.contains("Try ");
            banner.push(line);
            if is_last {
                break;
            }
        }
        let url = banner.iter().find_map(|line| line.trim().strip_prefix("URL")).map(str::trim);
        let Some(address) = url.and_then(|url| url.strip_prefix("http://")) else {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("no address: {banner:?}\n{log}");
        };
        let address = address.to_owned();
        Self { child, banner, address }
    }

    fn get(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: fed\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it as a service manager does; gives its exit status and its log.
    fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_and_version_are_generated_and_a_bare_call_is_a_usage_error() {
    let folder = TempDir::new().unwrap();
    let help = run(folder.path(), &["--help"]);
    assert!(help.status.success());
    for word in ["serve", "config", "key", "backup", "openapi", "completions", "Examples:"] {
        assert!(text(&help.stdout).contains(word), "{word}");
    }
    let version = run(folder.path(), &["--version"]);
    assert_eq!(text(&version.stdout), format!("fed {}\n", env!("CARGO_PKG_VERSION")));
    let bare = run(folder.path(), &[]);
    assert!(text(&bare.stderr).contains("Usage: fed"), "{bare:?}");
    assert_eq!(bare.status.code(), Some(2));
    assert_eq!(run(folder.path(), &["serv"]).status.code(), Some(2));
}

#[test]
fn a_first_start_makes_everything_and_a_second_keeps_it() {
    let folder = TempDir::new().unwrap();
    let start = || {
        let mut command = fed(folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        Server::start(command)
    };
    let first = start();
    assert!(first.get("/health", "").starts_with("HTTP/1.1 200 "), "{:?}", first.banner);
    let banner = first.banner.join("\n");
    assert!(banner.contains("sqlite:.base/downcity.sqlite"), "{banner}");
    // A pipe is no terminal: the key is not printed.
    assert!(banner.contains("fed key show-admin"), "{banner}");
    assert!(!banner.contains("admin_"), "{banner}");

    let key = text(&run(folder.path(), &["key", "show-admin"]).stdout);
    assert_eq!((key.trim().len(), &key[..6]), (49, "admin_"));
    let bearer = format!("authorization: Bearer {}\r\n", key.trim());
    assert!(first.get("/v1/cities/list", &bearer).contains("city_downcity"));
    let (status, log) = first.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("admin_"), "{log}");
    for file in ["downcity.sqlite", "master.key"] {
        assert!(folder.path().join(".base").join(file).exists(), "{file}");
    }

    let second = start();
    assert!(second.get("/v1/cities/list", &bearer).contains("city_downcity"));
    assert!(second.stop().0.success());
}

#[test]
fn a_backup_is_taken_while_the_server_runs_and_opens_with_the_master_key() {
    let folder = TempDir::new().unwrap();
    let mut command = fed(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(command);
    let key = run(folder.path(), &["key", "show-admin"]).stdout;
    let taken = run(folder.path(), &["backup", "create", "kept/../copy.sqlite", "--database"]);
    assert_eq!(taken.status.code(), Some(4), "the folder is missing: {taken:?}");
    let taken = run(folder.path(), &["backup", "create", "copy.sqlite", "--json", "--database"]);
    let report: Value = serde_json::from_slice(&taken.stdout).unwrap();
    let bytes = folder.path().join("copy.sqlite").metadata().unwrap().len();
    assert_eq!(
        (report["path"].as_str(), report["bytes"].as_u64()),
        (Some("copy.sqlite"), Some(bytes))
    );
    let again = run(folder.path(), &["backup", "create", "copy.sqlite", "--database"]);
    assert_eq!(again.status.code(), Some(5), "{again:?}");
    server.stop();

    let other = TempDir::new().unwrap();
    std::fs::create_dir(other.path().join(".base")).unwrap();
    std::fs::copy(folder.path().join("copy.sqlite"), other.path().join(".base/downcity.sqlite"))
        .unwrap();
    let locked = run(other.path(), &["key", "show-admin"]);
    assert_eq!(locked.status.code(), Some(4), "{locked:?}");
    std::fs::copy(folder.path().join(".base/master.key"), other.path().join(".base/master.key"))
        .unwrap();
    assert_eq!(run(other.path(), &["key", "show-admin"]).stdout, key);
}

#[test]
fn a_request_line_is_logged_only_where_it_is_asked_for_and_shows_no_query() {
    for (requests, format) in [(false, "text"), (true, "text"), (true, "json")] {
        let folder = TempDir::new().unwrap();
        let mut command = fed(folder.path());
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DOWNCITY_FEDERATION__LOG__FORMAT", format)
            .env("DOWNCITY_FEDERATION__LOG__REQUESTS", requests.to_string());
        let server = Server::start(command);
        server.get("/health?secret=geheim", "authorization: Bearer geheim\r\n");
        let (_, log) = server.stop();
        assert_eq!(log.contains("/health"), requests, "{log}");
        assert!(!log.contains("geheim"), "{log}");
        if format == "json" {
            for line in log.lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
        }
    }
}

#[test]
fn a_hangup_reads_the_file_again_and_logs_what_is_wrong_with_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("federation.toml");
    std::fs::write(&file, "").unwrap();
    let mut command = fed(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let mut server = Server::start(command);
    std::fs::write(&file, "[serverr]\n").unwrap();
    server.signal(Signal::HUP);
    let mut lines = BufReader::new(server.child.stderr.take().unwrap()).lines();
    let told = lines.find(|line| line.as_ref().unwrap().contains("federation.toml:1"));
    let told = told.unwrap().unwrap();
    assert!(told.contains("serverr is not a known key; did you mean \"server\"?"), "{told}");
    assert!(server.get("/livez", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn failures_say_what_to_do_and_have_their_exit_codes() {
    let folder = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failure = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        (output.status.code().unwrap(), text(&output.stderr))
    };

    let (code, message) = failure(&["serve", "--listen", &address]);
    assert_eq!(code, 5, "{message}");
    assert!(message.contains("another program listens there"), "{message}");

    let (code, message) = failure(&["serve", "--database", "mysql://app:geheim@db/x"]);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("flag --database: database.url"), "{message}");
    assert!(!message.contains("geheim"), "{message}");

    let (code, message) = failure(&["serve", "--database", "postgres://app@127.0.0.1:1/x"]);
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("DOWNCITY_FEDERATION_MASTER_KEY"), "{message}");

    let (code, message) = failure(&["key", "show-admin"]);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("fed serve makes it"), "{message}");

    let key = "a passphrase for tests, of more than 32 characters";
    let unreachable = fed(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--database", "postgres://app@127.0.0.1:1/x"])
        .env("DOWNCITY_FEDERATION_MASTER_KEY", key)
        .env("DOWNCITY_FEDERATION__DATABASE__START_TIMEOUT", "1s")
        .output()
        .unwrap();
    assert_eq!(unreachable.status.code(), Some(6), "{unreachable:?}");

    let (code, message) = failure(&["serve", "--config", "nowhere.toml"]);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("nowhere.toml"), "{message}");
}

#[test]
fn the_master_key_changes_while_the_server_runs() {
    let folder = TempDir::new().unwrap();
    let mut command = fed(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(command);
    let file = folder.path().join(".base/master.key");
    let old = std::fs::read_to_string(&file).unwrap();
    let admin = run(folder.path(), &["key", "show-admin"]).stdout;
    let changed = run(folder.path(), &["vault", "rekey", "--json"]);
    let report: Value = serde_json::from_slice(&changed.stdout).unwrap();
    let new = std::fs::read_to_string(&file).unwrap();
    assert_ne!(new, old);
    let kept = folder.path().join(report["kept"].as_str().unwrap());
    assert_eq!(std::fs::read_to_string(kept).unwrap(), old);
    for output in [&changed.stdout, &changed.stderr] {
        assert!(!text(output).contains(old.trim()) && !text(output).contains(new.trim()));
    }
    // The server goes on, and a later start has the new key.
    let bearer = format!("authorization: Bearer {}\r\n", text(&admin).trim());
    assert!(server.get("/v1/cities/list", &bearer).contains("city_downcity"));
    server.stop();
    assert_eq!(run(folder.path(), &["key", "show-admin"]).stdout, admin);

    let given = |variables: &[(&str, &str)], arguments: &[&str]| {
        let variables = variables.iter().copied();
        fed(folder.path()).args(arguments).envs(variables).output().unwrap()
    };
    let refused = given(&[("DOWNCITY_FEDERATION_MASTER_KEY", &old)], &["key", "show-admin"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let missing = given(&[("DOWNCITY_FEDERATION_MASTER_KEY", &new)], &["vault", "rekey"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    assert!(text(&missing.stderr).contains("DOWNCITY_FEDERATION_NEW_MASTER_KEY"), "{missing:?}");
    let third = "c".repeat(64);
    let both = [
        ("DOWNCITY_FEDERATION_MASTER_KEY", &*new),
        ("DOWNCITY_FEDERATION_NEW_MASTER_KEY", &*third),
    ];
    let changed = given(&both, &["vault", "rekey"]);
    assert!(changed.status.success(), "{changed:?}");
    assert!(text(&changed.stderr).contains("on every node before its next start"), "{changed:?}");
    let opened = given(&[("DOWNCITY_FEDERATION_MASTER_KEY", &third)], &["key", "show-admin"]);
    assert_eq!(opened.stdout, admin);
}

#[test]
fn the_configuration_is_checked_and_begun() {
    let folder = TempDir::new().unwrap();
    let init = run(folder.path(), &["config", "init"]);
    assert_eq!(text(&init.stdout), "federation.toml\n");
    let again = run(folder.path(), &["config", "init"]);
    assert_eq!(again.status.code(), Some(5));
    assert!(text(&again.stderr).contains("exists already"), "{again:?}");

    let check = run(folder.path(), &["config", "check"]);
    assert!(check.status.success(), "{check:?}");
    assert!(text(&check.stdout).starts_with("server.listen "), "{check:?}");

    let json = fed(folder.path())
        .args(["config", "check", "--json"])
        .env("PORT", "8080")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["ok"], true);
    assert_eq!(report["values"][0]["value"], "127.0.0.1:8080");
    assert_eq!(report["values"][0]["source"], "environment PORT");

    std::fs::write(folder.path().join("federation.toml"), "[server]\nport = 1\nhost = 2\n")
        .unwrap();
    let wrong = run(folder.path(), &["config", "check"]);
    assert_eq!(wrong.status.code(), Some(1));
    let message = text(&wrong.stderr);
    assert!(
        message.contains("fed: federation.toml:2: server.port is not a known key"),
        "{message}"
    );
    assert!(
        message.contains("fed: federation.toml:3: server.host is not a known key"),
        "{message}"
    );
    let wrong = run(folder.path(), &["config", "check", "--json"]);
    assert_eq!(wrong.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!(report["problems"][1]["key"], "server.host");
}

#[test]
fn documents_need_no_database() {
    let folder = TempDir::new().unwrap();
    let document = run(folder.path(), &["openapi"]);
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for path in ["/health", "/metrics", "/v1/cities/create", "/v1/ai/chat/completions"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let completions = run(folder.path(), &["completions", "bash"]);
    assert!(text(&completions.stdout).contains("show-admin"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn databases_of_earlier_generations_are_not_overlooked() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("data.sqlite"), "").unwrap();
    let mut command = fed(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let (_, log) = Server::start(command).stop();
    assert!(log.contains("data.sqlite is a database of an earlier generation"), "{log}");
}

#[test]
fn the_audit_trail_is_checked_beside_a_running_server() {
    let folder = TempDir::new().unwrap();
    let early = run(folder.path(), &["audit", "verify", "--database"]);
    assert_eq!(early.status.code(), Some(3), "{early:?}");
    assert!(!folder.path().join(".base").exists());

    let mut command = fed(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(command);
    // The check needs no master key.
    std::fs::remove_file(folder.path().join(".base/master.key")).unwrap();
    let whole = run(folder.path(), &["audit", "verify", "--database"]);
    assert!(whole.status.success(), "{whole:?}");
    assert!(text(&whole.stdout).starts_with("The audit trail is whole: 4 rows, "), "{whole:?}");
    let found = run(folder.path(), &["audit", "verify", "--json", "--database"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (&found["ok"], &found["rows"], &found["broken"]),
        (&true.into(), &4.into(), &Value::Null)
    );

    let hash = found["hash"].as_str().unwrap();
    let expect = |noted: &str| {
        run(folder.path(), &["audit", "verify", "--database", "--json", "--expect", noted])
    };
    assert!(expect(&format!("4:{hash}")).status.success());
    let other = expect(&format!("3:{hash}"));
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(text(&other.stderr).contains("row 3 "), "{other:?}");
    let found: Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!((&found["ok"], &found["rows"]), (&false.into(), &2.into()));
    let broken = (&found["broken"]["seq"], &found["broken"]["problem"]);
    assert_eq!(broken, (&3.into(), &"rewritten".into()));
    for wrong in ["4", "0:", &format!("x:{hash}"), "4:abc"] {
        assert_eq!(expect(wrong).status.code(), Some(2), "{wrong}");
    }
    assert!(server.stop().0.success());

    // A database of something else is not touched.
    std::fs::write(folder.path().join("other.sqlite"), "").unwrap();
    let other = run(folder.path(), &["audit", "verify", "--database", "sqlite:other.sqlite"]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(text(&other.stderr).contains("no audit trail"), "{other:?}");
}

#[test]
fn the_ledger_is_checked_beside_a_running_server() {
    let folder = TempDir::new().unwrap();
    let early = run(folder.path(), &["ledger", "verify", "--database"]);
    assert_eq!(early.status.code(), Some(3), "{early:?}");
    let mut command = fed(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(command);
    let whole = run(folder.path(), &["ledger", "verify", "--database"]);
    assert!(whole.status.success(), "{whole:?}");
    assert!(text(&whole.stdout).starts_with("The ledger is whole: 0 wallets"), "{whole:?}");
    let found = run(folder.path(), &["ledger", "verify", "--json", "--database"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!((&found["ok"], &found["problems"]), (&true.into(), &0.into()));
    assert!(server.stop().0.success());

    // Money that came from nowhere.
    let database = folder.path().join(".base/downcity.sqlite");
    let options = DbOptions::new(format!("sqlite:{}", database.display()).parse().unwrap());
    let wallet = sql!("INSERT INTO balance_wallets VALUES ('wal_1', '', 'u', 5, 0, 0, 0, 0, 0)");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = Db::open(options, &[]).await.unwrap();
        db.write(move |tx| tx.execute(wallet, &[])).await.unwrap();
        db.close().await;
    });
    let broken = run(folder.path(), &["ledger", "verify", "--json", "--database"]);
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    assert!(text(&broken.stderr).contains("balance of user u in wal_1"), "{broken:?}");
    let found: Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(found["broken"][0]["problem"], "balance");
}
