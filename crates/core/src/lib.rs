//! The kernel of a Federation: what a service is, who may call it, and how a call runs.
//!
//! # What is here
//! * [`Service`], [`ServiceDef`] and [`Registry`]: capabilities declared once; the router and every
//!   document (catalog, OpenAPI, instruction text) are pure functions of the registry.
//! * [`Kernel::handle`]: the one dispatch from an HTTP request to an HTTP response.
//! * [`Runtime`]: what a running node owns — database, clock, randomness, snapshot, tasks.
//! * The built-in services `env`, `cities`, `keys` and `audit`, written on the same public API as any
//!   other service.
//!
//! # Invariants
//! * Identify, authorise and dispatch touch no database: they read one immutable [`Snapshot`].
//! * An action that names no identities does not build: access is denied by default.
//! * Time and randomness come from [`Clock`] and [`Random`] only.
//! * A 5xx body is generic; its cause goes to the log with the request id.
//! * No network protocol lives here: sockets, TLS and configuration files belong to the server.

mod action;
pub mod audit;
mod backup;
mod body;
mod boot;
mod call;
pub mod cities;
mod clock;
mod decode;
mod dialect;
mod dispatch;
pub mod env;
mod error;
pub mod fact;
mod finish;
pub mod form;
#[cfg(test)]
mod fuzz;
pub mod hex;
mod hook;
pub mod idempotency;
mod identity;
mod input;
pub mod jobs;
mod kernel;
pub mod keys;
pub mod last_use;
pub mod limits;
mod migrations;
mod observe;
mod openai_paths;
mod public_url;
mod registry;
mod resume;
mod runtime;
mod secret;
mod service;
mod snapshot;
mod system;
mod tasks;
mod tenant;
pub mod token;
pub mod views;
mod wallet;

pub use action::{
    Action, CredentialHeader, ErrorShape, Form, Input, InputKind, JsonObject, NoInput, Output,
    RawRequest,
};
pub use body::{Body, BoxError, Reply, Sse};
pub use call::{Call, ClientAddress, Cx, Locals, Metering};
pub use clock::{Clock, Ids, Random, SystemClock, SystemRandom};
pub use dialect::{Dialect, X_DOWNCITY_DIALECT};
pub use error::{Error, Result};
pub use hook::{Hook, Outcome};
pub use identity::{
    ADMIN, Access, GuestReason, Identity, PUBLIC, USER, USER_OR_ADMIN, UserIdentity,
};
pub use kernel::{FirstStart, Kernel, KernelOptions};
pub use observe::{ACCESS_LOG, Finished, Observer};
pub use public_url::{is_loopback, public_url};
pub use registry::{Alias, Registry, RegistryBuilder, RegistryError, ServiceEntry};
pub use resume::Resumed;
pub use runtime::{Runtime, Settings};
pub use secret::Secret;
pub use service::{ActionDef, EnvScopeSource, Service, ServiceDef};
pub use snapshot::{Reload, Snapshot, State};
pub use tasks::Tasks;
pub use wallet::{NewHold, Settled, Settlement, Wallets};

use migrations::migrations;
