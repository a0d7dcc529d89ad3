//! The routes of earlier generations of clients: one table over the actions of the registry.
//!
//! Access, hooks, limits and figures are those of the action. The names of fields are no matter of
//! this table: a route's dialect says them. `docs/generations.md` shows it to people.

use downcity_core::{Alias, Dialect};
use http::Method;

use Dialect::{Gate, VisibleBase};

const GET: &Method = &Method::GET;
const POST: &Method = &Method::POST;

/// A route that is there for everybody.
const fn route(
    method: &'static Method,
    path: &'static str,
    target: &'static str,
    dialect: Dialect,
) -> Alias {
    Alias { method, path, target, dialect: Some(dialect), only_stated: false }
}

/// A route that speaks as its call does.
const fn anywhere(method: &'static Method, path: &'static str, target: &'static str) -> Alias {
    Alias { method, path, target, dialect: None, only_stated: false }
}

/// A list that has another form for callers who say their dialect by header or mount.
const fn stated(path: &'static str, target: &'static str, dialect: Dialect) -> Alias {
    Alias { method: GET, path, target, dialect: Some(dialect), only_stated: true }
}

/// Every route of an earlier generation.
pub(crate) const ROUTES: &[Alias] = &[
    // Studios.
    route(GET, "/v1/studios/list", "/v1/cities/list", Gate),
    route(POST, "/v1/studios/create", "/v1/cities/create", Gate),
    route(POST, "/v1/studios/pause", "/v1/cities/pause", Gate),
    route(POST, "/v1/studios/activate", "/v1/cities/activate", Gate),
    route(POST, "/v1/studios/remove", "/v1/cities/remove", Gate),
    route(POST, "/v1/studios/tokens/apply", "/v1/cities/tokens/apply", Gate),
    // The instruction document, under the names of the server at their times.
    anywhere(GET, "/v1/federation/instruction", "/v1/base/instruction"),
    anywhere(GET, "/v1/city/instruction", "/v1/base/instruction"),
    anywhere(GET, "/v1/infra/instruction", "/v1/base/instruction"),
    // Products, as between the two generations.
    route(GET, "/v1/products/list", "/v1/cities/list", VisibleBase),
    route(POST, "/v1/products/create", "/v1/cities/create", VisibleBase),
    route(POST, "/v1/products/pause", "/v1/cities/pause", VisibleBase),
    route(POST, "/v1/products/activate", "/v1/cities/activate", VisibleBase),
    route(POST, "/v1/products/remove", "/v1/cities/remove", VisibleBase),
    route(POST, "/v1/products/tokens/apply", "/v1/cities/tokens/apply", VisibleBase),
    // Products, on the routes of their own generation.
    route(GET, "/api/admin/products", "/v1/cities/list", VisibleBase),
    route(POST, "/api/admin/products/create", "/v1/cities/create", VisibleBase),
    route(POST, "/api/admin/products/pause", "/v1/cities/pause", VisibleBase),
    route(POST, "/api/admin/products/activate", "/v1/cities/activate", VisibleBase),
    route(POST, "/api/admin/products/remove", "/v1/cities/remove", VisibleBase),
    route(POST, "/api/admin/tokens/apply", "/v1/cities/tokens/apply", VisibleBase),
    route(GET, "/api/admin/env", "/v1/env/list", VisibleBase),
    route(GET, "/api/admin/env/catalog", "/v1/env/catalog", VisibleBase),
    route(POST, "/api/admin/env/upsert", "/v1/env/upsert", VisibleBase),
    route(POST, "/api/admin/env/remove", "/v1/env/remove", VisibleBase),
    route(POST, "/api/admin/env/import", "/v1/env/import", VisibleBase),
    route(POST, "/api/admin/env/refresh", "/v1/env/refresh", VisibleBase),
    // What users of products call.
    route(POST, "/v1/text", "/v1/ai/text", VisibleBase),
    route(POST, "/v1/stream", "/v1/ai/stream", VisibleBase),
    route(POST, "/v1/image", "/v1/ai/image", VisibleBase),
    route(POST, "/v1/video", "/v1/ai/video", VisibleBase),
    route(POST, "/v1/tts", "/v1/ai/tts", VisibleBase),
    route(POST, "/v1/asr", "/v1/ai/asr", VisibleBase),
    route(POST, "/v1/invoke", "/v1/visiblebase/invoke", VisibleBase),
    stated("/v1/models", "/v1/visiblebase/models", VisibleBase),
    stated("/v1/services", "/v1/visiblebase/services", VisibleBase),
];
