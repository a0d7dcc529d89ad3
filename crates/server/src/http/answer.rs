//! From a request on a connection to the kernel's answer.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use downcity_core::{Body, Error, Kernel, Reply};
use downcity_types::ErrorCode;
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer as _, Service};
use tower_http::cors::CorsLayer;

use super::client_address::Proxies;
use super::connection::Answer;

/// Answers the requests of the Federation's address.
pub(crate) struct Frontend {
    pub(crate) kernel: Kernel,
    pub(crate) cors: Option<CorsLayer>,
    /// Who is believed about the address of a client.
    pub(crate) proxies: Proxies,
    /// The largest sum of header names and values in bytes.
    pub(crate) max_header_size: usize,
    /// The longest path with query in bytes.
    pub(crate) max_uri_size: usize,
}

impl Answer for Frontend {
    async fn answer(self: Arc<Self>, peer: IpAddr, mut request: Request<Body>) -> Response<Body> {
        let client = self.proxies.client(peer, request.headers());
        request.extensions_mut().insert(client);
        if let Some(error) = self.refusal(&request) {
            return self.kernel.reply(Err(error));
        }
        if request.headers().contains_key(ORIGIN) {
            // On the heap, so that the calls of servers do not carry the state of browsers along.
            return Box::pin(self.answer_browser(request)).await;
        }
        self.kernel.handle(request).await
    }
}

impl Frontend {
    /// Why the head of a request is not acceptable.
    fn refusal(&self, request: &Request<Body>) -> Option<Error> {
        let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if uri > self.max_uri_size {
            let limit = self.max_uri_size;
            let message = format!("Path and query are longer than {limit} bytes.");
            return Some(Error::new(ErrorCode::UriTooLong, message));
        }
        let size = |total: usize, (name, value): (&http::HeaderName, &http::HeaderValue)| {
            total + name.as_str().len() + value.len()
        };
        if request.headers().iter().fold(0, size) > self.max_header_size {
            let limit = self.max_header_size;
            let message = format!("The headers are larger than {limit} bytes.");
            return Some(Error::new(ErrorCode::HeadersTooLarge, message));
        }
        None
    }

    async fn answer_browser(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let Some(cors) = &self.cors else { return self.kernel.handle(request).await };
        let is_preflight = request.method() == Method::OPTIONS;
        let Ok(response) = cors.layer(Inner(self.clone())).call(request).await;
        if !is_preflight {
            return response;
        }
        let mut answer = self.kernel.reply(Ok(Reply::new(StatusCode::NO_CONTENT)));
        answer.headers_mut().extend(response.into_parts().0.headers);
        answer
    }
}

/// What the CORS rules are laid around.
struct Inner(Arc<Frontend>);

impl Service<Request<Body>> for Inner {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let frontend = self.0.clone();
        Box::pin(async move { Ok(frontend.kernel.handle(request).await) })
    }
}
