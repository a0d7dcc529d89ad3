//! Accepting connections, and ending them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Answer};

/// How connections are taken and kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerSettings {
    /// Connections at the same time; further ones wait in the system's queue.
    pub(crate) max_connections: usize,
    /// How long a connection may take for the head of its next request.
    pub(crate) header_timeout: Duration,
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
        };
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
}

impl Accept {
    async fn run<A: Answer>(self, socket: TcpListener, answer: Arc<A>) {
        let open = metrics::gauge!("downcity_connections");
        loop {
            let next = async {
                let slot = self.slots.clone().acquire_owned().await.ok()?;
                Some((accept(&socket).await, slot))
            };
            let ((stream, peer), slot) = tokio::select! {
                () = self.stop.cancelled() => return,
                Some(next) = next => next,
            };
            let control = connection::Control {
                settings: self.settings,
                drain: self.drain.clone(),
                stop: self.stop.child_token(),
                abort: self.abort.clone(),
                tasks: self.tasks.clone(),
            };
            let (answer, open) = (answer.clone(), open.clone());
            self.tasks.spawn(async move {
                open.increment(1.0);
                connection::serve(stream, peer, control, answer).await;
                open.decrement(1.0);
                drop(slot);
            });
        }
    }
}

/// The next connection and where it comes from. Failures of single connections and of the
/// process's limits pass.
async fn accept(socket: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                // Answers are written in one piece; waiting to fill a packet only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection was gone before it was served");
                }
                return (stream, peer.ip());
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                // Out of file descriptors, most likely: some are freed as connections end.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
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
