//! `/`, `/health`, `/livez`, `/readyz`, `/openapi.json`, `/.well-known/jwks.json`, `/v1/services`
//! and the instruction document.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use downcity_types::{ErrorCode, Health, Items, ServiceInfo, ServiceRef};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ADMIN, Cx, Error, Identity, NoInput, PUBLIC, Reply, Result, Service, ServiceDef, views,
};

/// How long the database may take to answer before the node counts as not ready.
const READY_PATIENCE: Duration = Duration::from_secs(2);

/// Libraries ask again for a key that they do not know, so that this long is no delay for new
/// keys; for dropped ones it is.
const JWKS_CACHE: &str = "public, max-age=300";

/// The hidden service `system`.
#[derive(Default)]
pub(crate) struct SystemService {
    /// The OpenAPI document. The registry is frozen, so that it is made once.
    openapi: OnceLock<Bytes>,
}

/// Answer of the probes.
#[derive(Serialize, JsonSchema)]
struct Alive {
    /// Always `true`: a node that is not well answers with an error instead.
    ok: bool,
}

impl Service for SystemService {
    fn id(&self) -> &'static str {
        "system"
    }

    fn name(&self) -> &'static str {
        "System"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.hidden();
        s.get("/", PUBLIC, &self, Self::welcome)
            .produces("text/plain; charset=utf-8")
            .summary("Say what this server is and where to look.");
        s.get("/health", PUBLIC, &self, Self::health)
            .unlimited()
            .summary("Say that the server is up, its version and its services.");
        s.get("/livez", PUBLIC, &self, Self::livez)
            .unlimited()
            .summary("Say that the process answers, for liveness probes.");
        s.get("/readyz", PUBLIC, &self, Self::readyz)
            .unlimited()
            .summary("Say whether the server can take calls, for readiness probes.")
            .description(
                "Answers 503 while the database does not answer (`details` has the path `database` \
                 and since when) or the server is stopping (path `server`). A server without its \
                 database still answers what it can from memory.",
            );
        s.get("/openapi.json", PUBLIC, &self, Self::openapi)
            .produces("application/json")
            .summary("Describe every route as an OpenAPI 3.1 document.");
        s.get("/.well-known/jwks.json", PUBLIC, &self, Self::jwks)
            .produces("application/json")
            .summary("List the public keys that verify the JWTs of this Federation.")
            .description(
                "A JWKS (RFC 7517) of Ed25519 keys (RFC 8037), retired ones that still verify \
                 included. It is empty while there is no such key.",
            );
        s.get("/v1/services", PUBLIC, &self, Self::services)
            .summary("List the mounted services and the env keys they read.");
        s.get("/v1/base/instruction", ADMIN, &self, Self::instruction)
            .produces("text/plain; charset=utf-8")
            .summary("Explain the server, its services, routes and env keys to people and agents.");
    }
}

impl SystemService {
    async fn welcome(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        Ok(Reply::text(format!(
            "Downcity Federation {}\n\n\
             Health: /health\nServices: /v1/services\nOpenAPI: /openapi.json\n",
            cx.runtime().settings().version
        )))
    }

    async fn health(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Health> {
        let runtime = cx.runtime();
        let visible = runtime.registry().services().iter().filter(|entry| !entry.is_hidden());
        let service_list: Vec<ServiceRef> = visible
            .map(|entry| ServiceRef { id: entry.id().to_owned(), name: entry.name().to_owned() })
            .collect();
        Ok(Health {
            ok: true,
            name: "downcity".to_owned(),
            checked_at: runtime.clock().now(),
            services: service_list.iter().map(|service| service.id.clone()).collect(),
            service_list,
            version: runtime.settings().version.to_owned(),
        })
    }

    async fn livez(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Alive> {
        Ok(Alive { ok: true })
    }

    async fn readyz(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Alive> {
        let runtime = cx.runtime();
        runtime.note_readiness_asked();
        let stopping = runtime.is_stopping();
        let database = match tokio::time::timeout(READY_PATIENCE, runtime.db().ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_elapsed) => Some("it does not answer in time".to_owned()),
        };
        if !stopping && database.is_none() {
            return Ok(Alive { ok: true });
        }
        let code = if stopping { ErrorCode::ShuttingDown } else { ErrorCode::Unavailable };
        let mut error = Error::new(code, "The server is not ready to take calls.")
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"));
        if stopping {
            error = error.with_field("server", "is stopping");
        }
        if let Some(reason) = database {
            let since = runtime.unreachable_since().unwrap_or_else(|| runtime.clock().now());
            error = error
                .with_field("database", format!("unreachable since {since}"))
                .with_source(reason);
        }
        Err(error)
    }

    async fn jwks(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        let runtime = cx.runtime();
        let now = runtime.clock().now_seconds();
        let reply = Reply::json(&runtime.snapshot().credentials().keys().jwks(now))?;
        Ok(reply.with_header(CACHE_CONTROL, HeaderValue::from_static(JWKS_CACHE)))
    }

    async fn services(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Items<ServiceInfo>> {
        let runtime = cx.runtime();
        let is_guest = matches!(cx.identity(), Identity::Guest(_));
        let show_env = runtime.settings().public_env_keys || !is_guest;
        Ok(views::services(runtime.registry(), show_env))
    }

    async fn instruction(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        let runtime = cx.runtime();
        Ok(Reply::text(views::instruction(runtime.registry(), runtime.settings())))
    }

    async fn openapi(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        let runtime = cx.runtime();
        let bytes = self.openapi.get_or_init(|| {
            views::openapi(runtime.registry(), runtime.settings()).to_string().into()
        });
        Ok(Reply::typed(HeaderValue::from_static("application/json"), bytes.clone()))
    }
}
