//! WeChat, website apps: <https://developers.weixin.qq.com/doc/oplatform/en/Website_App/WeChat_Login/Wechat_Login.html>.
//! Not OAuth 2.0 by the letter: other names, secrets in the query, errors with 200, no PKCE.

use downcity_core::Result;
use http::StatusCode;
use reqwest::Url;
use serde_json::Value;

use super::client::Client;
use super::exchange::{Answer, Fault, Grant, Http, reason};
use super::person::{Person, is_subject, text};
use super::provider::Provider;
use super::start::Going;

const PAGES: &str = "https://open.weixin.qq.com";
const API: &str = "https://api.weixin.qq.com";

/// Codes of errors that say that a code is wrong or was used.
const BAD_CODE: [i64; 2] = [40_029, 40_163];

/// Where people are sent.
pub(super) fn page(client: &Client, going: &Going<'_>) -> Result<Url> {
    let mut url = client.page(PAGES, "/connect/qrconnect")?;
    url.query_pairs_mut()
        .append_pair("appid", &client.client_id)
        .append_pair("redirect_uri", going.redirect_uri)
        .append_pair("response_type", "code")
        .append_pair("scope", "snsapi_login")
        .append_pair("state", going.state)
        .append_pair("lang", "cn");
    url.set_fragment(Some("wechat_redirect"));
    Ok(url)
}

/// Asks who somebody is.
pub(super) async fn person(
    client: &Client,
    http: &Http,
    grant: &Grant<'_>,
) -> Result<Person, Fault> {
    let mut url = client.api(API, "/sns/oauth2/access_token")?;
    url.query_pairs_mut()
        .append_pair("appid", &client.client_id)
        .append_pair("secret", client.client_secret.expose())
        .append_pair("code", grant.code)
        .append_pair("grant_type", "authorization_code");
    let token = checked(http.get(url).send().await?)?;
    let access = text(&token, "access_token").zip(text(&token, "openid"));
    let (access, openid) = access.ok_or_else(|| Fault::Upstream("no access_token".to_owned()))?;
    let mut url = client.api(API, "/sns/userinfo")?;
    url.query_pairs_mut()
        .append_pair("access_token", access)
        .append_pair("openid", openid)
        .append_pair("lang", "zh_CN");
    let user = checked(http.get(url).send().await?)?;
    read(&token, &user).ok_or_else(|| Fault::Upstream("a user without an id".to_owned()))
}

/// The JSON of a success: errors come with 200 and an `errcode`.
fn checked(answer: Answer) -> Result<Value, Fault> {
    let code = answer.body.get("errcode").and_then(Value::as_i64).unwrap_or_default();
    if code == 0 {
        return answer.success();
    }
    let message = text(&answer.body, "errmsg").unwrap_or_default();
    let reason = reason(StatusCode::OK, &format!("{code} {message}"));
    Err(if BAD_CODE.contains(&code) { Fault::BadCode(reason) } else { Fault::Upstream(reason) })
}

/// The person of both answers. The union id is the same in all apps of an owner, but there only once
/// they are bound together; the open id is the one of this app.
fn read(token: &Value, user: &Value) -> Option<Person> {
    let openid = text(token, "openid")?;
    let unionid = text(user, "unionid").or_else(|| text(token, "unionid"));
    let mut person = Person::new(Provider::Wechat, unionid.unwrap_or(openid))?;
    person.alias = unionid.filter(|_| is_subject(openid)).map(|_| openid.to_owned());
    Some(person.with_name(&[text(user, "nickname")]).with_picture(text(user, "headimgurl")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_union_id_goes_first_and_the_open_id_is_kept() {
        let token = json!({"access_token": "t", "openid": "o1"});
        let person = read(&token, &json!({"openid": "o1", "nickname": "安"})).unwrap();
        assert_eq!((person.subject.as_str(), person.alias.as_deref()), ("o1", None));
        assert_eq!(person.name.as_deref(), Some("安"));
        for (token, user) in [
            (json!({"openid": "o1", "unionid": "u1"}), json!({})),
            (json!({"openid": "o1"}), json!({"unionid": "u1"})),
        ] {
            let person = read(&token, &user).unwrap();
            assert_eq!((person.subject.as_str(), person.alias.as_deref()), ("u1", Some("o1")));
            assert_eq!(person.placeholder(), "wechat_u1@wechat.user");
            assert!(person.email.is_none() && !person.email_verified);
        }
        assert_eq!(read(&json!({}), &json!({"unionid": "u1"})), None);
    }

    #[test]
    fn errors_come_with_200() {
        let of = |body: Value| checked(Answer { status: StatusCode::OK, body });
        assert!(of(json!({"openid": "o"})).is_ok());
        assert!(of(json!({"errcode": 0, "openid": "o"})).is_ok());
        assert!(matches!(of(json!({"errcode": 40029, "errmsg": "x"})), Err(Fault::BadCode(_))));
        assert!(matches!(of(json!({"errcode": -1})), Err(Fault::Upstream(_))));
        let away = Answer { status: StatusCode::BAD_GATEWAY, body: json!({}) };
        assert!(matches!(checked(away), Err(Fault::Upstream(_))));
    }
}
