//! A `fed` process.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) const ADMIN_KEY: &str = "admin_of_the_rolling_test_0123456789";

/// A node that was told to stop or will be; ended by its id.
pub(crate) struct Node {
    child: Child,
}

impl Node {
    /// Starts a node in the folder of its configuration and does not wait for it.
    pub(crate) fn spawn(folder: &Path, database: &str) -> Self {
        let log = File::options().create(true).append(true).open(folder.join("fed.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_fed"))
            .env_clear()
            .current_dir(folder)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY)
            .env("DOWNCITY_FEDERATION_DATABASE_URL", database)
            .env("DOWNCITY_FEDERATION_MASTER_KEY", "a passphrase of more than 32 characters")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Waits until it listens; gives its address.
    pub(crate) fn address(&mut self) -> String {
        let out = BufReader::new(self.child.stdout.take().unwrap());
        // The last line of the banner comes when the node listens.
        let mut lines = out.lines().map_while(Result::ok);
        let last = lines.find(|line| line.contains("Try ")).expect("the node starts");
        let address = last.split("http://").nth(1).and_then(|rest| rest.strip_suffix("/health"));
        address.unwrap().to_owned()
    }

    /// Asks it to stop, as a service manager does.
    pub(crate) fn terminate(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn ended(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that fails leaves no process behind; one that has ended is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
