//! Following the server's notices of change.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::Connector;
use super::error::translate;
use super::session::watched;
use crate::error::{DbError, DbErrorKind};
use crate::revision::{CHANNEL, Notifier};
use crate::url::PostgresTarget;

/// Key of the advisory lock that every node shares while it runs ("downnode" in ASCII): who puts a copy
/// into the database has it alone.
pub(crate) const NODES_KEY: i64 = 0x646f_776e_6e6f_6465;

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// For the connection as a whole, signing in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Listens for ever, on a connection of its own. Notices that are missed while the connection is
/// down do no harm: the revision is polled as well.
pub(super) async fn follow(target: PostgresTarget, connector: Connector, notifier: Arc<Notifier>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let error = match session(&target, &connector, &notifier, &mut pause).await {
            Ok(()) => DbError::new(DbErrorKind::Unavailable, "the server closed the connection"),
            Err(error) if error.kind() == DbErrorKind::Engine => {
                tracing::info!(%error, "the database gives no notices of change; the revision is polled");
                return;
            }
            Err(error) => error,
        };
        tracing::debug!(%error, "not listening to the database; connecting again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn session(
    target: &PostgresTarget,
    connector: &Connector,
    notifier: &Notifier,
    pause: &mut Duration,
) -> Result<(), DbError> {
    let config = watched(&target.config);
    let silent = |_elapsed| DbError::new(DbErrorKind::Unavailable, "no answer in time");
    match connector {
        Connector::Plain => {
            let connected = timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await;
            let (client, connection) =
                connected.map_err(silent)?.map_err(|error| translate(&error))?;
            listen(client, connection, notifier, pause).await
        }
        Connector::Tls(tls) => {
            let connected = timeout(CONNECT_TIMEOUT, config.connect(tls.clone())).await;
            let (client, connection) =
                connected.map_err(silent)?.map_err(|error| translate(&error))?;
            listen(client, connection, notifier, pause).await
        }
    }
}

async fn listen<S, T>(
    client: Client,
    mut connection: Connection<S, T>,
    notifier: &Notifier,
    pause: &mut Duration,
) -> Result<(), DbError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let notices = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notice) =
                message.map_err(|error| translate(&error))?
                && notice.channel() == CHANNEL
                && let Ok(revision) = notice.payload().parse()
            {
                notifier.publish(revision);
            }
        }
        Ok(())
    };
    // The client must stay alive: the connection ends with it.
    let subscribe = async {
        client
            .batch_execute(&format!("LISTEN {CHANNEL}"))
            .await
            .map_err(|error| translate(&error))?;
        show_that_it_runs(&client).await?;
        *pause = SHORTEST_PAUSE;
        std::future::pending::<Result<(), DbError>>().await
    };
    tokio::select! {
        ended = notices => ended,
        refused = subscribe => refused,
    }
}

/// Takes the lock that every node shares; it ends with the connection.
///
/// # Errors
/// `Busy` while a copy is put into the database.
async fn show_that_it_runs(client: &Client) -> Result<(), DbError> {
    let shared = format!("SELECT pg_try_advisory_lock_shared({NODES_KEY})");
    let asked = client.query_one(&shared, &[]).await;
    match asked.and_then(|row| row.try_get::<_, bool>(0)) {
        Ok(true) => Ok(()),
        Ok(false) => {
            tracing::warn!("a copy is being put into the database that this node runs on");
            Err(DbError::new(DbErrorKind::Busy, "a copy is being put into the database"))
        }
        // Engines without such locks are recognised by the other signs.
        Err(error) => {
            tracing::debug!(%error, "this node does not show that it runs");
            Ok(())
        }
    }
}
