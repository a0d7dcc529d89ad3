//! `code/start` and `code/verify`: signing in with a code of six digits.

use std::sync::Arc;

use downcity_core::{Cx, Result, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::email;
use super::letters::{CODE_LIFE, Letter, Order, stored_secret};
use super::proof::{self, invalid_code};
use super::prove::note_failure;
use super::records::SignedIn;
use super::service::Accounts;
use super::session::{self, Opening};
use super::store::{codes, users};
use super::throttle::{Attempt, Counted};

const KIND: &str = "code";

#[derive(Deserialize, JsonSchema)]
pub(super) struct StartIn {
    /// The e-mail address.
    email: String,
    /// The city to sign in to.
    #[serde(default)]
    #[schemars(required, with = "String")]
    city_id: Option<String>,
}

/// A code is on its way, if there is whom to write to.
#[derive(Serialize, JsonSchema)]
pub(super) struct Started {
    /// Always `true`, whether there is such an account or not.
    success: bool,
    /// What `code/verify` wants with the code: only who has asked for a code can use it.
    challenge: String,
    /// For how many seconds the code is good.
    expires_in: u64,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct VerifyIn {
    /// The `challenge` of `code/start`.
    challenge: String,
    /// The code of the mail.
    #[schemars(with = "String")]
    code: Secret,
    /// The city to sign in to; without it the one of `code/start`.
    #[serde(default)]
    city_id: Option<String>,
}

impl Accounts {
    pub(super) async fn code_start(self: Arc<Self>, cx: Cx, input: StartIn) -> Result<Started> {
        self.require_mail()?;
        let email = email::normalise(&input.email)?;
        let city = session::city_of(cx.runtime(), input.city_id.as_deref())?;
        let challenge = cx.runtime().ids().secret::<24>("cod_");
        let mut order = Order::new(Letter::Code, &email, Some(&city.city_id));
        order.code_id = Some(challenge.clone());
        self.order(&cx, order).await?;
        Ok(Started { success: true, challenge, expires_in: CODE_LIFE.as_secs() })
    }

    pub(super) async fn code_verify(self: Arc<Self>, cx: Cx, input: VerifyIn) -> Result<SignedIn> {
        let (challenge, now) = (input.challenge, cx.runtime().clock().now());
        let wanted = challenge.clone();
        let found = cx.runtime().db().read(move |tx| codes::find(tx, KIND, &wanted, now)).await?;
        let found = found.ok_or_else(invalid_code)?;
        let city = proof::city_of(&cx, input.city_id.as_deref(), found.city_id.as_deref())?;
        let opening = Opening::new(&cx, self.config.token_ttl, &city, KIND);
        let new = self.new_user_of(&cx, &found.email);
        let attempt = Attempt::new(&cx, Counted::Failures, &found.email);
        let tried = stored_secret(Letter::Code, &challenge, input.code.expose().trim());
        let look = attempt.clone();
        // A wrong code has to be counted, so the transaction succeeds and says that it was wrong.
        let signed_in = cx
            .change(move |tx, trail| {
                let user = users::lock_by_email(tx, &found.email)?;
                look.check(tx, user.as_ref().map(|user| user.user_id.as_str()))?;
                let code = codes::try_once(tx, KIND, &challenge, now)?;
                let secret = code.and_then(|code| code.secret).unwrap_or_default();
                if !bool::from(secret.as_bytes().ct_eq(tried.as_bytes())) {
                    trail.unchanged();
                    return Ok(None);
                }
                codes::delete(tx, &challenge)?;
                let issued = proof::sign_in(tx, trail, &opening, new.as_ref(), &found.email, now)?;
                Ok(Some((found.email.clone(), issued)))
            })
            .await?;
        let Some((email, issued)) = signed_in else {
            note_failure(&cx, attempt).await?;
            return Err(invalid_code());
        };
        Ok(SignedIn::new(email, issued))
    }
}
