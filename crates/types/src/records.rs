//! Records of the core routes: cities, tokens, env, services, health and lists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// One tenant of the Federation. All fields are always present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct City {
    /// Unique id.
    pub city_id: String,
    /// Display name.
    pub name: String,
    /// Whether its tokens work.
    pub status: CityStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// When name or status last changed.
    pub updated_at: Timestamp,
}

/// Whether a city's tokens work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CityStatus {
    /// Tokens are issued and work.
    Active,
    /// No tokens are issued; calls with existing ones answer 403.
    Paused,
}

impl CityStatus {
    /// The status as it stands on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
        }
    }

    /// The status of a text from the database; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "paused" => Some(Self::Paused),
            _ => None,
        }
    }
}

/// Answer of `cities/tokens/apply`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedToken {
    /// The token; a credential, shown once.
    pub user_token: String,
    /// The city it is for.
    pub city_id: String,
    /// The user it is for.
    pub user_id: String,
    /// When it ends; `null` when it does not. Equal to its `exp` claim.
    pub expires_at: Option<Timestamp>,
}

/// One stored env value as `env/list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvEntry {
    /// Normalised key.
    pub key: String,
    /// The value, or its mask when `masked`.
    pub value: String,
    /// Where the value comes from.
    pub source: EnvSource,
    /// Whether `value` is a mask that must not be written back.
    #[serde(default)]
    pub masked: bool,
    /// When a call last read the value, to the second; `null` = never. Reads on other nodes show
    /// within twenty seconds.
    #[serde(default)]
    pub last_read_at: Option<Timestamp>,
    /// Why the stored value cannot be opened; `value` is empty then. Absent for good values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The city whose own value it is; absent for the values of the Federation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city_id: Option<String>,
}

/// Where an env value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvSource {
    /// The table `env`.
    Database,
    /// The `.env` file that `env.store` names.
    Dotenv,
}

/// An env key that a service needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvRequirement {
    /// Normalised key.
    pub key: String,
    /// What the value is for.
    pub description: String,
    /// Whether the service cannot work without it.
    pub required: bool,
}

/// An env key that a service needs, and whether it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvRequirementState {
    /// Normalised key.
    pub key: String,
    /// What the value is for.
    pub description: String,
    /// Whether the service cannot work without it.
    pub required: bool,
    /// Whether a non-empty value is stored.
    pub configured: bool,
    /// The mask of the value with at most its last four characters; absent when not configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_preview: Option<String>,
}

/// The env keys of one service, in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvScope {
    /// Service id, or `ai-models` for the keys that models need.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Its keys in declared order.
    pub env: Vec<EnvRequirementState>,
}

/// A mounted service, as `GET /v1/services` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceInfo {
    /// Service id; the segment after `/v1/`.
    pub id: String,
    /// Display name.
    pub name: String,
    /// The env keys it needs; empty when it needs none.
    #[serde(default)]
    pub env: Vec<EnvRequirement>,
}

/// Id and name of a mounted service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRef {
    /// Service id.
    pub id: String,
    /// Display name.
    pub name: String,
}

/// Answer of `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Always `true`: a server that cannot serve answers with an error instead.
    pub ok: bool,
    /// Always `downcity`.
    pub name: String,
    /// When the answer was made.
    pub checked_at: Timestamp,
    /// Ids of the mounted services, in order of registration.
    pub services: Vec<String>,
    /// The same services with their names.
    pub service_list: Vec<ServiceRef>,
    /// Version of the server; older servers do not send it.
    #[serde(default)]
    pub version: String,
}

/// A list, or one page of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Items")]
pub struct Items<T> {
    /// The records.
    pub items: Vec<T>,
    /// Send it as `cursor` to read on; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Items<T> {
    /// A list that is complete.
    #[must_use]
    pub fn all(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

impl<T> From<Vec<T>> for Items<T> {
    fn from(items: Vec<T>) -> Self {
        Self::all(items)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn city() -> City {
        City {
            city_id: "city_demo".to_owned(),
            name: "Demo".to_owned(),
            status: CityStatus::Paused,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(1_767_323_045_678),
        }
    }

    #[test]
    fn a_city_has_all_fields_in_order() {
        let text = serde_json::to_string(&city()).unwrap();
        assert_eq!(
            text,
            r#"{"city_id":"city_demo","name":"Demo","status":"paused","created_at":"1970-01-01T00:00:00.000Z","updated_at":"2026-01-02T03:04:05.678Z"}"#
        );
        assert_eq!(serde_json::from_str::<City>(&text).unwrap(), city());
        for status in [CityStatus::Active, CityStatus::Paused] {
            assert_eq!(CityStatus::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!(CityStatus::parse("Active"), None);
    }

    #[test]
    fn an_issued_token_always_shows_its_end() {
        let token = IssuedToken {
            user_token: "ub_x".to_owned(),
            city_id: "c".to_owned(),
            user_id: "u".to_owned(),
            expires_at: None,
        };
        let expected =
            json!({"user_token": "ub_x", "city_id": "c", "user_id": "u", "expires_at": null});
        assert_eq!(serde_json::to_value(token).unwrap(), expected);
    }

    #[test]
    fn optional_fields_are_absent_not_null() {
        let state = EnvRequirementState {
            key: "K".to_owned(),
            description: String::new(),
            required: true,
            configured: false,
            value_preview: None,
        };
        assert_eq!(
            serde_json::to_string(&state).unwrap(),
            r#"{"key":"K","description":"","required":true,"configured":false}"#
        );
        assert_eq!(serde_json::to_string(&Items::all(vec![1])).unwrap(), r#"{"items":[1]}"#);
        let page = Items { items: vec![1], next_cursor: Some("n".to_owned()) };
        assert_eq!(serde_json::to_string(&page).unwrap(), r#"{"items":[1],"next_cursor":"n"}"#);
    }

    #[test]
    fn answers_of_older_servers_are_read() {
        let health = json!({
            "ok": true, "name": "downcity", "checked_at": "2026-01-02T03:04:05.678Z",
            "services": ["env"], "service_list": [{"id": "env", "name": "Env"}],
        });
        assert_eq!(serde_json::from_value::<Health>(health).unwrap().version, "");
        let entry = json!({"key": "K", "value": "v", "source": "database"});
        assert!(!serde_json::from_value::<EnvEntry>(entry).unwrap().masked);
    }
}
