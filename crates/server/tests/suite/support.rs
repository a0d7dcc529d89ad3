//! Federations on databases of their own, and a client that shows every byte.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use downcity_core::env::{ADMIN_KEY as ADMIN_KEY_NAME, MasterKey};
use downcity_db::testing::TestDatabase;
use downcity_db::{DbOptions, Engine};
use downcity_server::prelude::*;
use downcity_server::{Federation, FederationBuilder};
use downcity_testkit::tokio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

/// The admin key of every Federation under test.
pub(crate) const ADMIN_KEY: &str = "admin_test_key_0123456789";

/// No step of a test takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A builder on this database, on a free port, with a configuration of which `change` is made.
pub(crate) fn builder(
    database: &TestDatabase,
    change: impl FnOnce(&mut Config),
) -> FederationBuilder {
    let mut config = Config::default();
    change(&mut config);
    let mut options = DbOptions::new(database.url());
    options.write_connections = 2;
    options.read_connections = 1;
    options.scan_connections = 1;
    Federation::builder()
        .config(config)
        .database(options)
        .master_key(MasterKey::parse("a passphrase for tests, of more than 32 characters").unwrap())
        .seed(ADMIN_KEY_NAME, Secret::new(ADMIN_KEY))
        .listen("127.0.0.1:0")
}

/// A Federation and the database that lives as long as it.
pub(crate) struct Running {
    pub(crate) federation: Federation,
    _database: TestDatabase,
}

impl Running {
    /// A Federation on SQLite.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_services(change, |builder| builder).await
    }

    pub(crate) async fn with_services(
        change: impl FnOnce(&mut Config),
        services: impl FnOnce(FederationBuilder) -> FederationBuilder,
    ) -> Self {
        let database = TestDatabase::new(Engine::Sqlite).unwrap();
        let federation = services(builder(&database, change)).build().await.unwrap();
        Self { federation, _database: database }
    }

    pub(crate) async fn connect(&self) -> Connection {
        connect(&self.federation).await
    }
}

/// A new connection to a Federation.
pub(crate) async fn connect(federation: &Federation) -> Connection {
    Connection::open(federation.local_addr().unwrap()).await
}

/// A TCP connection that speaks HTTP/1.1 by hand.
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["code"].as_str().unwrap().to_owned()
    }
}

impl Connection {
    pub(crate) async fn open(address: std::net::SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends what the server may refuse to read to its end.
    pub(crate) async fn send_anyway(&mut self, bytes: impl AsRef<[u8]>) {
        // The server closes early on purpose: what it answered is what counts.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends bytes; says whether the server still took them.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = self.stream.write_all(bytes.as_ref());
        tokio::time::timeout(PATIENCE, sent).await.is_ok_and(|sent| sent.is_ok())
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: fed\r\n{headers}\r\n")).await;
        self.answer().await
    }

    pub(crate) async fn admin_get(&mut self, path: &str) -> Answer {
        self.get(path, &format!("authorization: Bearer {ADMIN_KEY}\r\n")).await
    }

    /// The head of an answer whose body is still to come.
    pub(crate) async fn head(&mut self) -> String {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end;
            }
            assert!(self.read().await, "the connection ended within a head");
        };
        let rest = self.unread.split_off(end + 4);
        String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap()
    }

    /// One whole answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        answer.body = match length {
            Some(length) => self.exactly(length).await,
            None if answer.header("transfer-encoding") == Some("chunked") => self.chunks().await,
            None => String::new(),
        };
        answer
    }

    /// Everything until the server closes.
    pub(crate) async fn rest(&mut self) -> String {
        while self.read().await {}
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }

    /// The next piece of a chunked body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                break end;
            }
            assert!(self.read().await, "the connection ended within a body");
        };
        let line: Vec<u8> = self.unread.drain(..end + 2).collect();
        let length = usize::from_str_radix(str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
        let piece = self.exactly(length + 2).await;
        (length > 0).then(|| piece[..length].to_owned())
    }

    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        while let Some(piece) = self.chunk().await {
            body.push_str(&piece);
        }
        body
    }

    async fn exactly(&mut self, length: usize) -> String {
        while self.unread.len() < length {
            assert!(self.read().await, "the connection ended within a body");
        }
        String::from_utf8(self.unread.drain(..length).collect()).unwrap()
    }

    async fn read(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.unread);
        let count = tokio::time::timeout(PATIENCE, read).await.expect("an answer in time");
        count.is_ok_and(|count| count > 0)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A service whose answers a test releases piece by piece.
pub(crate) struct Slow {
    pieces: std::sync::Mutex<Option<mpsc::Receiver<&'static str>>>,
    /// Told when a call has begun.
    pub(crate) begun: Arc<Notify>,
}

impl Slow {
    pub(crate) fn new() -> (Self, mpsc::Sender<&'static str>) {
        let (send, pieces) = mpsc::channel(8);
        let begun = Arc::new(Notify::new());
        (Self { pieces: std::sync::Mutex::new(Some(pieces)), begun }, send)
    }

    async fn stream(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Sse> {
        let pieces = self.pieces.lock().unwrap().take();
        let mut pieces = pieces.ok_or_else(|| Error::new(ErrorCode::Conflict, "Only once."))?;
        self.begun.notify_one();
        Ok(Sse(Body::from_stream(futures_util::stream::poll_fn(move |cx| {
            pieces.poll_recv(cx).map(|piece| piece.map(|text| Ok::<_, Infallible>(text.into())))
        }))))
    }

    /// Answers when the stream has ended: the first piece that arrives, as JSON.
    async fn wait(self: Arc<Self>, _: Cx, _: NoInput) -> Result<String> {
        let pieces = self.pieces.lock().unwrap().take();
        let mut pieces = pieces.ok_or_else(|| Error::new(ErrorCode::Conflict, "Only once."))?;
        self.begun.notify_one();
        Ok(pieces.recv().await.unwrap_or_default().to_owned())
    }

    async fn fail(self: Arc<Self>, _: Cx, _: NoInput) -> Result<NoOutput> {
        panic!("secret of the caller")
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct NoOutput {}

impl Service for Slow {
    fn id(&self) -> &'static str {
        "slow"
    }

    fn name(&self) -> &'static str {
        "Slow"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("stream", PUBLIC, &self, Self::stream).summary("Stream what the test sends.");
        s.get("wait", PUBLIC, &self, Self::wait).summary("Wait for what the test sends.");
        s.get("fail", PUBLIC, &self, Self::fail).summary("Panic.");
    }
}
