//! Accepting connections, and ending them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::Crowd;
use super::connection::{self, Answer};

/// How many bytes the system keeps for a client beyond what is on its way.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// How many connections wait in the system's queue to be taken.
const BACKLOG: i32 = 4096;

/// How often room is looked for when there is none.
const ROOM_INTERVAL: Duration = Duration::from_millis(50);

/// After how long a silent connection is asked by the system whether its client still lives.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// How long after an unanswered question the system asks again; it gives up after several.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// How connections are taken and kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerSettings {
    /// Connections at the same time. Beyond them the one that has been idle longest makes room;
    /// where none is idle, further ones wait in the system's queue.
    pub(crate) max_connections: usize,
    /// How long a connection may take for the head of its next request.
    pub(crate) header_timeout: Duration,
    /// How long a client may take to accept the next bytes of an answer.
    pub(crate) write_timeout: Duration,
    /// How many bytes of a request's head are read before the transport itself refuses it.
    pub(crate) head_limit: usize,
}

/// An open socket and the connections it gave.
pub(crate) struct Listener {
    local_addr: SocketAddr,
    drain: CancellationToken,
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    /// Serves the connections of a socket until [`Listener::close`].
    pub(crate) fn start<A: Answer>(
        socket: TcpListener,
        settings: ListenerSettings,
        answer: A,
    ) -> io::Result<Self> {
        let listener = Self {
            local_addr: socket.local_addr()?,
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let accept = Accept {
            settings,
            slots: Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS))),
            drain: listener.drain.clone(),
            stop: listener.stop.clone(),
            abort: listener.abort.clone(),
            tasks: listener.tasks.clone(),
            crowd: Crowd::default(),
        };
        // The queue that a new socket has is short for a crowd; a system may keep it shorter.
        SockRef::from(&socket).listen(BACKLOG)?;
        listener.tasks.spawn(accept.run(socket, Arc::new(answer)));
        Ok(listener)
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Asks clients to go elsewhere with their next requests; those that come are still answered.
    pub(crate) fn drain(&self) {
        self.drain.cancel();
    }

    /// Takes no further connections, ends idle ones, waits for requests and streams under way, at
    /// most `patience`, then cuts the rest off. Says whether none was cut off.
    pub(crate) async fn close(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let finished = tokio::time::timeout(patience, self.tasks.wait()).await.is_ok();
        self.abort.cancel();
        self.tasks.wait().await;
        finished
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abort.cancel();
    }
}

struct Accept {
    settings: ListenerSettings,
    slots: Arc<Semaphore>,
    drain: CancellationToken,
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
    crowd: Crowd,
}

impl Accept {
    async fn run<A: Answer>(self, socket: TcpListener, answer: Arc<A>) {
        let open = metrics::gauge!("downcity_connections");
        loop {
            let next = async {
                let (stream, peer) = self.accept(&socket).await;
                Some((stream, peer, self.slot().await?))
            };
            let (stream, peer, slot) = tokio::select! {
                () = self.stop.cancelled() => return,
                Some(next) = next => next,
            };
            self.prepare(&stream);
            let control = connection::Control {
                settings: self.settings,
                drain: self.drain.clone(),
                stop: self.stop.child_token(),
                abort: self.abort.clone(),
                tasks: self.tasks.clone(),
            };
            let member = self.crowd.join();
            let (answer, open) = (answer.clone(), open.clone());
            self.tasks.spawn(async move {
                open.increment(1.0);
                let ended =
                    connection::serve(stream, peer, control, &member.activity, answer).await;
                open.decrement(1.0);
                metrics::counter!("downcity_connections_closed_total", "reason" => ended.name())
                    .increment(1);
                drop((member, slot));
            });
        }
    }

    /// A place for one more connection; `None` at the end of the listener.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let free = self.slots.clone().acquire_owned();
        let mut free = pin!(free);
        loop {
            tokio::select! {
                biased;
                slot = free.as_mut() => return slot.ok(),
                () = async {} => {}
            }
            self.crowd.make_room();
            // A connection that was asked may have begun a request, or none may be idle yet.
            tokio::select! {
                slot = free.as_mut() => return slot.ok(),
                () = tokio::time::sleep(ROOM_INTERVAL) => {}
            }
        }
    }

    /// The next connection and where it comes from. Failures of single connections and of the
    /// process's limits pass.
    async fn accept(&self, socket: &TcpListener) -> (TcpStream, IpAddr) {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => return (stream, peer.ip()),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    // Out of file descriptors, most likely.
                    self.crowd.make_room();
                    tokio::time::sleep(ROOM_INTERVAL).await;
                }
            }
        }
    }

    /// Sets what the system does for a connection.
    fn prepare(&self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        let keepalive = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_INTERVAL);
        // Answers are written in one piece; waiting to fill a packet only delays them.
        let prepared = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
        #[cfg(target_os = "linux")]
        let prepared = prepared
            // A client that is gone without a word does not confirm what it is sent.
            .and_then(|()| socket.set_tcp_user_timeout(Some(self.settings.write_timeout)))
            // A client that reads slowly shows that it reads, and holds little memory.
            .and_then(|()| socket.set_tcp_notsent_lowat(UNSENT));
        if let Err(error) = prepared {
            tracing::debug!(%error, "a connection was gone before it was served");
        }
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
