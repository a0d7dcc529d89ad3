//! The section `[accounts]`.

use std::collections::BTreeMap;

use downcity_types::Ttl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use downcity_core::is_loopback;

/// People and their sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AccountsConfig {
    /// How long a session and its token live, at most as long as `tokens.max_ttl` says.
    pub token_ttl: Ttl,
    /// Whether people prove that an e-mail address is theirs: `off`, `optional` (they are asked to,
    /// and may sign in before), or `required` (they sign in only afterwards; needs `mail.mode`).
    pub email_verification: EmailVerification,
    /// Whether people may register with an e-mail address and a password.
    pub registration: bool,
    /// Whether people may sign in with an e-mail address and a password.
    pub password_login: bool,
    /// The page of your product that a mailed verification link opens, with `{token}` in it. Without
    /// one the mail holds the token itself.
    pub verify_url: Option<String>,
    /// The page of your product that asks for a new password, with `{token}` in it. Without one the
    /// mail holds the token itself.
    pub reset_url: Option<String>,
    /// The page of your product that a mailed sign-in link opens, with `{token}` in it. Without one
    /// there are no sign-in links.
    pub magic_link_url: Option<String>,
    /// When people who come from a provider are asked whether they want to sign in: `elsewhere` (unless
    /// they come from the internet address that began the sign-in) or `always`.
    pub oauth_confirmation: OauthConfirmation,
    /// For each city the addresses to which a sign-in with a provider may return, letter by letter.
    pub return_urls: BTreeMap<String, Vec<String>>,
    /// Whether base URLs of providers may be `http:` where they lead to this machine; for tests.
    pub allow_loopback_http: bool,
    /// How long a provider may take for one answer, in milliseconds.
    pub provider_timeout_ms: u64,
}

/// When people who come from a provider are asked whether they want to sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OauthConfirmation {
    /// Unless they come from the internet address that began the sign-in.
    #[default]
    Elsewhere,
    /// Every time.
    Always,
}

/// Whether people prove that an e-mail address is theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmailVerification {
    /// Nobody is asked to.
    #[default]
    Off,
    /// They are asked to, and may sign in before.
    Optional,
    /// They sign in only afterwards.
    Required,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            #[expect(clippy::expect_used, reason = "seven days are within the bounds")]
            token_ttl: Ttl::from_seconds(7 * 86_400).expect("a ttl"),
            email_verification: EmailVerification::Off,
            registration: true,
            password_login: true,
            verify_url: None,
            reset_url: None,
            magic_link_url: None,
            oauth_confirmation: OauthConfirmation::Elsewhere,
            return_urls: BTreeMap::new(),
            allow_loopback_http: false,
            provider_timeout_ms: 10_000,
        }
    }
}

impl AccountsConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let urls = [
            ("verify_url", &self.verify_url),
            ("reset_url", &self.reset_url),
            ("magic_link_url", &self.magic_link_url),
        ];
        let wrong = |url: &String| {
            let is_web = url.starts_with("https://") || url.starts_with("http://");
            !is_web || !url.contains("{token}")
        };
        let returns = self.return_urls.values().flatten().filter(|url| !is_return_url(url));
        let returns = returns.map(|url| {
            ("return_urls", format!("{url:?} must be a web address, https or of this machine"))
        });
        let timeout = (!(50..=30_000).contains(&self.provider_timeout_ms))
            .then(|| ("provider_timeout_ms", "must be from 50 to 30000".to_owned()));
        urls.into_iter()
            .filter(|(_, url)| url.as_ref().is_some_and(wrong))
            .map(|(key, _)| (key, "must be a web address with {token} in it".to_owned()))
            .chain(returns)
            .chain(timeout)
            .collect()
    }
}

/// Whether a sign-in may return there: nobody between server and browser may send people elsewhere.
fn is_return_url(url: &str) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else { return false };
    let is_safe = match parsed.scheme() {
        "https" => parsed.has_host(),
        "http" => is_loopback(parsed.authority()),
        _ => false,
    };
    is_safe && parsed.username().is_empty() && url.bytes().all(|byte| byte.is_ascii_graphic())
}
