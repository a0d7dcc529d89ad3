//! What the workspace asks of its Federation, beside the drawing.

use std::sync::Arc;

use downcity_server::FailureKind;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::section::Servers as Change;
use super::task::{Heard, Number, Read, Send, Trouble};
use crate::connection::{Connection, Server, Servers};
use crate::failure::Failure;
use crate::fed::CHECK_TIME;
use crate::nouns::server;
use crate::output::steady;
use crate::remote::Remote;

/// Carries out tasks; what comes of them is told to the one loop.
pub(super) struct Net {
    connection: Connection,
    remote: Arc<Remote>,
    tell: UnboundedSender<Heard>,
    running: JoinSet<()>,
    /// Begins the idempotency keys of this workspace; none where there is no randomness.
    session: Option<String>,
}

/// What a task comes to: its answer, and where the workspace belongs after it.
type Done = Result<(Value, Option<Connection>), Failure>;

impl Net {
    /// # Errors
    /// When no admin key is known, or the address is none.
    pub(super) fn new(
        connection: Connection,
        tell: UnboundedSender<Heard>,
    ) -> Result<Self, Failure> {
        let remote = Arc::new(Remote::admin(connection.clone())?);
        Ok(Self { connection, remote, tell, running: JoinSet::new(), session: random() })
    }

    /// Reads something; nothing waits for it.
    pub(super) fn read(&mut self, number: Number, read: Read) {
        let (remote, connection) = (self.remote.clone(), self.connection.clone());
        let is_from_server = !matches!(read, Read::Servers);
        self.begin(number, is_from_server, async move {
            read_from(&remote, &connection, read).await.map(stays)
        });
    }

    /// Sends something; nothing waits for it.
    pub(super) fn send(&mut self, number: Number, send: Send) {
        let (remote, connection) = (self.remote.clone(), self.connection.clone());
        let is_from_server = !matches!(send, Send::Servers { .. });
        let session = self.session.clone();
        self.begin(number, is_from_server, async move {
            let key = |once: Number| session.map(|session| format!("{session}-{once}"));
            match send {
                Send::Action { path, input, once, takes_long } => {
                    let patient = takes_long.then(|| Remote::admin_within(connection, CHECK_TIME));
                    let patient = patient.transpose()?.map(Arc::new);
                    let side = patient.as_ref().unwrap_or(&remote);
                    side.post_once(&path, input, key(once).as_deref()).await.map(stays)
                }
                Send::Call { is_get, path, input, once, user_token } => {
                    let user = user_token.map(|token| as_user(&connection, token)).transpose()?;
                    let side = user.as_ref().unwrap_or(&remote);
                    side.call(is_get, &path, &input, key(once).as_deref()).await.map(stays)
                }
                Send::Servers { change, name, url, key } => {
                    change_servers(&connection, change, name, url, key).await
                }
            }
        });
    }

    /// Breaks off everything that is under way.
    pub(super) fn cancel(&mut self) {
        self.running.abort_all();
    }

    /// Goes to another Federation.
    ///
    /// # Errors
    /// As [`Net::new`].
    pub(super) fn go(&mut self, connection: Connection) -> Result<(), Failure> {
        self.remote = Arc::new(Remote::admin(connection.clone())?);
        self.connection = connection;
        Ok(())
    }

    /// Ends when a task has panicked, which gave the terminal back: nothing can be shown any more.
    pub(super) async fn broken(&mut self) -> Failure {
        while let Some(ended) = self.running.join_next().await {
            if ended.is_err_and(|error| error.is_panic()) {
                let says = "The workspace has ended: something in it went wrong.";
                return Failure::new(FailureKind::Failed, says);
            }
        }
        std::future::pending().await
    }

    fn begin(
        &mut self,
        number: Number,
        is_from_server: bool,
        task: impl Future<Output = Done> + std::marker::Send + 'static,
    ) {
        let tell = self.tell.clone();
        self.running.spawn(async move {
            let (answer, moves) = match task.await {
                Ok((answer, moves)) => (Ok(answer), moves),
                Err(failure) => (Err(trouble(&failure)), None),
            };
            // Whoever quits hears nothing any more.
            let _ = tell.send(Heard { number, answer, is_from_server, moves });
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "the workspace runs without a server's runtime")]
fn random() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_le_bytes(bytes)))
}

fn stays(answer: Value) -> (Value, Option<Connection>) {
    (answer, None)
}

/// What a failure says to the person.
fn trouble(failure: &Failure) -> Trouble {
    Trouble {
        says: steady(failure.message()),
        is_unreachable: failure.is_unreachable(),
        is_open: failure.is_open(),
    }
}

async fn read_from(remote: &Remote, connection: &Connection, read: Read) -> Result<Value, Failure> {
    match read {
        Read::Action(path, query) if path == "payment/methods" => {
            let mut methods = remote.get(&path, query).await?;
            tell_webhooks(&mut methods, &connection.url);
            Ok(methods)
        }
        Read::Action(path, query) => remote.get(&path, query).await,
        Read::Route(path) => {
            let text = remote.query(http::Method::GET, path, None).await?;
            Ok(serde_json::from_str(&text).map_err(std::io::Error::from)?)
        }
        Read::Text(path) => remote.query(http::Method::GET, path, None).await.map(Value::from),
        Read::Servers => Servers::open().map(|servers| server::list(&servers)),
    }
}

fn as_user(connection: &Connection, token: SecretString) -> Result<Arc<Remote>, Failure> {
    let connection = Connection { user_token: Some(token), ..connection.clone() };
    Remote::user(&connection).map(Arc::new)
}

/// Says beside each way to pay where its provider sends what happens.
fn tell_webhooks(methods: &mut Value, url: &str) {
    let methods = methods.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten();
    for method in methods.filter_map(Value::as_object_mut) {
        let id = method.get("id").and_then(Value::as_str).unwrap_or_default();
        let webhook = crate::payment::webhook_of(url, id).unwrap_or_default();
        method.insert("webhook".to_owned(), webhook);
    }
}

/// Changes the stored Federations; a key is tried before it is stored.
async fn change_servers(
    connection: &Connection,
    change: Change,
    name: String,
    url: String,
    key: Option<SecretString>,
) -> Done {
    let mut servers = Servers::open()?;
    let user_token = &connection.user_token;
    let goes = |server: Server| {
        let to = Connection::to(server, user_token.clone());
        (json!({ "place": to.place() }), Some(to))
    };
    match change {
        Change::Add | Change::LogIn => {
            server::check_name(&name)?;
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(Failure::usage("The address begins with http:// or https://."));
            }
            if change == Change::Add && servers.get(&name).is_some() {
                return Err(Failure::usage(format!(
                    "There is a Federation called {name} here. l stores another key for it."
                )));
            }
            let server = Server { name, url, admin_key: key };
            server::check(&server).await?;
            servers.put(&server);
            servers.save()?;
            // A new key for the present place is used at once.
            let is_here = connection.name.as_ref() == Some(&server.name);
            Ok(if is_here { goes(server) } else { (json!({}), None) })
        }
        Change::Use => {
            let server =
                servers.get(&name).ok_or_else(|| Failure::usage(format!("{name} is gone.")))?;
            let moved = goes(server.clone());
            Remote::admin(Connection::to(server, None))?;
            servers.choose(&name);
            servers.save()?;
            Ok(moved)
        }
        Change::Remove => {
            let was_current = servers.current().is_some_and(|current| current.name == name);
            servers.remove(&name);
            servers.save()?;
            let warning =
                "Forgotten. Commands go nowhere now: u on another one lets them go there.";
            Ok((json!({ "warning": was_current.then_some(warning) }), None))
        }
    }
}
