//! Files as they travel: inside JSON, and what their first bytes show.

mod data;
mod kind;

use bytes::Bytes;
use downcity_core::Result;

use self::data::data_url;
pub(crate) use self::data::{DataUrl, base64_of, decoded, extension, inline, to_base64};
pub(crate) use self::kind::{HEAD, Wanted, allows};
use crate::heavy::heavy;

/// Bytes as a `data:` URL.
///
/// # Errors
/// Those of [`heavy`].
pub(crate) async fn written(media_type: String, bytes: Bytes) -> Result<String> {
    heavy(bytes.len(), move || data_url(&media_type, &to_base64(&bytes))).await
}

/// Why a file of a provider's answer is not delivered. Names neither address nor content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFile {
    /// Neither base64 nor a `data:` URL.
    #[error("The AI provider sent a file that cannot be decoded.")]
    Undecodable,
    /// No bytes.
    #[error("The AI provider sent an empty file.")]
    Empty,
    /// Something else than what was asked for, such as a page that shows an error.
    #[error("The AI provider sent a file that is no {0}.")]
    Foreign(&'static str),
    /// A type that the configuration does not let in.
    #[error("The AI provider sent a file of a type that is not taken here.")]
    Type,
    /// An address that only the provider's network, or ours, can use.
    #[error("The AI provider named a file that is not on the public internet.")]
    Private,
    /// An address that is none of the web, or that holds a password.
    #[error("The AI provider named a file by an address that cannot be used.")]
    Address,
}
