//! The list of mounted services.

use downcity_types::{Items, ServiceInfo};

use crate::Registry;

/// The services that are not hidden, in order of registration.
///
/// Without `show_env` every list of env keys is empty: key names tell an attacker which providers
/// a Federation uses.
pub fn services(registry: &Registry, show_env: bool) -> Items<ServiceInfo> {
    let visible = registry.services().iter().filter(|service| !service.is_hidden());
    let items = visible.map(|service| ServiceInfo {
        id: service.id().to_owned(),
        name: service.name().to_owned(),
        env: if show_env { service.env().to_vec() } else { Vec::new() },
    });
    Items::all(items.collect())
}
