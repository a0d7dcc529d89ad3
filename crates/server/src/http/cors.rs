//! Which browsers may call: the CORS protocol of <https://fetch.spec.whatwg.org/#http-cors-protocol>.

use std::time::Duration;

use downcity_core::Registry;
use http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long browsers may remember what a preflight request told them.
const MAX_AGE: Duration = Duration::from_secs(86_400);

/// Headers of answers that scripts of other origins may read.
const EXPOSED: [&str; 6] = [
    "x-request-id",
    "request-id",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// The rules for these origins; `None` when no browser of another origin may call.
///
/// Credentials of browsers (cookies) are never allowed: callers send theirs in a header.
pub(crate) fn cors_layer(origins: &[String], registry: &Registry) -> Option<CorsLayer> {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let origins: Vec<HeaderValue> =
            origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        if origins.is_empty() {
            return None;
        }
        AllowOrigin::list(origins)
    };
    // Those that an action answers: a service may declare others than GET and POST.
    let mut methods = registry.methods();
    if !methods.contains(&Method::OPTIONS) {
        methods.push(Method::OPTIONS);
    }
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        // Client libraries send headers of their own, such as x-stainless-*: a list would go stale.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(MAX_AGE);
    Some(layer)
}
