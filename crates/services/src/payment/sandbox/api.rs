//! The side of the API: requests for checkouts, checked as the vendors check them, and their answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use downcity_core::Secret;
use downcity_types::Timestamp;
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Vendor;
use crate::payment::providers::fields::minor;
use crate::payment::signature::rsa::PublicKey;

/// How far the time of a signed request may be away, in seconds.
const LATEST: i64 = 300;

/// A merchant's account with a vendor.
#[derive(Clone, Debug)]
pub struct Account {
    vendor: Vendor,
    /// The API key; for Waffo, the merchant's public key.
    credential: Secret,
    /// Whether the account is in live mode.
    is_live: bool,
}

/// An answer: its status and its JSON.
pub type Answered = (u16, Value);

impl Account {
    /// The account whose API key this is; for Waffo, the merchant's public key.
    pub fn new(vendor: Vendor, credential: Secret, is_live: bool) -> Self {
        Self { vendor, credential, is_live }
    }

    /// Answers a request. `target` is its method and path, such as `POST /checkouts`; everything before the
    /// vendor's own path is passed over. A checkout gets the id `cs_` and the id of our payment, so that a repeated
    /// request finds the first.
    pub fn answer(
        &self,
        target: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Answered {
        let (method, path) = target.split_once(' ').unwrap_or(("", target));
        let path = path.split('?').next().unwrap_or_default();
        match self.vendor {
            Vendor::Stripe => self.stripe(method, path, headers, body, now),
            Vendor::Creem => self.creem(method, path, headers, body),
            Vendor::Dodo => self.dodo(method, path, headers, body),
            Vendor::Waffo => self.waffo(method, path, headers, body, now),
        }
    }

    fn has_bearer(&self, headers: &HeaderMap) -> bool {
        header(headers, "authorization") == format!("Bearer {}", self.credential.expose())
    }

    /// <https://docs.stripe.com/api/checkout/sessions>.
    fn stripe(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Answered {
        let error = |status: u16, message: &str| {
            (status, json!({"error": {"type": "invalid_request_error", "message": message}}))
        };
        if !self.has_bearer(headers) {
            return error(401, "Invalid API Key provided");
        }
        let session = |id: &str, status: &str, minor: i64, currency: &str| {
            json!({"id": id, "object": "checkout.session", "amount_subtotal": minor,
                "amount_total": minor, "currency": currency, "livemode": self.is_live, "mode": "payment",
                "expires_at": now.seconds() + 86_400, "payment_intent": null,
                "payment_status": "unpaid", "status": status,
                "url": format!("https://checkout.stripe.com/c/pay/{id}")})
        };
        let Some((_, rest)) = path.split_once("/checkout/sessions") else {
            return error(404, "Unrecognized request URL");
        };
        match (method, rest.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice()) {
            ("POST", [""]) => {}
            ("POST", [id, "expire"]) => return (200, session(id, "expired", 0, "usd")),
            ("GET", [id]) => return (200, session(id, "open", 0, "usd")),
            _ => return error(404, "Unrecognized request URL"),
        }
        if header(headers, "content-type") != "application/x-www-form-urlencoded" {
            return error(400, "The request body must be form-encoded");
        }
        let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| {
            form.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        let price = "line_items[0][price_data]";
        let minor = field(&format!("{price}[unit_amount]")).parse::<i64>();
        let currency = field(&format!("{price}[currency]"));
        let urls_are_absolute =
            ["success_url", "cancel_url"].iter().all(|name| field(name).starts_with("http"));
        match (minor, field("mode"), field("line_items[0][quantity]")) {
            (Ok(minor @ 50..), "payment", "1")
                if urls_are_absolute
                    && currency.len() == 3
                    && !field(&format!("{price}[product_data][name]")).is_empty() =>
            {
                let id = session_id(field("metadata[payment_id]"));
                (200, session(&id, "open", minor, currency))
            }
            (Ok(..50), ..) => {
                error(400, "The Checkout Session's total amount must be at least $0.50 usd.")
            }
            _ => error(400, "Missing or invalid parameter"),
        }
    }

    /// <https://docs.creem.io/api-reference/endpoint/create-checkout>.
    fn creem(&self, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Answered {
        let error = |status: u16, message: &str| {
            (
                status,
                json!({"trace_id": "sandbox", "status": status, "error": "Bad Request",
                "message": [message], "timestamp": 0}),
            )
        };
        if header(headers, "x-api-key") != self.credential.expose() {
            return error(403, "Forbidden");
        }
        if method != "POST" || !path.ends_with("/checkouts") {
            return error(404, "Not found");
        }
        let Some(order) = json_body(headers, body) else { return error(400, "Not JSON") };
        match (
            order["custom_price"].as_i64(),
            order["product_id"].as_str(),
            order["request_id"].as_str(),
        ) {
            (Some(100..=99_999_999), Some(product), Some(request)) if !product.is_empty() => {
                let id = session_id(request);
                (
                    200,
                    json!({"id": id, "object": "checkout", "status": "pending", "product": product,
                    "mode": if self.is_live { "prod" } else { "test" }, "request_id": request,
                    "custom_price": order["custom_price"], "metadata": order["metadata"],
                    "checkout_url": format!("https://checkout.creem.io/{id}")}),
                )
            }
            (None | Some(_), Some(_), Some(_)) => {
                error(400, "custom_price must be between 100 and 99999999")
            }
            _ => error(400, "product_id must be a string"),
        }
    }

    /// <https://docs.dodopayments.com/api-reference/checkout-sessions/create>.
    fn dodo(&self, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Answered {
        let error = |status: u16, code: &str| (status, json!({"code": code, "message": "refused"}));
        if !self.has_bearer(headers) {
            return error(401, "UNAUTHORIZED");
        }
        if method != "POST" || !path.ends_with("/checkouts") {
            return error(404, "NOT_FOUND");
        }
        let Some(order) = json_body(headers, body) else { return error(422, "INVALID_BODY") };
        let item = &order["product_cart"][0];
        let metadata = order["metadata"].as_object();
        let is_flat = metadata.is_some_and(|map| map.values().all(Value::is_string));
        match (item["product_id"].as_str(), item["quantity"].as_i64(), item["amount"].as_i64()) {
            (Some(_), Some(1..), Some(1..)) if is_flat && is_code(&order["billing_currency"]) => {
                let id = session_id(order["metadata"]["payment_id"].as_str().unwrap_or_default());
                (
                    200,
                    json!({"session_id": id, "payment_id": null,
                    "checkout_url": format!("https://checkout.dodopayments.com/session/{id}")}),
                )
            }
            _ => error(422, "INVALID_REQUEST_PARAMETERS"),
        }
    }

    /// The client of `@waffo/pancake-ts`.
    fn waffo(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Answered {
        let error = |status: u16, message: &str| {
            (status, json!({"data": null, "errors": [{"message": message, "layer": "gateway"}]}))
        };
        let Some(at) = path.find("/v1/actions/checkout/create-session") else {
            return error(404, "No such action");
        };
        let path = path.get(at..).unwrap_or_default();
        let seconds = header(headers, "x-timestamp");
        let is_fresh = seconds.parse().is_ok_and(|at: i64| (now.seconds() - at).abs() <= LATEST);
        let hash = STANDARD.encode(Sha256::digest(body));
        let message = format!("{method}\n{path}\n{seconds}\n{hash}");
        let is_signed = PublicKey::parse(self.credential.expose())
            .is_ok_and(|key| key.verify(message.as_bytes(), header(headers, "x-signature")));
        if header(headers, "x-merchant-id").is_empty() || !is_fresh || !is_signed {
            return error(401, "Invalid signature");
        }
        if header(headers, "x-idempotency-key").len() != 64 {
            return error(400, "Missing X-Idempotency-Key");
        }
        let Some(order) = json_body(headers, body) else { return error(400, "Not JSON") };
        let price = &order["priceSnapshot"];
        let is_price = price["amount"].as_str().is_some_and(|amount| minor(amount, 2).is_some());
        let is_product = order["productId"].as_str().is_some_and(|id| id.starts_with("PROD_"));
        if !is_product
            || !is_price
            || !price["taxCategory"].is_string()
            || !is_code(&order["currency"])
        {
            return error(400, "Invalid parameter");
        }
        let id = session_id(order["orderMerchantExternalId"].as_str().unwrap_or_default());
        let expires = now.saturating_add(std::time::Duration::from_mins(45));
        (
            200,
            json!({"data": {"sessionId": id, "expiresAt": expires.to_rfc3339().as_str(),
            "checkoutUrl": format!("https://checkout.waffo.ai/{id}")}}),
        )
    }
}

fn session_id(payment_id: &str) -> String {
    format!("cs_{payment_id}")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn json_body(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let is_json = header(headers, "content-type").starts_with("application/json");
    is_json.then(|| serde_json::from_slice(body).ok()).flatten()
}

/// A code of ISO 4217 in upper case.
fn is_code(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
}
