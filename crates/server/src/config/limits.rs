//! How many calls are taken, of whom.

use downcity_core::limits::LimitSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AddressBlock, Span};

/// How many calls are taken, of whom. A call beyond a limit is answered 429; figures are calls per
/// `window`, and 0 is no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitsConfig {
    /// The length of time over which calls are counted; the same on every node.
    pub window: Span,
    /// Calls from one address; of IPv6, from one /64. The probes `/health`, `/livez` and `/readyz`
    /// are never counted.
    pub address: u32,
    /// Credentials from one address that were never valid here. Beyond it such credentials are
    /// answered 429 rather than 401; good ones pass.
    pub failed_auth: u32,
    /// Calls of one user of a city.
    pub user: u32,
    /// Calls of all users of a city.
    pub city: u32,
    /// Calls with one service key.
    pub credential: u32,
    /// Calls of the whole Federation, those with the admin key left out.
    pub federation: u32,
    /// About how many addresses, users, cities and keys are counted at the same time. Some 100
    /// bytes of memory each; beyond it those that have called least are forgotten first.
    pub tracked: usize,
    /// Where calls come from that no limit concerns: addresses and blocks such as `10.0.0.0/8`.
    pub exempt: Vec<AddressBlock>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let settings = LimitSettings::default();
        Self {
            window: Span::seconds(settings.window.as_secs()),
            address: settings.address,
            failed_auth: settings.failed_auth,
            user: settings.user,
            city: settings.city,
            credential: settings.credential,
            federation: settings.federation,
            tracked: settings.tracked,
            exempt: Vec::new(),
        }
    }
}

impl LimitsConfig {
    /// The figures as the kernel takes them.
    pub(crate) fn settings(&self) -> LimitSettings {
        LimitSettings {
            window: self.window.get(),
            address: self.address,
            failed_auth: self.failed_auth,
            user: self.user,
            city: self.city,
            credential: self.credential,
            federation: self.federation,
            tracked: self.tracked,
            exempt: self.exempt.iter().map(|block| block.get()).collect(),
        }
    }
}
