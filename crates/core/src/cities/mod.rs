//! Cities: the tenants of a Federation.

mod service;
mod store;

use downcity_types::ErrorCode;

use crate::Error;

pub use service::CitiesService;
pub(crate) use store::{exists, insert, load};

/// A 404 for an id that no city has.
pub(crate) fn unknown_city() -> Error {
    Error::new(ErrorCode::CityNotFound, "No city has this city_id.")
        .with_fix("GET /v1/cities/list lists the cities, POST /v1/cities/create makes one.")
}
