//! Wire records and pure rules that server, AI service and clients share.
//!
//! What a caller can see on the wire is described here once: the error body with every stable code,
//! ids, money, ttl, timestamps, tokens, city and env records, paging, UI messages and their stream
//! chunks.
//!
//! Invariants:
//!
//! * No I/O, no clock, no randomness, no global state. Bytes and times are parameters.
//! * Field names, key order and number formats are the wire contract; a change here is a change of
//!   the protocol.
//! * No floating point in money. Arithmetic is checked and says when it does not fit.
//! * Parsers never panic: any input gives a value or an error that a caller can be shown.
//!
//! Deliberately absent: key rings and revocations (what ends a token early is state of a server),
//! storage, and anything that needs an async runtime. [`verify_offline`] takes keys as parameters.

mod audit;
mod error;
#[cfg(test)]
mod fuzz;
mod ids;
mod money;
mod page;
mod records;
mod service_key;
mod time;
mod token;
mod ttl;
mod ui;
mod units;

pub use audit::AuditRecord;
pub use error::{
    AnthropicError, AnthropicErrorObject, ErrorBody, ErrorCode, FieldError, OpenAiError,
    OpenAiErrorObject, UnknownErrorCode, error_table_markdown,
};
pub use ids::{
    CITY_ID_MAX_LEN, CITY_ID_PREFIX, CityIdError, DEFAULT_CITY_ID, DEFAULT_CITY_NAME, ID_BYTES,
    check_new_city_id,
};
pub use money::{Microcredits, MoneyError};
pub use page::{BadCursor, CURSOR_MAX_LEN, Cursor, CursorPart, LimitParam, Page};
pub use records::{
    City, CityStatus, EnvEntry, EnvRequirement, EnvRequirementState, EnvScope, EnvSource, Health,
    IssuedToken, Items, ServiceInfo, ServiceRef,
};
pub use service_key::{IssuedServiceKey, ServiceKeyRecord};
pub use time::{Rfc3339, Timestamp, TimestampError};
pub use token::{
    AUDIENCE, Claims, ClaimsError, ClaimsRef, Ed25519Key, HmacKey, Jwk, JwkSet, JwksError,
    MAX_FUTURE_SECONDS, MAX_TOKEN_BYTES, OpenToken, PREFIX, Signed, SigningKeyRecord,
    SigningKeyStatus, TokenAlgorithm, TokenBuffer, TokenError, TokenStatus, VerifyingKeys,
    is_signature, open_token, verify_offline,
};
pub use ttl::{Ttl, TtlError};
pub use ui::{
    DataChunk, DataPart, FilePart, FinishReason, InputTokenDetails, OutputTokenDetails,
    ProviderMetadata, ReasoningPart, SourceDocumentPart, SourceUrlPart, TextPart, TokenCounts,
    ToolOptions, ToolPart, ToolState, UiChunk, UiMessage, UiPart, UiRole, Usage,
};
pub use units::{ByteSize, Grace, Span};
