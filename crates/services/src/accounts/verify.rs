//! `verify-email` and `verify-email/resend`.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::{Cx, Error, Result, Secret, jobs};
use downcity_db::Tx;
use downcity_types::{City, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::EmailVerification;
use super::letters::{LINK_LIFE, Letter, Order, stored_secret};
use super::proof::{self, invalid_code};
use super::records::SignedIn;
use super::register::new_user_id;
use super::service::Accounts;
use super::session::{self, Opening};
use super::store::codes;
use super::store::identities::CREDENTIAL;
use super::store::users::{self, User};
use super::throttle::{Attempt, Counted};
use super::{email, letters};

#[derive(Deserialize, JsonSchema)]
pub(super) struct TokenIn {
    /// What was mailed.
    #[schemars(with = "String")]
    token: Secret,
    /// The city to sign in to; without it the one for which the mail was asked for.
    #[serde(default)]
    city_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct MailIn {
    /// The e-mail address.
    email: String,
    /// The city in whose name the mail is sent.
    #[serde(default)]
    city_id: Option<String>,
}

/// That a mail goes out, if there is whom to write to.
#[derive(Serialize, JsonSchema)]
pub(super) struct Mailed {
    /// Always `true`, whether there is such an account or not.
    success: bool,
    /// For how many seconds the link or code in the mail is good.
    expires_in: u64,
}

impl Mailed {
    pub(super) fn new(life: Duration) -> Self {
        Self { success: true, expires_in: life.as_secs() }
    }
}

impl Accounts {
    pub(super) async fn verify_email(self: Arc<Self>, cx: Cx, input: TokenIn) -> Result<SignedIn> {
        let secret = stored_secret(Letter::Verify, "", input.token.expose());
        let city = self.city_of_link(&cx, "verify", &secret, input.city_id.as_deref()).await?;
        let opening = Opening::new(&cx, self.config.token_ttl, &city, CREDENTIAL);
        let now = cx.runtime().clock().now();
        let (email, issued) = cx
            .write(move |tx, trail| {
                let user = proof::verify(tx, trail, &secret, now)?;
                let issued = opening.open(tx, trail, &user.user_id)?;
                Ok((user.email, issued))
            })
            .await?;
        Ok(SignedIn::new(email, issued))
    }

    pub(super) async fn resend(self: Arc<Self>, cx: Cx, input: MailIn) -> Result<Mailed> {
        if self.config.email_verification == EmailVerification::Off {
            return Err(Error::new(ErrorCode::Unprocessable, "Addresses are not verified here."));
        }
        self.mail_link(&cx, Letter::Verify, &input).await
    }

    pub(super) async fn magic_link_start(self: Arc<Self>, cx: Cx, input: MailIn) -> Result<Mailed> {
        if self.config.magic_link_url.is_none() {
            return Err(Error::new(ErrorCode::Unprocessable, "There are no sign-in links here.")
                .with_fix("Set accounts.magic_link_url."));
        }
        session::city_of(cx.runtime(), input.city_id.as_deref())?;
        self.mail_link(&cx, Letter::MagicLink, &input).await
    }

    pub(super) async fn magic_link_verify(
        self: Arc<Self>,
        cx: Cx,
        input: TokenIn,
    ) -> Result<SignedIn> {
        let kind = "magic_link";
        let secret = stored_secret(Letter::MagicLink, "", input.token.expose());
        let city = self.city_of_link(&cx, kind, &secret, input.city_id.as_deref()).await?;
        let opening = Opening::new(&cx, self.config.token_ttl, &city, kind);
        let now = cx.runtime().clock().now();
        let wanted = secret.clone();
        let code = cx.runtime().db().read(move |tx| codes::find_by_secret(tx, kind, &wanted, now));
        let email = code.await?.ok_or_else(invalid_code)?.email;
        let (new, owner) = (self.new_user_of(&cx, &email), email.clone());
        let issued = cx
            .change(move |tx, trail| {
                users::lock_by_email(tx, &owner)?;
                let code =
                    codes::take_by_secret(tx, kind, &secret, now)?.ok_or_else(invalid_code)?;
                proof::sign_in(tx, trail, &opening, new.as_ref(), &code.email, now)
            })
            .await?;
        Ok(SignedIn::new(email, issued))
    }

    /// Orders a mail with a link. What is done does not depend on whether there is such an account.
    pub(super) async fn mail_link(
        &self,
        cx: &Cx,
        letter: Letter,
        input: &MailIn,
    ) -> Result<Mailed> {
        self.require_mail()?;
        let email = email::normalise(&input.email)?;
        let city_id = match input.city_id.as_deref().map(str::trim) {
            None | Some("") => None,
            city_id => Some(session::city_of(cx.runtime(), city_id)?.city_id.clone()),
        };
        let order = Order::new(letter, &email, city_id.as_deref());
        self.order(cx, order).await?;
        Ok(Mailed::new(LINK_LIFE))
    }

    /// Orders a mail under the throttle.
    pub(super) async fn order(&self, cx: &Cx, order: Order) -> Result<()> {
        let attempt = Attempt::new(cx, Counted::Mails, &order.email);
        let job = order.job(cx.runtime())?;
        let code = letters::empty_code(&order, cx.runtime().clock().now());
        cx.runtime()
            .db()
            .write(move |tx| {
                let user = users::find_by_email(tx, &order.email)?;
                attempt.take(tx, user.as_ref().map(|user| user.user_id.as_str()))?;
                if let Some(code) = &code {
                    codes::put(tx, code)?;
                }
                jobs::enqueue(tx, &job)
            })
            .await?;
        cx.runtime().wake_workers();
        Ok(())
    }

    /// A 422 where no mail can be sent.
    pub(super) fn require_mail(&self) -> Result<()> {
        if self.mailer.config().is_on() {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Unprocessable, "This Federation sends no mail.")
            .with_fix("Its operator sets mail.mode."))
    }

    /// The city of a call with a mailed link; a link that is of no use is refused before.
    async fn city_of_link(
        &self,
        cx: &Cx,
        kind: &'static str,
        secret: &str,
        named: Option<&str>,
    ) -> Result<Arc<City>> {
        let (secret, now) = (secret.to_owned(), cx.runtime().clock().now());
        let find = move |tx: &mut Tx<'_>| codes::find_by_secret(tx, kind, &secret, now);
        let code = cx.runtime().db().read(find).await?.ok_or_else(invalid_code)?;
        proof::city_of(cx, named, code.city_id.as_deref())
    }

    /// The account that the owner of an address gets who has none yet; `None` where there are no new
    /// ones.
    pub(super) fn new_user_of(&self, cx: &Cx, email: &str) -> Option<User> {
        let name = email::local_part(email).to_owned();
        let now = cx.runtime().clock().now();
        let user_id = new_user_id(cx);
        let mut user = User::new(user_id, email.to_owned(), name, now);
        user.email_verified = true;
        self.config.registration.then_some(user)
    }
}
