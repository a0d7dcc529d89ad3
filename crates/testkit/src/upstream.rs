//! A provider on loopback that answers what a test scripted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Time after which a test that waits for an upstream fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that records every request and plays scripted answers, byte by byte as told.
pub struct MockUpstream {
    port: u16,
    shared: Arc<Shared>,
    // Dropped with the server: no connection outlives its test.
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Recorded>>,
    model_requests: Mutex<Vec<Recorded>>,
}

/// What answers a request.
type Answering = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

#[derive(Default)]
struct Script {
    next: VecDeque<Answer>,
    always: Option<Answer>,
    by: Option<Answering>,
    models: Option<Answer>,
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method and path, such as `POST /v1/chat/completions`.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    gone: watch::Receiver<Option<bool>>,
}

impl Recorded {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the upstream got JSON")
    }

    /// Waits for the end of the answer; says whether the caller left before.
    pub async fn left_early(&self) -> bool {
        let mut gone = self.gone.clone();
        let ended = tokio::time::timeout(PATIENCE, gone.wait_for(Option::is_some));
        let ended = ended.await.expect("the upstream's answer ends");
        ended.expect("the connection's task lives").unwrap_or_default()
    }
}

/// Opened by a test to let an answer go on.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Gate {
    /// Lets everything that waits go on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn opened(&self) {
        let mut opened = self.0.subscribe();
        // The sender lives as long as the gate that is waited at.
        let _ = opened.wait_for(|&open| open).await;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(Bytes),
    Wait(Gate),
    Forever(Bytes, Duration),
    Silence,
    Cut,
}

/// An answer: a status, headers, and pieces of a body with pauses and breaks between them.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    steps: Vec<Step>,
    /// Written with a length, so that the whole answer is one piece on the wire.
    whole: bool,
}

impl Answer {
    /// A whole body of this type.
    pub fn text(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            steps: vec![Step::Write(Bytes::copy_from_slice(body.as_bytes()))],
            whole: true,
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    /// An event stream that has not said anything yet.
    pub fn stream() -> Self {
        Self::pieces("text/event-stream")
    }

    /// A body of this type that is written in pieces and has no length.
    pub fn pieces(content_type: &str) -> Self {
        Self { whole: false, steps: Vec::new(), ..Self::text(200, content_type, "") }
    }

    /// An event stream of these events' data, `[DONE]` included.
    pub fn events<'a>(data: impl IntoIterator<Item = &'a Value>) -> Self {
        data.into_iter().fold(Self::stream(), Self::event).write("data: [DONE]\n\n")
    }

    /// Adds an event with this data.
    #[must_use]
    pub fn event(self, data: &Value) -> Self {
        self.write(&format!("data: {data}\n\n"))
    }

    /// Adds text, which is sent at once.
    #[must_use]
    pub fn write(self, text: &str) -> Self {
        self.write_bytes(text.as_bytes())
    }

    /// Adds bytes, which are sent at once.
    #[must_use]
    pub fn write_bytes(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Write(Bytes::copy_from_slice(bytes)));
        self
    }

    /// Goes on only when the gate is open.
    #[must_use]
    pub fn wait(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Wait(gate.clone()));
        self.whole = false;
        self
    }

    /// Sends not even its head.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.steps.insert(0, Step::Silence);
        self
    }

    /// Writes this text again and again with these pauses, until the caller leaves.
    #[must_use]
    pub fn forever(mut self, text: &str, pause: Duration) -> Self {
        self.steps.push(Step::Forever(Bytes::copy_from_slice(text.as_bytes()), pause));
        self.whole = false;
        self
    }

    /// Never ends.
    #[must_use]
    pub fn hang(self) -> Self {
        self.wait(&Gate::default())
    }

    /// Breaks the connection.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.steps.push(Step::Cut);
        self.whole = false;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.whole {
            let length: usize = self.steps.iter().map(Step::len).sum();
            head.push_str(&format!("content-length: {length}\r\n\r\n"));
        } else {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
        }
        head
    }
}

impl Step {
    fn len(&self) -> usize {
        match self {
            Self::Write(bytes) => bytes.len(),
            Self::Wait(_) | Self::Forever(..) | Self::Silence | Self::Cut => 0,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MockUpstream {
    /// Starts a server on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        let server = shared.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, server.clone()));
            }
        });
        Self { port, shared, _tasks: tasks }
    }

    /// The base URL, such as `http://127.0.0.1:4711/v1`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Answers every request that has no answer of its own like this.
    pub fn always(&self, answer: Answer) {
        locked(&self.shared.script).always = Some(answer);
    }

    /// Answers every request that has no answer of its own as this says.
    pub fn by(&self, answer: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        locked(&self.shared.script).by = Some(Arc::new(answer));
    }

    /// Answers the next request that has no answer yet like this.
    pub fn then(&self, answer: Answer) {
        locked(&self.shared.script).next.push_back(answer);
    }

    /// Answers requests for the list of models like this, which otherwise are answered 404: they
    /// are how keys are tried.
    pub fn models(&self, answer: Answer) {
        locked(&self.shared.script).models = Some(answer);
    }

    /// Every request for the list of models so far.
    pub fn model_requests(&self) -> Vec<Recorded> {
        locked(&self.shared.model_requests).clone()
    }

    /// Every request so far, those for the list of models apart.
    pub fn requests(&self) -> Vec<Recorded> {
        locked(&self.shared.requests).clone()
    }

    /// The only request so far; another number of them fails the test.
    #[track_caller]
    pub fn request(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "the upstream got another number of requests");
        requests.remove(0)
    }

    /// Waits for the request of this number, counted from 0.
    pub async fn arrived(&self, number: usize) -> Recorded {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(request) = locked(&self.shared.requests).get(number) {
                    return request.clone();
                }
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("the request arrives")
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).expect("a TCP option");
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = Vec::new();
    while let Some((target, headers, body)) = read_request(&mut reader, &mut buffer).await {
        let (ended, gone) = watch::channel(None);
        let lists = target.starts_with("GET ") && target.contains("/models");
        let recorded = Recorded { target, headers, body, gone };
        let answer = {
            let mut script = locked(&shared.script);
            if lists {
                let none = || Answer::text(404, "text/plain", "no list of models");
                Some(script.models.clone().unwrap_or_else(none))
            } else {
                let by = script.by.clone();
                script
                    .next
                    .pop_front()
                    .or_else(|| by.map(|by| by(&recorded)))
                    .or_else(|| script.always.clone())
            }
        };
        let requests = if lists { &shared.model_requests } else { &shared.requests };
        locked(requests).push(recorded);
        let answer = answer.unwrap_or_else(|| Answer::text(599, "text/plain", "not scripted"));
        let mut more = [0; 1024];
        tokio::select! {
            stays_open = play(&answer, &mut writer) => {
                ended.send_replace(Some(false));
                if !stays_open {
                    return;
                }
            }
            // Callers send one request at a time: what can be read now is the end.
            _ = reader.read(&mut more) => {
                ended.send_replace(Some(true));
                return;
            }
        }
    }
}

/// Adds a piece of a body that has no length.
fn push_chunk(pending: &mut Vec<u8>, bytes: &[u8]) {
    pending.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    pending.extend_from_slice(bytes);
    pending.extend_from_slice(b"\r\n");
}

/// Says whether the connection may be used again.
async fn play(answer: &Answer, writer: &mut OwnedWriteHalf) -> bool {
    let mut pending = answer.head().into_bytes();
    for step in &answer.steps {
        match step {
            Step::Write(bytes) if answer.whole => pending.extend_from_slice(bytes),
            Step::Write(bytes) if bytes.is_empty() => {}
            Step::Write(bytes) => {
                push_chunk(&mut pending, bytes);
                if writer.write_all(&std::mem::take(&mut pending)).await.is_err() {
                    return false;
                }
                // Lets the other side read this piece by itself.
                tokio::task::yield_now().await;
            }
            Step::Wait(gate) => {
                if writer.write_all(&std::mem::take(&mut pending)).await.is_err() {
                    return false;
                }
                gate.opened().await;
            }
            Step::Forever(bytes, pause) => loop {
                push_chunk(&mut pending, bytes);
                if writer.write_all(&std::mem::take(&mut pending)).await.is_err() {
                    return false;
                }
                if pause.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(*pause).await;
                }
            },
            Step::Silence => std::future::pending().await,
            Step::Cut => {
                // What stands before the break arrives first, whatever comes of it.
                let _ = writer.write_all(&pending).await;
                return false;
            }
        }
    }
    if !answer.whole {
        pending.extend_from_slice(b"0\r\n\r\n");
    }
    writer.write_all(&pending).await.is_ok()
}

async fn read_request(
    reader: &mut OwnedReadHalf,
    buffer: &mut Vec<u8>,
) -> Option<(String, HeaderMap, Bytes)> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if reader.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    buffer.drain(..head_end + 4);
    let mut lines = head.split("\r\n");
    let target = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::try_from(name).expect("a header name");
        headers.append(name, HeaderValue::try_from(value.trim()).expect("a header value"));
    }
    let length = headers.get("content-length").and_then(|length| length.to_str().ok());
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if reader.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some((target, headers, buffer.drain(..length).collect()))
}
