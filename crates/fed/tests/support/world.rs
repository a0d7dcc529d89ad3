//! A server process, and `fed` as its operator runs it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use regex::Regex;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ADMIN_KEY: &str = "admin_of_the_commands_test_0123456789";

/// A running server, ended by its id when it is dropped.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) folder: TempDir,
    /// What the server said when it listened.
    pub(crate) banner: String,
    child: Child,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::configured("")
    }

    /// With this federation.toml.
    pub(crate) fn configured(toml: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("federation.toml"), toml).unwrap();
        Self::serve(folder, false)
    }

    /// A server of a person, who has a folder for configuration.
    pub(crate) fn at_home(folder: TempDir) -> Self {
        Self::serve(folder, true)
    }

    fn serve(folder: TempDir, at_home: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
        command
            .env_clear()
            .current_dir(folder.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if at_home {
            command.env("XDG_CONFIG_HOME", folder.path().join("config"));
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The last line of the banner comes when the server listens.
        let mut banner = String::new();
        let url = loop {
            let line = lines.next().expect("the server starts");
            banner.push_str(&line);
            banner.push('\n');
            let last = line.split_whitespace().find_map(|word| word.strip_suffix("/health"));
            if let Some(url) = last {
                break url.to_owned();
            }
        };
        Self { url, folder, banner, child }
    }

    /// Ends the server; its files stay.
    pub(crate) fn stop(&mut self) {
        let server = Pid::from_child(&self.child);
        rustix::process::kill_process(server, Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }

    /// `fed` with nothing of the developer's environment and no Federation.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
        command
            .env_clear()
            .current_dir(self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        command
    }

    /// Runs a command on this server.
    pub(crate) fn fed(&self, arguments: &[&str]) -> Ran {
        self.fed_with(arguments, "")
    }

    /// Runs a command on this server with something on its standard input.
    pub(crate) fn fed_with(&self, arguments: &[&str], input: &str) -> Ran {
        self.run(self.command(arguments), input)
    }

    /// A command on this server, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare();
        command
            .args(arguments)
            .env("DOWNCITY_FEDERATION_URL", &self.url)
            .env("DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", ADMIN_KEY);
        command
    }

    pub(crate) fn run(&self, mut command: Command, input: &str) -> Ran {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that reads nothing may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ran = Ran {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        for said in [&ran.out, &ran.err] {
            assert!(!said.contains(ADMIN_KEY), "the admin key is shown: {ran:?}");
        }
        ran
    }

    /// Runs a command with `--json` and checks its answer against what the OpenAPI document says of
    /// this route, such as `GET /v1/cities/list`.
    pub(crate) fn json(&self, arguments: &[&str], route: &str) -> Value {
        let answer = self.fed(&[arguments, &["--json"]].concat()).value();
        self.check(&answer, route);
        answer
    }

    /// Checks an answer against what the OpenAPI document says of a route.
    pub(crate) fn check(&self, answer: &Value, route: &str) {
        let document = self.fed(&["openapi"]).value();
        let (method, path) = route.split_once(' ').unwrap();
        let operation = &document["paths"][path][method.to_ascii_lowercase()];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{route} is not in the document: {operation}");
        let mut schema = json!({ "allOf": [schema] });
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let problems: Vec<String> =
            validator.iter_errors(answer).map(|problem| problem.to_string()).collect();
        assert!(problems.is_empty(), "{route}: {problems:?}\n{answer:#}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Already ended where it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// What it printed, after it went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        steady(&self.out)
    }

    /// The same as JSON, as it is.
    pub(crate) fn value(self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What it said, after it failed in this way and printed no data.
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        steady(&self.err)
    }
}

/// Text without what is another one in each run.
pub(crate) fn steady(text: &str) -> String {
    const CHANGING: &[(&str, &str)] = &[
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "(time)"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "(the date) and time"),
        (
            r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
            "(an id of thirty-six letters in all)",
        ),
        (r"\b([a-z]{2,6})_[0-9a-f]{32}\b", "${1}_(an id of thirty-two letters)"),
        (r"\b(tok|key|usr|ses)_[A-Za-z0-9_-]{16,}", "${1}_(random letters)"),
        (r"••••[A-Za-z0-9_-]{4}\b", "••••last"),
        (r"127\.0\.0\.1:\d+", "(address)"),
    ];
    CHANGING.iter().fold(text.to_owned(), |text, (pattern, name)| {
        Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned()
    })
}
