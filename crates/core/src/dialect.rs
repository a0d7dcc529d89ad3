//! The words of older clients: a city is a *studio* to some and a *product* to others.
//!
//! Names are changed at the edge of a call alone. On the way in, every name of the tenant field
//! becomes `city_id` ([`crate::tenant`]); on the way out the answer says what the caller says.
//! Handlers and hooks see `city_id`, whoever calls. Calls of clients that say *city* pass untouched.

use bytes::Bytes;
use downcity_types::{CITY_ID_PREFIX, ErrorBody, ErrorCode};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Uri};
use serde::Serialize;

use crate::decode::InputSource;
use crate::{Error, Result};

/// The header in which a client names its dialect.
pub static X_DOWNCITY_DIALECT: HeaderName = HeaderName::from_static("x-downcity-dialect");

/// Which generation of clients a call comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Dialect {
    /// Clients that say *city*.
    #[default]
    City,
    /// Clients of the package `@downcity/gate`, which say *studio*.
    Gate,
    /// Clients of the package `@visiblebase/client`, which say *product*.
    VisibleBase,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::City, Self::Gate, Self::VisibleBase];

    /// The name in the header `x-downcity-dialect` and in `/compat/{name}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Gate => "gate",
            Self::VisibleBase => "visiblebase",
        }
    }

    /// The field that names a tenant: `city_id`, `studio_id` or `product_id`.
    pub const fn tenant_field(self) -> &'static str {
        match self {
            Self::City => "city_id",
            Self::Gate => "studio_id",
            Self::VisibleBase => "product_id",
        }
    }

    /// What a tenant is called: `city`, `studio` or `product`.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Gate => "studio",
            Self::VisibleBase => "product",
        }
    }

    /// What several tenants are called.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::City => "cities",
            Self::Gate => "studios",
            Self::VisibleBase => "products",
        }
    }

    /// What the id of a tenant begins with that this dialect makes.
    pub const fn id_prefix(self) -> &'static str {
        match self {
            Self::City => CITY_ID_PREFIX,
            Self::Gate => "studio_",
            Self::VisibleBase => "prod_",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str().eq_ignore_ascii_case(name))
    }

    /// The dialect that a call states: by the path it came in through, else in its header.
    ///
    /// # Errors
    /// 400 for a header that names no dialect.
    pub(crate) fn stated(mounted: Option<Self>, headers: &HeaderMap) -> Result<Option<Self>> {
        if mounted.is_some() {
            return Ok(mounted);
        }
        let Some(header) = headers.get(&X_DOWNCITY_DIALECT) else { return Ok(None) };
        let name = header.to_str().unwrap_or_default().trim();
        match Self::named(name) {
            Some(dialect) => Ok(Some(dialect)),
            None => Err(Error::invalid(
                X_DOWNCITY_DIALECT.as_str(),
                "must be city, gate or visiblebase; leave it out for city",
            )),
        }
    }
}

/// Takes `/compat/gate` or `/compat/visiblebase` off an address, which says the dialect of clients
/// that know no header: the prefix is a part of the base address that they are given.
pub(crate) fn unmount(uri: &mut Uri) -> Option<Dialect> {
    let rest = uri.path_and_query()?.as_str().strip_prefix("/compat/")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let dialect = [Dialect::Gate, Dialect::VisibleBase].into_iter().find(|d| d.as_str() == name)?;
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
    *uri = Uri::from_parts(parts).ok()?;
    Some(dialect)
}

/// How a call speaks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Speech {
    /// Whose shapes and amounts the call uses.
    pub(crate) dialect: Dialect,
    /// Whose words for a city it uses.
    pub(crate) words: Dialect,
    /// Whether route, path or header say that the caller is of an older generation.
    is_older: bool,
    /// Whether the words are settled, whatever the input says.
    is_settled: bool,
}

impl Speech {
    /// `family` is the dialect of the route.
    pub(crate) fn new(stated: Option<Dialect>, family: Option<Dialect>) -> Self {
        let dialect = stated.or(family).unwrap_or_default();
        let words = family.or(stated).unwrap_or_default();
        let is_older = dialect != Dialect::City || words != Dialect::City;
        Self { dialect, words, is_older, is_settled: family.is_some() || stated.is_some() }
    }

    /// Whether every name of the tenant field counts, also on a product's own actions.
    pub(crate) fn is_older(self) -> bool {
        self.is_older
    }

    /// Takes on the words of the input where nothing else has said any.
    pub(crate) fn hear(&mut self, words: Dialect) {
        if !self.is_settled {
            self.words = words;
        }
    }
}

/// Names the tenant that is paused, as older clients are used to.
pub(crate) fn named_tenant(words: Dialect, input: &InputSource, error: Error) -> Error {
    if words == Dialect::City || error.code() != ErrorCode::CityPaused {
        return error;
    }
    match input.city_id() {
        Ok(Some(id)) => {
            let sentence = format!("{} {id} is paused", words.noun());
            error.with_message(sentence)
        }
        _ => error,
    }
}

/// Says an error in the words of a dialect.
pub(crate) fn reword(words: Dialect, body: &mut ErrorBody) {
    body.error = in_words(words, &body.error);
    if let Some(fix) = &mut body.fix {
        *fix = in_words(words, fix);
    }
    for detail in &mut body.details {
        detail.path = in_words(words, &detail.path);
        detail.message = in_words(words, &detail.message);
    }
}

/// The name of a code in a dialect; `None` where it is the code's own.
pub(crate) fn code_in_words(words: Dialect, code: ErrorCode) -> Option<&'static str> {
    match code {
        _ if words == Dialect::City => None,
        ErrorCode::CityPaused => Some("tenant_paused"),
        ErrorCode::CityNotFound => Some("tenant_not_found"),
        ErrorCode::CityExists => Some("tenant_exists"),
        ErrorCode::CityMismatch => Some("tenant_mismatch"),
        _ => None,
    }
}

/// The JSON of an error body, with this in place of its code.
pub(crate) fn with_code(body: &impl Serialize, code: Option<&'static str>) -> Bytes {
    let written = match code {
        None => serde_json::to_vec(body),
        Some(code) => serde_json::to_value(body).and_then(|mut body| {
            // The body itself, or what the body of OpenAI's shape wraps.
            let is_wrapped = body["error"].is_object();
            let holder = if is_wrapped { &mut body["error"] } else { &mut body };
            holder["code"] = code.into();
            serde_json::to_vec(&body)
        }),
    };
    written.unwrap_or_default().into()
}

/// Replaces `city`, `cities` and `city_id` where they stand as whole words.
fn in_words(words: Dialect, text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(match word {
            "city" => words.noun(),
            "cities" => words.plural(),
            "city_id" => words.tenant_field(),
            other => other,
        });
        let next = after.find(is_word).unwrap_or(after.len());
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmounted(uri: &str) -> (Option<Dialect>, String) {
        let mut uri: Uri = uri.parse().unwrap();
        (unmount(&mut uri), uri.to_string())
    }

    #[test]
    fn a_mount_is_taken_off_once() {
        let (gate, base) = (Some(Dialect::Gate), Some(Dialect::VisibleBase));
        assert_eq!(unmounted("/compat/gate/v1/x?a=b"), (gate, "/v1/x?a=b".into()));
        assert_eq!(unmounted("/compat/visiblebase"), (base, "/".into()));
        assert_eq!(unmounted("/compat/gate?a=b"), (gate, "/?a=b".into()));
        assert_eq!(unmounted("http://h:1/compat/gate/x"), (gate, "http://h:1/x".into()));
        assert_eq!(
            unmounted("/compat/gate/compat/visiblebase/x"),
            (gate, "/compat/visiblebase/x".into())
        );
        for other in ["/compat/city/x", "/compat/", "/compat/gates/x", "/v1/compat/gate/x", "/"] {
            assert_eq!(unmounted(other), (None, other.to_owned()));
        }
    }

    #[test]
    fn whole_words_alone_are_replaced() {
        let said = in_words(
            Dialect::VisibleBase,
            "city_id: the city of GET /v1/cities/list, city_x1, downcity and \"city\"; städte",
        );
        assert_eq!(
            said,
            "product_id: the product of GET /v1/products/list, city_x1, downcity and \"product\"; städte"
        );
        assert_eq!(in_words(Dialect::Gate, ""), "");
    }

    #[test]
    fn a_family_has_its_own_words_and_a_stated_dialect_its_shapes() {
        let speech = Speech::new(Some(Dialect::Gate), Some(Dialect::VisibleBase));
        assert_eq!((speech.dialect, speech.words), (Dialect::Gate, Dialect::VisibleBase));
        let mut speech = Speech::new(None, None);
        speech.hear(Dialect::Gate);
        assert_eq!((speech.dialect, speech.words), (Dialect::City, Dialect::Gate));
        assert!(!speech.is_older());
    }
}
