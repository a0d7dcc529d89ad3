//! The mails that are sent: when, to whom, and their texts.
//!
//! A mail is a job. The job itself makes the secret that the mail holds, so that no row of the queue
//! has one in the clear; and it alone finds out whether there is an account, so that what a caller
//! gets does not depend on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use downcity_core::jobs::{Job, JobCx, JobEnd, JobPolicy, NewJob};
use downcity_core::{Result, Runtime};
use downcity_db::Tx;
use downcity_types::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::config::AccountsConfig;
use super::email::is_placeholder;
use super::service::Accounts;
use super::store::codes::{self, Code};
use super::store::users::{self, User};
use crate::mail::{Mail, Unsent};

/// How long a link is good for.
pub(super) const LINK_LIFE: Duration = Duration::from_secs(3600);
/// How long a code is good for.
pub(super) const CODE_LIFE: Duration = Duration::from_secs(10 * 60);

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Letter {
    /// Prove that the address is yours.
    Verify,
    /// Somebody registered with the address of an account.
    Exists,
    /// Choose a new password.
    Reset,
    /// Sign in with a link.
    MagicLink,
    /// Sign in with a code.
    Code,
    /// Prove that the new address is yours.
    EmailChange,
    /// The password was changed.
    PasswordChanged,
    /// The address was changed; goes to the old one.
    EmailChanged,
}

impl Letter {
    /// The kind of its secret, as the table of codes names it; `None` where there is none.
    pub(super) fn secret(self) -> Option<&'static str> {
        match self {
            Self::Verify => Some("verify"),
            Self::Reset => Some("reset"),
            Self::MagicLink => Some("magic_link"),
            Self::Code => Some("code"),
            Self::EmailChange => Some("email_change"),
            Self::Exists | Self::PasswordChanged | Self::EmailChanged => None,
        }
    }
}

/// A mail to be written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) letter: Letter,
    /// In its normal form.
    pub(super) email: String,
    /// The city in whose name it is sent.
    pub(super) city_id: Option<String>,
    /// The account, where the mail is for one alone.
    #[serde(default)]
    pub(super) user_id: Option<String>,
    /// The row of the code, where somebody holds its id already; else the job's own id.
    #[serde(default)]
    pub(super) code_id: Option<String>,
}

impl Order {
    /// A mail to this address.
    pub(super) fn new(letter: Letter, email: &str, city_id: Option<&str>) -> Self {
        Self {
            letter,
            email: email.to_owned(),
            city_id: city_id.map(str::to_owned),
            user_id: None,
            code_id: None,
        }
    }

    /// The job that writes and sends it.
    pub(super) fn job(&self, runtime: &Runtime) -> Result<NewJob> {
        let job = NewJob::new::<SendLetter>(runtime, self)?;
        Ok(job.owner(self.city_id.clone(), self.user_id.clone()))
    }
}

/// Writes and sends a mail. Tried again, it makes a new secret, and only the last one counts.
pub(super) struct SendLetter(pub(super) Arc<Accounts>);

#[async_trait]
impl Job for SendLetter {
    const KIND: &'static str = "accounts.mail";
    type Payload = Order;

    fn policy(&self) -> JobPolicy {
        JobPolicy { max_attempts: 8, backoff: Duration::from_secs(5), ..JobPolicy::default() }
    }

    async fn run(&self, cx: JobCx, order: Order) -> Result<JobEnd> {
        let runtime: &Runtime = &cx;
        let prepared = Prepared::new(runtime, order.clone(), &cx.lease().job_id);
        let text_secret = prepared.text.clone();
        let registers = self.0.config.registration;
        let is_wanted = runtime.db().write(move |tx| prepared.store(tx, registers)).await?;
        if !is_wanted {
            return Ok(JobEnd::Done);
        }
        let mail = write(runtime, &self.0.config, &order, &text_secret);
        match self.0.mailer.send(runtime, mail).await {
            Ok(()) => Ok(JobEnd::Done),
            Err(Unsent::Later(error)) => Err(error),
            Err(Unsent::Never(error)) => Ok(JobEnd::Failed(error)),
        }
    }
}

/// What is made before the transaction that stores the secret.
struct Prepared {
    order: Order,
    /// The secret, as it will stand in the mail.
    text: String,
    code_id: String,
    now: Timestamp,
}

impl Prepared {
    fn new(runtime: &Runtime, order: Order, job_id: &str) -> Self {
        let code_id = order.code_id.clone().unwrap_or_else(|| job_id.to_owned());
        let text = match order.letter {
            Letter::Code => six_digits(runtime),
            _ => runtime.ids().secret::<32>(""),
        };
        Self { order, text, code_id, now: runtime.clock().now() }
    }

    /// Stores the secret; says whether the mail is to be sent.
    fn store(&self, tx: &mut Tx<'_>, registers: bool) -> Result<bool> {
        let order = &self.order;
        let user = users::find_by_email(tx, &order.email)?;
        if is_placeholder(&order.email) || !is_for(order.letter, user.as_ref(), registers) {
            return Ok(false);
        }
        let Some(kind) = order.letter.secret() else { return Ok(true) };
        let life = if order.letter == Letter::Code { CODE_LIFE } else { LINK_LIFE };
        let user_id = match order.letter {
            Letter::EmailChange => order.user_id.clone(),
            // Whoever has the address then signs in, also when the account is made only then.
            Letter::MagicLink | Letter::Code => None,
            _ => user.map(|user| user.user_id),
        };
        codes::put(
            tx,
            &Code {
                code_id: self.code_id.clone(),
                kind,
                email: order.email.clone(),
                city_id: order.city_id.clone(),
                user_id,
                secret: Some(stored_secret(order.letter, &self.code_id, &self.text)),
                created_at: self.now,
                expires_at: self.now.saturating_add(life),
            },
        )?;
        Ok(true)
    }
}

/// Whether a mail is for this account, or for nobody yet.
fn is_for(letter: Letter, user: Option<&User>, registers: bool) -> bool {
    let is_open = user.is_some_and(|user| !user.disabled);
    match letter {
        Letter::Verify => user.is_some_and(|user| !user.disabled && !user.email_verified),
        Letter::Reset | Letter::PasswordChanged | Letter::Exists => is_open,
        Letter::MagicLink | Letter::Code => is_open || (user.is_none() && registers),
        // To an address that nobody has yet, and to one that nobody has any more.
        Letter::EmailChange | Letter::EmailChanged => user.is_none(),
    }
}

/// What is stored of a secret. A code of six digits could be guessed from its hash: the id of its row
/// is in it, so that equal codes differ, and ten minutes and five tries are what protects it.
pub(super) fn stored_secret(letter: Letter, code_id: &str, text: &str) -> String {
    let hash = match letter {
        Letter::Code => Sha256::digest(format!("{code_id}:{text}")),
        _ => Sha256::digest(text),
    };
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn six_digits(runtime: &Runtime) -> String {
    let mut bytes = [0; 8];
    runtime.random().fill(&mut bytes);
    // The remainder of 2^64 favours no code by more than 1 in 10^13.
    format!("{:06}", u64::from_le_bytes(bytes) % 1_000_000)
}

/// The mail, its secret in it.
fn write(runtime: &Runtime, config: &AccountsConfig, order: &Order, secret: &str) -> Mail {
    let snapshot = runtime.snapshot();
    let city = order.city_id.as_deref().and_then(|city_id| snapshot.city(city_id));
    // A name is a line of its own making; a subject is one line.
    let product: String = city
        .map_or("your account", |city| city.name.as_str())
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let way = |url: Option<&String>, action: &str| match url {
        Some(url) => format!(
            "open this link within an hour:\n\n{}",
            url.replace("{token}", secret)
                .replace("{city_id}", order.city_id.as_deref().unwrap_or_default())
        ),
        None => format!("{action}:\n\n{secret}\n\nIt is good for an hour."),
    };
    let enter = "enter this code in the app";
    let ignore = "If this was not you, ignore this mail: nothing happens.";
    let (subject, text) = match order.letter {
        Letter::Verify => (
            format!("Verify your e-mail address for {product}"),
            format!(
                "Somebody, probably you, registered with this address.\n\nTo confirm that the address is yours, {}\n\nIf this was not you, ignore this mail, and do not open the link.",
                way(config.verify_url.as_ref(), enter)
            ),
        ),
        Letter::Exists => (
            format!("You already have an account with {product}"),
            format!(
                "Somebody, probably you, tried to register with this address. There is an account with it already: sign in, or ask for a new password where you sign in.\n\n{ignore}"
            ),
        ),
        Letter::Reset => (
            format!("A new password for {product}"),
            format!(
                "Somebody, probably you, asked for a new password.\n\nTo choose one, {}\n\n{ignore}",
                way(config.reset_url.as_ref(), enter)
            ),
        ),
        Letter::MagicLink => (
            format!("Sign in to {product}"),
            format!("To sign in, {}\n\n{ignore}", way(config.magic_link_url.as_ref(), enter)),
        ),
        Letter::Code => (
            format!("{secret} is your code for {product}"),
            format!(
                "Your code is\n\n{secret}\n\nIt is good for ten minutes. Do not give it to anybody: nobody of ours will ask for it.\n\n{ignore}"
            ),
        ),
        Letter::EmailChange => (
            format!("Confirm your new e-mail address for {product}"),
            format!(
                "This address is to become that of your account.\n\nTo confirm it, {enter}:\n\n{secret}\n\nIt is good for an hour.\n\n{ignore}"
            ),
        ),
        Letter::PasswordChanged => (
            format!("Your password for {product} was changed"),
            "The password of your account was changed, and other sessions were ended.\n\nIf this was not you, ask for a new password at once where you sign in.".to_owned(),
        ),
        Letter::EmailChanged => (
            format!("Your e-mail address for {product} was changed"),
            "Your account has another e-mail address now.\n\nIf this was not you, write to those who run the product.".to_owned(),
        ),
    };
    Mail { to: order.email.clone(), subject, text: text + "\n" }
}

/// The row of a code whose id somebody already holds: it is there from the start, whether a mail will
/// be sent or not, and good for nothing until one was written.
pub(super) fn empty_code(order: &Order, now: Timestamp) -> Option<Code> {
    Some(Code {
        code_id: order.code_id.clone()?,
        kind: order.letter.secret()?,
        email: order.email.clone(),
        city_id: order.city_id.clone(),
        user_id: None,
        secret: None,
        created_at: now,
        expires_at: now.saturating_add(CODE_LIFE),
    })
}
