//! The env keys that a Federation needs, and which of them are set.

use downcity_types::{EnvRequirement, EnvRequirementState, EnvScope};

use crate::env::EnvValues;
use crate::{Registry, Snapshot};

/// One scope per service that declares env keys, in order of registration, then the scopes that are
/// computed, such as that of the models. Scopes without keys are left out.
pub fn env_catalog(registry: &Registry, snapshot: &Snapshot) -> Vec<EnvScope> {
    let values = snapshot.env();
    let services = registry.services();
    let own =
        services.iter().map(|service| scope(service.id(), service.name(), service.env(), values));
    let computed = services
        .iter()
        .flat_map(|service| &service.env_scopes)
        .map(|source| scope(source.id, source.name, &(source.requirements)(), values));
    own.chain(computed).filter(|scope| !scope.env.is_empty()).collect()
}

fn scope(id: &str, name: &str, env: &[EnvRequirement], values: &EnvValues) -> EnvScope {
    let env = env.iter().map(|requirement| state(requirement, values)).collect();
    EnvScope { id: id.to_owned(), name: name.to_owned(), env }
}

fn state(requirement: &EnvRequirement, values: &EnvValues) -> EnvRequirementState {
    let EnvRequirement { key, description, required } = requirement.clone();
    let value = values.get(&key);
    EnvRequirementState {
        key,
        description,
        required,
        configured: value.is_some(),
        value_preview: value.map(|value| value.preview()),
    }
}
