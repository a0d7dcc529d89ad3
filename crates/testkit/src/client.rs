//! A client that calls the application in memory.

use std::net::IpAddr;

use bytes::Bytes;
use downcity_core::{Body, ClientAddress, Kernel};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

/// Calls the application with one credential.
#[derive(Clone)]
pub struct Client {
    kernel: Kernel,
    headers: HeaderMap,
    address: Option<ClientAddress>,
}

impl Client {
    pub(crate) fn new(kernel: Kernel, credential: Option<&str>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(credential) = credential {
            let value = HeaderValue::try_from(format!("Bearer {credential}"));
            headers.insert(AUTHORIZATION, value.expect("a credential fits a header"));
        }
        Self { kernel, headers, address: None }
    }

    /// The same client with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// The same client at this address; without one it has none.
    #[must_use]
    pub fn at(mut self, address: IpAddr) -> Self {
        self.address = Some(ClientAddress::new(address));
        self
    }

    /// GET.
    pub async fn get(&self, path: &str) -> TestReply {
        self.send(Method::GET, path, Body::Empty).await
    }

    /// POST of a JSON value.
    pub async fn post(&self, path: &str, input: Value) -> TestReply {
        self.send(Method::POST, path, input.to_string().into()).await
    }

    /// Any request.
    pub async fn send(&self, method: Method, path: &str, body: Body) -> TestReply {
        let mut reply = self.open(method, path, body).await;
        let body = std::mem::take(reply.body_mut());
        let body = body.collect().await.expect("the body comes to its end").to_bytes();
        TestReply { status: reply.status(), headers: reply.headers().clone(), body }
    }

    /// Any request, its answer's body not yet read.
    pub async fn open(&self, method: Method, path: &str, body: Body) -> http::Response<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("an address");
        *request.headers_mut() = self.headers.clone();
        if let Some(address) = self.address {
            request.extensions_mut().insert(address);
        }
        self.kernel.handle(request).await
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct TestReply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl TestReply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {} {:?}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON of an answer with this status; another one fails the test.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }

    /// Asserts an error with this status and code, its body in the standard shape.
    #[track_caller]
    pub fn expect_error(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        assert_eq!(
            Some(&body["request_id"]),
            self.header("x-request-id").map(Value::from).as_ref()
        );
        body
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
