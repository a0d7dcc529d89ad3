//! The section `[usage]`.

use downcity_core::Action;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which calls are recorded, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageConfig {
    /// Which calls of users leave a fact: `all`, `billable` (POST actions and AI calls; no reads), or
    /// `off`. Calls that were paid for are recorded in any case. Calls of guests, of the admin key,
    /// of service keys and of the usage service itself never leave one.
    pub record: RecordedCalls,
    /// How many days facts are kept; daily sums stay for ever. Absent = facts stay, too.
    pub retention_days: Option<u32>,
    /// How many facts may wait for the database on a node; what comes on top is dropped and counted.
    pub queue: usize,
}

/// Which calls of users leave a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordedCalls {
    /// Every call, reads included.
    #[default]
    All,
    /// POST actions and AI calls.
    Billable,
    /// Only calls that were paid for.
    Off,
}

impl RecordedCalls {
    /// Whether calls of this action leave a fact.
    pub(super) fn includes(self, action: &Action) -> bool {
        match self {
            Self::All => true,
            Self::Billable => action.service_id() == "ai" || action.method() != Some(&Method::GET),
            Self::Off => false,
        }
    }
}

impl Default for UsageConfig {
    fn default() -> Self {
        Self { record: RecordedCalls::All, retention_days: None, queue: 20_000 }
    }
}

impl UsageConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.retention_days == Some(0) {
            problems.push((
                "retention_days",
                "must be at least 1; leave it out to keep all".to_owned(),
            ));
        }
        if !(200..=1_000_000).contains(&self.queue) {
            problems.push(("queue", "must be between 200 and 1000000".to_owned()));
        }
        problems
    }
}
