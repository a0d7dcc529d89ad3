//! Sending mail: by SMTP, or into a mailbox for development.

mod config;
mod smtp;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use downcity_core::{Error, Runtime};
use downcity_types::{ErrorCode, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

pub use config::{MailConfig, MailMode, MailTls};

/// The env entry with the password of the SMTP server.
pub(crate) const SMTP_PASSWORD: &str = "SMTP_PASSWORD";

/// The most mails that the development mailbox keeps.
const KEPT: usize = 200;

/// A mail of plain text.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// A mail in the development mailbox.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct KeptMail {
    /// The id of the mail.
    pub(crate) mail_id: String,
    /// Whom it is for.
    pub(crate) to: String,
    /// The subject.
    pub(crate) subject: String,
    /// The text, with the links and codes in it.
    pub(crate) text: String,
    /// When it would have been sent.
    pub(crate) created_at: Timestamp,
}

/// Why a mail was not sent. Shows neither the text nor the password.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// It may go out later.
    Later(Error),
    /// The server will never take it.
    Never(Error),
}

/// Sends mail as the configuration says.
pub(crate) struct Mailer {
    config: MailConfig,
    mailbox: Mutex<VecDeque<KeptMail>>,
}

impl Mailer {
    pub(crate) fn new(config: MailConfig) -> Self {
        Self { config, mailbox: Mutex::default() }
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &MailConfig {
        &self.config
    }

    /// Sends one mail.
    pub(crate) async fn send(&self, runtime: &Runtime, mail: Mail) -> Result<(), Unsent> {
        match self.config.mode {
            MailMode::Off => {
                let off = "no mail is configured: set mail.mode";
                Err(Unsent::Never(Error::new(ErrorCode::MissingConfig, off)))
            }
            MailMode::Smtp => smtp::send(&self.config, runtime, mail).await,
            MailMode::Development => {
                self.keep(runtime, mail);
                Ok(())
            }
        }
    }

    /// The mails of the development mailbox, newest first.
    pub(crate) fn kept(&self) -> Vec<KeptMail> {
        self.mailbox().iter().rev().cloned().collect()
    }

    fn keep(&self, runtime: &Runtime, mail: Mail) {
        let kept = KeptMail {
            mail_id: runtime.ids().sortable("mail_"),
            to: mail.to,
            subject: mail.subject,
            text: mail.text,
            created_at: runtime.clock().now(),
        };
        let mut mailbox = self.mailbox();
        if mailbox.len() == KEPT {
            mailbox.pop_front();
        }
        mailbox.push_back(kept);
    }

    fn mailbox(&self) -> std::sync::MutexGuard<'_, VecDeque<KeptMail>> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
