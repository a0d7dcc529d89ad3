//! The section `[payment]`.

use downcity_types::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether real money moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PaymentMode {
    /// It does. Events of the providers' test modes are refused.
    #[default]
    Live,
    /// It does not. Only test keys are used, and only events of test modes are taken.
    Test,
}

/// What becomes of money for a top-up that is not pending any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PaidTwice {
    /// It is credited by a further top-up.
    #[default]
    Credit,
    /// The payment waits for an administrator.
    Review,
}

/// How users buy credits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PaymentConfig {
    /// `live`, or `test` for trying with the providers' test keys. Keys, addresses and events of the
    /// other mode are refused.
    pub mode: PaymentMode,
    /// Whether the address of a provider's API may be `http` to this machine, for tests.
    pub allow_loopback_http: bool,
    /// How long a provider may take to open a checkout.
    pub request_timeout: Span,
    /// How far the time of a signed webhook may be from the server's.
    pub signature_tolerance: Span,
    /// `credit`: what is paid for a top-up that is paid already is credited too; `review`: it waits
    /// for an administrator.
    pub paid_twice: PaidTwice,
    /// How long the bodies of webhooks are kept; they hold data of buyers.
    pub keep_payloads: Span,
    /// Currencies besides `usd`, of which 100 cents buy a credit.
    pub currency: Vec<CurrencyConfig>,
    /// Where checkouts may lead back to, per city, besides the pages of this server.
    pub redirect: Vec<RedirectConfig>,
}

/// A currency in which credits are sold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurrencyConfig {
    /// ISO 4217, such as `eur`.
    pub code: String,
    /// Digits behind the point: 2 for `eur`, 0 for `jpy`.
    pub digits: u32,
    /// What a credit costs, in the smallest unit of the currency.
    pub minor_per_credit: u32,
}

/// Where checkouts of a city may lead back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RedirectConfig {
    /// The city.
    pub city_id: String,
    /// Origins such as `https://app.example.com`; any page of them is allowed.
    pub origins: Vec<String>,
}

impl Default for PaymentConfig {
    fn default() -> Self {
        Self {
            mode: PaymentMode::Live,
            allow_loopback_http: false,
            request_timeout: Span::seconds(15),
            signature_tolerance: Span::seconds(300),
            paid_twice: PaidTwice::Credit,
            keep_payloads: Span::seconds(90 * 86_400),
            currency: Vec::new(),
            redirect: Vec::new(),
        }
    }
}

impl PaymentConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        for currency in &self.currency {
            let code = &currency.code;
            if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_lowercase()) {
                wrong.push(("currency", format!("{code:?} must be three lower-case letters")));
            }
            if code == "usd" || self.currency.iter().filter(|other| other.code == *code).count() > 1
            {
                wrong.push(("currency", format!("{code} stands here twice, or by itself already")));
            }
            if currency.digits > 3 || currency.minor_per_credit == 0 {
                let range = "digits are 0 to 3, and a credit costs at least 1";
                wrong.push(("currency", format!("{code}: {range}")));
            }
        }
        for origin in self.redirect.iter().flat_map(|redirect| &redirect.origins) {
            if origin_of(origin).as_deref() != Some(origin.as_str()) {
                let form = "must be an origin such as https://app.example.com";
                wrong.push(("redirect", format!("{origin:?} {form}")));
            }
        }
        wrong
    }

    /// Whether real money moves.
    pub(crate) fn is_live(&self) -> bool {
        self.mode == PaymentMode::Live
    }

    /// Whether a checkout of a city may lead back to this address.
    pub(crate) fn may_lead_to(&self, city_id: &str, url: &str) -> bool {
        let Some(origin) = origin_of(url) else { return false };
        self.redirect
            .iter()
            .filter(|redirect| redirect.city_id == city_id)
            .any(|redirect| redirect.origins.contains(&origin))
    }
}

/// Scheme, host and port of a web address.
fn origin_of(url: &str) -> Option<String> {
    let url: reqwest::Url = url.parse().ok()?;
    let is_web = matches!(url.scheme(), "http" | "https");
    let is_plain = url.username().is_empty() && url.password().is_none();
    (is_web && is_plain).then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirecting(origin: &str) -> PaymentConfig {
        let redirect =
            vec![RedirectConfig { city_id: "shop".to_owned(), origins: vec![origin.to_owned()] }];
        PaymentConfig { redirect, ..PaymentConfig::default() }
    }

    #[test]
    fn checkouts_lead_back_to_the_origins_of_their_city_alone() {
        let config = redirecting("https://app.example.com");
        assert_eq!(config.validate(), []);
        for (city_id, url, is_allowed) in [
            ("shop", "https://app.example.com/done?x=1", true),
            ("shop", "https://app.example.com:443/", true),
            ("other", "https://app.example.com/done", false),
            ("shop", "http://app.example.com/done", false),
            ("shop", "https://app.example.com.evil.com/", false),
            ("shop", "https://app.example.com@evil.com/", false),
            ("shop", "https://evil.com/https://app.example.com", false),
            ("shop", "javascript:alert(1)", false),
            ("shop", "", false),
        ] {
            assert_eq!(config.may_lead_to(city_id, url), is_allowed, "{city_id} {url}");
        }
        for origin in ["https://app.example.com/", "app.example.com", "https://a.example/path"] {
            assert_eq!(redirecting(origin).validate().len(), 1, "{origin}");
        }
    }

    #[test]
    fn a_currency_has_a_code_digits_and_a_price() {
        let with = |code: &str, digits, minor_per_credit| {
            let currency = CurrencyConfig { code: code.to_owned(), digits, minor_per_credit };
            PaymentConfig { currency: vec![currency], ..PaymentConfig::default() }.validate().len()
        };
        assert_eq!(with("eur", 2, 92), 0);
        assert_eq!(with("jpy", 0, 150), 0);
        assert_eq!([with("EUR", 2, 92), with("euro", 2, 92), with("usd", 2, 100)], [1, 1, 1]);
        assert_eq!([with("eur", 4, 92), with("eur", 2, 0)], [1, 1]);
    }
}
