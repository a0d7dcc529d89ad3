//! Claims of a token: what is signed, and how it is read back without copying.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The `aud` of every user token.
pub const AUDIENCE: &str = "downcity:user";

/// How far in the future a token may be dated, in seconds: two days.
///
/// `iat` says when a token was issued; it is not a start of its life. Nodes whose clocks differ, a
/// clock that has jumped back by a day and a revocation, which dates new tokens after the old ones,
/// all make tokens of the near future, and those are good. What lies beyond was never issued by a
/// clock that anybody would keep, and no revocation of a user or city would reach it.
pub const MAX_FUTURE_SECONDS: i64 = 2 * 86_400;

/// The claims of a token to be issued.
///
/// The order of the fields is the order of the keys in the signed text. `exp` and `jti` are left out
/// when `None`; non-ASCII text stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claims {
    /// Audience; [`AUDIENCE`].
    pub aud: Cow<'static, str>,
    /// The city the token is for.
    pub city_id: String,
    /// The user the token is for; opaque.
    pub user_id: String,
    /// What the issuer wants to have at hand in every call.
    pub metadata: Map<String, Value>,
    /// When it was issued, in unix seconds.
    pub iat: i64,
    /// When it ends, in unix seconds: it is dead from this second on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// Id of the token, for revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

impl Claims {
    /// The text that is encoded and signed: compact UTF-8 JSON.
    ///
    /// # Errors
    /// Only what `serde_json` reports; claims that came from JSON always have a JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// The claims of a received token, borrowed from its decoded payload.
///
/// Reading is strict about what we know and silent about what we do not: `iat` and `exp` are integers,
/// ids are non-empty texts, `metadata` is an object, no known claim stands twice; unknown claims are
/// ignored. The tenant may stand under a name of an older generation (`town_id`, `bay_id`, `studio_id`,
/// `product_id`); several names must agree.
#[derive(Clone, Debug)]
pub struct ClaimsRef<'a> {
    /// Audience; not yet compared.
    pub aud: Cow<'a, str>,
    /// The city, under whichever name it stood.
    pub city_id: Cow<'a, str>,
    /// The user.
    pub user_id: Cow<'a, str>,
    /// The metadata object as raw JSON; `None` if the claim is absent.
    pub metadata: Option<&'a RawValue>,
    /// When it was issued, in unix seconds.
    pub iat: i64,
    /// When it ends, in unix seconds.
    pub exp: Option<i64>,
    /// Id of the token; tokens of older servers have none.
    pub jti: Option<Cow<'a, str>>,
}

/// Why claims are refused.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// The payload is no JSON object of claims.
    #[error("the token's claims cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The token has ended.
    #[error("the token has expired")]
    Expired,
    /// The token is dated more than [`MAX_FUTURE_SECONDS`] ahead.
    #[error("the token is dated in the future")]
    FromTheFuture,
    /// The token is for something else.
    #[error("the token is not for this audience")]
    WrongAudience,
    /// `city_id` or `user_id` is empty.
    #[error("the token has an empty id")]
    EmptyId,
}

impl<'a> ClaimsRef<'a> {
    /// Reads the decoded payload of a token. Ends and audience are not judged: see
    /// [`ClaimsRef::check`].
    ///
    /// # Errors
    /// [`ClaimsError::Malformed`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, ClaimsError> {
        // Looked through once as a whole, and not once per string.
        let text = str::from_utf8(payload).map_err(<serde_json::Error as de::Error>::custom)?;
        Ok(serde_json::from_str(text)?)
    }

    /// Judges expiry, date, audience and ids, in this order, at `now` in unix seconds. A token is dead
    /// when `exp <= now`; there is no leeway.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, now: i64) -> Result<(), ClaimsError> {
        if self.exp.is_some_and(|exp| exp <= now) {
            return Err(ClaimsError::Expired);
        }
        if self.iat > now.saturating_add(MAX_FUTURE_SECONDS) {
            return Err(ClaimsError::FromTheFuture);
        }
        if self.aud != AUDIENCE {
            return Err(ClaimsError::WrongAudience);
        }
        if self.city_id.is_empty() || self.user_id.is_empty() {
            return Err(ClaimsError::EmptyId);
        }
        Ok(())
    }

    /// The metadata as JSON text of an object; `{}` if the claim is absent.
    #[must_use]
    pub fn metadata_json(&self) -> &'a str {
        self.metadata.map_or("{}", RawValue::get)
    }

    /// The claims, copied out of the payload.
    ///
    /// # Errors
    /// [`ClaimsError::Malformed`] if the metadata is nested deeper than a JSON reader goes.
    pub fn to_claims(&self) -> Result<Claims, ClaimsError> {
        Ok(Claims {
            aud: Cow::Owned(self.aud.to_string()),
            city_id: self.city_id.to_string(),
            user_id: self.user_id.to_string(),
            metadata: self.metadata_map()?,
            iat: self.iat,
            exp: self.exp,
            jti: self.jti.as_deref().map(str::to_owned),
        })
    }

    /// The metadata as a map.
    ///
    /// # Errors
    /// [`ClaimsError::Malformed`] if it is nested deeper than a JSON reader goes.
    pub fn metadata_map(&self) -> Result<Map<String, Value>, ClaimsError> {
        Ok(serde_json::from_str(self.metadata_json())?)
    }
}

/// The claims we know. The discriminant is the bit that marks a claim as seen.
#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Aud,
    CityId,
    TownId,
    BayId,
    StudioId,
    ProductId,
    UserId,
    Metadata,
    Iat,
    Exp,
    Jti,
    #[serde(other)]
    Unknown,
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What has been read so far of a [`ClaimsRef`].
#[derive(Default)]
struct Draft<'a> {
    seen: u16,
    aud: Option<Cow<'a, str>>,
    city_id: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    metadata: Option<&'a RawValue>,
    iat: Option<i64>,
    exp: Option<i64>,
    jti: Option<Cow<'a, str>>,
}

impl<'a> Draft<'a> {
    fn mark<E: de::Error>(&mut self, key: Key) -> Result<(), E> {
        let bit = 1_u16 << (key as u16);
        if self.seen & bit != 0 {
            return Err(E::custom("a claim stands twice"));
        }
        self.seen |= bit;
        Ok(())
    }

    fn set_city<E: de::Error>(&mut self, id: Cow<'a, str>) -> Result<(), E> {
        match &self.city_id {
            Some(known) if *known != id => Err(E::custom("claims name different cities")),
            Some(_) => Ok(()),
            None => {
                self.city_id = Some(id);
                Ok(())
            }
        }
    }

    fn set_metadata<E: de::Error>(&mut self, raw: &'a RawValue) -> Result<(), E> {
        if !raw.get().starts_with('{') {
            return Err(E::custom("metadata must be an object"));
        }
        self.metadata = Some(raw);
        Ok(())
    }

    fn finish<E: de::Error>(self) -> Result<ClaimsRef<'a>, E> {
        Ok(ClaimsRef {
            aud: self.aud.ok_or_else(|| E::missing_field("aud"))?,
            city_id: self.city_id.ok_or_else(|| E::missing_field("city_id"))?,
            user_id: self.user_id.ok_or_else(|| E::missing_field("user_id"))?,
            metadata: self.metadata,
            iat: self.iat.ok_or_else(|| E::missing_field("iat"))?,
            exp: self.exp,
            jti: self.jti,
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ClaimsRef<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> de::Visitor<'de> for ClaimsVisitor {
    type Value = ClaimsRef<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of claims")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<ClaimsRef<'de>, A::Error> {
        let mut draft = Draft::default();
        while let Some(key) = map.next_key::<Key>()? {
            if matches!(key, Key::Unknown) {
                map.next_value::<de::IgnoredAny>()?;
                continue;
            }
            draft.mark(key)?;
            match key {
                Key::Aud => draft.aud = Some(map.next_value::<Text<'de>>()?.0),
                Key::UserId => draft.user_id = Some(map.next_value::<Text<'de>>()?.0),
                Key::Jti => draft.jti = Some(map.next_value::<Text<'de>>()?.0),
                Key::Metadata => draft.set_metadata(map.next_value()?)?,
                Key::Iat => draft.iat = Some(map.next_value()?),
                Key::Exp => draft.exp = Some(map.next_value()?),
                Key::CityId | Key::TownId | Key::BayId | Key::StudioId | Key::ProductId => {
                    draft.set_city(map.next_value::<Text<'de>>()?.0)?;
                }
                Key::Unknown => {}
            }
        }
        draft.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Payload texts that tokens of existing deployments carry.
    const WITH_TTL: &str = r#"{"aud":"downcity:user","city_id":"city_demo","user_id":"user_123","metadata":{"plan":"pro","org_id":"org_001"},"iat":1750000000,"exp":1750604800}"#;
    const NON_ASCII: &str = r#"{"aud":"downcity:user","city_id":"city_demo","user_id":"用户","metadata":{},"iat":1750000000}"#;

    fn claims(user_id: &str, metadata: Value, exp: Option<i64>, jti: Option<&str>) -> Claims {
        Claims {
            aud: Cow::Borrowed(AUDIENCE),
            city_id: "city_demo".to_owned(),
            user_id: user_id.to_owned(),
            metadata: metadata.as_object().cloned().unwrap(),
            iat: 1_750_000_000,
            exp,
            jti: jti.map(str::to_owned),
        }
    }

    #[test]
    fn payload_texts_are_exact() {
        let metadata = json!({"plan": "pro", "org_id": "org_001"});
        let with_ttl = claims("user_123", metadata, Some(1_750_604_800), None);
        assert_eq!(with_ttl.to_json().unwrap(), WITH_TTL);
        assert_eq!(claims("用户", json!({}), None, None).to_json().unwrap(), NON_ASCII);
        let full = claims("u", json!({}), Some(2), Some("tok_1")).to_json().unwrap();
        assert!(full.ends_with(r#""iat":1750000000,"exp":2,"jti":"tok_1"}"#), "{full}");
    }

    #[test]
    fn reading_borrows_the_payload() {
        let read = ClaimsRef::parse(WITH_TTL.as_bytes()).unwrap();
        for text in [&read.aud, &read.city_id, &read.user_id] {
            assert!(matches!(text, Cow::Borrowed(_)));
        }
        assert_eq!((&*read.city_id, &*read.user_id), ("city_demo", "user_123"));
        assert_eq!(
            (read.iat, read.exp, read.jti.as_deref()),
            (1_750_000_000, Some(1_750_604_800), None)
        );
        assert_eq!(read.metadata_json(), r#"{"plan":"pro","org_id":"org_001"}"#);
        assert_eq!(read.metadata_map().unwrap()["plan"], "pro");
        assert_eq!(&*ClaimsRef::parse(NON_ASCII.as_bytes()).unwrap().user_id, "用户");
    }

    #[test]
    fn escapes_and_unknown_claims_are_read() {
        let payload = r#"{"sub":[1,{"iat":2}],"aud":"a","city_\u0069d":"\u0063","user_id":"u\n","iat":-1,"city_ID":7}"#;
        let read = ClaimsRef::parse(payload.as_bytes()).unwrap();
        assert_eq!((&*read.city_id, &*read.user_id, read.iat), ("c", "u\n", -1));
        assert_eq!(read.metadata_json(), "{}");
        assert!(read.metadata_map().unwrap().is_empty());
    }

    #[test]
    fn tenant_names_of_older_generations_count() {
        let read = |tenants: &str| {
            let payload = format!(r#"{{"aud":"a",{tenants},"user_id":"u","iat":1}}"#);
            ClaimsRef::parse(payload.as_bytes()).map(|read| read.city_id.into_owned())
        };
        for name in ["city_id", "town_id", "bay_id", "studio_id", "product_id"] {
            assert_eq!(read(&format!(r#""{name}":"x""#)).unwrap(), "x", "{name}");
        }
        assert_eq!(read(r#""studio_id":"x","city_id":"x""#).unwrap(), "x");
        let error = read(r#""studio_id":"x","city_id":"y""#).unwrap_err().to_string();
        assert!(error.contains("different cities"), "{error}");
    }

    #[test]
    fn strict_shapes() {
        let good = r#"{"aud":"a","city_id":"c","user_id":"u","metadata":{},"iat":1,"exp":2}"#;
        assert!(ClaimsRef::parse(good.as_bytes()).is_ok());
        for (from, to) in [
            (r#""iat":1"#, r#""iat":1.0"#),
            (r#""iat":1"#, r#""iat":"1""#),
            (r#""iat":1"#, r#""iat":1e3"#),
            (r#""iat":1"#, r#""iat":null"#),
            (r#""iat":1"#, r#""iat":9223372036854775808"#),
            (r#""iat":1"#, r#""iat":1,"iat":1"#),
            (r#""iat":1,"#, ""),
            (r#""exp":2"#, r#""exp":null"#),
            (r#""exp":2"#, r#""exp":"2""#),
            (r#""exp":2"#, r#""exp":2,"exp":3"#),
            (r#""exp":2"#, r#""exp":2,"jti":null"#),
            (r#""aud":"a","#, ""),
            (r#""aud":"a""#, r#""aud":["a"]"#),
            (r#""user_id":"u""#, r#""user_id":1"#),
            (r#""city_id":"c""#, r#""city_id":null"#),
            (r#""city_id":"c""#, r#""city_id":"c","city_id":"c""#),
            (r#""metadata":{}"#, r#""metadata":[]"#),
            (r#""metadata":{}"#, r#""metadata":null"#),
            (r#""metadata":{}"#, r#""metadata":{},"metadata":{}"#),
            (r#""metadata":{}"#, r#""metadata":{,}"#),
            ("}", "} x"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            assert!(ClaimsRef::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in ["", "null", "[]", "\"\"", "{", "\u{feff}{}"] {
            assert!(ClaimsRef::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(ClaimsRef::parse(b"{\"aud\":\"\xff\"}").is_err());
    }

    #[test]
    fn checks_run_in_order() {
        let payload = |aud: &str, city: &str, user: &str| {
            format!(r#"{{"aud":"{aud}","city_id":"{city}","user_id":"{user}","iat":1,"exp":100}}"#)
        };
        let check = |text: String, now| ClaimsRef::parse(text.as_bytes()).unwrap().check(now);
        assert!(check(payload(AUDIENCE, "c", "u"), 99).is_ok());
        assert!(matches!(check(payload("other", "", ""), 100), Err(ClaimsError::Expired)));
        assert!(matches!(check(payload("other", "", ""), 99), Err(ClaimsError::WrongAudience)));
        assert!(matches!(check(payload(AUDIENCE, "", "u"), 99), Err(ClaimsError::EmptyId)));
        assert!(matches!(check(payload(AUDIENCE, "c", ""), 99), Err(ClaimsError::EmptyId)));
    }

    #[test]
    fn a_date_in_the_near_future_is_good() {
        let check = |iat: i64, now| {
            let text = format!(r#"{{"aud":"{AUDIENCE}","city_id":"c","user_id":"u","iat":{iat}}}"#);
            ClaimsRef::parse(text.as_bytes()).unwrap().check(now)
        };
        for ahead in [i64::MIN, -1, 0, 86_400, MAX_FUTURE_SECONDS] {
            assert!(check(ahead, 0).is_ok(), "{ahead}");
        }
        for ahead in [MAX_FUTURE_SECONDS + 1, i64::MAX] {
            assert!(matches!(check(ahead, 0), Err(ClaimsError::FromTheFuture)), "{ahead}");
        }
        assert!(check(i64::MAX, i64::MAX).is_ok());
    }

    proptest! {
        #[test]
        fn claims_round_trip(
            city_id: String, user_id: String, iat: i64, exp: Option<i64>, jti: Option<String>,
            metadata in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        ) {
            let metadata: Map<String, Value> =
                metadata.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
            let claims = Claims { aud: AUDIENCE.into(), city_id, user_id, metadata, iat, exp, jti };
            let text = claims.to_json().unwrap();
            let read = ClaimsRef::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&read.aud, &claims.aud);
            prop_assert_eq!(&*read.city_id, &claims.city_id);
            prop_assert_eq!(&*read.user_id, &claims.user_id);
            prop_assert_eq!(read.metadata_map().unwrap(), claims.metadata);
            prop_assert_eq!((read.iat, read.exp), (claims.iat, claims.exp));
            prop_assert_eq!(read.jti.as_deref(), claims.jti.as_deref());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, cut in 0..200_usize, flip: u8) {
            prop_assert!(ClaimsRef::parse(&bytes).is_err());
            let mut near = WITH_TTL.as_bytes().to_vec();
            let place = cut % near.len();
            near[place] ^= flip;
            if let Ok(read) = ClaimsRef::parse(&near) {
                // A changed byte may still be good JSON, but never a broken metadata object.
                prop_assert!(read.metadata_map().is_ok());
            }
        }
    }
}
