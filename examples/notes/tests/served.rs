//! The program as a whole: it starts in an empty directory and answers over HTTP.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// Ends the program with the test, whatever its result.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.lines().next().unwrap().to_owned();
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

#[test]
fn the_program_serves_its_service() {
    let directory = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_notes"))
        .current_dir(directory.path())
        .env_clear()
        .env("PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let printed = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let address = printed
        .map(Result::unwrap)
        .find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()))
        .expect("the program prints its URL");
    let (status, health) = get(&address, "/health");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(health["services"].as_array().unwrap().contains(&json!("notes")), "{health}");
    let (status, refused) = get(&address, "/v1/notes/list");
    assert_eq!(
        (status.as_str(), &refused["code"]),
        ("HTTP/1.1 401 Unauthorized", &json!("missing_credential"))
    );
}
