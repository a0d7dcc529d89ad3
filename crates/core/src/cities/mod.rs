//! Cities: the tenants of a Federation.

mod service;
mod store;

pub use service::CitiesService;
pub(crate) use store::load;
