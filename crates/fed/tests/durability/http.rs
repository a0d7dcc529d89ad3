//! A client that knows whether it was answered.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to a node, opened again when it is gone.
pub(crate) struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// What is sent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Send<'a> {
    pub(crate) bearer: &'a str,
    pub(crate) idempotency_key: Option<&'a str>,
    /// Makes it a POST.
    pub(crate) body: Option<&'a Value>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None }
    }

    /// The answer; `None` when the connection ended before all of it was here.
    pub(crate) fn call(&mut self, path: &str, send: Send<'_>) -> Option<Reply> {
        match self.exchange(path, send) {
            Ok(reply) => Some(reply),
            Err(error) => {
                let hung = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!hung, "{path}: no answer within {PATIENCE:?}");
                self.stream = None;
                None
            }
        }
    }

    fn exchange(&mut self, path: &str, send: Send<'_>) -> std::io::Result<Reply> {
        if self.stream.as_ref().is_some_and(|stream| ended_idle(stream.get_ref())) {
            self.stream = None;
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            empty => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                empty.insert(BufReader::new(stream))
            }
        };
        stream.get_mut().write_all(request(path, send).as_bytes())?;
        let (reply, is_last) = read_reply(stream)?;
        if is_last {
            self.stream = None;
        }
        Ok(reply)
    }
}

/// Whether the other side has ended a connection on which nothing was under way.
fn ended_idle(stream: &TcpStream) -> bool {
    let peek = || {
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    };
    !matches!(peek(), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn request(path: &str, send: Send<'_>) -> String {
    let body = send.body.map(Value::to_string).unwrap_or_default();
    let method = if send.body.is_some() { "POST" } else { "GET" };
    let key = send.idempotency_key.map(|key| format!("idempotency-key: {key}\r\n"));
    format!(
        "{method} {path} HTTP/1.1\r\nhost: fed\r\nauthorization: Bearer {}\r\n{}content-length: {}\r\n\r\n{body}",
        send.bearer,
        key.unwrap_or_default(),
        body.len(),
    )
}

/// An answer, and whether it is the last one of its connection.
fn read_reply(stream: &mut BufReader<TcpStream>) -> std::io::Result<(Reply, bool)> {
    let ended = || std::io::Error::from(ErrorKind::UnexpectedEof);
    let mut line = || {
        let mut line = String::new();
        match stream.read_line(&mut line)? {
            0 => Err(ended()),
            _ if !line.ends_with('\n') => Err(ended()),
            _ => Ok(line.trim_end().to_ascii_lowercase()),
        }
    };
    let first = line()?;
    let status =
        first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(ended)?;
    let mut length = None;
    let mut is_last = false;
    loop {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        is_last |= header == "connection: close";
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.expect("answers state their length")];
    stream.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).expect("answers are JSON");
    Ok((Reply { status, body }, is_last))
}
