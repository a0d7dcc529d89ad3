//! A provider of AI whose answers take their time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::balancer::spawn;

/// Pieces of each answer.
pub(crate) const PIECES: usize = 20;

/// Distance between two pieces.
const PAUSE: Duration = Duration::from_millis(150);

/// Serves until the process ends; gives the base URL.
pub(crate) fn start() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", socket.local_addr().unwrap());
    spawn("upstream", move || {
        for stream in socket.incoming() {
            let stream = stream.unwrap();
            // A caller that leaves in the middle is noticed by the test, not here.
            spawn("answer", move || answer(stream).unwrap_or_default());
        }
    });
    url
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    let mut out = stream.into_inner();
    out.set_nodelay(true)?;
    out.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
    )?;
    for number in 0..PIECES {
        let delta = json!({"role": "assistant", "content": format!("piece{number} ")});
        let chunk = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "slow",
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}],
        });
        out.write_all(format!("data: {chunk}\n\n").as_bytes())?;
        thread::sleep(PAUSE);
    }
    let end = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "slow",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    });
    out.write_all(format!("data: {end}\n\ndata: [DONE]\n\n").as_bytes())
}
