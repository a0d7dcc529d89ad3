//! A loopback connection to PostgreSQL that breaks where a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Where the next connection breaks; once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    Nowhere,
    /// The server never hears of the COMMIT of the transaction that writes [`Proxy::mark`].
    BeforeCommit,
    /// The server carries that COMMIT out, and its answer is lost.
    AfterCommit,
    /// When this many more bytes have gone to the server, on whatever connection.
    AfterSent(usize),
    /// When this many more bytes have come from the server.
    AfterReceived(usize),
}

/// The proxy. Its threads end with their connections, and with the process.
pub(crate) struct Proxy {
    port: u16,
    next: Arc<Mutex<Next>>,
}

struct Next {
    cut: Cut,
    mark: Vec<u8>,
}

/// A stream of either kind to the server.
trait Stream: Read + Write + Send {
    fn another(&self) -> Box<dyn Stream>;
    fn end(&self);
}

macro_rules! stream {
    ($kind:ty) => {
        impl Stream for $kind {
            fn another(&self) -> Box<dyn Stream> {
                Box::new(self.try_clone().expect("a handle"))
            }

            fn end(&self) {
                // The other side may have ended it first.
                let _ = self.shutdown(Shutdown::Both);
            }
        }
    };
}
stream!(TcpStream);
stream!(UnixStream);

impl Proxy {
    /// A proxy to the server of this URL: `postgres://USER@HOST/NAME`, the host a percent-encoded
    /// folder or a name with or without a port.
    pub(crate) fn to(url: &str) -> Self {
        let host = url.split_once('@').expect("a user").1.split('/').next().expect("a host");
        let host = host.replace("%2F", "/");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(Mutex::new(Next { cut: Cut::Nowhere, mark: Vec::new() }));
        let shared = Arc::clone(&next);
        thread(move || {
            for client in listener.incoming().map_while(Result::ok) {
                relay(client, connect(&host), &shared);
            }
        });
        Self { port, next }
    }

    /// The same database through the proxy.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (user, rest) = direct.split_once('@').expect("a user");
        let name = rest.split_once('/').expect("a name").1;
        format!("{user}@127.0.0.1:{}/{name}", self.port)
    }

    pub(crate) fn cut(&self, cut: Cut) {
        lock(&self.next).cut = cut;
    }

    /// A text that only one transaction writes: others may commit meanwhile.
    pub(crate) fn mark(&self, text: &str) {
        lock(&self.next).mark = text.as_bytes().to_vec();
    }

    /// True when the connection was cut where [`Proxy::cut`] said.
    pub(crate) fn has_cut(&self) -> bool {
        lock(&self.next).cut == Cut::Nowhere
    }
}

fn connect(host: &str) -> Box<dyn Stream> {
    if host.starts_with('/') {
        return Box::new(UnixStream::connect(format!("{host}/.s.PGSQL.5432")).unwrap());
    }
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:5432") };
    Box::new(TcpStream::connect(host).unwrap())
}

fn relay(client: TcpStream, server: Box<dyn Stream>, next: &Arc<Mutex<Next>>) {
    client.set_nodelay(true).unwrap();
    let is_dead = Arc::new(AtomicBool::new(false));
    let (from_client, to_server) = (client.another(), server.another());
    let (to_client, from_server): (Box<dyn Stream>, _) = (Box::new(client), server);
    let (forth, back) = (Arc::clone(next), Arc::clone(next));
    let (die, dead) = (Arc::clone(&is_dead), is_dead);
    thread(move || {
        let mut is_marked = false;
        pump(from_client, to_server, |bytes| {
            let mut next = lock(&forth);
            is_marked |= contains(bytes, &next.mark);
            let is_commit = contains(bytes, COMMIT) && std::mem::take(&mut is_marked);
            match next.cut {
                Cut::BeforeCommit if is_commit => {
                    next.cut = Cut::Nowhere;
                    Pass::Some(0)
                }
                Cut::AfterCommit if is_commit => {
                    die.store(true, Ordering::SeqCst);
                    next.cut = Cut::Nowhere;
                    Pass::All
                }
                Cut::AfterSent(left) => Pass::up_to(left, bytes.len(), &mut next, Cut::AfterSent),
                _ => Pass::All,
            }
        });
    });
    thread(move || {
        pump(from_server, to_client, |bytes| {
            // Whatever comes after the COMMIT is its answer.
            if dead.load(Ordering::SeqCst) {
                return Pass::Some(0);
            }
            let mut next = lock(&back);
            match next.cut {
                Cut::AfterReceived(left) => {
                    Pass::up_to(left, bytes.len(), &mut next, Cut::AfterReceived)
                }
                _ => Pass::All,
            }
        });
    });
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// A simple query as the protocol writes it: length 11, the text, a zero.
const COMMIT: &[u8] = b"Q\x00\x00\x00\x0bCOMMIT\x00";

/// How much of what came is passed on.
enum Pass {
    All,
    /// So many bytes, and then the connection is cut.
    Some(usize),
}

impl Pass {
    /// Counts these bytes off what is left until the cut.
    fn up_to(left: usize, length: usize, next: &mut Next, again: fn(usize) -> Cut) -> Self {
        if length < left {
            next.cut = again(left - length);
            return Self::All;
        }
        next.cut = Cut::Nowhere;
        Self::Some(left)
    }
}

fn pump(mut from: Box<dyn Stream>, mut to: Box<dyn Stream>, mut decide: impl FnMut(&[u8]) -> Pass) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..count];
        let (bytes, is_last) = match decide(bytes) {
            Pass::All => (bytes, false),
            Pass::Some(some) => (&bytes[..some], true),
        };
        if to.write_all(bytes).is_err() || is_last {
            break;
        }
    }
    from.end();
    to.end();
}

fn lock(next: &Mutex<Next>) -> MutexGuard<'_, Next> {
    next.lock().expect("nobody panics with it")
}

fn thread(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().spawn(work).unwrap();
}
