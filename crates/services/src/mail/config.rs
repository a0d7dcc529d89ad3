//! The section `[mail]`.

use downcity_types::Span;
use lettre::message::Mailbox;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How mail is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MailConfig {
    /// `off`, `smtp`, or `development`: nothing is sent, and the admin reads the mails at
    /// `GET /v1/accounts/mailbox`.
    pub mode: MailMode,
    /// The sender, such as `Example <no-reply@example.com>`.
    pub from: Option<String>,
    /// The SMTP server.
    pub host: Option<String>,
    /// Its port; without one 587 with `starttls`, 465 with `implicit`, 25 with `none`.
    pub port: Option<u16>,
    /// `starttls`, `implicit` (TLS from the first byte), or `none`, which is taken for a server on
    /// this machine only.
    pub tls: MailTls,
    /// The name to log in with; its password is the env entry `SMTP_PASSWORD`.
    pub username: Option<String>,
    /// How long a conversation with the server may take.
    pub timeout: Span,
}

/// Where mails go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailMode {
    /// Nowhere.
    #[default]
    Off,
    /// To an SMTP server.
    Smtp,
    /// Into the memory of this node, for the admin to read.
    Development,
}

/// How the way to the server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS after a greeting in the clear; a server that does not offer it is refused.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None.
    None,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            mode: MailMode::Off,
            from: None,
            host: None,
            port: None,
            tls: MailTls::StartTls,
            username: None,
            timeout: Span::seconds(20),
        }
    }
}

impl MailConfig {
    /// What the types alone do not say: each entry is a key of the section and what is wrong.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if let Some(from) = &self.from
            && from.parse::<Mailbox>().is_err()
        {
            wrong.push((
                "from",
                "must be a sender, such as \"Example <mail@example.com>\"".to_owned(),
            ));
        }
        if self.mode == MailMode::Smtp {
            for (key, value) in [("from", &self.from), ("host", &self.host)] {
                if value.as_deref().is_none_or(str::is_empty) {
                    wrong.push((key, "is needed to send mail by SMTP".to_owned()));
                }
            }
        }
        let is_local = matches!(self.host.as_deref(), Some("localhost" | "127.0.0.1" | "::1"));
        if self.tls == MailTls::None && self.host.is_some() && !is_local {
            wrong.push(("tls", "may be \"none\" for a server on this machine only".to_owned()));
        }
        wrong
    }

    /// Whether mails can be sent.
    pub fn is_on(&self) -> bool {
        self.mode != MailMode::Off
    }
}
