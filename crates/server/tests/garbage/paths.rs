//! Addresses and headers that nobody meant to send.

use downcity_core::Body;
use downcity_fuzz::check;
use downcity_testkit::{Engine, TestApp, block_on};
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, Method, Request, Uri};

use crate::actions::everything;

/// One address, or one header of a request to a good address.
async fn send(app: &TestApp, uri: Uri, header: Option<(HeaderName, HeaderValue)>) {
    for method in [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS] {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        request.headers_mut().extend(header.clone());
        let reply = app.handle(request).await;
        assert!(reply.status().as_u16() < 500, "{uri} {header:?} -> {}", reply.status());
        assert!(reply.headers().contains_key("x-request-id"), "{uri}");
    }
}

#[test]
fn fuzz_addresses_get_a_clear_answer() {
    block_on(async {
        let app = everything(TestApp::builder(Engine::Sqlite)).start().await;
        let handle = tokio::runtime::Handle::current();
        let samples = [
            "/v1/cities/list?limit=5&cursor=x",
            "/v1/%63ities/list",
            "/health",
            "/v1/../openapi.json?a[]=%",
        ];
        check(&samples, |bytes| {
            let Ok(uri) = Uri::try_from(bytes) else { return };
            let sent = send(&app, uri, None);
            tokio::task::block_in_place(|| handle.block_on(sent));
        });
    });
}

#[test]
fn fuzz_headers_get_a_clear_answer() {
    block_on(async {
        let app = everything(TestApp::builder(Engine::Sqlite)).start().await;
        let handle = tokio::runtime::Handle::current();
        let names = [AUTHORIZATION, HeaderName::from_static("idempotency-key")];
        check(&["Bearer ub_e30.AAAA", "bearer fk_AAAA", "Bearer a.b.c"], |bytes| {
            let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
            for name in names.clone() {
                let uri = Uri::from_static("/v1/cities/list");
                let sent = send(&app, uri, Some((name, value.clone())));
                tokio::task::block_in_place(|| handle.block_on(sent));
            }
        });
    });
}
