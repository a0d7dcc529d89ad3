//! Google: <https://developers.google.com/identity/openid-connect/openid-connect>.

use downcity_core::Result;
use reqwest::Url;
use serde_json::Value;

use super::client::Client;
use super::exchange::{Fault, Grant, Http, access_token};
use super::person::{Person, flag, text};
use super::provider::Provider;
use super::start::Going;

const PAGES: &str = "https://accounts.google.com";
const TOKEN: &str = "https://oauth2.googleapis.com";
const USERINFO: &str = "https://openidconnect.googleapis.com";

/// Where people are sent.
pub(super) fn page(client: &Client, going: &Going<'_>) -> Result<Url> {
    let mut url = client.page(PAGES, "/o/oauth2/v2/auth")?;
    let mut query = url.query_pairs_mut();
    query
        .append_pair("client_id", &client.client_id)
        .append_pair("redirect_uri", going.redirect_uri)
        .append_pair("state", going.state)
        .append_pair("response_type", "code")
        .append_pair("scope", "openid email profile");
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
    let mut fields = vec![
        ("client_id", client.client_id.as_str()),
        ("client_secret", client.client_secret.expose()),
        ("code", grant.code),
        ("grant_type", "authorization_code"),
        ("redirect_uri", grant.redirect_uri),
    ];
    fields.extend(grant.verifier.map(|verifier| ("code_verifier", verifier)));
    let token = http.post(client.api(TOKEN, "/token")?).form(&fields).send().await?;
    let token = access_token(&token)?;
    let url = client.api(USERINFO, "/v1/userinfo")?;
    let user = http.get(url).bearer(&token)?.send().await?.success()?;
    read(&user).ok_or_else(|| Fault::Upstream("a user without a sub".to_owned()))
}

/// The person of the userinfo endpoint.
fn read(user: &Value) -> Option<Person> {
    let person = Person::new(Provider::Google, text(user, "sub")?)?
        .with_email(text(user, "email"), flag(user, "email_verified"))
        .with_name(&[text(user, "name")])
        .with_picture(text(user, "picture"));
    Some(person)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_verified_where_google_says_so() {
        for (said, verified) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(1), false),
            (Value::Null, false),
        ] {
            let user = json!({"sub": "11", "email": "Ann@Example.com", "email_verified": said});
            let person = read(&user).unwrap();
            assert_eq!(person.email.as_deref(), Some("ann@example.com"));
            assert_eq!(person.email_verified, verified, "{said}");
        }
        let person = read(&json!({"sub": "11", "email_verified": true})).unwrap();
        assert_eq!(
            (person.email_verified, person.placeholder()),
            (false, "google_11@google.user".to_owned())
        );
        for user in [json!({}), json!({"sub": ""}), json!({"sub": 11}), json!({"sub": "a b"})] {
            assert_eq!(read(&user), None);
        }
    }
}
