//! The process of a node, and the database that outlives it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use downcity_db::Engine;
use downcity_db::testing::TestDatabase;
use serde_json::Value;
use tempfile::TempDir;

use crate::faults::Disk;

pub(crate) const ADMIN_KEY: &str = "admin_of_the_kill_test_0123456789";

/// Where the nodes of one series of rounds keep what survives them.
pub(crate) struct Place {
    folder: TempDir,
    /// `None` for SQLite: the default file in the folder, with the master key beside it.
    postgres: Option<TestDatabase>,
    /// The database as nodes reach it, where that is another way than ours.
    detour: Option<String>,
    /// `None` for PostgreSQL, whose disk is not ours.
    pub(crate) disk: Option<Disk>,
}

impl Place {
    pub(crate) fn new(engine: Engine) -> Self {
        let postgres = (engine == Engine::Postgres)
            .then(|| TestDatabase::new(engine).unwrap_or_else(|why| panic!("{why}")));
        let folder = TempDir::new().unwrap();
        let disk = postgres.is_none().then(|| Disk::new(folder.path()));
        Self { folder, postgres, detour: None, disk }
    }

    /// Starts a node and does not wait for it.
    pub(crate) fn spawn(&self) -> Node {
        self.spawn_with(&[])
    }

    /// The same with more in the environment of the process.
    pub(crate) fn spawn_with(&self, environment: &[(&str, &str)]) -> Node {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = self.fed(&["serve", "--listen", "127.0.0.1:0"]);
        command
            .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY)
            .env("DOWNCITY_FEDERATION__LIMITS__EXEMPT", r#"["127.0.0.1"]"#)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(disk) = &self.disk {
            disk.prepare(&mut command);
        }
        Node { child: command.spawn().unwrap(), started: Instant::now() }
    }

    /// Checks the audit trail, which has to begin with what the check before has seen. Gives its
    /// last row and the hash of that.
    pub(crate) fn verify_audit(&self, seen: Option<&str>) -> String {
        let mut command = self.fed(&["audit", "verify", "--database", "--json"]);
        if let Some(seen) = seen {
            command.args(["--expect", seen]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "after {seen:?}: {output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        format!("{}:{}", report["rows"], report["hash"].as_str().expect("a hash"))
    }

    /// Checks all money: wallets, ledger, lots and holds agree.
    pub(crate) fn verify_ledger(&self) {
        let output = self.fed(&["ledger", "verify", "--database"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// The binary, on this database and with nothing of the developer's environment.
    fn fed(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
        command.env_clear().current_dir(self.folder.path()).args(arguments);
        if let Some(url) = self.detour.clone().or_else(|| self.database_url()) {
            command
                .env("DOWNCITY_FEDERATION_DATABASE_URL", url)
                .env("DOWNCITY_FEDERATION_MASTER_KEY", "a passphrase of more than 32 characters");
        }
        command
    }

    /// The URL of the PostgreSQL database.
    pub(crate) fn database_url(&self) -> Option<String> {
        self.postgres.as_ref().map(TestDatabase::connection_string)
    }

    /// Nodes started from now on reach the database by this URL.
    pub(crate) fn through(&mut self, url: String) {
        self.detour = Some(url);
    }

    /// Waits until a query finds something; `query` ends where it compares with `text`.
    pub(crate) fn wait_for(&self, query: &str, text: &str) {
        let database = self.postgres.as_ref().expect("PostgreSQL");
        let wait = format!(
            "DO $$ BEGIN WHILE NOT EXISTS ({query} = '{text}') LOOP
                 PERFORM pg_sleep(0.005);
             END LOOP; END $$"
        );
        database.execute(&wait).unwrap();
    }

    /// The folder of the database, the master key and the log.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the connections of the node to PostgreSQL in the middle of what they do.
    pub(crate) fn cut_connections(&self) {
        let Some(database) = &self.postgres else { return };
        database
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .unwrap();
    }

    /// Waits until the database has finished what a dead node left: until then an unanswered
    /// COMMIT may still be carried out.
    pub(crate) fn settle(&self) {
        let Some(database) = &self.postgres else { return };
        database
            .execute(
                "DO $$ BEGIN
                     WHILE EXISTS (SELECT 1 FROM pg_stat_activity
                         WHERE datname = current_database() AND pid <> pg_backend_pid()
                           AND backend_type = 'client backend') LOOP
                         PERFORM pg_sleep(0.005);
                         PERFORM pg_stat_clear_snapshot();
                     END LOOP;
                 END $$",
            )
            .unwrap();
    }

    /// What all nodes have logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("fed.log")
    }
}

/// A process, ended by its id.
pub(crate) struct Node {
    child: Child,
    started: Instant,
}

impl Node {
    /// Waits until the node listens: its address, and how long the start took.
    pub(crate) fn ready(&mut self) -> Option<(String, Duration)> {
        let out = BufReader::new(self.child.stdout.take()?);
        // The last line of the banner comes when the node listens.
        let last = out.lines().map_while(Result::ok).find(|line| line.contains("Try "))?;
        let address = last.split("http://").nth(1)?.strip_suffix("/health")?;
        Some((address.to_owned(), self.started.elapsed()))
    }

    /// A start that fails: its exit code.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// `kill -9`, whatever it is doing.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that fails leaves no process behind; one that was killed is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
