//! What a program needs that plays a payment provider against a server: signed events, answers to checkouts, an
//! HTTP client, the time, and ids.

use std::sync::Arc;

pub use downcity_core::is_loopback;
pub use downcity_core::{Clock, Ids, Secret, SystemClock};
pub use downcity_services::http_client;
pub use downcity_services::payment::sandbox::{
    Account, Answered, Delivery, Draft, Moment, Signer, Sold, Vendor,
};
pub use downcity_services::payment::sign::{KeyError, PrivateKey};

/// Ids from the time and the randomness of the machine.
pub fn ids() -> Ids {
    Ids::new(Arc::new(SystemClock), Arc::new(downcity_core::SystemRandom))
}
