//! The providers, and what their env keys say.

use downcity_core::{Call, Error, Result, Secret};
use downcity_types::ErrorCode;
use serde::{Deserialize, Serialize};

use super::client::{Client, base_url};

/// Who proves that people are who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    /// An OAuth app of GitHub, or of a GitHub Enterprise Server.
    Github,
    /// An OAuth client of the type "Web application".
    Google,
    /// A website app of the WeChat Open Platform.
    Wechat,
}

/// The env keys of a provider.
struct Keys {
    client_id: &'static str,
    client_secret: &'static str,
    base: &'static str,
    api: &'static str,
}

impl Provider {
    /// Every provider, in the order of `providers`.
    pub(crate) const ALL: [Self; 3] = [Self::Github, Self::Google, Self::Wechat];

    /// The provider of this id.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.id() == id)
    }

    /// The id, on the wire and in tables.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Google => "google",
            Self::Wechat => "wechat",
        }
    }

    /// The name that people know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Github => "GitHub",
            Self::Google => "Google",
            Self::Wechat => "WeChat",
        }
    }

    /// Whether the provider checks a PKCE verifier (RFC 7636).
    pub(super) fn has_pkce(self) -> bool {
        !matches!(self, Self::Wechat)
    }

    fn keys(self) -> Keys {
        match self {
            Self::Github => Keys {
                client_id: "GITHUB_CLIENT_ID",
                client_secret: "GITHUB_CLIENT_SECRET",
                base: "GITHUB_BASE_URL",
                api: "GITHUB_API_BASE_URL",
            },
            Self::Google => Keys {
                client_id: "GOOGLE_CLIENT_ID",
                client_secret: "GOOGLE_CLIENT_SECRET",
                base: "GOOGLE_BASE_URL",
                api: "GOOGLE_API_BASE_URL",
            },
            Self::Wechat => Keys {
                client_id: "WECHAT_CLIENT_ID",
                client_secret: "WECHAT_CLIENT_SECRET",
                base: "WECHAT_BASE_URL",
                api: "WECHAT_API_BASE_URL",
            },
        }
    }

    /// The env keys with their descriptions.
    pub(super) fn env(self) -> [(&'static str, &'static str); 4] {
        let keys = self.keys();
        let (id, secret, base, api) = match self {
            Self::Github => (
                "The client id of the GitHub OAuth app.",
                "A client secret of the GitHub OAuth app.",
                "Where GitHub is, in place of https://github.com.",
                "Where GitHub's API is, in place of https://api.github.com.",
            ),
            Self::Google => (
                "The client id of the Google OAuth client.",
                "The client secret of the Google OAuth client.",
                "Where Google's sign-in page is, in place of https://accounts.google.com.",
                "Where Google's token and userinfo endpoints are, in place of their own hosts.",
            ),
            Self::Wechat => (
                "The AppID of the WeChat website app.",
                "The AppSecret of the WeChat website app.",
                "Where WeChat's sign-in page is, in place of https://open.weixin.qq.com.",
                "Where WeChat's API is, in place of https://api.weixin.qq.com.",
            ),
        };
        [(keys.client_id, id), (keys.client_secret, secret), (keys.base, base), (keys.api, api)]
    }

    /// Whether both keys of the provider are set.
    pub(crate) fn is_configured(self, call: &Call) -> bool {
        self.credentials(call).is_some()
    }

    fn credentials(self, call: &Call) -> Option<(Secret, Secret)> {
        let keys = self.keys();
        call.env(keys.client_id).zip(call.env(keys.client_secret))
    }

    /// The provider as it is configured now.
    ///
    /// # Errors
    /// 400 when its keys are not set, 500 for a base URL that may not be used.
    pub(super) fn client(self, call: &Call, allow_loopback_http: bool) -> Result<Client> {
        let keys = self.keys();
        let (client_id, client_secret) = self.credentials(call).ok_or_else(|| {
            Error::new(ErrorCode::InvalidInput, "provider not configured")
                .with_field("provider", "is not configured here; see GET /v1/accounts/providers")
        })?;
        let base = |key: &str| {
            call.env(key).map(|url| base_url(key, url.expose(), allow_loopback_http)).transpose()
        };
        let (base, api) = (base(keys.base)?, base(keys.api)?);
        Ok(Client { client_id: client_id.expose().to_owned(), client_secret, base, api })
    }
}
