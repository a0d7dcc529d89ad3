//! Client of a Federation, the backend that many AI products share.
//!
//! Two sides, told apart by type: [`City::admin`] for your server, [`City::user`] for the client of one
//! user. What belongs to one side does not exist on the other.
//!
//! ```no_run
//! use downcity::{City, TextInput, UserId};
//!
//! # async fn run() -> downcity::Result<()> {
//! let user = City::user("https://fed.example.com").city_id("city_demo").user_token("ub_…").build()?;
//! let answer = user.ai().text(TextInput::prompt("What is a Federation?")).await?;
//! println!("{:?}", answer.parts);
//! # Ok(())
//! # }
//! ```
//!
//! Invariants:
//!
//! * No panics: what goes wrong is an [`Error`].
//! * Secrets are [`SecretString`]s: neither `Debug` nor errors show them.
//! * A call that changes something is repeated only where that changes nothing more: [`RetryPolicy`].
//! * The network is a [`Transport`]; tests give their own.
//!
//! Records of the wire come from `downcity-types`, the crate that the server writes them with.

mod admin;
#[cfg(feature = "blocking")]
pub mod blocking;
mod city;
mod error;
mod http;
mod ids;
mod inner;
mod random;
mod retry;
mod service;
#[cfg(test)]
mod tests;
mod transport;
mod user;

pub use admin::amount::{Amount, AmountError, Credits};
pub use admin::backup::Backup;
pub use admin::balance::{Balance, RedeemCodes};
pub use admin::cities::{Cities, CityCreate, CityRecord, CityStatus, CityTokens};
pub use admin::env::{
    Env, EnvImported, EnvRefreshed, EnvRemoved, EnvRolledBack, EnvUpserted, EnvVersion,
};
pub use admin::money::{
    BalanceAccount, BalanceQuery, Charge, ChargeRecord, IssuedRedeemCode, LedgerEntry, Mutation,
    RedeemCode, RedeemCreate, RedeemDisable, Topup, TopupUpdate,
};
pub use admin::tokens::{IssuedToken, TokenRequest, Tokens, Ttl};
pub use city::{Admin, AdminBuilder, AdminCity, City, User, UserBuilder, UserCity};
pub use error::{BoxError, Error, Result};
pub use http::HttpTransport;
pub use ids::{CityId, JobId, ModelId, RedeemCodeId, TopupId, UserId};
pub use retry::RetryPolicy;
pub use secrecy::{ExposeSecret, SecretString};
pub use service::{Action, Service};
pub use transport::{Body, Request, Response, SendFuture, Transport, TransportError};
pub use user::ai::{Ai, ModelConnection};
pub use user::handle::ModelHandle;
pub use user::input::{
    AsrInput, ImageContent, ImageInput, ImageMessage, TextInput, Tool, TtsInput, VideoInput,
};
pub use user::job::{AsrResult, ImageJob, ImageJobState, JobStatus, PollOptions};
pub use user::models::{CatalogModel, ModelCatalog, ModelRef};
pub use user::payment::{Payment, PaymentMethod, PaymentMethodHandle};
pub use user::stream::{ChunkStream, TextDeltas, UiMessageChunk};

pub use downcity_types::{
    EnvEntry, EnvRequirement, EnvScope, FinishReason, Items, Microcredits, ServiceInfo, Timestamp,
    TokenStatus, UiChunk, UiMessage, UiPart, UiRole,
};
pub use reqwest::{Method, StatusCode, Url, header};
