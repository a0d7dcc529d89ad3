//! Clients of the balancer: each calls one thing after the other and counts what fails.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::balancer::spawn;
use crate::http::{Client, Send};
use crate::node::ADMIN_KEY;
use crate::upstream::PIECES;

/// What a client does between two calls.
const PAUSE: Duration = Duration::from_millis(20);

/// What became of a client's calls.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) calls: usize,
    /// What failed, and how.
    pub(crate) failures: Vec<String>,
    /// Cities whose creation was acknowledged.
    pub(crate) cities: Vec<String>,
    /// Streams that arrived whole.
    pub(crate) streams: usize,
}

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Outcome>>,
}

impl Load {
    /// Starts `callers` clients that read and write, and `streams` that follow an answer to its end.
    pub(crate) fn start(address: &str, user_token: &str, callers: usize, streams: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for caller in 0..callers {
            let (stop, address) = (stop.clone(), address.to_owned());
            threads.push(spawn("caller", move || read_and_write(caller, &address, &stop)));
        }
        for _ in 0..streams {
            let (stop, address, token) = (stop.clone(), address.to_owned(), user_token.to_owned());
            threads.push(spawn("stream", move || follow(&address, &token, &stop)));
        }
        Self { stop, threads }
    }

    pub(crate) fn end(self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        let mut total = Outcome::default();
        for thread in self.threads {
            let mut part = thread.join().unwrap();
            total.calls += part.calls;
            total.streams += part.streams;
            total.failures.append(&mut part.failures);
            total.cities.append(&mut part.cities);
        }
        total
    }
}

fn read_and_write(caller: usize, address: &str, stop: &AtomicBool) -> Outcome {
    let mut client = Client::new(address);
    let mut outcome = Outcome::default();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let city_id = format!("c{caller}-{number}");
        let created = json!({"name": "City", "city_id": city_id});
        let calls: [(&str, Option<&Value>); 4] = [
            ("/v1/cities/create", Some(&created)),
            ("/v1/cities/list?limit=5", None),
            ("/v1/env/list", None),
            ("/health", None),
        ];
        for (path, body) in calls {
            outcome.calls += 1;
            let reply = client.call(path, Send { bearer: ADMIN_KEY, body, ..Send::default() });
            match reply {
                Some(reply) if reply.status == 200 => {
                    if body.is_some() {
                        outcome.cities.push(city_id.clone());
                    }
                }
                failed => outcome.failures.push(format!("{path}: {failed:?}")),
            }
            thread::sleep(PAUSE);
        }
    }
    outcome
}

fn follow(address: &str, user_token: &str, stop: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    while !stop.load(Ordering::SeqCst) {
        outcome.calls += 1;
        let text = stream(address, user_token).unwrap_or_else(|error| error.to_string());
        let pieces = text.matches("piece").count();
        if text.starts_with("HTTP/1.1 200 ") && pieces == PIECES && text.contains("[DONE]") {
            outcome.streams += 1;
        } else {
            outcome.failures.push(format!("a stream with {pieces} pieces: {text}"));
        }
    }
    outcome
}

/// One streamed answer to its end.
fn stream(address: &str, user_token: &str) -> std::io::Result<String> {
    let body = json!({
        "model": "slow", "stream": true, "messages": [{"role": "user", "content": "Hello"}],
    })
    .to_string();
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!(
        "POST /v1/ai/chat/completions HTTP/1.1\r\nhost: fed\r\nconnection: close\r\n\
         authorization: Bearer {user_token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len(),
    );
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
