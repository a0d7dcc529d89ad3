//! How much is let in.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// Figures of the limiter. Each is a number of calls per window; 0 stands for no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// The length of time over which calls are counted; the same on every node.
    pub window: Duration,
    /// Calls from one address (of IPv6, one /64).
    pub address: u32,
    /// Invalid credentials from one address.
    pub failed_auth: u32,
    /// Calls of one user of a city.
    pub user: u32,
    /// Calls of all users of a city.
    pub city: u32,
    /// Calls with one service key.
    pub credential: u32,
    /// Calls of the whole Federation, those with the admin key left out.
    pub federation: u32,
    /// About how many addresses, users and so on are counted at the same time.
    pub tracked: usize,
    /// Where calls come from that no limit concerns.
    pub exempt: Vec<IpNet>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(1),
            address: 12_000,
            failed_auth: 60,
            user: 1_200,
            city: 120_000,
            credential: 60_000,
            federation: 0,
            tracked: 100_000,
            exempt: Vec::new(),
        }
    }
}

impl LimitSettings {
    /// Whether calls from this address are never limited.
    pub(crate) fn is_exempt(&self, address: IpAddr) -> bool {
        self.exempt.iter().any(|block| block.contains(&address))
    }
}
