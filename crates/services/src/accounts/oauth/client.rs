//! One provider's client: its credentials and where its endpoints are.

use downcity_core::{Error, Result, Secret};
use reqwest::Url;

use crate::http;

/// What a provider knows this Federation by.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    /// Takes the place of the host of the sign-in page.
    pub(super) base: Option<Url>,
    /// Takes the place of the host of the API.
    pub(super) api: Option<Url>,
}

impl Client {
    /// An endpoint of the sign-in host.
    pub(super) fn page(&self, host: &str, path: &str) -> Result<Url> {
        endpoint(self.base.as_ref(), host, path)
    }

    /// An endpoint of the API.
    pub(super) fn api(&self, host: &str, path: &str) -> Result<Url> {
        endpoint(self.api.as_ref(), host, path)
    }
}

/// The address of `path` at `base`, or else at `host`.
fn endpoint(base: Option<&Url>, host: &str, path: &str) -> Result<Url> {
    let base = base.map_or(host, Url::as_str).trim_end_matches('/');
    Url::parse(&format!("{base}{path}")).map_err(Error::internal)
}

/// The base URL of an env entry.
///
/// # Errors
/// 500 that names the entry to the trusted side.
pub(super) fn base_url(key: &str, text: &str, allow_loopback_http: bool) -> Result<Url> {
    let bad = |problem: &str| {
        let text = format!("{key} {problem}.");
        Error::missing_config(key).with_fix(text.clone()).with_source(text)
    };
    let url = http::base_url(text, allow_loopback_http).map_err(bad)?;
    Url::parse(&url).map_err(|_| bad("is no address of the web"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_below_their_base() {
        let base = base_url("X", "https://ghe.example.com/api/v3/", false).ok();
        let url = endpoint(base.as_ref(), "https://api.github.com", "/user").unwrap();
        assert_eq!(url.as_str(), "https://ghe.example.com/api/v3/user");
        let url = endpoint(None, "https://api.github.com", "/user").unwrap();
        assert_eq!(url.as_str(), "https://api.github.com/user");
    }
}
