//! What an upstream's answer means for the choice of the next one.

use downcity_core::Body;
use downcity_types::ErrorCode;
use http::Response;

use crate::failure::Failure;

/// The outcome of one attempt: a short list, so that figures can be counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// An answer of success begins.
    Success,
    /// The key is refused: 401.
    KeyRefused,
    /// The key may not do this: 403, or 402 where the provider's account is empty.
    Forbidden,
    /// Too many calls: 429.
    Limited,
    /// The provider failed: 408 or 5xx.
    Failed,
    /// The provider does not know the model or the address that the configuration names: 404 or 405.
    Unknown,
    /// Any other status: the request's fault, or the configuration's.
    Refused,
    /// No connection, or one that broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The request could not be made, as a value of the env cannot be used.
    Unusable,
    /// The request could not be made, as the provider has no words for it.
    Unfit,
    /// A status of success, but no answer.
    Unreadable,
    /// What it made is none of what was asked for.
    BadFile,
}

impl Told {
    pub(crate) fn of(answer: &Result<Response<Body>, Failure>) -> Self {
        match answer {
            Ok(response) => match response.status() {
                status if status.is_success() => Self::Success,
                status if status.is_server_error() => Self::Failed,
                status => match status.as_u16() {
                    401 => Self::KeyRefused,
                    402 | 403 => Self::Forbidden,
                    404 | 405 => Self::Unknown,
                    408 => Self::Failed,
                    429 => Self::Limited,
                    _ => Self::Refused,
                },
            },
            Err(Failure::Unreachable(_) | Failure::Stale(_) | Failure::Broken(_)) => {
                Self::Unreachable
            }
            Err(Failure::TimedOut) => Self::TimedOut,
            Err(Failure::Ours(error)) if error.code() == ErrorCode::MissingConfig => Self::Unusable,
            Err(Failure::Ours(error)) if error.status().is_client_error() => Self::Unfit,
            Err(Failure::Unreadable(_)) => Self::Unreadable,
            Err(Failure::BadFile(_)) => Self::BadFile,
            Err(Failure::Ours(_) | Failure::Refused(_) | Failure::Told(_)) => Self::Refused,
        }
    }

    /// Whether another upstream, or another key, may answer.
    pub(crate) fn is_for_the_next(self) -> bool {
        !matches!(self, Self::Success | Self::Refused)
    }

    /// Whether the same upstream may answer when it is asked again soon.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Limited | Self::Failed | Self::Unreachable)
    }

    /// The outcome as figures and the log have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::KeyRefused => "key_refused",
            Self::Forbidden => "forbidden",
            Self::Limited => "rate_limited",
            Self::Failed => "failed",
            Self::Unknown => "not_found",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Unusable => "unusable",
            Self::Unfit => "unfit",
            Self::Unreadable => "unreadable",
            Self::BadFile => "bad_file",
        }
    }
}
