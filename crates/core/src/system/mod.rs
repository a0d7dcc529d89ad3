//! The fixed routes of a Federation: health, the list of services and the documents.

mod service;

pub(crate) use service::SystemService;
