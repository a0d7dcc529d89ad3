//! The env vault: provider keys and secrets that the Federation keeps and applies at run time.
//!
//! The values stand in the table `env`, or in a `.env` file where [`EnvOptions`] say so; actions,
//! history and audit are the same for both. In the table they are sealed under a data key, which the
//! master key seals in turn (see [`Vault`]). A row that somebody writes by hand in the clear is
//! accepted and sealed at the next refresh. The process environment is asked only where it may stand
//! in for values that are not set.

mod backing;
mod city;
pub mod dotenv;
mod erase;
mod file;
mod follow;
mod history;
mod input;
mod master_key;
mod probe;
mod reads;
mod rekey;
mod service;
mod slot;
mod store;
mod values;
mod vault;

pub(crate) use backing::{Backing, Mark, is_given};
pub use backing::{EnvOptions, EnvStore};
pub(crate) use city::{CityValues, forget as forget_city};
pub(crate) use erase::{erase_clear_text, seal_copies};
#[cfg(test)]
pub(crate) use file::Document;
pub(crate) use follow::{look, watch};
pub(crate) use input::system_key_problem;
pub use master_key::{MasterKey, MasterKeySource};
pub use probe::{Candidate, EnvProbe, Probed};
pub(crate) use reads::{follow, uses};
pub use rekey::{Rekeyed, rekey};
pub use service::EnvService;
pub(crate) use service::change;
pub(crate) use slot::Slot;
pub(crate) use store::{Writer, lock, put, seal_clear_rows};
pub use values::{CityEnv, EnvOf, EnvValues};
pub use vault::Vault;
pub(crate) use vault::{NonceSeed, Place, Unreadable};

/// The admin key.
pub const ADMIN_KEY: &str = "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY";
/// The key that signs `user_token`s.
pub const SIGNING_KEY: &str = "DOWNCITY_FEDERATION_TOKEN_SIGNING_KEY";
/// The secret of the accounts service.
pub const AUTH_SECRET: &str = "BETTER_AUTH_SECRET";
/// The keys without which a Federation does not work: made by the first start, masked in lists,
/// and never blank.
pub const SYSTEM_KEYS: [&str; 3] = [ADMIN_KEY, SIGNING_KEY, AUTH_SECRET];

/// The names under which the admin key is known, the present one first.
const ADMIN_KEY_NAMES: [&str; 4] = [
    ADMIN_KEY,
    "DOWNCITY_CITY_ADMIN_SECRET_KEY",
    "DOWNCITY_INFRA_ADMIN_SECRET_KEY",
    "VISIBLEBASE_ADMIN_SECRET_KEY",
];
/// The same for the signing key.
const SIGNING_KEY_NAMES: [&str; 4] = [
    SIGNING_KEY,
    "DOWNCITY_CITY_TOKEN_SIGNING_KEY",
    "DOWNCITY_INFRA_TOKEN_SIGNING_KEY",
    "VISIBLEBASE_TOKEN_SIGNING_KEY",
];

/// The fewest characters of a system key that is set by hand.
pub const SYSTEM_KEY_MIN_CHARS: usize = 16;

/// The normalised form of a key: trimmed and in upper case. `None` when that does not match
/// `^[A-Z_][A-Z0-9_]*$`.
pub fn normalise_key(text: &str) -> Option<String> {
    let key = text.trim().to_ascii_uppercase();
    let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let first = key.bytes().next()?;
    (!first.is_ascii_digit() && key.bytes().all(legal)).then_some(key)
}

/// The names under which files and the process environment may hold a system key: its own, then
/// those of earlier generations. Empty for other keys.
pub fn names_of(key: &str) -> &'static [&'static str] {
    match key {
        ADMIN_KEY => &ADMIN_KEY_NAMES,
        SIGNING_KEY => &SIGNING_KEY_NAMES,
        AUTH_SECRET => &[AUTH_SECRET],
        _ => &[],
    }
}

/// The key that a caller means: a system key under each of its names. Otherwise scripts of an earlier
/// generation would replace nothing, and older names be a way around the rules for system keys.
pub(crate) fn meant(key: String) -> String {
    system_key(&key).map_or(key, str::to_owned)
}

/// The one of [`SYSTEM_KEYS`] that a key means, however it is written and under each of its names.
pub fn system_key(key: &str) -> Option<&'static str> {
    let key = normalise_key(key)?;
    SYSTEM_KEYS.into_iter().find(|own| names_of(own).contains(&key.as_str()))
}

/// Those of [`SYSTEM_KEYS`] that a `.env` text sets; none where it is refused as a whole.
pub fn system_keys_in(text: &str) -> Vec<&'static str> {
    let entries = dotenv::parse(text).unwrap_or_default();
    let set: Vec<&str> = entries.iter().filter_map(|entry| system_key(&entry.key)).collect();
    SYSTEM_KEYS.into_iter().filter(|own| set.contains(own)).collect()
}

/// Whether a normalised key is one of [`SYSTEM_KEYS`].
pub fn is_system_key(key: &str) -> bool {
    SYSTEM_KEYS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_trimmed_and_upper_cased_and_only_names_pass() {
        for (text, key) in [(" my_key ", "MY_KEY"), ("_", "_"), ("a1", "A1"), ("\tK\n", "K")] {
            assert_eq!(normalise_key(text).as_deref(), Some(key), "{text:?}");
        }
        for text in ["", "  ", "1A", "A-B", "A B", "A.B", "Ä", "A\0", "straße", "A="] {
            assert_eq!(normalise_key(text), None, "{text:?}");
        }
    }

    #[test]
    fn system_keys_are_known_under_each_of_their_names() {
        for name in ADMIN_KEY_NAMES {
            assert_eq!(system_key(&name.to_lowercase()), Some(ADMIN_KEY), "{name}");
        }
        assert_eq!(system_key("OPENAI_API_KEY"), None);
        let text = format!("A=1\nexport {} = x\nBETTER_AUTH_SECRET='y'\n", ADMIN_KEY_NAMES[1]);
        assert_eq!(system_keys_in(&text), [ADMIN_KEY, AUTH_SECRET]);
        assert!(system_keys_in("A=1\n# BETTER_AUTH_SECRET=x\n").is_empty());
    }
}
