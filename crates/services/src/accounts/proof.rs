//! People who have proved that an e-mail address is theirs, and what follows from it.

use std::sync::Arc;

use downcity_core::audit::{Target, Trail};
use downcity_core::{Cx, Error, Result};
use downcity_db::Tx;
use downcity_types::{City, ErrorCode, IssuedToken, Timestamp};
use serde_json::json;

use super::register::record_new;
use super::session::{self, Opening};
use super::store::users::{self, User};
use super::store::{addresses, codes, identities};

/// The kind of what is mailed to prove an address.
const VERIFY: &str = "verify";

/// A 400 for a link or code that is of no use.
pub(super) fn invalid_code() -> Error {
    Error::new(
        ErrorCode::InvalidCode,
        "This link or code is wrong, was used before, or has expired.",
    )
    .with_fix("Ask for a new one.")
}

/// The city that a call names, or else the one for which the mail was asked for.
pub(super) fn city_of(cx: &Cx, named: Option<&str>, asked: Option<&str>) -> Result<Arc<City>> {
    let named = named.map(str::trim).filter(|city_id| !city_id.is_empty());
    session::city_of(cx.runtime(), named.or(asked))
}

/// Signs in the owner of an address, with a new account where there is none and new ones are taken.
///
/// An account whose address was not verified before may be that of somebody else, who registered
/// with the owner's address: every way to sign in and every session that it has are dropped.
pub(super) fn sign_in(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    opening: &Opening,
    new: Option<&User>,
    email: &str,
    now: Timestamp,
) -> Result<IssuedToken> {
    let user_id = match (users::lock_by_email(tx, email)?, new) {
        (Some(user), _) => {
            take_over(tx, &user, now)?;
            user.user_id
        }
        (None, Some(new)) if users::insert(tx, new)? => {
            record_new(trail, new);
            new.user_id.clone()
        }
        _ => return Err(invalid_code()),
    };
    opening.open(tx, trail, &user_id)
}

/// Makes an account that of the owner of its address. The caller holds the account.
pub(super) fn take_over(tx: &mut Tx<'_>, user: &User, now: Timestamp) -> Result<()> {
    if user.email_verified {
        return Ok(());
    }
    identities::delete_all(tx, &user.user_id)?;
    // What is known of whoever had it says nothing of the owner.
    addresses::delete_of(tx, &user.user_id)?;
    session::end_others(tx, &user.user_id, None, now)?;
    users::set_verified(tx, &user.user_id, now)
}

/// Uses up what was mailed to prove an address, and notes that it is proved.
pub(super) fn verify(
    tx: &mut Tx<'_>,
    trail: &mut Trail,
    secret: &str,
    now: Timestamp,
) -> Result<User> {
    let code = codes::find_by_secret(tx, VERIFY, secret, now)?.ok_or_else(invalid_code)?;
    let user = users::lock_by_email(tx, &code.email)?;
    let code = codes::take_by_secret(tx, VERIFY, secret, now)?.ok_or_else(invalid_code)?;
    // The address of the account may have changed since the mail.
    let user = user
        .filter(|user| Some(&user.user_id) == code.user_id.as_ref())
        .ok_or_else(invalid_code)?;
    if !user.email_verified {
        // Whoever registered may have linked providers before anybody had proved the address.
        identities::delete_linked(tx, &user.user_id)?;
    }
    users::set_verified(tx, &user.user_id, now)?;
    trail.record(
        Target::new("user", &user.user_id),
        json!({"email_verified": user.email_verified}),
        json!({"email_verified": true}),
    );
    Ok(user)
}
