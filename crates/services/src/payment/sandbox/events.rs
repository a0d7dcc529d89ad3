//! Bodies of webhooks.

use downcity_types::Timestamp;
use serde_json::{Value, json};

use super::{Moment, Sold};

/// What the providers hand back of what a checkout told them.
fn metadata(sold: &Sold) -> Value {
    json!({"payment_id": sold.payment_id, "topup_id": sold.topup_id, "user_id": sold.user_id})
}

/// <https://docs.stripe.com/api/events/object>.
pub(super) fn stripe(id: &str, moment: &Moment, sold: &Sold, at: Timestamp) -> Option<Value> {
    let intent = sold.provider_payment_id();
    let session = |status: &str, payment_status: &str, minor: i64, currency: &str| {
        json!({"id": sold.session_id, "object": "checkout.session", "mode": "payment",
            "amount_subtotal": minor, "amount_total": minor, "currency": currency,
            "client_reference_id": sold.topup_id, "livemode": sold.is_live, "metadata": metadata(sold),
            "payment_intent": intent, "payment_status": payment_status, "status": status})
    };
    let charge = |refunded: i64, refunds: Value| {
        json!({"id": format!("ch_{}", sold.session_id), "object": "charge", "amount": sold.minor,
            "amount_captured": sold.minor, "amount_refunded": refunded, "currency": sold.currency,
            "livemode": sold.is_live, "metadata": metadata(sold), "paid": true, "payment_intent": intent,
            "refunded": refunded >= sold.minor, "refunds": refunds, "status": "succeeded"})
    };
    let dispute = |dispute_id: &str, status: &str| {
        json!({"id": dispute_id, "object": "dispute", "amount": sold.minor,
            "charge": format!("ch_{}", sold.session_id), "currency": sold.currency,
            "livemode": sold.is_live, "metadata": {}, "payment_intent": intent,
            "reason": "fraudulent", "status": status})
    };
    let (kind, object) = match moment {
        Moment::Paid { minor, currency } => {
            ("checkout.session.completed", session("complete", "paid", *minor, currency))
        }
        Moment::Expired => {
            ("checkout.session.expired", session("expired", "unpaid", sold.minor, &sold.currency))
        }
        Moment::Failed => (
            "checkout.session.async_payment_failed",
            session("complete", "unpaid", sold.minor, &sold.currency),
        ),
        Moment::Refunded { refund_id, minor } => {
            let refund = json!({"id": refund_id, "object": "refund", "amount": minor,
                "currency": sold.currency, "payment_intent": intent, "status": "succeeded"});
            ("charge.refunded", charge(*minor, json!({"object": "list", "data": [refund]})))
        }
        Moment::Disputed { dispute_id } => {
            ("charge.dispute.created", dispute(dispute_id, "needs_response"))
        }
        Moment::DisputeClosed { dispute_id, is_won } => {
            ("charge.dispute.closed", dispute(dispute_id, if *is_won { "won" } else { "lost" }))
        }
        Moment::Unrelated => (
            "customer.created",
            json!({"id": "cus_1", "object": "customer", "livemode": sold.is_live}),
        ),
    };
    Some(json!({"id": id, "object": "event", "api_version": "2025-09-30", "created": at.seconds(),
        "data": {"object": object}, "livemode": sold.is_live, "pending_webhooks": 1, "type": kind}))
}

/// <https://docs.creem.io/code/webhooks>.
pub(super) fn creem(id: &str, moment: &Moment, sold: &Sold, at: Timestamp) -> Option<Value> {
    let mode = if sold.is_live { "prod" } else { "test" };
    let order = |minor: i64, currency: &str, status: &str| {
        json!({"id": sold.order_id(), "object": "order", "amount": minor, "amount_paid": minor,
            "currency": currency.to_ascii_uppercase(), "mode": mode, "status": status, "type": "onetime"})
    };
    let checkout = |status: &str, order: Option<Value>| {
        json!({"id": sold.session_id, "object": "checkout", "mode": mode, "order": order,
            "metadata": metadata(sold), "request_id": sold.payment_id, "status": status})
    };
    let paid = || checkout("completed", Some(order(sold.minor, &sold.currency, "paid")));
    let (kind, object) = match moment {
        Moment::Paid { minor, currency } => {
            ("checkout.completed", checkout("completed", Some(order(*minor, currency, "paid"))))
        }
        Moment::Expired => ("checkout.expired", checkout("expired", None)),
        Moment::Failed => ("checkout.failed", checkout("failed", None)),
        Moment::Refunded { refund_id, minor } => (
            "refund.created",
            json!({"id": refund_id, "object": "refund", "mode": mode, "status": "succeeded",
                "refund_amount": minor, "refund_currency": sold.currency.to_ascii_uppercase(),
                "reason": "requested_by_customer", "checkout": paid(),
                "order": order(sold.minor, &sold.currency, "paid")}),
        ),
        Moment::Disputed { dispute_id } => (
            "dispute.created",
            json!({"id": dispute_id, "object": "dispute", "mode": mode, "amount": sold.minor,
                "currency": sold.currency.to_ascii_uppercase(), "checkout": paid(),
                "order": order(sold.minor, &sold.currency, "paid")}),
        ),
        Moment::DisputeClosed { .. } => return None,
        Moment::Unrelated => (
            "subscription.active",
            json!({"id": "sub_1", "object": "subscription", "mode": mode, "status": "active"}),
        ),
    };
    Some(json!({"id": id, "eventType": kind, "created_at": at.millis(), "object": object}))
}

/// <https://docs.dodopayments.com/developer-resources/webhooks/intents/payment>.
pub(super) fn dodo(moment: &Moment, sold: &Sold, at: Timestamp) -> Option<Value> {
    let payment_id = sold.provider_payment_id();
    let payment = |status: &str, minor: i64, currency: &str| {
        json!({"payload_type": "Payment", "payment_id": payment_id, "business_id": "bus_sandbox",
            "checkout_session_id": sold.session_id, "total_amount": minor, "tax": 0,
            "currency": currency.to_ascii_uppercase(), "settlement_amount": minor,
            "settlement_currency": currency.to_ascii_uppercase(), "metadata": metadata(sold),
            "status": status})
    };
    let dispute = |dispute_id: &str, status: &str| {
        json!({"payload_type": "Dispute", "dispute_id": dispute_id, "payment_id": payment_id,
            "business_id": "bus_sandbox", "amount": sold.minor.to_string(),
            "currency": sold.currency.to_ascii_uppercase(), "dispute_stage": "dispute",
            "dispute_status": status})
    };
    let (kind, data) = match moment {
        Moment::Paid { minor, currency } => {
            ("payment.succeeded", payment("succeeded", *minor, currency))
        }
        Moment::Failed => ("payment.failed", payment("failed", sold.minor, &sold.currency)),
        Moment::Refunded { refund_id, minor } => (
            "refund.succeeded",
            json!({"payload_type": "Refund", "refund_id": refund_id, "payment_id": payment_id,
                "business_id": "bus_sandbox", "amount": minor,
                "currency": sold.currency.to_ascii_uppercase(), "is_partial": *minor < sold.minor,
                "status": "succeeded"}),
        ),
        Moment::Disputed { dispute_id } => {
            ("dispute.opened", dispute(dispute_id, "dispute_opened"))
        }
        Moment::DisputeClosed { dispute_id, is_won: true } => {
            ("dispute.won", dispute(dispute_id, "dispute_won"))
        }
        Moment::DisputeClosed { dispute_id, is_won: false } => {
            ("dispute.lost", dispute(dispute_id, "dispute_lost"))
        }
        Moment::Expired => return None,
        Moment::Unrelated => {
            ("license_key.created", json!({"payload_type": "LicenseKey", "id": "lic_1"}))
        }
    };
    Some(json!({"business_id": "bus_sandbox", "type": kind,
        "timestamp": at.to_rfc3339().as_str(), "data": data}))
}

/// The webhook guide of `@waffo/pancake-ts`.
pub(super) fn waffo(id: &str, moment: &Moment, sold: &Sold, at: Timestamp) -> Option<Value> {
    let amount = |minor: i64| format!("{}.{:02}", minor / 100, minor % 100);
    let data = |minor: i64, currency: &str, more: Value| {
        let mut data = json!({"orderId": sold.order_id(), "orderStatus": "completed",
            "buyerEmail": "buyer@example.com", "orderMerchantExternalId": sold.payment_id,
            "orderMetadata": metadata(sold), "currency": currency.to_ascii_uppercase(),
            "amount": amount(minor), "taxAmount": "0.00", "subtotal": amount(minor),
            "total": amount(minor), "productName": "Credits"});
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        data
    };
    let (kind, business_id, data) = match moment {
        Moment::Paid { minor, currency } => {
            let payment_id = sold.provider_payment_id();
            let more = json!({"paymentId": payment_id, "paymentStatus": "succeeded",
                "paymentMethod": "card", "paymentLast4": "4242"});
            ("order.completed", payment_id, data(*minor, currency, more))
        }
        Moment::Refunded { refund_id, minor } => {
            let more = json!({"refundStatus": "succeeded", "refundReason": "requested"});
            ("refund.succeeded", refund_id.clone(), data(*minor, &sold.currency, more))
        }
        Moment::Unrelated => (
            "subscription.activated",
            "SUB_1".to_owned(),
            json!({"orderId": "ORD_other", "currency": "USD", "amount": "1.00", "taxAmount": "0.00"}),
        ),
        Moment::Expired
        | Moment::Failed
        | Moment::Disputed { .. }
        | Moment::DisputeClosed { .. } => return None,
    };
    let mode = if sold.is_live { "prod" } else { "test" };
    Some(json!({"id": id, "timestamp": at.to_rfc3339().as_str(), "eventType": kind,
        "eventId": business_id, "storeId": "STO_sandbox", "storeName": "Sandbox", "mode": mode,
        "data": data}))
}
