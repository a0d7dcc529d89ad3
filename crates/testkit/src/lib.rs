//! The test harness: the real application in memory, on a real database of its own.
//!
//! ```no_run
//! use downcity_testkit::{TestApp, both_engines};
//! use serde_json::json;
//!
//! both_engines! {
//!     async fn a_city_can_be_created(app: TestApp) {
//!         let city = app.admin().post("/v1/cities/create", json!({"name": "Demo"})).await;
//!         assert_eq!(city.expect(200)["status"], "active");
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # Invariants
//! * Only outside edges are replaced: time and randomness. The database is a real SQLite file or a
//!   real PostgreSQL server; without the latter its tests fail and say so.
//! * Every write closure runs twice, the first time rolled back: see `DbOptions::replay_writes`.
//! * A 5xx that a test did not ask for fails the test.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a harness reports by failing the test that uses it"
)]

mod app;
mod capture;
mod client;
mod race;
mod source;
mod upstream;

pub use app::{ADMIN_KEY, TestApp, TestAppBuilder};
pub use capture::Capture;
pub use client::{Client, TestReply};
pub use downcity_db::Engine;
pub use source::{TestClock, TestRandom};
pub use upstream::{Answer, Gate, MockUpstream, Recorded};

/// An RSA key of 2048 bits for tests that sign, as base64 of PKCS #8. It was made for this file and is
/// used nowhere else.
pub const RSA_KEY_OF_NOBODY: &str = include_str!("keys/rsa_of_nobody.txt");

#[doc(hidden)]
pub use tokio;

/// Turns each `async fn name(app: TestApp)` into two tests, `name::sqlite` and `name::postgres`.
///
/// A second form names the way the app is built: `async fn name(app: TestApp = builder_fn)`, where
/// `builder_fn` takes a [`TestAppBuilder`] and returns it.
#[macro_export]
macro_rules! both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($app:ident: TestApp $(= $build:expr)?) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn run($app: $crate::TestApp) $body

            async fn on(engine: $crate::Engine) {
                let builder = $crate::TestApp::builder(engine);
                $(let builder = $build(builder);)?
                run(builder.start().await).await;
            }

            #[test]
            fn sqlite() {
                $crate::block_on(on($crate::Engine::Sqlite));
            }

            #[test]
            fn postgres() {
                $crate::block_on(on($crate::Engine::Postgres));
            }
        }
    )*};
}

/// Runs a test on a runtime like the server's.
pub fn block_on<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts")
        .block_on(test)
}
