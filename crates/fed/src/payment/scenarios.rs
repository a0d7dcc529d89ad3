//! What a provider may send, and what has to come of it.

use std::time::Duration;

use downcity_server::FailureKind;
use downcity_server::simulation::{
    Clock as _, Delivery, Ids, Moment, Signer, Sold, SystemClock, Vendor, ids,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::remote::{As, Remote, Reply};
use super::report::{Seen, Step};
use crate::failure::Failure;

/// What each top-up of the simulation buys.
const CREDITS: u32 = 5;
/// Older than any signature may be.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// Deliveries that are sent at once.
const AT_ONCE: usize = 5;

/// A payment that events are about, and how its user sees the wallet.
pub(super) struct Subject {
    pub(super) sold: Sold,
    pub(super) token: String,
    /// What the top-up buys, in microcredits.
    pub(super) amount: i64,
    /// What the wallet held before.
    pub(super) before: i64,
}

/// What comes of an event: the answer, and what is then to be seen.
struct Outcome<'a> {
    http: u16,
    sync: &'a str,
    payment: &'a str,
    /// How often the amount stands in the wallet.
    times: i64,
}

fn refused(payment: &str, times: i64) -> Outcome<'_> {
    Outcome { http: 400, sync: "", payment, times }
}

fn applied(payment: &str, times: i64) -> Outcome<'_> {
    Outcome { http: 200, sync: "applied", payment, times }
}

fn ignored(payment: &str, times: i64) -> Outcome<'_> {
    Outcome { http: 200, sync: "ignored", payment, times }
}

/// Sends events and notes what comes of them.
pub(super) struct Simulation {
    remote: Remote,
    vendor: Vendor,
    signer: Signer,
    city_id: String,
    ids: Ids,
    pub(super) steps: Vec<Step>,
}

impl Simulation {
    pub(super) fn new(remote: Remote, vendor: Vendor, signer: Signer, city_id: String) -> Self {
        Self { remote, vendor, signer, city_id, ids: ids(), steps: Vec::new() }
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Everything, on users, top-ups and checkouts of its own.
    pub(super) async fn all(&mut self) -> Result<(), Failure> {
        let first = self.subject().await?;
        self.unbelieved(&first).await?;
        self.paid(&first).await?;
        let second = self.subject().await?;
        self.at_once(&second).await?;
        let third = self.subject().await?;
        self.late(&third).await?;
        let fourth = self.subject().await?;
        self.other_money(&fourth).await?;
        self.foreign().await?;
        for subject in [&first, &second, &third] {
            self.refunded(subject).await?;
        }
        Ok(())
    }

    /// What can be tried on one open payment, which is paid afterwards.
    pub(super) async fn on(&mut self, payment_id: &str) -> Result<(), Failure> {
        let subject = self.existing(payment_id).await?;
        self.unbelieved(&subject).await?;
        self.paid(&subject).await?;
        self.foreign().await
    }

    /// A new user with an open checkout.
    async fn subject(&self) -> Result<Subject, Failure> {
        let user_id = self.ids.sortable("simulation_");
        let token = self.token(&self.city_id, &user_id).await?;
        let user = As::User(&token);
        let input = json!({"amount": CREDITS, "note": "fed payment simulate"});
        let topup = self.remote.post(user, "/v1/balance/topups/create", &input).await?;
        let topup = topup.success("A top-up")?;
        let input = json!({"method_id": self.vendor.id(), "topup_id": topup["topup_id"]});
        let checkout = self.remote.post(user, "/v1/payment/checkout/create", &input).await?;
        let checkout = checkout.success("A checkout")?;
        let amount = whole(&topup, "amount")?;
        let before = self.wallet(&token).await?;
        Ok(Subject { sold: sold(&checkout, &user_id)?, token, amount, before })
    }

    /// An open payment that somebody has made.
    async fn existing(&self, payment_id: &str) -> Result<Subject, Failure> {
        let path = format!("/v1/payment/payments/get?payment_id={payment_id}");
        let payment = self.remote.get(As::Admin, &path).await?.success("The payment")?;
        let is_here = payment["provider"] == self.vendor.id() && payment["status"] == "pending";
        if !is_here || payment["test"] != true {
            let text = "The payment has to be an open one of this provider, in test mode.";
            return Err(Failure::new(FailureKind::Conflict, text));
        }
        let (city_id, user_id) = (text(&payment, "city_id")?, text(&payment, "user_id")?);
        let token = self.token(&city_id, &user_id).await?;
        let before = self.wallet(&token).await?;
        let amount = whole(&payment, "amount")?;
        Ok(Subject { sold: sold(&payment, &user_id)?, token, amount, before })
    }

    async fn token(&self, city_id: &str, user_id: &str) -> Result<String, Failure> {
        let input = json!({"city_id": city_id, "user_id": user_id, "ttl": "30m"});
        let issued = self.remote.post(As::Admin, "/v1/cities/tokens/apply", &input).await?;
        text(&issued.success("A token")?, "user_token")
    }

    async fn wallet(&self, token: &str) -> Result<i64, Failure> {
        let wallet = self.remote.get(As::User(token), "/v1/balance/me").await?;
        whole(&wallet.success("The wallet")?, "microcredits")
    }

    /// What nobody signed, or not so, or not now.
    async fn unbelieved(&mut self, subject: &Subject) -> Result<(), Failure> {
        let sold = &subject.sold;
        let now = SystemClock.now();
        let paid = paid(sold.minor, &sold.currency);
        let event_id = self.event_id();
        let Some(draft) = self.vendor.draft(&event_id, &paid, sold, now) else { return Ok(()) };
        let good = self.signed(&draft, now)?;
        let unsigned = Delivery {
            headers: vec![("content-type", "application/json".to_owned())],
            body: good.body.clone(),
        };
        self.try_on("not signed", &unsigned, subject, refused("pending", 0)).await?;
        let mut changed = good.clone();
        changed.body.push(b' ');
        self.try_on("changed after it was signed", &changed, subject, refused("pending", 0))
            .await?;
        if let Some(forger) = self.forger() {
            let forged = draft.signed(&forger, now).map_err(unsignable)?;
            self.try_on("signed with another secret", &forged, subject, refused("pending", 0))
                .await?;
        }
        // Creem signs no time.
        if self.vendor != Vendor::Creem {
            let old = self.signed(&draft, now.saturating_sub(OLD))?;
            self.try_on("signed a day ago", &old, subject, refused("pending", 0)).await?;
        }
        // Events of Dodo do not say their mode.
        if self.vendor != Vendor::Dodo {
            let live = Sold { is_live: !sold.is_live, ..sold.clone() };
            let other = self.delivery(&self.event_id(), &paid, &live)?;
            self.try_on("of the other mode", &other, subject, refused("pending", 0)).await?;
        }
        Ok(())
    }

    /// Paid, and told several times.
    async fn paid(&mut self, subject: &Subject) -> Result<(), Failure> {
        let sold = &subject.sold;
        let paid = paid(sold.minor, &sold.currency);
        let first = self.delivery(&self.event_id(), &paid, sold)?;
        self.try_on("paid", &first, subject, applied("paid", 1)).await?;
        self.try_on("the same event again", &first, subject, applied("paid", 1)).await?;
        let other = self.delivery(&self.event_id(), &paid, sold)?;
        self.try_on("another event of the payment", &other, subject, applied("paid", 1)).await?;
        for (name, moment) in [
            ("expired after it was paid", Moment::Expired),
            ("failed after it was paid", Moment::Failed),
        ] {
            if let Some(end) = self.maybe(&moment, sold)? {
                self.try_on(name, &end, subject, ignored("paid", 1)).await?;
            }
        }
        Ok(())
    }

    /// One event, delivered several times at once.
    async fn at_once(&mut self, subject: &Subject) -> Result<(), Failure> {
        let sold = &subject.sold;
        let paid = paid(sold.minor, &sold.currency);
        let delivery = self.delivery(&self.event_id(), &paid, sold)?;
        let sent = (0..AT_ONCE).map(|_| self.remote.deliver(self.vendor, &delivery));
        let mut worst = Reply { status: 200, body: json!({"sync_status": "applied"}) };
        for reply in join_all(sent).await {
            let reply = reply?;
            // One that another delivery is handling is told so.
            if reply.status != 200 {
                worst = reply;
            }
        }
        self.note("delivered five times at once", worst, Some(subject), applied("paid", 1)).await
    }

    /// The end is told before the payment.
    async fn late(&mut self, subject: &Subject) -> Result<(), Failure> {
        let sold = &subject.sold;
        let ends = [(Moment::Expired, "expired"), (Moment::Failed, "failed")];
        for (moment, status) in ends {
            if let Some(end) = self.maybe(&moment, sold)? {
                self.try_on(status, &end, subject, applied(status, 0)).await?;
                break;
            }
        }
        let paid = self.delivery(&self.event_id(), &paid(sold.minor, &sold.currency), sold)?;
        self.try_on("paid after all", &paid, subject, applied("paid", 1)).await
    }

    /// Money that does not fit.
    async fn other_money(&mut self, subject: &Subject) -> Result<(), Failure> {
        let sold = &subject.sold;
        let little = self.delivery(&self.event_id(), &paid(1, &sold.currency), sold)?;
        self.try_on("too little money", &little, subject, applied("review", 0)).await?;
        let other = self.subject().await?;
        let currency = if sold.currency == "eur" { "usd" } else { "eur" };
        let strange = self.delivery(&self.event_id(), &paid(sold.minor, currency), &other.sold)?;
        self.try_on("another currency", &strange, &other, applied("review", 0)).await
    }

    /// What is about nothing of this server.
    async fn foreign(&mut self) -> Result<(), Failure> {
        let foreign = Sold {
            payment_id: self.ids.sortable("pay_elsewhere_"),
            topup_id: self.ids.sortable("topup_elsewhere_"),
            user_id: "somebody".to_owned(),
            session_id: self.ids.sortable("cs_elsewhere_"),
            minor: 100,
            currency: "usd".to_owned(),
            is_live: false,
        };
        for (name, moment) in [
            ("a payment of another system", paid(100, "usd")),
            ("about no payment", Moment::Unrelated),
        ] {
            let delivery = self.delivery(&self.event_id(), &moment, &foreign)?;
            let reply = self.remote.deliver(self.vendor, &delivery).await?;
            self.note(name, reply, None, ignored("", 0)).await?;
        }
        Ok(())
    }

    /// The money goes back, and with it the credits.
    async fn refunded(&mut self, subject: &Subject) -> Result<(), Failure> {
        let refund_id = self.ids.sortable("re_");
        let moment = Moment::Refunded { refund_id, minor: subject.sold.minor };
        let refund = self.delivery(&self.event_id(), &moment, &subject.sold)?;
        self.try_on("refunded", &refund, subject, applied("refunded", 0)).await?;
        let again = self.delivery(&self.event_id(), &moment, &subject.sold)?;
        self.try_on("the same refund again", &again, subject, applied("refunded", 0)).await
    }

    async fn try_on(
        &mut self,
        name: &'static str,
        delivery: &Delivery,
        subject: &Subject,
        outcome: Outcome<'_>,
    ) -> Result<(), Failure> {
        let reply = self.remote.deliver(self.vendor, delivery).await?;
        self.note(name, reply, Some(subject), outcome).await
    }

    /// Notes what was to be seen after a delivery, and what is.
    async fn note(
        &mut self,
        name: &'static str,
        reply: Reply,
        subject: Option<&Subject>,
        outcome: Outcome<'_>,
    ) -> Result<(), Failure> {
        let expected = Seen {
            http: outcome.http,
            sync: outcome.sync.to_owned(),
            wallet: subject.map(|subject| subject.before + outcome.times * subject.amount),
            payment: outcome.payment.to_owned(),
        };
        let (wallet, payment) = match subject {
            None => (None, String::new()),
            Some(subject) => {
                let id = &subject.sold.payment_id;
                let path = format!("/v1/payment/payments/get?payment_id={id}");
                let payment = self.remote.get(As::Admin, &path).await?.success("The payment")?;
                (Some(self.wallet(&subject.token).await?), text(&payment, "status")?)
            }
        };
        let sync = reply.body["sync_status"].as_str().unwrap_or_default().to_owned();
        let got = Seen { http: reply.status, sync, wallet, payment };
        self.steps.push(Step { name, expected, got });
        Ok(())
    }

    fn event_id(&self) -> String {
        self.ids.sortable("evt_simulated_")
    }

    /// A signed event of now.
    fn delivery(&self, event_id: &str, moment: &Moment, sold: &Sold) -> Result<Delivery, Failure> {
        let now = SystemClock.now();
        let draft = self.vendor.draft(event_id, moment, sold, now).ok_or_else(|| {
            let text = format!("{} tells of no such moment: {moment:?}", self.vendor.id());
            Failure::new(FailureKind::Failed, text)
        })?;
        self.signed(&draft, now)
    }

    /// A signed event of now; `None` when the provider tells of no such moment.
    fn maybe(&self, moment: &Moment, sold: &Sold) -> Result<Option<Delivery>, Failure> {
        let now = SystemClock.now();
        let draft = self.vendor.draft(&self.event_id(), moment, sold, now);
        draft.map(|draft| self.signed(&draft, now)).transpose()
    }

    fn signed(
        &self,
        draft: &downcity_server::simulation::Draft,
        at: downcity_types::Timestamp,
    ) -> Result<Delivery, Failure> {
        draft.signed(&self.signer, at).map_err(unsignable)
    }

    /// Somebody else with a secret; a further private key is nothing to make up.
    fn forger(&self) -> Option<Signer> {
        let secret = || self.ids.secret::<24>("").replace(['-', '_'], "A");
        (self.vendor != Vendor::Waffo).then(|| Signer::secret(&secret()))
    }
}

fn paid(minor: i64, currency: &str) -> Moment {
    Moment::Paid { minor, currency: currency.to_owned() }
}

fn unsignable(error: downcity_server::simulation::KeyError) -> Failure {
    Failure::new(FailureKind::Failed, format!("The events cannot be signed: {error}"))
}

fn sold(checkout: &Value, user_id: &str) -> Result<Sold, Failure> {
    Ok(Sold {
        payment_id: text(checkout, "payment_id")?,
        topup_id: text(checkout, "topup_id")?,
        user_id: user_id.to_owned(),
        session_id: text(checkout, "provider_session_id")?,
        minor: whole(checkout, "amount_minor")?,
        currency: text(checkout, "currency")?,
        is_live: false,
    })
}

fn text(record: &Value, field: &str) -> Result<String, Failure> {
    record[field].as_str().map(str::to_owned).ok_or_else(|| unreadable(field))
}

fn whole(record: &Value, field: &str) -> Result<i64, Failure> {
    record[field].as_i64().ok_or_else(|| unreadable(field))
}

fn unreadable(field: &str) -> Failure {
    let text = format!("The server's answer has no {field}: is it a Federation of this version?");
    Failure::new(FailureKind::Failed, text)
}
