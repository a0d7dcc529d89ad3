//! What the Federation of the tests answers.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::workspace::section::{List, Source};

thread_local! {
    static IS_EMPTY: Cell<bool> = const { Cell::new(false) };
    static HAS_NEW_USER: Cell<bool> = const { Cell::new(false) };
    static HAS_CITY_WALLETS: Cell<bool> = const { Cell::new(false) };
}

/// Runs something with a Federation where each city has wallets of its own.
pub(super) fn with_wallets_of_cities(work: impl FnOnce()) {
    HAS_CITY_WALLETS.set(true);
    work();
    HAS_CITY_WALLETS.set(false);
}

/// The wallets of one user, which hold something else each time.
fn city_wallets() -> Value {
    thread_local! {
        static READS: Cell<i64> = const { Cell::new(0) };
    }
    READS.set(READS.get() + 1);
    let wallet = |city: &str| {
        let held = READS.get();
        json!({ "user_id": "ann", "city_id": city, "balance": held, "held": 0, "available": held,
            "created_at": EARLIER, "updated_at": LATER })
    };
    json!({ "items": [wallet("city_notes"), wallet("city_recipes")] })
}

/// Runs something with a Federation where one more user has signed up.
pub(super) fn with_a_new_user(work: impl FnOnce()) {
    HAS_NEW_USER.set(true);
    work();
    HAS_NEW_USER.set(false);
}

/// Runs something with a Federation that nobody has used yet.
pub(super) fn with_nothing(work: impl FnOnce()) {
    IS_EMPTY.set(true);
    work();
    IS_EMPTY.set(false);
}

pub(super) const INSTRUCTION: &str = "\
# Downcity Federation

A Federation is asked by its cities and by whoever has the admin key; every capability is an action of a service, and \
every action has a path, an input and an answer, all of which are told below, one service after the other.

One backend that many AI products share.

## cities
POST /v1/cities/create   Create a city.
POST /v1/cities/pause    Pause a city: its tokens answer 403.
";

const EARLIER: &str = "2026-03-01T12:30:45.123Z";
const LATER: &str = "2026-03-02T08:00:00.000Z";

/// The first record of a list, as rows are made of it.
pub(super) fn record(list: &List) -> Value {
    let answer = match list.source {
        Source::Action(path, _) => read(path, &json!({ "key": "OPENAI_API_KEY" })),
        Source::Document => route("/openapi.json"),
        Source::Servers => servers(),
    };
    let mut first = (list.rows)(answer).swap_remove(0);
    // A version of a value knows the key that its list belongs to.
    if first.get("key").is_none() {
        first["key"] = "OPENAI_API_KEY".into();
    }
    first
}

pub(super) fn servers() -> Value {
    json!({ "items": [
        { "current": "*", "name": "work", "url": "https://fed.example.com", "admin_key": "set" },
        { "current": "", "name": "other", "url": "https://other.example.com", "admin_key": "set" },
    ]})
}

pub(super) fn route(path: &str) -> Value {
    match path {
        "/health" => json!({
            "ok": true, "name": "downcity", "version": "1.2.3",
            "checked_at": LATER, "service_list": [{ "id": "cities" }, { "id": "env" }, { "id": "ai" }],
        }),
        _ => downcity_server::Federation::builder().openapi().unwrap(),
    }
}

/// What an action that reads answers.
pub(super) fn read(path: &str, query: &Value) -> Value {
    if IS_EMPTY.get() && !matches!(path, "ai/models" | "env/catalog" | "cities/list") {
        return json!({ "items": [] });
    }
    match path {
        "env/list" => env(query["reveal"] == true),
        "env/catalog" => catalog(),
        "env/history" => json!({ "items": [
            { "version": 2, "value": "••••5678", "masked": true, "written_at": LATER },
            { "version": 1, "value": "••••1234", "masked": true, "written_at": EARLIER, "replaced_at": LATER },
        ]}),
        "ai/models" => models(),
        "ai/models/stored" => json!({ "items": [
            { "id": "draft", "definition": { "name": "Draft", "provider": "openai", "upstream_model": "gpt-4.1" },
              "position": 1, "enabled": true, "updated_at": LATER },
        ]}),
        "cities/list" => cities(),
        "usage/events" => calls(query),
        "usage/summary" => sums(query),
        "audit/list" => audit(query),
        path if path.starts_with("usage/requests/") => receipt(),
        "accounts/users" => users(),
        "balance/users" if HAS_CITY_WALLETS.get() => city_wallets(),
        path => people(path).or_else(|| money(path)).or_else(|| work(path, query)).unwrap_or_else(
            || {
                panic!("nothing is known of {path}");
            },
        ),
    }
}

fn env(reveal: bool) -> Value {
    let value = |clear: &str, masked: &str| if reveal { json!(clear) } else { json!(masked) };
    json!({ "items": [
        { "key": "OPENAI_API_KEY", "value": value("sk-clear-openai", "••••5678"), "source": "database",
          "masked": !reveal, "last_read_at": LATER },
        { "key": "DOWNCITY_FEDERATION_ADMIN_SECRET_KEY", "value": value("clear-admin", "••••6789"),
          "source": "database", "masked": !reveal, "last_read_at": LATER },
        { "key": "SMTP_PASSWORD", "value": value("sk-clear-deepseek", "••••"), "source": "database",
          "masked": !reveal },
    ]})
}

fn catalog() -> Value {
    let is_set = !IS_EMPTY.get();
    json!({ "items": [
        { "id": "accounts", "name": "Accounts", "env": [
            { "key": "SMTP_PASSWORD", "required": false, "configured": is_set,
              "description": "The password of mail.username." },
        ]},
        { "id": "ai-models", "name": "AI Models", "env": [
            { "key": "DEEPSEEK_API_KEY", "required": true, "configured": false,
              "description": "The key of the provider deepseek." },
            { "key": "OPENAI_API_KEY", "required": true, "configured": is_set,
              "description": "The key of the provider openai." },
        ]},
    ]})
}

fn models() -> Value {
    let echo = json!({ "id": "echo", "name": "Echo (development)", "ready": true, "modalities": ["text", "stream"],
        "default_modes": ["text", "stream"], "description": "Says what it was told.", "tags": [], "source": "built-in" });
    if IS_EMPTY.get() {
        return json!({ "items": [echo] });
    }
    json!({ "items": [
        { "id": "gpt", "name": "GPT", "description": "For most things.", "modalities": ["text", "stream"],
          "default_modes": ["text", "stream"], "tags": ["fast"], "ready": true, "missing_env": [],
          "source": "configuration", "price": { "input_per_m": 2_000_000, "output_per_m": 8_000_000, "minimum": 100 } },
        { "id": "deepseek", "name": "DeepSeek", "description": "", "modalities": ["text", "stream"],
          "tags": [], "ready": false, "missing_env": ["DEEPSEEK_API_KEY"], "source": "configuration",
          "price": { "per_request": 10_000 } },
    ]})
}

fn cities() -> Value {
    let first = json!({ "city_id": "city_downcity", "name": "Downcity", "status": "active",
        "created_at": EARLIER, "updated_at": EARLIER });
    if IS_EMPTY.get() {
        return json!({ "items": [first] });
    }
    json!({ "items": [
        { "city_id": "city_notes", "name": "Notes", "status": "active", "created_at": EARLIER, "updated_at": EARLIER },
        { "city_id": "city_recipes", "name": "Recipes", "status": "paused", "created_at": EARLIER, "updated_at": LATER },
    ]})
}

fn users() -> Value {
    let mut users = vec![
        json!({ "user_id": "usr_ann", "email": "ann@example.com", "name": "Ann", "status": "active",
            "email_verified": 1, "created_at": EARLIER }),
        json!({ "user_id": "usr_bob", "email": "bob@example.com", "name": "Bob", "status": "disabled",
            "email_verified": 0, "created_at": LATER }),
    ];
    if HAS_NEW_USER.get() {
        users.insert(
            0,
            json!({ "user_id": "usr_cho", "email": "cho@example.com", "name": "日本語",
            "status": "active", "email_verified": 1, "created_at": LATER }),
        );
    }
    json!({ "items": users })
}

fn people(path: &str) -> Option<Value> {
    Some(match path {
        "accounts/sessions" => json!({ "items": [
            { "session_id": "ses_1", "user_id": "usr_ann", "city_id": "city_notes", "status": "active",
              "method": "password", "address": "203.0.113.7", "user_agent": "Mozilla/5.0",
              "created_at": EARLIER, "expires_at": LATER },
        ]}),
        "accounts/mailbox" => json!({ "items": [
            { "mail_id": "mail_1", "to": "bob@example.com", "subject": "Verify your address",
              "text": "Open this link:\nhttps://notes.example.com/verify", "created_at": LATER },
        ]}),
        "keys/list" => json!({ "items": [
            { "key_id": "key_1", "name": "billing", "prefix": "fk_abcd", "actions": ["balance/*"], "cities": ["city_notes"],
              "amount_per_day": 50_000_000, "created_at": EARLIER },
        ]}),
        "keys/signing" => json!({ "items": [
            { "key_id": "sig_2", "algorithm": "hmac", "status": "active", "issues": true },
            { "key_id": "sig_1", "algorithm": "hmac", "status": "retired", "issues": false,
              "retired_at": EARLIER, "verifies_until": LATER },
        ]}),
        _ => return None,
    })
}

fn money(path: &str) -> Option<Value> {
    Some(match path {
        "balance/users" => json!({ "items": [
            { "user_id": "ann", "balance": 12_500_000, "held": 250_000, "available": 12_250_000,
              "created_at": EARLIER, "updated_at": LATER },
            { "user_id": "bob", "balance": 40, "held": 0, "available": 40, "created_at": EARLIER, "updated_at": EARLIER },
        ]}),
        "balance/history" => json!({ "items": [
            { "entry_id": "ent_2", "user_id": "ann", "kind": "charge", "amount": -1_250, "balance_after": 12_500_000,
              "ref": "hold:hld_1", "created_at": LATER },
            { "entry_id": "ent_1", "user_id": "ann", "kind": "add", "amount": 12_501_250, "balance_after": 12_501_250,
              "note": "welcome", "created_at": EARLIER },
        ]}),
        "balance/topups" => json!({ "items": [
            { "topup_id": "top_1", "user_id": "bob", "amount": 5_000_000, "status": "pending", "created_at": LATER },
        ]}),
        "balance/redeem-codes" => json!({ "items": [
            { "redeem_code_id": "rc_1", "code_mask": "TEEB-****-****-KV2K", "amount": 2_000_000, "status": "active",
              "uses": 0, "max_uses": 1, "batch_id": "rcb_1", "created_at": EARLIER },
        ]}),
        "payment/methods" => json!({ "items": [
            { "id": "stripe", "label": "Stripe", "enabled": true, "currency": "usd", "test": false,
              "webhook": crate::payment::webhook_of("https://fed.example.com", "stripe") },
            { "id": "creem", "label": "Creem", "enabled": false, "currency": "usd", "reason": "not_configured" },
        ]}),
        "payment/payments" => json!({ "items": [
            { "payment_id": "pay_1", "provider": "stripe", "user_id": "bob", "status": "review", "amount_minor": 500,
              "currency": "usd", "test": false, "topup_id": "top_1", "created_at": LATER,
              "last_error": "paid 400 of 500" },
        ]}),
        "payment/events" => json!({ "items": [
            { "event_id": "evt_1", "provider": "stripe", "type": "checkout.session.completed", "sync_status": "failed",
              "payment_id": "pay_1", "attempts": 2, "created_at": LATER, "sync_error": "amounts differ" },
        ]}),
        _ => return None,
    })
}

fn work(path: &str, query: &Value) -> Option<Value> {
    Some(match path {
        "jobs/list" if query["status"] == "dead" => json!({ "items": [
            { "job_id": "job_2", "kind": "payment.sync", "status": "dead", "due_at": LATER, "attempts": 10,
              "last_error": "provider answered 500", "created_at": EARLIER, "updated_at": LATER },
        ]}),
        "jobs/list" => json!({ "items": [
            { "job_id": "job_2", "kind": "payment.sync", "status": "dead", "due_at": LATER, "attempts": 10,
              "last_error": "provider answered 500", "created_at": EARLIER, "updated_at": LATER },
            { "job_id": "job_1", "kind": "ai.settle", "status": "queued", "due_at": LATER, "attempts": 0,
              "city_id": "city_notes", "user_id": "ann", "created_at": LATER, "updated_at": LATER },
        ]}),
        _ => return None,
    })
}

fn calls(query: &Value) -> Value {
    let call = |number: u32, status: &str| {
        let mut call = json!({
            "request_id": format!("req_{number}"), "city_id": "city_notes", "user_id": "ann", "action": "ai/text",
            "model_id": "gpt", "status": status, "duration_ms": 800 + number, "charge_microcredits": 1_250,
            "created_at": LATER,
        });
        if status == "error" {
            call["code"] = "upstream_error".into();
            call["error"] = "The provider answered 503.".into();
            call["charge_microcredits"] = 0.into();
        }
        call
    };
    if query["status"] == "error" {
        return json!({ "items": [call(7, "error")] });
    }
    json!({ "items": [call(9, "success"), call(8, "success"), call(7, "error")] })
}

fn sums(query: &Value) -> Value {
    let by = query["group_by"].as_str().unwrap_or_default();
    let sum = |day: &str, count: u64| {
        let mut sum = json!({
            "count": count, "input_tokens": count * 900, "cached_tokens": 0, "output_tokens": count * 300,
            "charge_microcredits": count * 1_250, "avg_duration_ms": 812,
        });
        for (name, value) in [
            ("day", day),
            ("city_id", "city_notes"),
            ("model_id", "gpt"),
            ("user_id", "ann"),
            ("status", "success"),
        ] {
            if by.contains(name) {
                sum[name] = value.into();
            }
        }
        sum
    };
    if !by.contains("day") {
        return json!({ "items": [sum("", 48)] });
    }
    json!({ "items": [sum("2026-03-02", 17), sum("2026-03-01", 25), sum("2026-02-26", 6)] })
}

fn receipt() -> Value {
    json!({
        "request_id": "req_9", "city_id": "city_notes", "user_id": "ann", "service": "ai", "action": "ai/text",
        "status": "success", "http_status": 200, "model_id": "gpt", "provider_id": "openai",
        "upstream_model": "gpt-4.1", "input_tokens": 900, "output_tokens": 300, "first_byte_ms": 240,
        "duration_ms": 809, "charge_microcredits": 1_250, "charge_id": "chg_1", "started_at": LATER,
        "attempts": [{ "provider": "openai", "key": "OPENAI_API_KEY", "outcome": "ok", "status": 200, "duration_ms": 805 }],
    })
}

fn audit(query: &Value) -> Value {
    let row = |seq: u32| {
        json!({
            "seq": seq, "created_at": LATER, "actor": "admin", "action": "cities/pause", "target_kind": "city",
            "target_id": "city_recipes", "city_id": "city_recipes", "before": { "status": "active" },
            "after": { "status": "paused" }, "request_id": "req_1", "client_address": "127.0.0.1", "hash": "9f86d081",
        })
    };
    if query["cursor"] == "next" {
        return json!({ "items": [row(1)] });
    }
    json!({ "items": [row(3), row(2)], "next_cursor": "next" })
}

/// What a call that may change something answers.
pub(super) fn sent(path: &str, input: &Value) -> Value {
    match path {
        "cities/tokens/apply" => json!({
            "user_token": "ub_eyJjaXR5X2lkIjoiY2l0eV9ub3RlcyIsInVzZXJfaWQiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLXRoaXMtdG9rZW4",
            "city_id": "city_notes", "user_id": "ann", "expires_at": LATER,
        }),
        "balance/redeem-codes/batch" => json!({ "items": [
            { "code": "TEEB-44T4-X8QR-KV2K" }, { "code": "T7V8-W4LK-PFQ5-966W" },
        ]}),
        "keys/create" => json!({ "key": "fk_abcdefghijklmnop", "key_id": "key_2" }),
        "ai/test" => json!({ "items": [
            { "model": "gpt", "ok": true, "latency_ms": 412, "first_byte_ms": 230, "streaming": true, "tools": true, "usage": true },
        ]}),
        "balance/add" | "balance/sub" if HAS_CITY_WALLETS.get() => {
            json!({ "user_id": "ann", "city_id": input["city_id"], "balance": 0, "held": 0, "available": 0 })
        }
        "env/list" => env(true),
        "env/test" => {
            json!({ "key": "OPENAI_API_KEY", "result": "ok", "message": "openai takes it" })
        }
        "Use" => {
            json!({ "place": format!("{} · {}", input["name"].as_str().unwrap(), input["url"].as_str().unwrap()) })
        }
        _ => json!({ "success": true }),
    }
}
