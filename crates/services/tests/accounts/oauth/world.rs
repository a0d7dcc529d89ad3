//! A Federation with all three providers, which answer what a test says.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use downcity_core::token::digest;
use downcity_services::accounts::OauthConfirmation;
use downcity_services::{AccountsConfig, EmailVerification, MailConfig, MailMode};
use downcity_testkit::{Answer, Client, MockUpstream, TestApp, TestAppBuilder, TestReply};
use http::Method;
use serde_json::{Value, json};

use crate::common::{text, with};

pub(crate) const HERE: &str = "203.0.113.7";
pub(crate) const ELSEWHERE: &str = "198.51.100.9";
pub(crate) const RETURN_URL: &str = "https://app.example.com/signed-in?from=oauth";
const CALLBACK: &str = "https://fed.test/v1/accounts/oauth/callback";

/// The service as a Federation has it that is reached at `https://fed.test`.
pub(crate) fn oauth(builder: TestAppBuilder) -> TestAppBuilder {
    with_config(builder, |_| ())
}

/// The same, asking everybody.
pub(crate) fn oauth_asking(builder: TestAppBuilder) -> TestAppBuilder {
    with_config(builder, |config| config.oauth_confirmation = OauthConfirmation::Always)
}

/// The same, without patience.
pub(crate) fn oauth_hasty(builder: TestAppBuilder) -> TestAppBuilder {
    with_config(builder, |config| config.provider_timeout_ms = 100)
}

/// The same, where addresses have to be verified.
pub(crate) fn oauth_verified(builder: TestAppBuilder) -> TestAppBuilder {
    let mail = MailConfig { mode: MailMode::Development, ..MailConfig::default() };
    let required = EmailVerification::Required;
    with_mail(builder, mail, |config| config.email_verification = required)
}

pub(crate) fn with_config(
    builder: TestAppBuilder,
    change: impl FnOnce(&mut AccountsConfig),
) -> TestAppBuilder {
    with_mail(builder, MailConfig::default(), change)
}

fn with_mail(
    builder: TestAppBuilder,
    mail: MailConfig,
    change: impl FnOnce(&mut AccountsConfig),
) -> TestAppBuilder {
    let mut config = AccountsConfig {
        allow_loopback_http: true,
        return_urls: [("shop".to_owned(), vec![RETURN_URL.to_owned()])].into(),
        ..AccountsConfig::default()
    };
    change(&mut config);
    let public_url = Some("https://fed.test/".to_owned());
    let builder = builder.settings(|settings| settings.public_url = public_url);
    with(builder, config, mail)
}

/// The Federation, and the provider that answers it.
pub(crate) struct World<'a> {
    pub(crate) app: &'a TestApp,
    pub(crate) provider: MockUpstream,
}

/// A sign-in that has begun.
pub(crate) struct Begun {
    pub(crate) answer: Value,
    /// The query of the provider's page.
    pub(crate) query: Vec<(String, String)>,
}

impl Begun {
    /// A field of the provider's page.
    #[track_caller]
    pub(crate) fn sent(&self, name: &str) -> &str {
        let field = self.query.iter().find(|(field, _)| field == name);
        &field.unwrap_or_else(|| panic!("no {name} in {:?}", self.query)).1
    }

    pub(crate) fn handle(&self) -> &str {
        text(&self.answer, "state")
    }
}

impl<'a> World<'a> {
    pub(crate) async fn new(app: &'a TestApp) -> Self {
        app.create_city("shop").await;
        let provider = MockUpstream::start().await;
        let mut env = String::new();
        for name in ["GITHUB", "GOOGLE", "WECHAT"] {
            env.push_str(&format!("{name}_CLIENT_ID=id-of-{name}\n{name}_CLIENT_SECRET=s&cr+t\n"));
            for base in ["BASE_URL", "API_BASE_URL"] {
                env.push_str(&format!("{name}_{base}={}\n", provider.url()));
            }
        }
        app.admin().post("/v1/env/import", json!({"raw": env})).await.expect(200);
        Self { app, provider }
    }

    pub(crate) fn at(&self, address: &str) -> Client {
        self.app.guest().at(address.parse::<IpAddr>().unwrap())
    }

    pub(crate) async fn start(&self, provider: &str) -> Begun {
        let input = json!({"provider": provider, "city_id": "shop"});
        begun(self.at(HERE).post("/v1/accounts/oauth/start", input).await.expect(200))
    }

    /// Scripts what the provider says of somebody.
    pub(crate) fn says(&self, provider: &str, user: Value) {
        let token = match provider {
            "wechat" => json!({
                "access_token": "at", "expires_in": 7200, "refresh_token": "rt",
                "openid": user["openid"], "scope": "snsapi_login", "unionid": user["unionid"],
            }),
            _ => json!({"access_token": "at", "token_type": "bearer", "scope": "x"}),
        };
        self.provider.then(Answer::json(200, &token));
        let (emails, mut user) = (user.get("emails").cloned(), user);
        if let Some(user) = user.as_object_mut() {
            user.remove("emails");
        }
        self.provider.then(Answer::json(200, &user));
        if provider == "github" {
            let emails = emails.unwrap_or_else(|| json!([]));
            self.provider.then(Answer::json(200, &emails));
        }
    }

    /// The browser comes back from the provider.
    pub(crate) async fn back(&self, begun: &Begun, address: &str) -> TestReply {
        let state = begun.sent("state");
        self.at(address).get(&format!("/v1/accounts/oauth/callback?state={state}&code=c-1")).await
    }

    pub(crate) async fn result(&self, begun: &Begun) -> TestReply {
        self.at(HERE).get(&format!("/v1/accounts/oauth/result?state={}", begun.handle())).await
    }

    /// A whole sign-in from one machine.
    pub(crate) async fn sign_in(&self, provider: &str, user: Value) -> Value {
        let begun = self.start(provider).await;
        self.says(provider, user);
        let page = self.back(&begun, HERE).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains("<title>Login Successful</title>"), "{}", page.text());
        self.result(&begun).await.expect(200)
    }

    /// What the account of this answer looks like.
    pub(crate) async fn profile(&self, signed_in: &Value) -> Value {
        let me = self.app.user(text(signed_in, "user_token")).get("/v1/accounts/me").await;
        me.expect(200)["profile"].clone()
    }

    /// A sign-in that the callback refuses, with this status and text.
    pub(crate) async fn refused(&self, provider: &str, user: Value, status: u16, said: &str) {
        let begun = self.start(provider).await;
        self.says(provider, user);
        let page = self.back(&begun, HERE).await;
        failed(&page, status, said);
        self.result(&begun).await.expect_error(404, "not_found");
    }

    /// The form fields of the question that a browser sends, with its cookie.
    pub(crate) async fn answer(
        &self,
        page: &TestReply,
        decision: &str,
        address: &str,
    ) -> TestReply {
        let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        self.answer_with(&secret_of(page), decision, address, Some(&cookie)).await
    }

    pub(crate) async fn answer_with(
        &self,
        secret: &str,
        decision: &str,
        address: &str,
        cookie: Option<&str>,
    ) -> TestReply {
        let mut client =
            self.at(address).with_header("content-type", "application/x-www-form-urlencoded");
        if let Some(cookie) = cookie {
            client = client.with_header("cookie", cookie);
        }
        let form = format!("confirmation={secret}&decision={decision}");
        client.send(Method::POST, "/v1/accounts/oauth/confirm", form.into()).await
    }
}

/// The secret in the form of a page that asks.
pub(crate) fn secret_of(page: &TestReply) -> String {
    let page = page.text();
    let (_, rest) = page.split_once("name=\"confirmation\" value=\"").expect("a form");
    rest.split('"').next().unwrap().to_owned()
}

pub(crate) fn begun(answer: Value) -> Begun {
    let (_, query) = text(&answer, "url").split_once('?').unwrap();
    let query = query.split('#').next().unwrap();
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Begun { answer, query }
}

/// Asserts the page of a failure.
#[track_caller]
pub(crate) fn failed(page: &TestReply, status: u16, said: &str) {
    let html = page.text();
    assert_eq!(page.status.as_u16(), status, "{html}");
    assert!(html.contains("<title>Login Failed</title>") && html.contains(said), "{html}");
    guarded(page);
}

/// Asserts what keeps a page safe.
#[track_caller]
pub(crate) fn guarded(page: &TestReply) {
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
}

/// What the mock of a provider checks: the verifier is the one of the challenge (RFC 7636 §4.6).
#[track_caller]
pub(crate) fn check_pkce(begun: &Begun, verifier: &str) {
    assert_eq!(begun.sent("code_challenge_method"), "S256");
    assert!((43..=128).contains(&verifier.len()));
    let challenge = URL_SAFE_NO_PAD.encode(digest(verifier.as_bytes()));
    assert_eq!(begun.sent("code_challenge"), challenge);
}

pub(crate) fn callback() -> &'static str {
    CALLBACK
}
