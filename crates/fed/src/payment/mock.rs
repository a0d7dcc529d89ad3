//! The API of a provider, played on loopback while a simulation runs.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use downcity_server::FailureKind;
use downcity_server::simulation::{Account, Clock as _, SystemClock};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::failure::Failure;

/// Plays an account's provider at an address until it is dropped.
#[derive(Debug)]
pub(super) struct Mock {
    _tasks: JoinSet<()>,
}

impl Mock {
    /// Begins to play; `None` when something listens there already, which is then the one to answer.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub(super) async fn start(address: &str, account: Account) -> Result<Option<Self>, Failure> {
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => return Ok(None),
            Err(error) => {
                let text = format!("The provider cannot be played at {address}: {error}.");
                return Err(Failure::new(FailureKind::Failed, text));
            }
        };
        let account = Arc::new(account);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                let account = account.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(account.clone(), peer, request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    // A connection that breaks is the server's to notice.
                    let _ = connection.await;
                });
            }
        });
        Ok(Some(Self { _tasks: tasks }))
    }
}

async fn answer(
    account: Arc<Account>,
    _: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, http::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let target = format!("{} {}", parts.method, parts.uri);
    let (status, body) = account.answer(&target, &parts.headers, &body, SystemClock.now());
    Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
}
