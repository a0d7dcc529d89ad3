//! A way to a PostgreSQL server that a test can make worse.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::config::Host;

use crate::DbUrl;
use crate::testing::TestDatabase;
use crate::url::Target;

/// What becomes of bytes on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// They arrive.
    Open,
    /// They are kept; connections are still taken.
    Stalled,
    /// The requests arrive and the answers are kept.
    Mute,
    /// Connections are closed, and new ones at once.
    Cut,
}

/// Forwards TCP connections of the loopback interface to the server of a test database.
///
/// It ends when it is dropped, and with it its connections.
#[derive(Debug)]
pub struct Proxy {
    url: DbUrl,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// Starts one in front of the server of this database.
    ///
    /// # Errors
    /// A sentence that says what failed; also for a SQLite database, which has no server.
    pub fn start(database: &TestDatabase) -> Result<Self, String> {
        let url = database.url();
        let Target::Postgres(target) = url.target() else {
            return Err("a SQLite database has no server".to_owned());
        };
        let port = target.config.get_ports().first().copied().unwrap_or(5432);
        let server = match target.config.get_hosts().first() {
            Some(Host::Tcp(name)) => Server::Tcp(name.clone(), port),
            Some(Host::Unix(folder)) => Server::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            None => return Err("the server of the tests has no address".to_owned()),
        };
        let failed = |error: io::Error| error.to_string();
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let (way, following) = watch::channel(Way::Open);
        // A runtime of its own: it goes on while a test blocks that of the nodes.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        std::thread::Builder::new()
            .name("test-proxy".to_owned())
            .spawn(move || {
                let served = runtime.block_on(serve(socket, &server, following));
                if let Err(error) = served {
                    tracing::warn!(%error, "the proxy of a test ended");
                }
            })
            .map_err(failed)?;
        Ok(Self { url: through(&url, address), way })
    }

    /// The database's address through this proxy.
    pub fn url(&self) -> DbUrl {
        self.url.clone()
    }

    /// Keeps all bytes, as a network does that drops packets. Connections are still taken.
    pub fn stall(&self) {
        self.way.send_replace(Way::Stalled);
    }

    /// Lets requests through and keeps their answers.
    pub fn mute(&self) {
        self.way.send_replace(Way::Mute);
    }

    /// Ends all connections and takes no new ones, as a server does that goes away.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    /// Forwards again what was kept and what comes.
    pub fn mend(&self) {
        self.way.send_replace(Way::Open);
    }

    /// Ends all connections; new ones are taken at once.
    pub fn hang_up(&self) {
        self.cut();
        self.mend();
    }
}

/// The same database, reached at another address.
fn through(url: &DbUrl, address: SocketAddr) -> DbUrl {
    let mut url = url.clone();
    if let Target::Postgres(target) = &mut url.target {
        let direct = &target.config;
        let mut config = tokio_postgres::Config::new();
        config.host(address.ip().to_string()).port(address.port()).ssl_mode(direct.get_ssl_mode());
        direct.get_user().map(|user| config.user(user));
        direct.get_password().map(|password| config.password(password));
        direct.get_dbname().map(|name| config.dbname(name));
        direct.get_application_name().map(|name| config.application_name(name));
        target.config = config;
    }
    url
}

enum Server {
    Tcp(String, u16),
    Unix(std::path::PathBuf),
}

async fn serve(
    socket: std::net::TcpListener,
    server: &Server,
    mut way: watch::Receiver<Way>,
) -> io::Result<()> {
    let socket = TcpListener::from_std(socket)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                let (client, _) = accepted?;
                client.set_nodelay(true)?;
                let mut way = way.clone();
                // Every way from here on counts, also one that is over before the next look.
                if *way.borrow_and_update() != Way::Cut {
                    match server {
                        Server::Tcp(name, port) => {
                            let server = TcpStream::connect((name.as_str(), *port)).await?;
                            connections.spawn(forward(client, server, way));
                        }
                        Server::Unix(path) => {
                            let server = UnixStream::connect(path).await?;
                            connections.spawn(forward(client, server, way));
                        }
                    }
                }
            }
            changed = way.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                if *way.borrow_and_update() == Way::Cut {
                    connections.abort_all();
                }
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn forward<C, S>(client: C, server: S, way: watch::Receiver<Way>)
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (client_read, client_write) = tokio::io::split(client);
    let (server_read, server_write) = tokio::io::split(server);
    let requests =
        pump(client_read, server_write, way.clone(), |way| matches!(way, Way::Open | Way::Mute));
    let answers = pump(server_read, client_write, way, |way| way == Way::Open);
    tokio::select! {
        _ = requests => {}
        _ = answers => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
    passes: impl Fn(Way) -> bool,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 || way.wait_for(|way| passes(*way)).await.is_err() {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}
