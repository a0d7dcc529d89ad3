//! Code that runs around actions: for all of them, for those of a service, or for one.

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::{Body, Call, Error, Reply, Result};

/// Runs around actions on three levels: global, service, action.
///
/// `before` runs from the outermost level inwards, `after` and `on_error` from the innermost
/// outwards; within a level in the order of registration. No hook runs for actions that take the
/// raw request, and no `before` for calls that are not authorised or whose input is bad.
#[async_trait]
pub trait Hook: Send + Sync + 'static {
    /// May reject the call, or change its input with [`Call::set_input`].
    async fn before(&self, call: &mut Call) -> Result<()> {
        let _ = call;
        Ok(())
    }

    /// May replace the output. For a stream it runs when the stream has been drained.
    ///
    /// A failure is logged and counted; the caller still gets the finished answer, unless the hook
    /// is [critical](Hook::is_critical).
    async fn after(&self, call: &Call, outcome: &mut Outcome) -> Result<()> {
        let _ = (call, outcome);
        Ok(())
    }

    /// Sees every failed call of its level, those that were not authorised included.
    async fn on_error(&self, call: &Call, error: &Error) {
        let _ = (call, error);
    }

    /// Whether a failing `after` turns a finished action into an error.
    fn is_critical(&self) -> bool {
        false
    }
}

/// The output of an action, as `after` hooks see it.
#[derive(Debug)]
pub struct Outcome {
    pub(crate) reply: Reply,
    /// For a stream: whether it came to its end, rather than being left by the client.
    pub(crate) complete: bool,
}

impl Outcome {
    /// The reply as it stands. The body of a stream is already gone.
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Whether the whole answer was delivered to the transport.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The output as JSON; `None` for streams and other content.
    pub fn json(&self) -> Option<Value> {
        match &self.reply.body {
            Body::Full(bytes) => serde_json::from_slice(bytes).ok(),
            Body::Empty | Body::Stream(_) => None,
        }
    }

    /// Replaces the output by this value as JSON; status and other headers stay.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn replace<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let bytes = serde_json::to_vec(value).map_err(Error::internal)?;
        self.reply.body = Body::Full(Bytes::from(bytes));
        Ok(())
    }
}
