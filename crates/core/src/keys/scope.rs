//! Which actions a service key covers.

use downcity_types::ErrorCode;

use super::SERVICE_ID;
use crate::{Action, Error, Registry, Result, backup};

/// The services that `*` leaves out: secrets, and copies of everything.
const NAMED: [&str; 2] = ["env", backup::SERVICE_ID];

/// Most actions of one key.
const ACTIONS_MAX: usize = 100;
/// Most cities of one key.
const CITIES_MAX: usize = 100;
/// Longest pattern that is looked at, in bytes.
const PATTERN_MAX_LEN: usize = 200;

/// One entry of a key's actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActionPattern {
    /// `*`: every action but those of `env` and `backup`, and those that have to be named.
    All,
    /// `service/*`: but those that have to be named.
    Service(Box<str>),
    /// `service/action`.
    Action {
        /// The id of the service.
        service: Box<str>,
        /// The id of the action, which may hold slashes.
        action: Box<str>,
    },
}

impl ActionPattern {
    /// Reads any text; one that is no pattern covers nothing.
    pub(crate) fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        match text.split_once('/').unwrap_or((text, "")) {
            (service, "*") => Self::Service(service.into()),
            (service, action) => Self::Action { service: service.into(), action: action.into() },
        }
    }

    /// Whether the action is one of those meant.
    pub(crate) fn covers(&self, action: &Action) -> bool {
        match self {
            Self::All => !NAMED.contains(&action.service_id()) && !action.is_named(),
            Self::Service(service) => action.service_id() == &**service && !action.is_named(),
            Self::Action { service, action: id } => {
                action.service_id() == &**service && action.id() == &**id
            }
        }
    }
}

/// The actions of a new key: trimmed, each once, each known.
///
/// # Errors
/// 400 that names the entry at fault and the known one nearest to it.
pub(super) fn check_actions(registry: &Registry, asked: &[String]) -> Result<Vec<String>> {
    if asked.is_empty() {
        return Err(Error::invalid("actions", "must name at least one action"));
    }
    if asked.len() > ACTIONS_MAX {
        return Err(Error::invalid(
            "actions",
            format!("must have at most {ACTIONS_MAX} entries; \"service/*\" covers a service"),
        ));
    }
    let mut actions: Vec<String> = Vec::with_capacity(asked.len());
    for (index, text) in asked.iter().enumerate() {
        let text = text.trim();
        check_action(registry, text)
            .map_err(|problem| Error::invalid(format!("actions[{index}]"), problem))?;
        if actions.iter().all(|known| known != text) {
            actions.push(text.to_owned());
        }
    }
    Ok(actions)
}

fn check_action(registry: &Registry, text: &str) -> Result<(), String> {
    let pattern = ActionPattern::parse(text);
    if let ActionPattern::Service(service) | ActionPattern::Action { service, .. } = &pattern
        && &**service == SERVICE_ID
    {
        return Err("service keys are managed with the admin key only".to_owned());
    }
    if pattern == ActionPattern::All || registry.actions().any(|action| pattern.covers(action)) {
        return Ok(());
    }
    if text.len() > PATTERN_MAX_LEN {
        return Err(format!("must have at most {PATTERN_MAX_LEN} bytes"));
    }
    let near = nearest(registry, text);
    Err(format!("{text:?} is no known action; did you mean {near:?}?"))
}

/// The pattern of a known action or service that is most like this text.
fn nearest(registry: &Registry, text: &str) -> String {
    let services = registry.services().iter().filter(|service| service.id() != SERVICE_ID);
    let patterns = services.flat_map(|service| {
        let own = service.actions().iter();
        own.map(|action| format!("{}/{}", service.id(), action.id()))
            .chain([format!("{}/*", service.id())])
    });
    let distance = |pattern: &String| strsim::damerau_levenshtein(pattern, text);
    patterns.min_by_key(distance).unwrap_or_else(|| "*".to_owned())
}

/// The cities of a new key: trimmed, each once. Whether they exist is for the transaction to say.
///
/// # Errors
/// 400 that names the entry at fault; 404 for an id that no city can have.
pub(super) fn check_cities(asked: &[String]) -> Result<Vec<String>> {
    if asked.len() > CITIES_MAX {
        let message = format!("must have at most {CITIES_MAX} entries; none means all cities");
        return Err(Error::invalid("cities", message));
    }
    let mut cities: Vec<String> = Vec::with_capacity(asked.len());
    for (index, city_id) in asked.iter().enumerate() {
        let city_id = city_id.trim();
        if city_id.is_empty() {
            return Err(Error::invalid(format!("cities[{index}]"), "must not be empty"));
        }
        // No stored text has one, and the database takes none as a parameter.
        if city_id.contains('\0') {
            return Err(unknown_city(index, city_id));
        }
        if cities.iter().all(|known| known != city_id) {
            cities.push(city_id.to_owned());
        }
    }
    Ok(cities)
}

/// A 404 for a city that does not exist.
pub(super) fn unknown_city(index: usize, city_id: &str) -> Error {
    Error::new(ErrorCode::CityNotFound, format!("No city has the id {city_id:?}."))
        .with_field(format!("cities[{index}]"), "is not the id of a city")
        .with_fix("GET /v1/cities/list lists the cities, POST /v1/cities/create makes one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        Registry::builder().build().unwrap()
    }

    fn covered(pattern: &str) -> Vec<String> {
        let pattern = ActionPattern::parse(pattern);
        let registry = registry();
        let actions = registry.actions().filter(|action| pattern.covers(action));
        actions.map(|action| format!("{}/{}", action.service_id(), action.id())).collect()
    }

    #[test]
    fn a_pattern_is_an_action_a_service_or_all() {
        assert_eq!(covered("cities/tokens/apply"), ["cities/tokens/apply"]);
        assert!(covered("cities/*").len() > 5);
        assert!(covered("cities/*").iter().all(|name| name.starts_with("cities/")));
        let all = covered("*");
        assert!(all.contains(&"system/health".to_owned()));
        assert!(all.iter().all(|name| !name.starts_with("env/")));
        assert!(covered("env/*").contains(&"env/list".to_owned()));
        for nothing in [
            "",
            "cities",
            "cities/",
            "*/*",
            "*/list",
            "/list",
            "cities/tokens/*",
            "Cities/list",
            "cities/list ",
        ] {
            assert!(covered(nothing).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn unknown_entries_are_named_with_the_nearest_known() {
        let check = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|&text| text.to_owned()).collect();
            check_actions(&registry(), &asked)
                .map_err(|error| (error.details()[0].path.clone(), error.message().to_owned()))
        };
        assert_eq!(check(&[" * ", "env/*", "*"]).unwrap(), ["*", "env/*"]);
        for (text, near) in [
            ("cites/list", "cities/list"),
            ("cities/token/apply", "cities/tokens/apply"),
            ("city/*", "cities/*"),
            ("env", "env/*"),
            ("", "env/*"),
        ] {
            let (path, message) = check(&["cities/list", text]).unwrap_err();
            assert_eq!(path, "actions[1]");
            assert!(message.ends_with(&format!("did you mean {near:?}?")), "{message}");
        }
        for text in ["keys/*", "keys/list", "keys/anything", "keys"] {
            assert!(check(&[text]).unwrap_err().1.contains("admin key"), "{text}");
        }
        assert_eq!(check(&[]).unwrap_err().0, "actions");
        assert_eq!(check(&["*"; 101]).unwrap_err().0, "actions");
        let long = format!("cities/{}", "x".repeat(1_000_000));
        assert!(check(&[&long]).unwrap_err().1.len() < 100);
    }
}
