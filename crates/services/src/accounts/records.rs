//! Records of the wire.

use downcity_types::{IssuedToken, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::store::users::User;

/// A user who has signed in.
#[derive(Serialize, JsonSchema)]
pub(super) struct SignedIn {
    /// The credential for the calls of this user.
    pub(super) user_token: String,
    /// The user.
    pub(super) user_id: String,
    /// The e-mail address of the account.
    pub(super) email: String,
    /// The city that the token is for.
    pub(super) city_id: String,
    /// When the token ends.
    pub(super) expires_at: Option<Timestamp>,
}

impl SignedIn {
    pub(super) fn new(email: String, issued: IssuedToken) -> Self {
        let IssuedToken { user_token, city_id, user_id, expires_at } = issued;
        Self { user_token, user_id, email, city_id, expires_at }
    }
}

/// What is shown of an account.
#[derive(Serialize, JsonSchema)]
pub(super) struct Profile {
    /// The user.
    pub(super) user_id: String,
    /// The e-mail address; a placeholder where the provider gave none.
    pub(super) email: String,
    /// Whether the address is known to be the user's.
    pub(super) email_verified: bool,
    /// The name that others see.
    pub(super) display_name: String,
    /// The address of a picture; may be empty.
    pub(super) avatar_url: String,
    /// What the user says of themselves; may be empty.
    pub(super) bio: String,
    /// When the account was made.
    pub(super) created_at: Timestamp,
    /// When the profile was changed last.
    pub(super) updated_at: Timestamp,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self {
            user_id: user.user_id,
            email: user.email,
            email_verified: user.email_verified,
            display_name: user.display_name,
            avatar_url: user.avatar_url,
            bio: user.bio,
            created_at: user.created_at,
            updated_at: user.profile_updated_at,
        }
    }
}

/// The caller and their account.
#[derive(Serialize, JsonSchema)]
pub(super) struct Me {
    /// What the token says.
    pub(super) user: MeUser,
    /// The account; `null` for users whose tokens come from elsewhere.
    pub(super) profile: Option<Profile>,
}

/// What a token says.
#[derive(Serialize, JsonSchema)]
pub(super) struct MeUser {
    /// The user.
    pub(super) user_id: String,
    /// What the issuer put into the token.
    pub(super) metadata: Map<String, Value>,
}

/// An answer that says only that it is done.
#[derive(Serialize, JsonSchema)]
pub(super) struct Done {
    /// Always `true`.
    pub(super) success: bool,
}

/// It is done.
pub(super) const DONE: Done = Done { success: true };
