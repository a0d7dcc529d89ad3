//! Whose account a person of a provider signs in to.

use downcity_core::{Error, Result};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Timestamp};

use super::person::Person;
use super::store;
use crate::accounts::proof;
use crate::accounts::store::users::{self, User};

/// How many ways to sign in an account may have.
pub(super) const MAX_IDENTITIES: u32 = 20;

/// Why nobody is signed in, or nothing is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Another account has the address, and nobody can say whose it is.
    AddressInUse,
    /// The person signs in to another account already.
    LinkedElsewhere,
    /// The account has as many ways to sign in as it may.
    TooMany,
    /// An operator has disabled the account.
    Disabled,
    /// The account that should be linked has gone.
    AccountGone,
}

/// The account of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) user_id: String,
    /// Whether sessions were ended on the way.
    pub(super) took_over: bool,
}

/// Finds or makes the account of a person: first by their id at the provider, then by an address that
/// is known to be theirs on both sides. `new` is the account that is made where there is none.
///
/// # Errors
/// 409 when somebody else did the same at the same time: nothing is changed, and trying again finds it.
pub(super) fn resolve(
    tx: &mut Tx<'_>,
    person: &Person,
    new: &User,
    now: Timestamp,
) -> Result<Result<Resolved, Refusal>> {
    if let Some(user_id) = store::find_user_id(tx, person, now)? {
        return known(tx, person, user_id, now);
    }
    if let Some(email) = &person.email
        && let Some(user) = users::lock_by_email(tx, email)?
    {
        return by_address(tx, person, &user, now);
    }
    if !insert(tx, person, new)? || !store::link(tx, person, &new.user_id, now)? {
        return Err(raced());
    }
    fill(tx, person, &new.user_id, now)?;
    Ok(Ok(Resolved { user_id: new.user_id.clone(), took_over: false }))
}

/// Stores a new account. An account that this person has unlinked may still have the placeholder.
fn insert(tx: &mut Tx<'_>, person: &Person, new: &User) -> Result<bool> {
    if users::insert(tx, new)? {
        return Ok(true);
    }
    if person.email.is_some() {
        return Ok(false);
    }
    let email = format!("{}.{}", new.user_id, new.email);
    users::insert(tx, &User { email, ..new.clone() })
}

fn known(
    tx: &mut Tx<'_>,
    person: &Person,
    user_id: String,
    now: Timestamp,
) -> Result<Result<Resolved, Refusal>> {
    let Some(user) = users::lock(tx, &user_id)? else { return Err(raced()) };
    if store::find_user_id(tx, person, now)?.as_ref() != Some(&user_id) {
        // Somebody has just taken this way to sign in from the account.
        return Err(raced());
    }
    if user.disabled {
        return Ok(Err(Refusal::Disabled));
    }
    fill(tx, person, &user_id, now)?;
    Ok(Ok(Resolved { user_id, took_over: false }))
}

/// The address is the whole claim here, so both sides have to have seen it proved. Where only the
/// provider has, whoever registered it before never could, and loses the account.
fn by_address(
    tx: &mut Tx<'_>,
    person: &Person,
    user: &User,
    now: Timestamp,
) -> Result<Result<Resolved, Refusal>> {
    if !person.email_verified {
        return Ok(Err(Refusal::AddressInUse));
    }
    if user.disabled {
        return Ok(Err(Refusal::Disabled));
    }
    let took_over = !user.email_verified;
    proof::take_over(tx, user, now)?;
    if !store::link(tx, person, &user.user_id, now)? {
        return Err(raced());
    }
    fill(tx, person, &user.user_id, now)?;
    Ok(Ok(Resolved { user_id: user.user_id.clone(), took_over }))
}

/// Lets a person sign in to the account of somebody who is signed in.
pub(super) fn link(
    tx: &mut Tx<'_>,
    person: &Person,
    user_id: &str,
    now: Timestamp,
) -> Result<Result<Resolved, Refusal>> {
    let Some(user) = users::lock(tx, user_id)? else { return Ok(Err(Refusal::AccountGone)) };
    if user.disabled {
        return Ok(Err(Refusal::Disabled));
    }
    match store::find_user_id(tx, person, now)? {
        Some(owner) if owner != user_id => return Ok(Err(Refusal::LinkedElsewhere)),
        Some(_) => return known(tx, person, user_id.to_owned(), now),
        None => {}
    }
    let linked = store::list_of_user(tx, user_id, MAX_IDENTITIES)?;
    if linked.len() >= MAX_IDENTITIES as usize {
        return Ok(Err(Refusal::TooMany));
    }
    if !store::link(tx, person, user_id, now)? {
        return Err(raced());
    }
    known(tx, person, user_id.to_owned(), now)
}

/// What the provider says fills what is empty, and replaces nothing that somebody has written.
fn fill(tx: &mut Tx<'_>, person: &Person, user_id: &str, now: Timestamp) -> Result<()> {
    let name = person.name.as_deref().unwrap_or_default();
    store::fill_profile(tx, user_id, name, person.picture.as_deref().unwrap_or_default(), now)
}

/// The account that is made for a person.
pub(super) fn new_account(person: &Person, user_id: String, now: Timestamp) -> User {
    let email = person.email.clone().unwrap_or_else(|| person.placeholder());
    let local_part = crate::accounts::email::local_part(&email);
    let name = person.name.clone().unwrap_or_else(|| local_part.to_owned());
    let mut user = User::new(user_id, email, name, now);
    user.email_verified = person.email_verified;
    user.image = person.picture.clone();
    user
}

fn raced() -> Error {
    Error::new(
        ErrorCode::Conflict,
        "Somebody else changed the account at the same time; try again.",
    )
}
