//! What there is to compare with: servers that do nothing but HTTP.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Answers "ok" to everything.
pub(crate) async fn ok(_request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Sends every request on as it is, and the answer back, both streamed.
#[derive(Clone)]
pub(crate) struct Proxy {
    client: Client<HttpConnector, Incoming>,
    upstream: HeaderValue,
}

impl Proxy {
    /// A proxy in front of this port of the loopback.
    pub(crate) fn new(upstream: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let authority = format!("127.0.0.1:{upstream}");
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            upstream: HeaderValue::try_from(authority)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }

    /// The upstream's answer; 502 without one.
    pub(crate) async fn forward(
        self,
        mut request: Request<Incoming>,
    ) -> Response<Either<Incoming, Full<Bytes>>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.upstream.as_bytes())
            .path_and_query(path)
            .build();
        let answer = match uri {
            Ok(uri) => {
                *request.uri_mut() = uri;
                request.headers_mut().insert(HOST, self.upstream);
                self.client.request(request).await.ok()
            }
            Err(_) => None,
        };
        match answer {
            Some(response) => response.map(Either::Left),
            None => bad_gateway(),
        }
    }
}

fn bad_gateway<L>() -> Response<Either<L, Full<Bytes>>> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

/// Reads a whole body; empty when it breaks off.
pub(crate) async fn whole(body: Incoming) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}
