//! Proving who somebody is by a password, under the throttle.

use downcity_core::{Cx, Error, Result};
use downcity_db::Tx;

use super::login::refused;
use super::password::Password;
use super::service::Accounts;
use super::store::identities;
use super::store::users::{self, User};
use super::throttle::{Attempt, Counted};

/// Somebody who knows the password.
pub(super) struct Proven {
    pub(super) user: User,
    /// The hash that was compared.
    pub(super) stored: String,
    /// A new hash in its place.
    pub(super) rehashed: Option<String>,
    /// To be forgiven, where earlier failures stand against it.
    pub(super) attempt: Option<Attempt>,
}

/// What is known of the owner of an address.
struct Found {
    user: Option<User>,
    stored: Option<String>,
    any_scrypt: bool,
    /// Whether failures stand against the attempt.
    any_counted: bool,
}

impl Accounts {
    /// Compares a password with that of the owner of an address. The work is the same whether there
    /// is such an account or not: two looks at the throttle, one comparison, one note.
    ///
    /// The throttle is looked at once more when it is our turn, and a failure is noted before the
    /// turn ends: so many attempts at once get no further than the turns of the nodes.
    ///
    /// # Errors
    /// 429, 503 when too many wait, and 401 for whoever does not know the password.
    pub(super) async fn prove(&self, cx: &Cx, email: &str, password: &Password) -> Result<Proven> {
        let attempt = Attempt::new(cx, Counted::Failures, email);
        look(cx, &attempt, email).await?;
        let turn = self.hasher.turn().await?;
        let found = look(cx, &attempt, email).await?;
        let random = cx.runtime().random();
        let stored = found.stored.as_deref();
        let compared = turn.compare(random, password, stored, found.any_scrypt).await?;
        match (found.user, found.stored) {
            (Some(user), Some(stored)) if compared.matches => {
                let attempt = found.any_counted.then_some(attempt);
                Ok(Proven { user, stored, rehashed: compared.rehashed, attempt })
            }
            _ => {
                note_failure(cx, attempt).await?;
                Err(refused())
            }
        }
    }
}

/// Counts a failure, also one of the trusted side: it changes nothing that the audit trail is about.
pub(super) async fn note_failure(cx: &Cx, attempt: Attempt) -> Result<()> {
    cx.runtime().db().write(move |tx| attempt.count(tx)).await
}

async fn look(cx: &Cx, attempt: &Attempt, email: &str) -> Result<Found> {
    let (attempt, email) = (attempt.clone(), email.to_owned());
    let look = move |tx: &mut Tx<'_>| {
        let user = users::find_by_email(tx, &email)?;
        // Asked for nobody too, so that the statements are the same.
        let user_id = user.as_ref().map_or("", |user| &user.user_id);
        let stored = identities::find_password(tx, user_id)?;
        let any_counted = attempt.check(tx, Some(user_id))?;
        let any_scrypt = identities::any_scrypt(tx)?;
        Ok::<_, Error>(Found { user, stored, any_scrypt, any_counted })
    };
    cx.runtime().db().read(look).await
}
