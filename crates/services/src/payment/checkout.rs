//! Opening a checkout: one per provider and top-up, opened once however often it is asked for.

use std::time::Duration;

use downcity_core::{Call, Error, Result, Runtime};
use downcity_db::Tx;
use downcity_types::{ErrorCode, Microcredits, Timestamp};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use serde_json::Value;

use super::Payment;
use super::providers::{Money, Opened, Prepared, Provider, Sale, Tariff, Terms, env_of};
use super::record::{PaymentStatus, Stored};
use super::store;
use crate::balance::topups::{self, TopupStatus};
use crate::http::{Fault, exchange};
use downcity_core::public_url;

/// How long a checkout whose opening broke off is kept for the same attempt to be repeated.
const UNOPENED_FOR: Duration = Duration::from_hours(24);
/// What is added to the time-out of a request: nobody else opens the checkout before.
const SPARE: Duration = Duration::from_secs(15);
/// Longest text of a provider that is logged, in characters.
const LOGGED: usize = 300;

/// What a checkout is to be.
pub(super) struct Wish {
    pub(super) provider: &'static dyn Provider,
    pub(super) topup_id: String,
    /// Where to lead the user afterwards, in place of the pages of this server.
    pub(super) success_url: Option<String>,
    pub(super) cancel_url: Option<String>,
}

/// What is to be done for a wish.
enum Plan {
    /// The checkout is open already.
    Done(Box<Stored>),
    /// It is to be opened; others of the same top-up are to be closed.
    Open(Box<Stored>, Vec<Stored>),
}

impl Payment {
    /// The checkout of a top-up of the calling user: the open one, or a new one.
    pub(super) async fn checkout(&self, call: &Call, wish: Wish) -> Result<Stored> {
        let user = call.user()?;
        let (city_id, user_id) = (user.city.city_id.clone(), user.user_id.to_string());
        let runtime = call.runtime();
        let (currency, tariff) = self.tariff(runtime, wish.provider)?;
        let (success_url, cancel_url) = self.way_back(call, &city_id, &wish)?;
        let new = NewCheckout {
            payment_id: runtime.ids().sortable("pay_"),
            city_id,
            user_id,
            now: runtime.clock().now(),
        };
        let plan = self.plan(runtime, &wish, new, currency, tariff).await?;
        let (payment, others) = match plan {
            Plan::Done(payment) => return Ok(*payment),
            Plan::Open(payment, others) => (*payment, others),
        };
        let sale = Sale {
            payment_id: payment.payment_id.clone(),
            topup_id: payment.topup_id.clone(),
            user_id: payment.user_id.clone(),
            price: Money { minor: payment.minor, currency: payment.currency.clone() },
            digits: tariff.digits,
            success_url,
            cancel_url,
        };
        match self.open(runtime, wish.provider, &sale).await {
            Ok(opened) => {
                for other in others {
                    self.close(runtime, other).await?;
                }
                self.opened(runtime, payment, opened).await
            }
            Err(refusal) => {
                self.not_opened(runtime, payment, &refusal).await?;
                Err(refusal.into_error())
            }
        }
    }

    /// Where users are led: what was asked for, if the city may, else the pages of this server.
    fn way_back(&self, call: &Call, city_id: &str, wish: &Wish) -> Result<(String, String)> {
        let page = |asked: Option<&String>, field: &str, end: &str| match asked {
            Some(url) if self.config.may_lead_to(city_id, url) => Ok(url.clone()),
            Some(_) => {
                Err(Error::invalid(field, "leads to an origin that is not allowed for the city")
                    .with_fix("The operator allows origins with [[payment.redirect]]."))
            }
            None => Ok(format!("{}/v1/payment/redirect/{end}", public_url(call)?)),
        };
        Ok((
            page(wish.success_url.as_ref(), "success_url", "success")?,
            page(wish.cancel_url.as_ref(), "cancel_url", "cancel")?,
        ))
    }

    /// The currency of a provider and what a credit costs in it.
    fn tariff(&self, runtime: &Runtime, provider: &dyn Provider) -> Result<(String, Tariff)> {
        let method = self.method(runtime, provider);
        let unusable = |reason: &str| {
            let text = format!("Payment provider {} is disabled: {reason}", provider.id());
            Error::new(ErrorCode::InvalidInput, text).with_field("method_id", "is disabled")
        };
        if let Some(reason) = method.reason {
            return Err(unusable(reason));
        }
        let snapshot = runtime.snapshot();
        let env = env_of(&snapshot);
        let terms = Terms { env: &env, config: &self.config, now: runtime.clock().now() };
        match terms.currency(provider.currency_key()) {
            (code, Some(tariff)) => Ok((code, tariff)),
            (_, None) => Err(unusable("not_supported")),
        }
    }

    async fn plan(
        &self,
        runtime: &Runtime,
        wish: &Wish,
        new: NewCheckout,
        currency: String,
        tariff: Tariff,
    ) -> Result<Plan> {
        let (balance, provider) = (self.balance.clone(), wish.provider);
        let (topup_id, is_live) = (wish.topup_id.clone(), self.config.is_live());
        let lease = new.now.saturating_add(self.config.request_timeout.get() + SPARE);
        let plan = move |tx: &mut Tx<'_>| {
            let topup = topups::get(&balance, tx, &new.city_id, &new.user_id, &topup_id)?;
            if topup.status != TopupStatus::Pending {
                let text = format!("Topup is already {}", topup.status.as_str());
                return Err(Error::new(ErrorCode::Conflict, text));
            }
            let minor = price(topup.amount, tariff)?;
            if !provider.prices().contains(&minor) {
                let (least, most) =
                    (provider.prices().start().to_owned(), *provider.prices().end());
                let text =
                    format!("costs {minor}, and {} takes {least} to {most}", provider.label());
                return Err(Error::invalid("topup_id", text));
            }
            let mut others = store::open_of(tx, &topup_id)?;
            if let Some(at) = others.iter().position(|other| other.provider == provider.id()) {
                let own = others.remove(at);
                if own.expires_at > new.now.millis() {
                    return resumed(tx, own, others, lease, new.now);
                }
                // Its event may have ended it since the list was read.
                let fresh = store::lock(tx, &own.payment_id)?;
                let Some(mut own) = fresh.filter(|fresh| fresh.status.is_open()) else {
                    return Err(being_opened());
                };
                own.status = PaymentStatus::Expired;
                store::save(tx, &own, new.now)?;
            }
            let payment =
                new.stored(provider, &topup_id, topup.amount, minor, &currency, is_live, lease);
            if !store::insert(tx, &payment)? {
                return Err(being_opened());
            }
            Ok(Plan::Open(Box::new(payment), others))
        };
        runtime.db().write(plan).await
    }

    /// Asks the provider for the checkout.
    async fn open(
        &self,
        runtime: &Runtime,
        provider: &'static dyn Provider,
        sale: &Sale,
    ) -> Result<Opened, Refusal> {
        let request = {
            let snapshot = runtime.snapshot();
            let env = env_of(&snapshot);
            let terms = Terms { env: &env, config: &self.config, now: runtime.clock().now() };
            provider.checkout(&terms, sale).map_err(Refusal::Settings)?
        };
        let answer = self.ask(request).await?;
        provider
            .opened(&answer, runtime.clock().now())
            .ok_or_else(|| Refusal::Unreadable(shown(&answer)))
    }

    /// Sends a request to a provider; the answer has to be a success with JSON.
    async fn ask(&self, request: Prepared) -> Result<Value, Refusal> {
        let http = self.http().map_err(|error| Refusal::Settings(error.to_string()))?;
        let mut builder = http.post(&request.url).body(request.body);
        for (name, value) in request.headers {
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                Refusal::Settings(format!("{name} has characters that no header has"))
            })?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        builder = builder.header(http::header::CONTENT_TYPE, request.content_type);
        let (status, bytes) = exchange(builder, self.config.request_timeout.get()).await?;
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            answer if status.is_client_error() => {
                Err(Refusal::Refused(format!("{status} {}", shown(&answer.unwrap_or_default()))))
            }
            answer => {
                Err(Refusal::Unreadable(format!("{status} {}", shown(&answer.unwrap_or_default()))))
            }
        }
    }

    /// Ends a checkout that another one takes the place of. One that the provider cannot end stays open: what is paid
    /// there is credited all the same.
    async fn close(&self, runtime: &Runtime, other: Stored) -> Result<()> {
        let Some(provider) = super::providers::provider(&other.provider) else { return Ok(()) };
        let request = {
            let snapshot = runtime.snapshot();
            let env = env_of(&snapshot);
            let terms = Terms { env: &env, config: &self.config, now: runtime.clock().now() };
            provider.close(&terms, &other.session_id)
        };
        let Some(request) = request else { return Ok(()) };
        if let Err(refusal) = self.ask(request).await {
            tracing::warn!(provider = provider.id(), %refusal, "a checkout could not be closed");
            return Ok(());
        }
        let now = runtime.clock().now();
        runtime
            .db()
            .write(move |tx| {
                let current = store::lock(tx, &other.payment_id)?;
                let Some(mut current) = current.filter(|current| current.status.is_open()) else {
                    return Ok(());
                };
                current.status = PaymentStatus::Canceled;
                store::save(tx, &current, now)
            })
            .await
    }

    async fn opened(&self, runtime: &Runtime, payment: Stored, opened: Opened) -> Result<Stored> {
        let now = runtime.clock().now();
        runtime
            .db()
            .write(move |tx| {
                let mut payment = current(tx, &payment.payment_id)?;
                payment.session_id.clone_from(&opened.session_id);
                if payment.provider_payment_id.is_empty() {
                    payment.provider_payment_id.clone_from(&opened.provider_payment_id);
                }
                payment.checkout_url.clone_from(&opened.checkout_url);
                payment.expires_at = opened.expires_at.millis();
                payment.opening_until = 0;
                // A message of the payment may have been faster than this answer.
                if payment.status == PaymentStatus::Creating {
                    payment.status = PaymentStatus::Pending;
                }
                store::save(tx, &payment, now)?;
                Ok(payment)
            })
            .await
    }

    /// A checkout that the provider refused is over. Where the outcome is not known, the next attempt repeats this
    /// one, with the same key.
    async fn not_opened(
        &self,
        runtime: &Runtime,
        payment: Stored,
        refusal: &Refusal,
    ) -> Result<()> {
        tracing::warn!(
            provider = payment.provider,
            payment_id = payment.payment_id,
            %refusal,
            "a checkout could not be opened"
        );
        let (now, is_final) = (runtime.clock().now(), refusal.is_final());
        runtime
            .db()
            .write(move |tx| {
                let mut payment = current(tx, &payment.payment_id)?;
                if payment.status != PaymentStatus::Creating {
                    return Ok(());
                }
                payment.opening_until = 0;
                payment.last_error = "the checkout could not be opened".to_owned();
                if is_final {
                    payment.status = PaymentStatus::Failed;
                }
                store::save(tx, &payment, now)
            })
            .await
    }

    /// Gives up an open checkout.
    pub(super) async fn give_up(&self, call: &Call, payment_id: String) -> Result<Stored> {
        let user = call.user()?;
        let (city_id, user_id) = (user.city.city_id.clone(), user.user_id.to_string());
        let payment =
            call.runtime().db().read(move |tx| own(tx, &payment_id, &city_id, &user_id)).await?;
        if payment.status == PaymentStatus::Canceled {
            return Ok(payment);
        }
        if payment.status != PaymentStatus::Pending {
            let text = format!("The payment is already {}.", payment.status.as_str());
            return Err(Error::new(ErrorCode::Conflict, text));
        }
        self.close(call.runtime(), payment.clone()).await?;
        let now = call.runtime().clock().now();
        let cancel = move |tx: &mut Tx<'_>| {
            let mut payment = current(tx, &payment.payment_id)?;
            if payment.status == PaymentStatus::Pending {
                payment.status = PaymentStatus::Canceled;
                store::save(tx, &payment, now)?;
            }
            Ok(payment)
        };
        call.runtime().db().write(cancel).await
    }
}

/// A payment of this user in this city; others are as unknown as none.
pub(super) fn own(
    tx: &mut Tx<'_>,
    payment_id: &str,
    city_id: &str,
    user_id: &str,
) -> Result<Stored> {
    store::find(tx, payment_id)?
        .filter(|payment| payment.city_id == city_id && payment.user_id == user_id)
        .ok_or_else(|| unknown(payment_id))
}

pub(super) fn unknown(payment_id: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("payment not found: {payment_id}"))
}

fn current(tx: &mut Tx<'_>, payment_id: &str) -> Result<Stored> {
    store::lock(tx, payment_id)?.ok_or_else(|| unknown(payment_id))
}

/// The open checkout of the same provider and top-up: as it is, or to be opened again where that broke off.
fn resumed(
    tx: &mut Tx<'_>,
    mut own: Stored,
    others: Vec<Stored>,
    lease: Timestamp,
    now: Timestamp,
) -> Result<Plan> {
    if own.status == PaymentStatus::Pending {
        return Ok(Plan::Done(Box::new(own)));
    }
    let Some(fresh) = store::lock(tx, &own.payment_id)? else { return Err(being_opened()) };
    if fresh.status != PaymentStatus::Creating || fresh.opening_until > now.millis() {
        return Err(being_opened());
    }
    own = fresh;
    own.opening_until = lease.millis();
    store::save(tx, &own, now)?;
    Ok(Plan::Open(Box::new(own), others))
}

fn being_opened() -> Error {
    Error::new(ErrorCode::Conflict, "This checkout is being opened by another request.")
        .with_fix("Try again in a few seconds.")
        .with_header(RETRY_AFTER, HeaderValue::from_static("2"))
}

/// The price of an amount, in the smallest unit; a rest is rounded up.
fn price(amount: Microcredits, tariff: Tariff) -> Result<i64> {
    let exact = i128::from(amount.get()) * i128::from(tariff.minor_per_credit);
    let unit = i128::from(Microcredits::PER_CREDIT);
    let whole = exact.div_euclid(unit) + i128::from(exact.rem_euclid(unit) != 0);
    i64::try_from(whole).map_err(Error::internal)
}

/// What is known of a checkout before the top-up is read.
struct NewCheckout {
    payment_id: String,
    city_id: String,
    user_id: String,
    now: Timestamp,
}

impl NewCheckout {
    #[expect(clippy::too_many_arguments, reason = "each is a column of the row")]
    fn stored(
        &self,
        provider: &dyn Provider,
        topup_id: &str,
        amount: Microcredits,
        minor: i64,
        currency: &str,
        is_live: bool,
        lease: Timestamp,
    ) -> Stored {
        Stored {
            payment_id: self.payment_id.clone(),
            provider: provider.id().to_owned(),
            topup_id: topup_id.to_owned(),
            city_id: self.city_id.clone(),
            user_id: self.user_id.clone(),
            opening_until: lease.millis(),
            session_id: String::new(),
            provider_payment_id: String::new(),
            order_id: String::new(),
            amount: amount.get(),
            minor,
            currency: currency.to_owned(),
            paid_minor: 0,
            paid_currency: String::new(),
            refunded_minor: 0,
            refunded: 0,
            credited_topup_id: String::new(),
            status: PaymentStatus::Creating,
            checkout_url: String::new(),
            is_live,
            last_error: String::new(),
            expires_at: self.now.saturating_add(UNOPENED_FOR).millis(),
            created_at: self.now.millis(),
            updated_at: self.now.millis(),
        }
    }
}

/// Why a provider opened no checkout. The text is for the log.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("settings: {0}")]
    Settings(String),
    #[error("refused: {0}")]
    Refused(String),
    #[error("not understood: {0}")]
    Unreadable(String),
    #[error(transparent)]
    NoAnswer(#[from] Fault),
}

impl Refusal {
    /// Whether it is certain that nothing was opened.
    fn is_final(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::Refused(_) | Self::NoAnswer(Fault::NotSent(_)))
    }

    fn into_error(self) -> Error {
        let code = match self {
            Self::NoAnswer(Fault::TimedOut) => ErrorCode::UpstreamTimeout,
            Self::Unreadable(_) => ErrorCode::UpstreamInvalid,
            _ => ErrorCode::UpstreamError,
        };
        Error::new(code, "payment provider error")
            .with_fix("Try again; the operator's log says what the provider answered.")
            .with_source(self.to_string())
    }
}

/// What the log shows of an answer: the places where the providers say what is wrong.
fn shown(answer: &Value) -> String {
    let places =
        ["/error/message", "/error/code", "/message", "/error", "/code", "/errors/0/message"];
    let texts: Vec<String> = places
        .iter()
        .filter_map(|place| answer.pointer(place))
        .filter(|value| !value.is_object())
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    let line = texts.join(", ");
    line.chars().filter(|symbol| !symbol.is_control()).take(LOGGED).collect()
}
