//! A Federation as a library: configuration, HTTP, telemetry and shutdown around the kernel.
//!
//! ```no_run
//! use downcity_server::prelude::*;
//!
//! struct Greeting;
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Hello {
//!     text: String,
//! }
//!
//! impl Service for Greeting {
//!     fn id(&self) -> &'static str {
//!         "greeting"
//!     }
//!
//!     fn name(&self) -> &'static str {
//!         "Greeting"
//!     }
//!
//!     fn define(self: Arc<Self>, s: &mut ServiceDef) {
//!         s.get("hello", USER, &self, Self::hello).summary("Greet the caller.");
//!     }
//! }
//!
//! impl Greeting {
//!     async fn hello(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Hello> {
//!         Ok(Hello { text: format!("Hello, {}.", cx.user()?.user_id) })
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), StartError> {
//!     Federation::builder().service(Greeting).serve().await
//! }
//! ```
//!
//! # Invariants
//! * The registry routes everything; this crate knows the transport and no route but `/metrics`.
//! * A request costs no log line, no lock that connections share, and no copy of its body.
//! * Log lines never hold headers, bodies, query strings, tokens, keys or env values.
//! * Secrets are not configuration: only the master key and the first values of system keys are
//!   taken from the environment.

mod audit;
mod backup;
mod banner;
mod builder;
pub mod config;
mod error;
mod federation;
#[cfg(test)]
mod fuzz;
mod http;
mod ledger;
mod metrics;
pub mod prelude;
mod rekey;
mod reload;
mod restore;
mod run;
pub mod simulation;
mod telemetry;
mod visiblebase;

pub use audit::{Anchor, AuditReport, Broken, Problem, Verification};
pub use banner::{Hint, Listening};
pub use builder::FederationBuilder;
pub use config::Config;
pub use downcity_core::env::{MasterKey, Rekeyed, SYSTEM_KEYS, system_key, system_keys_in};
pub use downcity_db::{CopyProgress, CopyStop, CopyWatch};
pub use error::{FailureKind, StartError};
pub use federation::Federation;
pub use ledger::{BrokenMoney, LedgerReport, LedgerVerification, MoneyProblem};
pub use restore::{CheckedBackup, Restored};
