//! The service `accounts`: its state and its actions.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::{
    ADMIN, Cx, Error, NoInput, PUBLIC, Result, Runtime, Service, ServiceDef, USER, USER_OR_ADMIN,
};
use downcity_db::{MigrationSet, migrations};

use downcity_types::{ErrorCode, Items};

use super::config::{AccountsConfig, EmailVerification};
use super::hasher::Hasher;
use super::letters::SendLetter;
use super::sweep::{EVERY, sweep};
use super::{admin, oauth};
use crate::mail::{KeptMail, MailConfig, MailMode, Mailer, SMTP_PASSWORD};

/// The service `accounts`.
pub struct Accounts {
    pub(super) config: AccountsConfig,
    pub(super) mailer: Mailer,
    pub(super) hasher: Hasher,
    /// Set when the service starts.
    pub(super) http: OnceLock<oauth::Http>,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Accounts {
    /// The service with this configuration.
    pub fn new(config: AccountsConfig, mail: MailConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            mailer: Mailer::new(mail),
            hasher: Hasher::default(),
            http: OnceLock::new(),
        })
    }

    async fn mailbox(self: Arc<Self>, _: Cx, _: NoInput) -> Result<Items<KeptMail>> {
        Ok(Items::all(self.mailer.kept()))
    }

    /// How many password hashes this node has computed, for figures and tests.
    pub fn hashes(&self) -> u64 {
        self.hasher.count()
    }
}

fn tables() -> MigrationSet {
    migrations!(
        "accounts",
        [
            (1, "accounts", "migrations/0001_accounts.sql"),
            (2, "oauth", "migrations/0002_oauth.sql")
        ]
    )
}

#[async_trait]
impl Service for Accounts {
    fn id(&self) -> &'static str {
        "accounts"
    }

    fn name(&self) -> &'static str {
        "Accounts"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.migrations(tables());
        service.instruction(include_str!("instruction.md"));
        service.env(SMTP_PASSWORD, "The password of mail.username at the SMTP server.", false);
        service.job(SendLetter(self.clone()));
        define_sign_in(&self, service);
        define_mailed(&self, service);
        define_account(&self, service);
        define_admin(&self, service);
        oauth::define(&self, service);
        admin::define(&self, service);
    }

    async fn start(&self, runtime: &Arc<Runtime>) -> Result<()> {
        let mail = self.mailer.config();
        if self.config.email_verification == EmailVerification::Required && !mail.is_on() {
            return Err(Error::new(
                ErrorCode::MissingConfig,
                "accounts.email_verification is \"required\", but mail.mode is \"off\": set up mail.",
            ));
        }
        if mail.mode == MailMode::Development {
            tracing::warn!(
                "mail.mode is \"development\": no mail is sent; GET /v1/accounts/mailbox shows them"
            );
        }
        let limit = Duration::from_millis(self.config.provider_timeout_ms);
        let http = oauth::Http::new(limit)?;
        self.http.get_or_init(|| http);
        runtime.tasks().spawn_until_stopped(sweep_regularly(runtime.clone(), self.hasher.clone()));
        Ok(())
    }
}

async fn sweep_regularly(runtime: Arc<Runtime>, hasher: Hasher) {
    loop {
        tokio::time::sleep(EVERY).await;
        hasher.release_idle();
        if let Err(error) = sweep(&runtime).await {
            tracing::warn!(%error, "could not delete ended codes and sessions");
        }
    }
}

/// Signing in with a password.
fn define_sign_in(accounts: &Arc<Accounts>, service: &mut ServiceDef) {
    service
        .post("register", PUBLIC, accounts, Accounts::register)
        .summary("Register with an e-mail address and a password.")
        .description(
            "With city_id the answer signs the user in. Where e-mail addresses have to be verified, \
             the answer is the same for everybody, and a mail says what to do.",
        );
    service
        .post("login", PUBLIC, accounts, Accounts::login)
        .summary("Sign in to a city with an e-mail address and a password.");
    service
        .get("providers", PUBLIC, accounts, Accounts::providers)
        .summary("List the ways to sign in.");
    service
        .post("logout", USER, accounts, Accounts::logout)
        .summary("End the session: its user_token is refused from now on.");
}

/// What needs mail.
fn define_mailed(accounts: &Arc<Accounts>, service: &mut ServiceDef) {
    let same = "The answer is the same whether there is such an account or not.";
    service
        .post("verify-email", PUBLIC, accounts, Accounts::verify_email)
        .summary("Prove an e-mail address with what was mailed to it, and sign in.");
    service
        .post("verify-email/resend", PUBLIC, accounts, Accounts::resend)
        .summary("Send the mail that verifies an address again.")
        .description(same);
    service
        .post("password/forgot", PUBLIC, accounts, Accounts::password_forgot)
        .summary("Mail a link to choose a new password.")
        .description(same);
    service
        .post("password/reset", PUBLIC, accounts, Accounts::password_reset)
        .summary("Choose a new password with what was mailed; every session ends.");
    service
        .post("magic-link/start", PUBLIC, accounts, Accounts::magic_link_start)
        .summary("Mail a link to sign in with.")
        .description(same);
    service
        .post("magic-link/verify", PUBLIC, accounts, Accounts::magic_link_verify)
        .summary("Sign in with the token of a mailed link.")
        .description(TAKEN_OVER);
    service
        .post("code/start", PUBLIC, accounts, Accounts::code_start)
        .summary("Mail a code of six digits to sign in with.")
        .description(same);
    service
        .post("code/verify", PUBLIC, accounts, Accounts::code_verify)
        .summary("Sign in with a mailed code; it can be tried five times.")
        .description(TAKEN_OVER);
}

/// What follows from proving an address.
const TAKEN_OVER: &str = "Makes an account where there is none yet. An account whose address was not \
                          verified before loses its password, its other ways to sign in and its \
                          sessions: it may have been made by somebody else.";

/// What users do with their account.
fn define_account(accounts: &Arc<Accounts>, service: &mut ServiceDef) {
    service.get("me", USER, accounts, Accounts::me).summary("Read the caller's account.");
    service
        .post("profile/update", USER, accounts, Accounts::profile_update)
        .summary("Change the profile; fields that are left out stay as they are.");
    service
        .post("password/change", USER, accounts, Accounts::password_change)
        .summary("Change the password; the other sessions end.");
    service
        .post("email/change", USER, accounts, Accounts::email_change)
        .summary("Mail a token to a new e-mail address.");
    service
        .post("email/change/confirm", USER, accounts, Accounts::email_change_confirm)
        .summary("Take the new e-mail address with the token that was mailed to it.");
    service
        .post("account/delete", USER, accounts, Accounts::account_delete)
        .summary("Delete the account and end every session of it.")
        .description("Wallet, payments and usage stay, under the user_id alone.");
    service
        .get("sessions/me", USER, accounts, Accounts::sessions_me)
        .summary("List the caller's open sessions, newest first.");
    service
        .post("sessions/revoke", USER_OR_ADMIN, accounts, Accounts::sessions_revoke)
        .summary("End a session: its user_token is refused from now on.")
        .description("Users end their own sessions, the trusted side any.");
}

/// What operators see.
fn define_admin(accounts: &Arc<Accounts>, service: &mut ServiceDef) {
    service
        .get("users", ADMIN, accounts, Accounts::users)
        .summary("List the accounts, newest first, or find the one with an e-mail address.")
        .description("A page has 50 accounts, or limit, at most 200.");
    service
        .get("sessions", ADMIN, accounts, Accounts::sessions)
        .summary("List the sessions, those that end last first.")
        .description("A page has 50 sessions, or limit, at most 200.");
    service
        .post("users/import", ADMIN, accounts, Accounts::import)
        .summary("Import accounts with the hashes of their passwords.")
        .description(
            "Each row is stored or refused by itself; a row that is there already stays as it is, so \
             that an import can be repeated.",
        );
    service
        .get("mailbox", ADMIN, accounts, Accounts::mailbox)
        .summary("Read the mails of the development mailbox, newest first.")
        .description("Empty unless mail.mode is \"development\".");
}
