//! A connection to the server that blocks its thread, and never longer than it is told to.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, Error, NoTls};

use super::Connector;
use super::error::translate;
use crate::error::{DbError, DbErrorKind};
use crate::url::PostgresTarget;

/// How long taking leave of the server may take.
const LEAVE: Duration = Duration::from_millis(500);

/// The network's side of a connection: it moves only while it is polled.
type Traffic = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Why a piece of work gave no result.
pub(crate) enum Ended<E> {
    /// It failed; the connection may be sound.
    Failed(E),
    /// The connection ended under it.
    Lost(Error),
    /// Nothing was heard in time. What the server made of the work is not known.
    Silent,
}

impl Ended<Error> {
    /// The end of work that is not repeated.
    pub(crate) fn into_db_error(self) -> DbError {
        match self {
            Self::Failed(error) | Self::Lost(error) => translate(&error),
            Self::Silent => DbError::new(
                DbErrorKind::Unavailable,
                "the database fell silent; its connection is given up",
            ),
        }
    }
}

/// An open connection. Must be used and dropped on a thread that may block.
pub(crate) struct Session {
    /// `None` once leave was taken.
    client: Option<Client>,
    traffic: Traffic,
    ended: bool,
    runtime: Runtime,
}

impl Session {
    /// Connects and signs in, within `limit` as a whole: a server that takes the connection and
    /// then says nothing is given up like one that is not there.
    pub(crate) fn connect(
        target: &PostgresTarget,
        connector: &Connector,
        limit: Duration,
    ) -> Result<Self, DbError> {
        let unavailable = |reason: String| {
            let message = format!("connecting to the database: {reason}");
            DbError::new(DbErrorKind::Unavailable, message)
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unavailable(error.to_string()))?;
        let opened = runtime.block_on(async { timeout(limit, open(target, connector)).await });
        let (client, traffic) = match opened {
            Ok(Ok(opened)) => opened,
            // Whatever the reason: there is no connection.
            Ok(Err(error)) => return Err(unavailable(translate(&error).to_string())),
            Err(_elapsed) => return Err(unavailable("no answer in time".to_owned())),
        };
        Ok(Self { client: Some(client), traffic, ended: false, runtime })
    }

    /// True once the connection is known to have ended.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Runs work on the connection, at most for `limit`.
    pub(crate) fn run<T, E>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, E>,
    ) -> Result<T, Ended<E>> {
        let Self { client: Some(client), traffic, ended, runtime } = self else {
            return Err(Ended::Silent);
        };
        let outcome = runtime.block_on(async {
            let mut work = pin!(work(client));
            let ending = poll_fn(|context| {
                let mut loss = None;
                if !*ended && let Poll::Ready(end) = traffic.as_mut().poll(context) {
                    *ended = true;
                    loss = end.err();
                }
                // An answer that came before the end counts.
                match (work.as_mut().poll(context), loss) {
                    (Poll::Ready(Ok(value)), _) => Poll::Ready(Ok(value)),
                    (_, Some(loss)) => Poll::Ready(Err(Ended::Lost(loss))),
                    (Poll::Ready(Err(error)), None) => Poll::Ready(Err(Ended::Failed(error))),
                    (Poll::Pending, None) => Poll::Pending,
                }
            });
            timeout(limit, ending).await
        });
        outcome.unwrap_or_else(|_elapsed| {
            // What is still to come belongs to this piece of work: nothing else may read it.
            self.client = None;
            self.ended = true;
            Err(Ended::Silent)
        })
    }

    /// Runs commands that give no rows.
    pub(crate) fn command(&mut self, limit: Duration, text: &str) -> Result<(), Ended<Error>> {
        self.run(limit, async |client| client.batch_execute(text).await)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without its client, the connection says goodbye to the server and ends.
        if self.client.take().is_some() && !self.ended {
            let traffic = self.traffic.as_mut();
            let _ = self.runtime.block_on(async { timeout(LEAVE, traffic).await });
        }
    }
}

/// Settings by which the kernel notices a peer that vanished without a word.
pub(super) fn watched(config: &Config) -> Config {
    let mut config = config.clone();
    config
        .tcp_user_timeout(Duration::from_secs(15))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3);
    config
}

async fn open(target: &PostgresTarget, connector: &Connector) -> Result<(Client, Traffic), Error> {
    let config = watched(&target.config);
    Ok(match connector {
        Connector::Plain => {
            let (client, connection) = config.connect(NoTls).await?;
            (client, Box::pin(connection))
        }
        Connector::Tls(tls) => {
            let (client, connection) = config.connect(tls.clone()).await?;
            (client, Box::pin(connection))
        }
    })
}
