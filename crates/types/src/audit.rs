//! Records of the audit trail.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// One change that the trusted side made, as `audit/list` shows it. All fields are always present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// Its number: 1 for the first row, each next one more.
    pub seq: i64,
    /// When the change was made.
    pub created_at: Timestamp,
    /// Who made it: `admin` (the admin key), `service` (a service key), or `system` (the Federation
    /// itself, as on its first start).
    pub actor: String,
    /// The id of the service key; `null` for other actors.
    pub key_id: Option<String>,
    /// The name of the service key; `null` for other actors.
    pub key_name: Option<String>,
    /// By which action, as `service/action`.
    pub action: String,
    /// What kind of record was changed, such as `city`, `env` or `service_key`.
    pub target_kind: String,
    /// Which one.
    pub target_id: String,
    /// The city that the record belongs to; `null` for what is in none.
    pub city_id: Option<String>,
    /// What it was; `null` for what is new. Secrets stand here as fingerprints.
    pub before: Option<Value>,
    /// What it is now; `null` for what is gone. Secrets stand here as fingerprints.
    pub after: Option<Value>,
    /// The request that made the change; `null` for the system.
    pub request_id: Option<String>,
    /// The address that the request came from; `null` where it is not known.
    pub client_address: Option<String>,
    /// The hash of the row before; 64 zeros for the first row.
    pub prev_hash: String,
    /// SHA-256 over this row and `prev_hash`, in hexadecimal.
    pub hash: String,
}
