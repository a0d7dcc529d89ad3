//! From a request on a connection to the kernel's answer.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use downcity_core::{Body, ClientAddress, Error, Kernel, Reply};
use downcity_types::ErrorCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use tower::{Layer as _, Service};
use tower_http::cors::CorsLayer;

use super::client_address::Proxies;
use super::connection::{Answer, Refused};

/// Stands for a method that could not be read; no client sends it.
static UNREADABLE: LazyLock<Method> =
    LazyLock::new(|| Method::from_bytes(b"UNREADABLE").unwrap_or_default());

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
            return self.kernel.reply(&request, Err(error));
        }
        if request.headers().contains_key(ORIGIN) {
            // On the heap, so that the calls of servers do not carry the state of browsers along.
            return Box::pin(self.answer_browser(request)).await;
        }
        self.kernel.handle(request).await
    }

    fn unreadable(&self, peer: IpAddr, refused: Refused) {
        let error = match refused {
            Refused::Malformed => Error::new(ErrorCode::InvalidInput, "This is not HTTP."),
            Refused::TooLarge => {
                Error::new(ErrorCode::HeadersTooLarge, "The head of the request is too large.")
            }
        };
        let mut request = Request::new(());
        *request.method_mut() = UNREADABLE.clone();
        request.extensions_mut().insert(ClientAddress::new(peer));
        // The bare answer has left already: this one is counted and logged, no more.
        drop(self.kernel.reply(&request, Err(error)));
    }
}

impl Frontend {
    /// Why the head of a request is not acceptable.
    fn refusal(&self, request: &Request<Body>) -> Option<Error> {
        if let Some(error) = ambiguous(request) {
            return Some(error);
        }
        let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
        if uri > self.max_uri_size {
            let limit = self.max_uri_size;
            let message = format!("Path and query are longer than {limit} bytes.");
            return Some(Error::new(ErrorCode::UriTooLong, message));
        }
        let size = |total: usize, (name, value): (&HeaderName, &HeaderValue)| {
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
        let mut head = Request::new(());
        *head.method_mut() = Method::OPTIONS;
        head.extensions_mut().clone_from(request.extensions());
        let Ok(response) = cors.layer(Inner(self.clone())).call(request).await;
        if !is_preflight {
            return response;
        }
        let no_content = Ok(Reply::new(StatusCode::NO_CONTENT));
        let mut answer = self.kernel.reply(&head, no_content);
        answer.headers_mut().extend(response.into_parts().0.headers);
        answer
    }
}

/// What a proxy in front could read otherwise than we do (RFC 9112 §3.2, §6.3): it would see the
/// next request begin somewhere else, or for another host. The connection ends with the answer.
fn ambiguous(request: &Request<Body>) -> Option<Error> {
    if request.version() >= Version::HTTP_2 {
        return None;
    }
    let headers = request.headers();
    let message = if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
    {
        "Send either Content-Length or Transfer-Encoding, not both."
    } else {
        let hosts = headers.get_all(HOST).iter().count();
        let is_named = hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11);
        if is_named {
            return None;
        }
        "Send exactly one Host header."
    };
    let error = Error::new(ErrorCode::InvalidInput, message);
    Some(error.with_header(CONNECTION, HeaderValue::from_static("close")))
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
