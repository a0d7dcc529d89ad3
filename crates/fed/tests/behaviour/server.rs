//! A `fed` process with a database of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use downcity_db::Engine;
use downcity_db::testing::TestDatabase;
use tempfile::TempDir;

pub(crate) const ADMIN_KEY: &str = "admin_of_the_behaviour_test_0123456789";

/// A running server, ended by its id when it is dropped; its database goes with it.
pub(crate) struct Server {
    pub(crate) url: String,
    child: Child,
    _database: TestDatabase,
    _folder: TempDir,
}

impl Server {
    pub(crate) fn start(engine: Engine) -> Self {
        let database = TestDatabase::new(engine).unwrap_or_else(|why| panic!("{why}"));
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
        command
            .env_clear()
            .current_dir(folder.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY)
            .env("DOWNCITY_FEDERATION_DATABASE_URL", database.connection_string())
            .env("DOWNCITY_FEDERATION_MASTER_KEY", "a passphrase of more than 32 characters")
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // The last line of the banner comes when the server listens.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let last = lines.find(|line| line.contains("Try ")).expect("the server starts");
        let url = last.split_whitespace().find_map(|word| word.strip_suffix("/health"));
        let url = url.expect("an address").to_owned();
        Self { url, child, _database: database, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
