//! What thousands of connections cost the process, measured from outside.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

/// Connections that the tests open, where the system lets them.
const CROWD: u64 = 5_000;

/// The most memory of the server for a connection that has said nothing, in KiB.
const SILENT_KIB: u64 = 16;

/// The most for one that was answered and is kept open.
const KEPT_KIB: u64 = 32;

/// The most for one that sends the head of a request without its end: the head itself, twice while
/// its buffer grows, and the connection.
const HEAD_KIB: u64 = 384;

/// A server, ended by its id when the test ends.
struct Server {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Server {
    fn start(variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_fed"))
            .env_clear()
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| {
            let url = line.trim().strip_prefix("URL")?.trim().strip_prefix("http://")?;
            Some(url.to_owned())
        });
        Self { child, address: address.expect("the banner names the address"), _folder: folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Memory of the process that is in use, in KiB.
    fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Open files of the process.
    fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits until the process holds this many connections.
    fn holds(&self, connections: u64) {
        let began = Instant::now();
        while (self.files() as u64) < connections {
            assert!(began.elapsed() < Duration::from_secs(30), "{} files", self.files());
            std::thread::yield_now();
        }
    }

    fn assert_serves(&self) {
        let began = Instant::now();
        assert!(ask(&mut self.connect()).starts_with("HTTP/1.1 200 "));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection that is kept; gives the answer.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: fed\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"{\"ok\":true}") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// As many connections as the system lets this process open, [`CROWD`] at most.
fn crowd() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, most).unwrap();
    let crowd = limit.maximum.map_or(CROWD, |files| CROWD.min(files.saturating_sub(200)));
    if crowd < CROWD {
        eprintln!("the system allows {crowd} connections in place of {CROWD}");
    }
    assert!(crowd > 100, "the system allows too few open files: {crowd}");
    crowd
}

#[test]
fn thousands_of_idle_connections_cost_little_and_leave_room() {
    let crowd = crowd();
    let server = Server::start(&[]);
    server.assert_serves();
    let before = server.resident();
    let mut connections: Vec<_> = (0..crowd).map(|_| server.connect()).collect();
    server.holds(crowd);
    server.assert_serves();
    let silent = (server.resident() - before) / crowd;
    assert!(silent <= SILENT_KIB, "{silent} KiB for a silent connection");

    for connection in &mut connections {
        ask(connection);
    }
    server.assert_serves();
    let kept = (server.resident() - before) / crowd;
    assert!(kept <= KEPT_KIB, "{kept} KiB for a connection that is kept");
    println!("{crowd} connections: {silent} KiB each when silent, {kept} KiB when kept");
}

#[test]
fn idle_connections_beyond_the_limit_lock_nobody_out() {
    let crowd = crowd();
    let server = Server::start(&[("DOWNCITY_FEDERATION__SERVER__MAX_CONNECTIONS", "200")]);
    server.assert_serves();
    let before = server.resident();
    let mut connections = Vec::new();
    for n in 0..crowd.min(2_000) {
        connections.push(server.connect());
        if n % 500 == 499 {
            server.assert_serves();
        }
    }
    assert!(server.files() < 300, "{} files", server.files());
    let grown = server.resident() - before;
    assert!(grown < 200 * KEPT_KIB + 8 * 1024, "{grown} KiB");
}

#[test]
fn heads_without_end_cost_what_is_stated_and_no_more() {
    let server = Server::start(&[]);
    server.assert_serves();
    let before = server.resident();
    let count = 200;
    let mut connections = Vec::new();
    let header = format!("x-flood: {}\r\n", "x".repeat(1500));
    let head = format!("GET /livez HTTP/1.1\r\nhost: fed\r\n{}", header.repeat(80));
    for _ in 0..count {
        let mut connection = server.connect();
        connection.write_all(head.as_bytes()).unwrap();
        connections.push(connection);
    }
    server.holds(count);
    server.assert_serves();
    let each = (server.resident() - before) / count;
    assert!(each <= HEAD_KIB, "{each} KiB for a head of {} KiB", head.len() / 1024);
    println!("{each} KiB for a head of {} KiB", head.len() / 1024);
}
