//! Servers as processes: how they start, what they use, how they end.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// The kernel counts processor time for `/proc` in hundredths of a second on every platform
/// (`USER_HZ`).
const MICROS_PER_TICK: u64 = 10_000;

/// How long a server may take to answer for the first time, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server of this run; it is ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens on the loopback.
    pub(crate) port: u16,
}

impl Server {
    /// Starts one of the parts of this program, which says its port by itself.
    pub(crate) fn part(own: &Path, args: &[&str]) -> Result<Self> {
        let mut child = Command::new(own).args(args).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("{args:?} did not start"))?;
        Ok(Self { child, port })
    }

    /// Starts a server that was told its port; what it says goes to the log file.
    pub(crate) fn start(mut command: Command, port: u16, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, port })
    }

    /// Waits until `GET path` is answered with 200.
    pub(crate) fn healthy(&mut self, path: &str) -> Result<()> {
        let begun = Instant::now();
        while !answers(self.port, path) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended: {status}");
            }
            ensure!(begun.elapsed() < PATIENCE, "the server does not answer GET {path}");
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Processor time used so far, user and system, in microseconds.
    pub(crate) fn cpu_micros(&self) -> Result<u64> {
        cpu_micros_of(&self.child.id().to_string())
    }

    /// Memory in use (resident), in MiB.
    pub(crate) fn rss_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .context("/proc/PID/status has no VmRSS")?
            .trim()
            .parse()?;
        Ok(kib / 1024.0)
    }

    /// Asks the server to end, and waits.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(asked.success(), "cannot signal process {pid}");
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback that nobody uses at the moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn answers(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Processor time that a process used so far, user and system, in microseconds. `process` is its id,
/// or `self`.
pub(crate) fn cpu_micros_of(process: &str) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in brackets, may hold blanks. Of what follows it, utime and stime are
    // the 12th and 13th field: proc(5).
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| -> Result<u64> {
        Ok(fields.get(index).context("/proc/PID/stat is short")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) * MICROS_PER_TICK)
}
