//! Claims of a `user_token`: what is signed, and how it is read back without copying.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The `aud` of every user token.
pub const AUDIENCE: &str = "downcity:user";

/// What a user token starts with.
pub const PREFIX: &str = "ub_";

/// Longest token that is looked at, in bytes; a longer one is refused unread.
pub const MAX_TOKEN_BYTES: usize = 8_192;

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
        Ok(serde_json::from_slice(payload)?)
    }

    /// Judges expiry, audience and ids, in this order, at `now` in unix seconds. A token is dead when
    /// `exp <= now`; there is no leeway.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, now: i64) -> Result<(), ClaimsError> {
        if self.exp.is_some_and(|exp| exp <= now) {
            return Err(ClaimsError::Expired);
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
