//! Who calls, and who may.

use std::sync::Arc;

use downcity_types::{City, ErrorCode};
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::keys::ServiceKey;
use crate::{Error, Result};

/// A set of identity kinds that may call an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access(u8);

const GUEST_BIT: u8 = 1;
const USER_BIT: u8 = 2;
const ADMIN_BIT: u8 = 4;

/// Anybody, with or without a credential. A bad credential counts as none.
pub const PUBLIC: Access = Access(GUEST_BIT | USER_BIT | ADMIN_BIT);
/// Users with a valid `user_token`.
pub const USER: Access = Access(USER_BIT);
/// The trusted side: the admin key, or a service key that covers the action.
pub const ADMIN: Access = Access(ADMIN_BIT);
/// Users and the trusted side, but no guests.
pub const USER_OR_ADMIN: Access = Access(USER_BIT | ADMIN_BIT);

impl Access {
    /// Whether guests may call.
    pub const fn is_public(self) -> bool {
        self.0 & GUEST_BIT != 0
    }

    /// Whether users may call.
    pub const fn allows_user(self) -> bool {
        self.0 & USER_BIT != 0
    }

    /// Whether the trusted side may call.
    pub const fn allows_admin(self) -> bool {
        self.0 & ADMIN_BIT != 0
    }

    /// The kinds by name, as documents list them: `guest`, `user`, `admin`. A service key stands
    /// for `admin` within its scope, and has no name of its own here.
    pub fn names(self) -> Vec<&'static str> {
        [(GUEST_BIT, "guest"), (USER_BIT, "user"), (ADMIN_BIT, "admin")]
            .into_iter()
            .filter_map(|(bit, name)| (self.0 & bit != 0).then_some(name))
            .collect()
    }
}

/// Why a caller counts as a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestReason {
    /// No `Authorization: Bearer …` header was sent.
    NoCredential,
    /// The credential is neither the admin key nor a token of this Federation.
    Invalid,
    /// The token was valid once.
    Expired,
    /// The token was revoked.
    Revoked,
    /// The token is valid, but its city is paused.
    CityPaused,
    /// The service key was valid once.
    KeyExpired,
    /// The service key was revoked.
    KeyRevoked,
    /// The service key is valid, but does not cover this call, which is open to guests.
    OutOfScope,
    /// A key of the trusted side was sent where `user_token`s alone are taken.
    TrustedKey,
}

impl GuestReason {
    /// The code with which such a caller is refused.
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::NoCredential => ErrorCode::MissingCredential,
            Self::Invalid | Self::OutOfScope | Self::TrustedKey => ErrorCode::InvalidCredential,
            Self::Expired | Self::KeyExpired => ErrorCode::TokenExpired,
            Self::Revoked | Self::KeyRevoked => ErrorCode::TokenRevoked,
            Self::CityPaused => ErrorCode::CityPaused,
        }
    }
}

/// A user of a city, as the `user_token` says.
#[derive(Clone, Debug)]
pub struct UserIdentity {
    /// The user's id, opaque to the Federation.
    pub user_id: Arc<str>,
    /// The city that the token was issued for.
    pub city: Arc<City>,
    /// The token's id, absent in tokens of older generations.
    pub token_id: Option<Box<str>>,
    /// When the token was issued, in seconds since 1970.
    pub issued_at: i64,
    /// When the token ends, in seconds since 1970; `None` = never.
    pub expires_at: Option<i64>,
    /// The token's metadata as JSON text; parsed only by those who ask.
    pub(crate) metadata: Option<Box<RawValue>>,
}

impl UserIdentity {
    /// What the issuer put into the token: an object, `{}` when nothing was given.
    pub fn metadata(&self) -> Map<String, Value> {
        self.metadata
            .as_ref()
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }
}

/// The caller of a request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Nobody we know.
    Guest(GuestReason),
    /// A user of an active city.
    User(UserIdentity),
    /// A part of the trusted side, with a key for some actions and cities. Handlers and hooks meet
    /// it on calls within its scope only.
    Service(Arc<ServiceKey>),
    /// The trusted side.
    Admin,
}

impl Identity {
    /// `guest`, `user`, `service` or `admin`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Guest(_) => "guest",
            Self::User(_) => "user",
            Self::Service(_) => "service",
            Self::Admin => "admin",
        }
    }

    /// Whether the caller has the admin key itself: for what makes or unmakes admins.
    pub fn is_admin(&self) -> bool {
        matches!(self, Self::Admin)
    }

    /// Whether the caller is on the trusted side, with the admin key or a service key: for what is
    /// shown to those who run the Federation.
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Service(_) | Self::Admin)
    }

    /// The service key, where the caller has one.
    pub fn service_key(&self) -> Option<&Arc<ServiceKey>> {
        match self {
            Self::Service(key) => Some(key),
            _ => None,
        }
    }

    /// The user, where the caller is one.
    pub fn user(&self) -> Option<&UserIdentity> {
        match self {
            Self::User(user) => Some(user),
            _ => None,
        }
    }

    /// Checks the caller against the set that an action declares. A service key counts as the
    /// admin: its scope is a matter of the call.
    ///
    /// # Errors
    /// 401 for guests (403 when only the city's pause stands in the way), 403 for the wrong kind.
    pub fn authorise(&self, access: Access) -> Result<()> {
        let bit = match self {
            Self::Guest(_) => GUEST_BIT,
            Self::User(_) => USER_BIT,
            Self::Service(_) | Self::Admin => ADMIN_BIT,
        };
        if access.0 & bit != 0 {
            return Ok(());
        }
        Err(match self {
            Self::Guest(reason) => unauthorised(*reason, access),
            Self::User(_) => {
                Error::new(ErrorCode::Forbidden, "This action is for the trusted side only.")
                    .with_fix("Call it from your server with the admin key.")
            }
            Self::Service(_) | Self::Admin => Error::new(
                ErrorCode::Forbidden,
                "This action is for users; the keys of the trusted side do not stand for one.",
            )
            .with_fix("Issue a user_token with POST /v1/cities/tokens/apply and call with that."),
        })
    }
}

/// The texts differ so that a developer sees what is wrong; none says whether a city or user exists.
fn unauthorised(reason: GuestReason, access: Access) -> Error {
    let message = match reason {
        GuestReason::NoCredential => "This action needs an Authorization: Bearer header.",
        GuestReason::Invalid | GuestReason::OutOfScope => "The credential is not valid here.",
        GuestReason::TrustedKey => {
            "The header x-api-key takes user_tokens alone, no key of the trusted side."
        }
        GuestReason::Expired => "The user_token has expired.",
        GuestReason::Revoked => "The user_token is no longer valid.",
        GuestReason::KeyExpired => "The service key has expired.",
        GuestReason::KeyRevoked => "The service key was revoked.",
        GuestReason::CityPaused => {
            return Error::new(reason.code(), "The city of this user_token is paused.");
        }
    };
    let fix = match (reason, access.allows_user()) {
        (GuestReason::Expired | GuestReason::Revoked, _) => "Ask your server for a new user_token.",
        (GuestReason::KeyExpired | GuestReason::KeyRevoked, _) => {
            "Ask the operator of the Federation for a new service key."
        }
        (_, true) => "Send the user_token that your server issued for this user.",
        (_, false) => "Send the admin key.",
    };
    // RFC 6750 §3.1: a credential that was sent and refused is an invalid_token.
    let challenge = match reason {
        GuestReason::NoCredential => "Bearer",
        _ => "Bearer error=\"invalid_token\"",
    };
    Error::new(reason.code(), message)
        .with_fix(fix)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

#[cfg(test)]
mod tests {
    use downcity_types::{CityStatus, ServiceKeyRecord, Timestamp};

    use super::*;

    fn user() -> Identity {
        let at = Timestamp::from_millis(0);
        let (city_id, name) = ("c".to_owned(), "C".to_owned());
        let status = CityStatus::Active;
        Identity::User(UserIdentity {
            user_id: "u".into(),
            city: Arc::new(City { city_id, name, status, created_at: at, updated_at: at }),
            token_id: None,
            issued_at: 0,
            expires_at: None,
            metadata: None,
        })
    }

    fn service() -> Identity {
        let record = ServiceKeyRecord {
            key_id: "key_1".to_owned(),
            name: "K".to_owned(),
            prefix: String::new(),
            actions: vec!["*".to_owned()],
            cities: Vec::new(),
            expires_at: None,
            created_at: Timestamp::from_millis(0),
            revoked_at: None,
            amount_per_call: None,
            amount_per_day: None,
            last_used_at: None,
        };
        Identity::Service(Arc::new(ServiceKey::new(record, Arc::default())))
    }

    const GUEST: Identity = Identity::Guest(GuestReason::NoCredential);

    #[test]
    fn every_kind_meets_every_set() {
        // Status for guest, user, service and admin.
        for (access, expected) in [
            (USER, [401, 200, 403, 403]),
            (ADMIN, [401, 403, 200, 200]),
            (USER_OR_ADMIN, [401, 200, 200, 200]),
            (PUBLIC, [200, 200, 200, 200]),
        ] {
            let status = |identity: Identity| {
                identity.authorise(access).map_or_else(|error| error.status().as_u16(), |()| 200)
            };
            let callers = [GUEST, user(), service(), Identity::Admin];
            assert_eq!(callers.map(status), expected);
        }
    }

    #[test]
    fn documents_name_the_kinds() {
        assert_eq!(PUBLIC.names(), ["guest", "user", "admin"]);
        assert_eq!((USER.names(), ADMIN.names()), (vec!["user"], vec!["admin"]));
        assert!(USER_OR_ADMIN.allows_user() && USER_OR_ADMIN.allows_admin());
        assert!(!USER_OR_ADMIN.is_public() && PUBLIC.is_public());
        let kinds = [GUEST, user(), service(), Identity::Admin]
            .map(|caller| (caller.kind(), caller.is_trusted(), caller.is_admin()));
        let expected = [
            ("guest", false, false),
            ("user", false, false),
            ("service", true, false),
            ("admin", true, true),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(user().user().unwrap().metadata(), Map::new());
    }

    #[test]
    fn each_reason_has_a_code_a_text_and_a_challenge() {
        let reasons = [
            (GuestReason::NoCredential, ErrorCode::MissingCredential, Some("Bearer")),
            (
                GuestReason::Invalid,
                ErrorCode::InvalidCredential,
                Some("Bearer error=\"invalid_token\""),
            ),
            (GuestReason::Expired, ErrorCode::TokenExpired, Some("Bearer error=\"invalid_token\"")),
            (GuestReason::Revoked, ErrorCode::TokenRevoked, Some("Bearer error=\"invalid_token\"")),
            (
                GuestReason::KeyExpired,
                ErrorCode::TokenExpired,
                Some("Bearer error=\"invalid_token\""),
            ),
            (
                GuestReason::KeyRevoked,
                ErrorCode::TokenRevoked,
                Some("Bearer error=\"invalid_token\""),
            ),
            (
                GuestReason::TrustedKey,
                ErrorCode::InvalidCredential,
                Some("Bearer error=\"invalid_token\""),
            ),
            (GuestReason::CityPaused, ErrorCode::CityPaused, None),
        ];
        let mut texts = std::collections::HashSet::new();
        for (reason, code, challenge) in reasons {
            let error = Identity::Guest(reason).authorise(USER).unwrap_err();
            assert_eq!(error.code(), code);
            let sent = error.headers().first().map(|(_, value)| value.to_str().unwrap());
            assert_eq!(sent, challenge, "{reason:?}");
            assert!(texts.insert(error.message().to_owned()), "{reason:?}");
        }
        let fix = |access| Identity::Guest(GuestReason::Invalid).authorise(access).unwrap_err();
        assert_ne!(
            format!("{:?}", fix(USER).body("").fix),
            format!("{:?}", fix(ADMIN).body("").fix)
        );
    }
}
