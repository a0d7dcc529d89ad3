//! GitHub: <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>.

use downcity_core::{Error, Result, Secret};
use reqwest::Url;
use serde_json::{Value, json};

use super::client::Client;
use super::exchange::{Fault, Grant, Http, access_token};
use super::person::{Person, flag, text};
use super::provider::Provider;
use super::start::Going;

const PAGES: &str = "https://github.com";
const API: &str = "https://api.github.com";

/// Where people are sent.
pub(super) fn page(client: &Client, going: &Going<'_>) -> Result<Url> {
    let mut url = client.page(PAGES, "/login/oauth/authorize")?;
    let mut query = url.query_pairs_mut();
    query
        .append_pair("client_id", &client.client_id)
        .append_pair("redirect_uri", going.redirect_uri)
        .append_pair("state", going.state)
        .append_pair("scope", "read:user,user:email");
    if let Some(challenge) = going.challenge {
        query.append_pair("code_challenge", challenge).append_pair("code_challenge_method", "S256");
    }
    drop(query);
    Ok(url)
}

/// Asks who somebody is.
pub(super) async fn person(
    client: &Client,
    http: &Http,
    grant: &Grant<'_>,
) -> Result<Person, Fault> {
    let url = client.page(PAGES, "/login/oauth/access_token")?;
    let body = json!({
        "client_id": client.client_id,
        "client_secret": client.client_secret.expose(),
        "code": grant.code,
        "redirect_uri": grant.redirect_uri,
        "code_verifier": grant.verifier,
    });
    let token = access_token(&http.post(url).json(&body).send().await?)?;
    let user = ask(client, http, &token, "/user").await?.success()?;
    let emails = ask(client, http, &token, "/user/emails").await?;
    // An app without the permission still says who somebody is.
    let emails = match emails.status.as_u16() {
        401 | 403 | 404 => Value::Null,
        _ => emails.success()?,
    };
    read(&user, &emails).ok_or_else(|| Fault::Upstream("a user without an id".to_owned()))
}

async fn ask(
    client: &Client,
    http: &Http,
    token: &Secret,
    path: &str,
) -> Result<super::exchange::Answer, Fault> {
    let url: Result<Url, Error> = client.api(API, path);
    http.get(url?).bearer(token)?.send().await
}

/// The person of `/user`, and of `/user/emails` where that could be read.
fn read(user: &Value, emails: &Value) -> Option<Person> {
    let id = user.get("id").and_then(Value::as_u64)?;
    let entries = emails.as_array().map(Vec::as_slice).unwrap_or_default();
    let public = text(user, "email");
    let entry = match public {
        // What a profile shows says nothing about whether it was verified: the list does.
        Some(public) => entries.iter().find(|entry| {
            text(entry, "email").is_some_and(|email| email.eq_ignore_ascii_case(public))
        }),
        None => entries.iter().find(|entry| flag(entry, "primary")).or_else(|| entries.first()),
    };
    let address = public.or_else(|| entry.and_then(|entry| text(entry, "email")));
    let is_verified = entry.is_some_and(|entry| flag(entry, "verified"));
    let person = Person::new(Provider::Github, &id.to_string())?
        .with_email(address, is_verified)
        .with_name(&[text(user, "name"), text(user, "login")])
        .with_picture(text(user, "avatar_url"));
    Some(person)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: Value, emails: Value) -> Person {
        read(&user, &emails).unwrap()
    }

    #[test]
    fn an_address_is_verified_only_where_the_list_says_so() {
        let emails = json!([
            {"email": "old@example.com", "primary": false, "verified": true},
            {"email": "Ann@Example.com", "primary": true, "verified": false},
        ]);
        for (user, emails, email, verified) in [
            (json!({"id": 7, "email": "ANN@example.com"}), &emails, "ann@example.com", false),
            (json!({"id": 7, "email": "old@example.com"}), &emails, "old@example.com", true),
            (json!({"id": 7, "email": null}), &emails, "ann@example.com", false),
            (json!({"id": 7, "email": "new@example.com"}), &emails, "new@example.com", false),
            (json!({"id": 7, "email": "new@example.com"}), &Value::Null, "new@example.com", false),
        ] {
            let person = of(user, emails.clone());
            assert_eq!((person.email.as_deref(), person.email_verified), (Some(email), verified));
        }
        let person = of(json!({"id": 7}), json!([]));
        assert_eq!((person.email.clone(), person.email_verified), (None, false));
        assert_eq!(person.placeholder(), "github_7@github.user");
        // What is no address is never a verified one.
        let odd = json!([{"email": "x@github.user", "primary": true, "verified": true}]);
        assert!(!of(json!({"id": 7}), odd).email_verified);
    }

    #[test]
    fn names_and_pictures() {
        let person = of(
            json!({"id": 7, "login": "ann", "name": " ", "avatar_url": "https://x.test/7.png"}),
            Value::Null,
        );
        assert_eq!(person.name.as_deref(), Some("ann"));
        assert_eq!(person.picture.as_deref(), Some("https://x.test/7.png"));
        let person = of(json!({"id": 7, "name": "Ann", "avatar_url": "javascript:x"}), Value::Null);
        assert_eq!((person.name.as_deref(), person.picture), (Some("Ann"), None));
        for user in [json!({}), json!({"id": "7"}), json!([]), json!({"id": -1})] {
            assert_eq!(read(&user, &Value::Null), None);
        }
    }
}
