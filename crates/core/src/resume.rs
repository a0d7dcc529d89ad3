//! Calls that go on after they were answered: a job works for somebody who is gone.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use downcity_types::Timestamp;
use http::{Method, Request};
use serde_json::{Map, Value};

use crate::decode::InputSource;
use crate::dialect::Speech;
use crate::fact::Ending;
use crate::{Body, Call, Cx, Error, Identity, Locals, Metering, Result, Runtime, UserIdentity};

/// What a job kept of the call that it goes on with.
#[derive(Clone, Debug)]
pub struct Resumed {
    /// The id of the service whose action was called.
    pub service_id: String,
    /// The id of the action.
    pub action_id: String,
    /// The id of the request.
    pub request_id: String,
    /// City and id of the user who called; `None` for the trusted side.
    pub user: Option<(String, String)>,
    /// What the call consumed so far.
    pub metering: Metering,
    /// What the input said, as far as the work hangs on it.
    pub input: Map<String, Value>,
    /// When the request arrived.
    pub started_at: Timestamp,
}

impl Cx {
    /// The call that a job goes on with. Its caller is who called: nothing is checked again. It has no
    /// headers and no answer of its own; no hook and no recorder is told of it.
    ///
    /// # Errors
    /// 500 when the action, or the user's city, is no longer there.
    pub fn resume(runtime: &Arc<Runtime>, call: Resumed) -> Result<Self> {
        let gone = |what: &str| Error::internal(format!("the {what} of a call is gone"));
        let mut actions = runtime.registry().actions();
        let action = actions
            .find(|action| action.service_id() == call.service_id && action.id() == call.action_id)
            .ok_or_else(|| gone("action"))?;
        let identity = match call.user {
            None => Identity::Admin,
            Some((city_id, user_id)) => Identity::User(UserIdentity {
                user_id: user_id.into(),
                city: runtime.snapshot().city(&city_id).cloned().ok_or_else(|| gone("city"))?,
                token_id: None,
                issued_at: call.started_at.seconds(),
                expires_at: None,
                metadata: None,
            }),
        };
        let mut request = Request::new(());
        *request.method_mut() = action.method().cloned().unwrap_or(Method::POST);
        *request.uri_mut() = action.path().parse().unwrap_or_default();
        let body = serde_json::to_vec(&call.input).map_err(Error::internal)?;
        let mut input = InputSource::with_params(Vec::new());
        input.body = body.into();
        Ok(Self(Arc::new(Call {
            runtime: runtime.clone(),
            action: action.clone(),
            request_id: call.request_id.into(),
            identity,
            parts: request.into_parts().0,
            input,
            speech: Speech::new(None, None),
            raw_body: Mutex::new(Body::Empty),
            started: Instant::now(),
            started_at: call.started_at,
            locals: Locals::default(),
            metering: Mutex::new(call.metering),
            ending: Ending::default(),
            served_city: OnceLock::new(),
            own_env: OnceLock::new(),
            city_env: Mutex::default(),
        })))
    }
}
