//! The one list of error codes and the shapes in which an error reaches a caller.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

/// Declares the enum, its table and the lookups from one list.
macro_rules! error_codes {
    ($($variant:ident $text:literal $status:literal $meaning:literal;)+) => {
        /// A stable, machine-readable reason. Callers may branch on it; it never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it stands on the wire, in `snake_case`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The HTTP status that answers carry with this code.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// One sentence that says when the code is used.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }

        impl FromStr for ErrorCode {
            type Err = UnknownErrorCode;

            fn from_str(text: &str) -> Result<Self, UnknownErrorCode> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownErrorCode(text.to_owned())),
                }
            }
        }
    };
}

error_codes! {
    InvalidJson "invalid_json" 400 "The body is not a JSON object.";
    InvalidInput "invalid_input" 400 "A field is missing or has a wrong value; `details` names it.";
    InvalidKey "invalid_key" 400 "An env key does not match `[A-Z_][A-Z0-9_]*` after upper-casing.";
    InvalidTtl "invalid_ttl" 400 "The ttl is not a positive number of seconds or a text like `30m`, `1h`, `7d`.";
    MaskedValue "masked_value" 400 "A masked value was sent back as if it were the value itself.";
    SystemKey "system_key" 400 "A system key cannot be removed, blanked or made too short.";
    ConflictingFields "conflicting_fields" 400 "Two fields mean the same thing and differ.";
    InvalidCode "invalid_code" 400 "The link or code is wrong, was used before, or has expired; ask for a new one.";
    MissingCredential "missing_credential" 401 "The route needs an `Authorization: Bearer` credential and none was sent.";
    InvalidCredential "invalid_credential" 401 "The credential is not known here: wrong key, forged or malformed token, or its city is gone.";
    TokenExpired "token_expired" 401 "The token was valid and has reached its `exp`; ask for a new one.";
    TokenRevoked "token_revoked" 401 "The token was withdrawn before its end; ask for a new one.";
    InvalidLogin "invalid_login" 401 "E-mail and password do not belong together.";
    InsufficientBalance "insufficient_balance" 402 "The available balance does not cover the call.";
    Forbidden "forbidden" 403 "The credential is good but may not do this.";
    CityMismatch "city_mismatch" 403 "The `city_id` of the request is not the city of the token.";
    AmountExceeded "amount_exceeded" 403 "The service key may not move this much in one call, or no more of it today; `details` names the limit.";
    CityPaused "city_paused" 403 "The city is paused; its tokens work again after it is activated.";
    EmailUnverified "email_unverified" 403 "The e-mail address has to be verified before the user can sign in.";
    AccountDisabled "account_disabled" 403 "The account was disabled by an operator.";
    NotFound "not_found" 404 "No such route or resource.";
    CityNotFound "city_not_found" 404 "No city has this `city_id`.";
    MethodNotAllowed "method_not_allowed" 405 "The route exists for other methods; `Allow` lists them.";
    RequestTimeout "request_timeout" 408 "The request did not arrive or finish in time.";
    Conflict "conflict" 409 "The resource is in a state that does not allow this.";
    CityExists "city_exists" 409 "A city with this `city_id` exists already.";
    EmailTaken "email_taken" 409 "Another account has this e-mail address.";
    IdempotencyMismatch "idempotency_mismatch" 409 "The idempotency key was used before with another request.";
    PayloadTooLarge "payload_too_large" 413 "The body is larger than the server accepts.";
    UriTooLong "uri_too_long" 414 "The path and query are longer than the server accepts.";
    UnsupportedMediaType "unsupported_media_type" 415 "The body's content type or encoding is not accepted here.";
    Unprocessable "unprocessable" 422 "The request is well formed but cannot be carried out.";
    EnvRefused "env_refused" 422 "The provider refuses the env value that was to be stored; `\"test\": false` stores it untested.";
    ModelNotFound "model_not_found" 422 "No model has this id, or none is available.";
    ModelUnsupported "model_unsupported" 422 "The model does not support this kind of call.";
    UnsupportedContent "unsupported_content" 422 "The model cannot take a part of the content, such as an image.";
    RateLimited "rate_limited" 429 "A limit of this server is reached; wait for `Retry-After` seconds.";
    UpstreamRateLimited "upstream_rate_limited" 429 "The AI provider limits the rate; wait for `Retry-After` seconds.";
    HeadersTooLarge "headers_too_large" 431 "The request headers are larger than the server accepts.";
    Internal "internal" 500 "Something failed inside; the log has the cause under the `request_id`.";
    MissingConfig "missing_config" 500 "The server lacks a required setting; an administrator sees which.";
    EnvFile "env_file" 500 "The file that holds the env values cannot be read or written; nothing was changed. Its operator has to see to it.";
    UpstreamError "upstream_error" 502 "The AI provider failed or could not be reached.";
    UpstreamInvalid "upstream_invalid" 502 "The AI provider sent an answer that cannot be read.";
    UpstreamAuth "upstream_auth" 502 "The AI provider refused the server's own key; an administrator must replace it.";
    Unavailable "unavailable" 503 "The server cannot take the request now; try again.";
    CommitUnknown "commit_unknown" 503 "The database broke off around a commit: the change may be stored; repeat with the same idempotency key, or look first.";
    ShuttingDown "shutting_down" 503 "The server is stopping and takes no new work; try again.";
    UpstreamTimeout "upstream_timeout" 504 "The AI provider did not answer in time.";
    JobPending "job_pending" 504 "The work takes longer than the call may wait and goes on: ask for its result by the `job_id`.";
    StorageFull "storage_full" 507 "The disk of the database, or of the generated files, is full; nothing was changed. Its operator has to free space.";
}

impl ErrorCode {
    /// The `type` that OpenAI clients expect for this code.
    #[must_use]
    pub const fn openai_type(self) -> &'static str {
        match self.status() {
            401 => "authentication_error",
            402 => "insufficient_quota",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// The `type` that Anthropic clients expect for this code.
    #[must_use]
    pub const fn anthropic_type(self) -> &'static str {
        AnthropicError::type_of(self.status())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for ErrorCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        json_schema!({
            "type": "string",
            "description": "Stable reason of an error.",
            "enum": codes,
        })
    }
}

/// A text that is no code of [`ErrorCode`]; it carries the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown error code `{0}`")]
pub struct UnknownErrorCode(
    /// The text that was read.
    pub String,
);

/// The body of every failed answer outside the OpenAI surface:
/// `{"error":"<sentence>","code":"<code>","request_id":"..."}`, with `fix` and `details` where known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// A sentence that says what to do. Not stable: branch on `code`.
    pub error: String,
    /// The stable reason.
    pub code: ErrorCode,
    /// Id under which the server logged the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The next step, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// The fields that are wrong; absent when the error is not about fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<FieldError>,
    /// Further facts that belong to the code, beside the other fields.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl ErrorBody {
    /// A body of `code` and `error` alone.
    #[must_use]
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            code,
            request_id: None,
            fix: None,
            details: Vec::new(),
            facts: Map::new(),
        }
    }
}

/// What is wrong with one field of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Path of the field, such as `messages[0].role`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// The error shape of OpenAI-compatible routes: `{"error":{"message","type","param","code"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenAiError {
    /// The error; its four keys are always present.
    pub error: OpenAiErrorObject,
}

/// The inner object of [`OpenAiError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenAiErrorObject {
    /// A sentence that says what to do.
    pub message: String,
    /// Class of the error in the terms of OpenAI clients; see [`ErrorCode::openai_type`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The field at fault, or `null`.
    pub param: Option<String>,
    /// The stable reason: one of [`ErrorCode`], or the provider's own code, or `null`.
    pub code: Option<String>,
}

impl OpenAiError {
    /// The OpenAI shape of an error of ours.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>, param: Option<String>) -> Self {
        Self {
            error: OpenAiErrorObject {
                message: message.into(),
                kind: code.openai_type().to_owned(),
                param,
                code: Some(code.as_str().to_owned()),
            },
        }
    }
}

impl From<ErrorBody> for OpenAiError {
    /// Keeps sentence and code; `param` is the first field at fault.
    fn from(body: ErrorBody) -> Self {
        let param = body.details.into_iter().next().map(|field| field.path);
        Self::new(body.code, body.error, param)
    }
}

/// The error shape of routes that speak the Messages API of Anthropic:
/// `{"type":"error","error":{"type","message","code"},"request_id"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnthropicError {
    /// Always `error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong.
    pub error: AnthropicErrorObject,
    /// Id under which the server logged the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The inner object of [`AnthropicError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnthropicErrorObject {
    /// Class of the error in the terms of Anthropic clients; see [`AnthropicError::type_of`].
    #[serde(rename = "type")]
    pub kind: String,
    /// A sentence that says what to do.
    pub message: String,
    /// The stable reason: one of [`ErrorCode`], or the provider's own code, or `null`.
    pub code: Option<String>,
}

impl AnthropicError {
    /// An error of this class.
    #[must_use]
    pub fn new(kind: &str, message: impl Into<String>, code: Option<String>) -> Self {
        let error = AnthropicErrorObject { kind: kind.to_owned(), message: message.into(), code };
        Self { kind: "error".to_owned(), error, request_id: None }
    }

    /// The class of an answer with this status.
    ///
    /// Source: <https://docs.anthropic.com/en/api/errors>.
    #[must_use]
    pub const fn type_of(status: u16) -> &'static str {
        match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            503 | 529 => "overloaded_error",
            504 => "timeout_error",
            _ => "api_error",
        }
    }

    /// The shape of an error of ours, answered with this status. The next step joins the sentence,
    /// as there is no other place for it.
    #[must_use]
    pub fn of(body: ErrorBody, status: u16) -> Self {
        let message = match body.fix {
            Some(fix) if body.error.ends_with(['.', '?', '!']) => format!("{} {fix}", body.error),
            Some(fix) => format!("{}. {fix}", body.error),
            None => body.error,
        };
        let code = Some(body.code.as_str().to_owned());
        let error = Self::new(Self::type_of(status), message, code);
        Self { request_id: body.request_id, ..error }
    }
}

/// The table of all codes as Markdown, one row per code, with a final newline.
#[must_use]
pub fn error_table_markdown() -> String {
    let mut table = String::from("| Code | Status | Meaning |\n|---|---|---|\n");
    for code in ErrorCode::ALL {
        let row = format!("| `{}` | {} | {} |\n", code.as_str(), code.status(), code.meaning());
        table.push_str(&row);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_read_back() {
        let mut seen = BTreeSet::new();
        for &code in ErrorCode::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} stands twice");
            assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{text}");
            assert!((400..600).contains(&code.status()), "{text}");
            assert!(code.meaning().ends_with('.'), "{text}");
            assert_eq!(text.parse(), Ok(code));
            assert_eq!(serde_json::to_value(code).unwrap(), text);
            assert_eq!(serde_json::from_value::<ErrorCode>(json!(text)).unwrap(), code);
        }
        assert_eq!("nope".parse::<ErrorCode>(), Err(UnknownErrorCode("nope".to_owned())));
        assert!(ErrorCode::ALL.is_sorted_by_key(|code| code.status()), "the table reads by status");
    }

    #[test]
    fn the_schema_lists_every_code() {
        let schema = schemars::schema_for!(ErrorCode);
        let listed = schema.get("enum").and_then(|codes| codes.as_array()).unwrap();
        assert_eq!(listed.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn bodies_leave_out_what_is_unknown() {
        let mut body = ErrorBody::new(ErrorCode::InvalidInput, "name is required");
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"error":"name is required","code":"invalid_input"}"#
        );
        body.request_id = Some("req_1".to_owned());
        body.fix = Some("send name".to_owned());
        body.details =
            vec![FieldError { path: "name".to_owned(), message: "is required".to_owned() }];
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(
            text,
            r#"{"error":"name is required","code":"invalid_input","request_id":"req_1","fix":"send name","details":[{"path":"name","message":"is required"}]}"#
        );
        assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap(), body);
    }

    #[test]
    fn openai_errors_always_have_four_keys() {
        let error = OpenAiError::new(ErrorCode::ModelNotFound, "no such model", None);
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"error":{"message":"no such model","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#
        );
        let mut body = ErrorBody::new(ErrorCode::InvalidInput, "bad");
        body.details = vec![FieldError { path: "messages".to_owned(), message: "bad".to_owned() }];
        assert_eq!(OpenAiError::from(body).error.param.as_deref(), Some("messages"));
    }

    #[test]
    fn anthropic_errors_say_the_next_step_in_their_sentence() {
        let mut body = ErrorBody::new(ErrorCode::TokenExpired, "The token has expired.");
        body.request_id = Some("req_1".to_owned());
        body.fix = Some("Ask for a new one.".to_owned());
        assert_eq!(
            serde_json::to_string(&AnthropicError::of(body, 401)).unwrap(),
            r#"{"type":"error","error":{"type":"authentication_error","message":"The token has expired. Ask for a new one.","code":"token_expired"},"request_id":"req_1"}"#
        );
    }

    #[test]
    fn anthropic_sentences_end_before_the_next_step() {
        let mut body = ErrorBody::new(ErrorCode::InsufficientBalance, "need 2, current 1");
        body.fix = Some("Top up.".to_owned());
        let error = AnthropicError::of(body, 402);
        assert_eq!(error.error.message, "need 2, current 1. Top up.");
    }

    #[test]
    fn anthropic_types_follow_the_status() {
        for (status, kind) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (409, "invalid_request_error"),
            (413, "request_too_large"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            assert_eq!(AnthropicError::type_of(status), kind, "{status}");
        }
        assert_eq!(ErrorCode::InsufficientBalance.anthropic_type(), "billing_error");
    }

    #[test]
    fn openai_types_follow_the_status() {
        for (code, kind) in [
            (ErrorCode::TokenExpired, "authentication_error"),
            (ErrorCode::InsufficientBalance, "insufficient_quota"),
            (ErrorCode::CityPaused, "permission_error"),
            (ErrorCode::UpstreamRateLimited, "rate_limit_error"),
            (ErrorCode::PayloadTooLarge, "invalid_request_error"),
            (ErrorCode::UpstreamTimeout, "server_error"),
        ] {
            assert_eq!(code.openai_type(), kind, "{code}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_every_code() {
        let table = error_table_markdown();
        assert_eq!(table.lines().count(), ErrorCode::ALL.len() + 2);
        assert!(
            table.contains(
                "\n| `city_exists` | 409 | A city with this `city_id` exists already. |\n"
            )
        );
        assert!(table.lines().all(|row| row.matches('|').count() == 4), "{table}");
    }
}
