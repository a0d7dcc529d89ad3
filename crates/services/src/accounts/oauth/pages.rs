//! The pages that people see. They load nothing, run nothing, and are never stored or framed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_core::token::digest;
use downcity_core::{Error, Reply};
use downcity_types::ErrorCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use reqwest::Url;

use super::person::Person;
use super::provider::Provider;
use super::resolve::Refusal;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:26rem;\
padding:0 1rem;color:#222;background:#fff}code{font-size:1.6rem;letter-spacing:.1em}\
button{font:inherit;padding:.5rem 1.2rem;margin-right:.5rem}";

/// Why somebody sees the page of a failure.
#[derive(Debug)]
pub(super) enum Failure {
    /// The address has no state or no code.
    Missing,
    /// The state is of no flow, or was used before.
    Unknown,
    /// The provider says that the person did not agree.
    Denied(Provider),
    /// The provider did not take the code.
    BadCode(Provider),
    /// The provider did not answer as it should.
    Provider(Provider),
    /// The city has gone or was paused.
    NoCity,
    /// A form that no page of ours sends, was sent before, or comes from another browser.
    Form,
    /// The person does not want to.
    Cancelled,
    /// The account cannot be used.
    Refused(Refusal),
    /// Something of ours.
    Ours(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // A flow that ended in the middle is like one that was never there.
        if error.code() == ErrorCode::NotFound { Self::Unknown } else { Self::Ours(error) }
    }
}

impl Failure {
    /// The page that says so.
    pub(super) fn page(&self) -> Reply {
        page("Login Failed", &format!("<p>{}</p>", escaped(&self.text())))
            .with_status(self.status())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Cancelled => StatusCode::OK,
            Self::Provider(_) => StatusCode::BAD_GATEWAY,
            Self::Ours(error) => error.status(),
            _ => StatusCode::BAD_REQUEST,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Missing => "Missing state or code.".to_owned(),
            Self::Unknown => "OAuth state expired or invalid. Start again in the app.".to_owned(),
            Self::Denied(provider) => {
                format!("{} did not sign you in: access was not granted.", provider.name())
            }
            Self::BadCode(provider) => {
                format!("{} did not accept the sign-in. Start again in the app.", provider.name())
            }
            Self::Provider(provider) => {
                format!("{} could not be reached or refused. Try again later.", provider.name())
            }
            Self::NoCity => "The app that you signed in to is not available.".to_owned(),
            Self::Form => {
                "This page is no longer valid. Start again in the app, in this browser.".to_owned()
            }
            Self::Cancelled => "You did not sign in. This page can be closed.".to_owned(),
            Self::Refused(refusal) => refusal_text(*refusal).to_owned(),
            Self::Ours(_) => "Something went wrong. Try again later.".to_owned(),
        }
    }
}

fn refusal_text(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::AddressInUse => {
            "An account with your e-mail address exists already. Sign in to it, then link this \
             provider to it."
        }
        Refusal::LinkedElsewhere => "This login belongs to another account already.",
        Refusal::TooMany => "Your account has as many logins as it may have. Remove one first.",
        Refusal::Disabled => "This account is disabled.",
        Refusal::AccountGone => "The account no longer exists.",
    }
}

/// The page that tells people to go back.
pub(super) fn success(city: &str, provider: Provider, is_link: bool) -> Reply {
    let provider = provider.name();
    let city = escaped(city);
    let text = if is_link {
        format!("{provider} is now a way to sign in to your account.")
    } else {
        format!("You signed in to <b>{city}</b> with {provider}.")
    };
    page("Login Successful", &format!("<p>{text}</p><p>This page can be closed.</p>"))
}

/// A redirect to the product's own page; its address is added by the caller.
pub(super) fn redirect() -> Reply {
    guarded(Reply::new(StatusCode::SEE_OTHER), "")
}

/// The page that asks whether somebody wants to sign in.
pub(super) struct Confirmation<'a> {
    pub(super) city: &'a str,
    pub(super) provider: Provider,
    pub(super) person: &'a Person,
    /// The address of the account that a login is to be added to.
    pub(super) account: Option<&'a str>,
    pub(super) user_code: &'a str,
    pub(super) form_secret: &'a str,
    pub(super) return_url: Option<&'a str>,
}

impl Confirmation<'_> {
    pub(super) fn render(&self) -> Reply {
        let provider = self.provider.name();
        let named = [self.person.email.as_deref(), self.person.name.as_deref()];
        let who = named.into_iter().flatten().next().unwrap_or("this person");
        let (city, who) = (escaped(self.city), escaped(who));
        let (verb, question) = match self.account {
            Some(account) => (
                "Link",
                format!(
                    "Add {provider} ({who}) as a way to sign in to the account <b>{}</b> of \
                     <b>{city}</b>?",
                    escaped(account)
                ),
            ),
            None => ("Sign in", format!("Sign in to <b>{city}</b> as {who} with {provider}?")),
        };
        let body = format!(
            "<p>{question}</p><p>The app where you started shows this code:</p>\
             <p><code>{code}</code></p>\
             <p>Do you see another code, none, or did somebody else send you here? Then cancel: it \
             would sign them in as you.</p>\
             <form method=\"post\" action=\"/v1/accounts/oauth/confirm\">\
             <input type=\"hidden\" name=\"confirmation\" value=\"{secret}\">\
             <button name=\"decision\" value=\"confirm\">{verb}</button>\
             <button name=\"decision\" value=\"cancel\">Cancel</button></form>",
            code = escaped(self.user_code),
            secret = escaped(self.form_secret),
        );
        let reply = page("Confirm Login", &body);
        // A form may lead only where its policy says, redirects included.
        let origin = self.return_url.and_then(|url| Url::parse(url).ok());
        match origin {
            Some(url) => guarded(reply, &format!(" {}", url.origin().ascii_serialization())),
            None => guarded(reply, ""),
        }
    }
}

fn page(title: &str, body: &str) -> Reply {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"
    );
    guarded(Reply::typed(HeaderValue::from_static("text/html; charset=utf-8"), html), "")
}

/// Adds what keeps a page from being stored, framed, or from loading anything. `leads_to` adds origins
/// to which its form may lead.
fn guarded(reply: Reply, leads_to: &str) -> Reply {
    let style = STANDARD.encode(digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'{leads_to}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    // Hashes and origins are ASCII; without a policy of ours the page still holds no scripts.
    let policy =
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let fixed: [(HeaderName, &'static str); 4] = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let reply = reply.with_header(CONTENT_SECURITY_POLICY, policy);
    fixed.into_iter().fold(reply, |reply, (name, value)| {
        reply.with_header(name, HeaderValue::from_static(value))
    })
}

/// Text as it stands in HTML, also inside quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // Marks that turn the order of text around could make one name look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => html.push('\u{fffd}'),
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text() {
        assert_eq!(
            escaped("<b a=\"1\" b='2'>&amp;"),
            "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;"
        );
        assert_eq!(escaped("a\u{202e}b\nc é 安"), "a\u{fffd}b c é 安");
    }
}
