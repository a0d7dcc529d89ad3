//! Load from outside the process: wrk.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::Server;
use crate::sample::Sample;

const SCRIPT: &str = include_str!("load.lua");

/// One request that is sent over and over.
#[derive(Clone)]
pub(crate) struct Shot {
    /// The method.
    pub(crate) method: &'static str,
    /// The path.
    pub(crate) path: Cow<'static, str>,
    /// The bearer credential; empty for a guest.
    pub(crate) bearer: String,
    /// The JSON body; empty for none. `{n}` in it is another number in every request, of a thousand.
    pub(crate) body: String,
}

/// What of a turn is the row's value.
#[derive(Clone, Copy)]
pub(crate) enum Value {
    /// Answers per second.
    Rate,
    /// Median time from request to answer, in microseconds.
    Median,
    /// Answers per second of processor time of the server: what one core would give.
    PerCore,
}

/// The load generator.
pub(crate) struct Wrk {
    script: PathBuf,
    seconds: u64,
}

impl Wrk {
    /// A generator whose turns take this many seconds; its script goes into the folder.
    pub(crate) fn new(dir: &std::path::Path, seconds: u64) -> Result<Self> {
        let script = dir.join("load.lua");
        std::fs::write(&script, SCRIPT)?;
        Ok(Self { script, seconds })
    }

    /// Loads the server through this many connections. Every answer must be a success.
    pub(crate) fn fire(
        &self,
        server: &Server,
        shot: &Shot,
        connections: u32,
        value: Value,
    ) -> Result<Sample> {
        let mut command = Command::new("wrk");
        command
            .args(["--threads", "1", "--connections", &connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds), "--script"])
            .arg(&self.script)
            .args(["--header", "content-type: application/json"]);
        if !shot.bearer.is_empty() {
            command.args(["--header", &format!("authorization: Bearer {}", shot.bearer)]);
        }
        command.arg(format!("http://127.0.0.1:{}{}", server.port, shot.path)).args([
            "--",
            shot.method,
            &shot.body,
        ]);
        let before = server.cpu_micros()?;
        let output = command.output().context("cannot start wrk")?;
        let cpu = server.cpu_micros()? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("result "));
        let Some(line) = line else {
            bail!("wrk gave no result: {text}{}", String::from_utf8_lossy(&output.stderr));
        };
        let numbers: Vec<u64> =
            line.split(' ').map(str::parse).collect::<Result<_, _>>().context("wrk's result")?;
        let [requests, micros, median, errors] = numbers[..] else {
            bail!("wrk's result has {} numbers", numbers.len());
        };
        ensure!(errors == 0, "{errors} requests to {} failed", shot.path);
        ensure!(requests > 0, "{} answered nothing", shot.path);
        let cpu = cpu as f64 / requests as f64;
        let value = match value {
            Value::Rate => requests as f64 * 1e6 / micros as f64,
            Value::Median => median as f64,
            Value::PerCore => 1e6 / cpu,
        };
        Ok(Sample { value, cpu })
    }
}
