//! What a service needs, in one import.

pub use std::sync::Arc;

pub use async_trait::async_trait;
pub use downcity_core::audit::{Target, Trail};
pub use downcity_core::jobs::{self, Job, JobCx, JobEnd, NewJob};
pub use downcity_core::{
    ADMIN, Access, Body, Call, Clock, CredentialHeader, Cx, Error, ErrorShape, Hook, Identity,
    Input, JsonObject, NoInput, Outcome, Output, PUBLIC, RawRequest, Reply, Result, Runtime,
    Secret, Service, ServiceDef, Sse, USER, USER_OR_ADMIN, UserIdentity,
};
pub use downcity_db::{Db, DbError, Row, Tx, migrations, sql};
pub use downcity_types::{ErrorCode, Items, Page, Timestamp, Ttl};
pub use schemars::JsonSchema;
pub use serde::{Deserialize, Serialize};

pub use crate::{Config, Federation, StartError};
