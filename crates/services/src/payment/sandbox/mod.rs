//! Plays a payment provider: answers requests for checkouts and makes signed webhooks, as the real ones do.
//!
//! For tests and for `fed payment simulate`. Nothing of the service uses it, and it needs what only the provider
//! and the operator have: the secret of the webhook, or a private key whose public half is configured.

mod api;
mod events;
#[cfg(test)]
mod tests;

use downcity_core::Secret;
use downcity_types::Timestamp;

use super::sign::{KeyError, PrivateKey};
use super::signature::hmac::{secrets, sign};

pub use api::{Account, Answered};

/// The providers that can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// Stripe.
    Stripe,
    /// Creem.
    Creem,
    /// Dodo Payments.
    Dodo,
    /// Waffo Pancake.
    Waffo,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stripe, Self::Creem, Self::Dodo, Self::Waffo];

    /// The id of its payment method.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Creem => "creem",
            Self::Dodo => "dodo",
            Self::Waffo => "waffo",
        }
    }

    /// The vendor of this id.
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.id() == id)
    }

    /// The env key with the secret of its webhooks; for Waffo, the public key that verifies them.
    pub const fn webhook_key(self) -> &'static str {
        match self {
            Self::Stripe => "STRIPE_WEBHOOK_SECRET",
            Self::Creem => "CREEM_WEBHOOK_SECRET",
            Self::Dodo => "DODO_WEBHOOK_KEY",
            Self::Waffo => "WAFFO_WEBHOOK_PUBLIC_KEY",
        }
    }

    /// The env key with the base URL of its API.
    pub const fn base_url_key(self) -> &'static str {
        match self {
            Self::Stripe => "STRIPE_API_BASE_URL",
            Self::Creem => "CREEM_API_BASE_URL",
            Self::Dodo => "DODO_API_BASE_URL",
            Self::Waffo => "WAFFO_API_BASE_URL",
        }
    }

    /// The events that its webhook endpoint has to be subscribed to.
    pub const fn events(self) -> &'static [&'static str] {
        match self {
            Self::Stripe => &[
                "checkout.session.completed",
                "checkout.session.async_payment_succeeded",
                "checkout.session.async_payment_failed",
                "checkout.session.expired",
                "payment_intent.payment_failed",
                "charge.refunded",
                "charge.dispute.created",
                "charge.dispute.closed",
            ],
            Self::Creem => &["checkout.completed", "refund.created", "dispute.created"],
            Self::Dodo => &[
                "payment.succeeded",
                "payment.failed",
                "payment.cancelled",
                "refund.succeeded",
                "dispute.opened",
                "dispute.won",
                "dispute.lost",
                "dispute.accepted",
                "dispute.cancelled",
                "dispute.expired",
            ],
            Self::Waffo => &["order.completed", "refund.succeeded"],
        }
    }
}

/// What a webhook is signed with.
#[derive(Debug)]
pub enum Signer {
    /// A shared secret.
    Secret(Secret),
    /// A private key.
    Key(Box<PrivateKey>),
}

impl Signer {
    /// Signs with the first of the secrets of a setting.
    pub fn secret(setting: &str) -> Self {
        Self::Secret(Secret::new(secrets(setting).next().unwrap_or_default()))
    }

    /// Signs with a private key in PEM or base64.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn key(text: &str) -> Result<Self, KeyError> {
        Ok(Self::Key(Box::new(PrivateKey::parse(text)?)))
    }
}

/// A payment as the provider knows it.
#[derive(Clone, Debug)]
pub struct Sold {
    /// Our payment.
    pub payment_id: String,
    /// What it is for.
    pub topup_id: String,
    /// Who pays.
    pub user_id: String,
    /// The provider's checkout.
    pub session_id: String,
    /// The price in the smallest unit of the currency.
    pub minor: i64,
    /// ISO 4217 in lower case, one with two digits behind the point.
    pub currency: String,
    /// Whether real money moves.
    pub is_live: bool,
}

impl Sold {
    /// The provider's own id of the payment.
    pub fn provider_payment_id(&self) -> String {
        format!("pi_{}", self.session_id)
    }

    /// The provider's id of the order.
    pub fn order_id(&self) -> String {
        format!("ord_{}", self.session_id)
    }
}

/// What happens to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It is paid with this much.
    Paid {
        /// In the smallest unit.
        minor: i64,
        /// ISO 4217 in lower case.
        currency: String,
    },
    /// The checkout was left alone for too long.
    Expired,
    /// The payment failed for good.
    Failed,
    /// Money goes back. Stripe tells the sum of all refunds, the others each one.
    Refunded {
        /// The provider's id of the refund.
        refund_id: String,
        /// In the smallest unit of the payment's currency.
        minor: i64,
    },
    /// The buyer disputes the payment.
    Disputed {
        /// The provider's id of the dispute.
        dispute_id: String,
    },
    /// The dispute ends.
    DisputeClosed {
        /// The provider's id of the dispute.
        dispute_id: String,
        /// For the seller.
        is_won: bool,
    },
    /// Something that no payment is about.
    Unrelated,
}

/// An event before it is signed.
#[derive(Clone, Debug)]
pub struct Draft {
    vendor: Vendor,
    event_id: String,
    /// The body, as it is signed and sent.
    pub body: Vec<u8>,
}

/// A webhook as it is sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The headers, the content type among them.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Vendor {
    /// The event that tells of a moment of a payment; `None` when the provider tells of no such moment.
    pub fn draft(
        self,
        event_id: &str,
        moment: &Moment,
        sold: &Sold,
        at: Timestamp,
    ) -> Option<Draft> {
        let body = match self {
            Self::Stripe => events::stripe(event_id, moment, sold, at),
            Self::Creem => events::creem(event_id, moment, sold, at),
            Self::Dodo => events::dodo(moment, sold, at),
            Self::Waffo => events::waffo(event_id, moment, sold, at),
        }?;
        Some(Draft {
            vendor: self,
            event_id: event_id.to_owned(),
            body: body.to_string().into_bytes(),
        })
    }
}

impl Draft {
    /// Signs the event at this time.
    ///
    /// # Errors
    /// [`KeyError::Kind`] when the signer is not of the kind that the provider uses.
    pub fn signed(&self, signer: &Signer, at: Timestamp) -> Result<Delivery, KeyError> {
        let (seconds, millis) = (at.seconds(), at.millis());
        let mut headers = vec![("content-type", "application/json".to_owned())];
        match (self.vendor, signer) {
            (Vendor::Stripe, Signer::Secret(secret)) => {
                let time = seconds.to_string();
                let signature = sign::hex(secret.expose(), &[time.as_bytes(), b".", &self.body]);
                headers.push(("stripe-signature", format!("t={time},v1={signature}")));
            }
            (Vendor::Creem, Signer::Secret(secret)) => {
                headers.push(("creem-signature", sign::hex(secret.expose(), &[&self.body])));
            }
            (Vendor::Dodo, Signer::Secret(secret)) => {
                let signature =
                    sign::standard(secret.expose(), &self.event_id, seconds, &self.body);
                headers.push(("webhook-id", self.event_id.clone()));
                headers.push(("webhook-timestamp", seconds.to_string()));
                headers.push(("webhook-signature", signature.ok_or(KeyError::Encoding)?));
            }
            (Vendor::Waffo, Signer::Key(key)) => {
                let message = [format!("{millis}.").as_bytes(), &self.body].concat();
                let signature = key.sign(&message)?;
                headers.push(("x-waffo-signature", format!("t={millis},v1={signature}")));
            }
            _ => return Err(KeyError::Kind),
        }
        Ok(Delivery { headers, body: self.body.clone() })
    }
}
