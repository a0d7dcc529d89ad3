//! One row per action. Add the row of a new action here.

use serde_json::{Value, json};

use crate::world::{PASSWORD, World};

/// Who may call an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// Everybody, guests included.
    Everybody,
    /// Users alone.
    Users,
    /// Users and the trusted side.
    UsersAndTrusted,
    /// The trusted side: the admin key, and service keys that cover the action.
    Trusted,
    /// The admin key alone.
    AdminKeyOnly,
}

/// Whether a call of an action is about one city, which its input names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum About {
    /// It is: keys of certain cities reach it.
    OneCity,
    /// It is not: no key of certain cities reaches it.
    Anything,
}

/// What is asked of one action.
pub(crate) struct Row {
    /// Method and path.
    pub(crate) route: &'static str,
    pub(crate) who: Who,
    pub(crate) about: About,
    /// An input that is good in this world.
    pub(crate) input: fn(&World) -> Value,
    /// Status and code of the answer to those who may call.
    pub(crate) good: (u16, &'static str),
}

impl Row {
    /// The answer to those who may call, where no input of this world can have success.
    const fn answers(self, status: u16, code: &'static str) -> Self {
        Self { good: (status, code), ..self }
    }

    pub(crate) fn is_for_users(&self) -> bool {
        matches!(self.who, Users | UsersAndTrusted)
    }

    /// Whether `*` of a service key leaves the action out.
    pub(crate) fn has_to_be_named(&self) -> bool {
        const NAMED: [&str; 4] =
            [" /v1/env/", " /v1/backup/", " /v1/ai/models/set", " /v1/ai/models/remove"];
        NAMED.iter().any(|named| self.route.contains(named))
    }
}

const fn row(route: &'static str, who: Who, about: About, input: fn(&World) -> Value) -> Row {
    Row { route, who, about, input, good: (200, "") }
}

fn nothing(_: &World) -> Value {
    json!({})
}

fn city(world: &World) -> Value {
    json!({"city_id": world.home})
}

fn env_key(world: &World) -> Value {
    json!({"key": world.env_key, "city_id": world.home})
}

fn address(world: &World) -> Value {
    json!({"email": world.email, "city_id": world.home})
}

fn token(world: &World) -> Value {
    json!({"token": "no such token", "city_id": world.home})
}

fn prompt(_: &World) -> Value {
    json!({"prompt": "Hello"})
}

fn media(_: &World) -> Value {
    json!({"prompt": "A cat", "model": "none"})
}

fn media_job(_: &World) -> Value {
    json!({"job_id": "job_of_nobody"})
}

fn chat(_: &World) -> Value {
    json!({"messages": [{"role": "user", "content": "Hello"}]})
}

fn money(world: &World) -> Value {
    json!({"city_id": world.home, "user_id": world.vouchers.user_id, "amount": 1})
}

fn topup(world: &World) -> Value {
    json!({"city_id": world.home, "topup_id": world.vouchers.topup_id})
}

fn codes(world: &World) -> Value {
    json!({"city_id": world.home, "amount": 5, "count": 2})
}

fn user(world: &World) -> Value {
    json!({"user_id": world.user_id})
}

fn checkout(world: &World) -> Value {
    json!({"method_id": "stripe", "topup_id": world.vouchers.topup_id})
}

fn job(_: &World) -> Value {
    json!({"job_id": "job_none"})
}

fn payment(_: &World) -> Value {
    json!({"payment_id": "pay_none"})
}

use About::{Anything, OneCity};
use Who::{AdminKeyOnly, Everybody, Trusted, Users, UsersAndTrusted};

pub(crate) const TABLE: &[Row] = &[
    row("GET /", Everybody, Anything, nothing),
    row("GET /health", Everybody, Anything, nothing),
    row("GET /livez", Everybody, Anything, nothing),
    row("GET /readyz", Everybody, Anything, nothing),
    row("GET /openapi.json", Everybody, Anything, nothing),
    row("GET /metrics", Trusted, Anything, nothing),
    row("GET /v1/services", Everybody, Anything, nothing),
    row("GET /v1/base/instruction", Trusted, Anything, nothing),
    row("GET /v1/cities/list", Trusted, Anything, nothing),
    row(
        "POST /v1/cities/create",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.vacant, "name": "C"}),
    ),
    row("POST /v1/cities/pause", Trusted, OneCity, city),
    row("POST /v1/cities/activate", Trusted, OneCity, city),
    row("POST /v1/cities/remove", Trusted, OneCity, city),
    row(
        "POST /v1/cities/tokens/apply",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.home, "user_id": "u"}),
    ),
    row(
        "POST /v1/cities/tokens/revoke",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.home, "user_token": world.user}),
    ),
    row(
        "POST /v1/cities/tokens/verify",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.home, "user_token": world.user}),
    ),
    row("GET /.well-known/jwks.json", Everybody, Anything, nothing),
    row("GET /v1/env/list", Trusted, OneCity, city),
    row("GET /v1/env/catalog", Trusted, Anything, nothing),
    row("GET /v1/env/history", Trusted, OneCity, env_key),
    row(
        "POST /v1/env/upsert",
        Trusted,
        OneCity,
        |world| json!({"key": world.env_key, "value": "third", "city_id": world.home}),
    ),
    row(
        "POST /v1/env/rollback",
        Trusted,
        OneCity,
        |world| json!({"key": world.env_key, "version": 1, "city_id": world.home}),
    ),
    row("POST /v1/env/remove", Trusted, OneCity, env_key),
    row(
        "POST /v1/env/import",
        Trusted,
        OneCity,
        |world| json!({"raw": format!("{}=third", world.env_key), "city_id": world.home}),
    ),
    row("POST /v1/env/test", Trusted, OneCity, env_key),
    row("POST /v1/env/refresh", Trusted, Anything, nothing),
    row("GET /v1/audit/list", Trusted, OneCity, city),
    row("POST /v1/audit/verify", Trusted, Anything, nothing),
    row("POST /v1/backup/create", Trusted, Anything, nothing),
    row("GET /v1/jobs/list", Trusted, Anything, nothing),
    row("POST /v1/jobs/retry", Trusted, Anything, job).answers(404, "not_found"),
    row("POST /v1/jobs/cancel", Trusted, Anything, job).answers(404, "not_found"),
    row("GET /v1/keys/list", AdminKeyOnly, Anything, nothing),
    row(
        "POST /v1/keys/create",
        AdminKeyOnly,
        Anything,
        |_| json!({"name": "K", "actions": ["cities/list"]}),
    ),
    row("POST /v1/keys/revoke", AdminKeyOnly, Anything, |world| json!({"key_id": world.key_id})),
    row("GET /v1/keys/signing", AdminKeyOnly, Anything, nothing),
    row("POST /v1/keys/rotate", AdminKeyOnly, Anything, nothing),
    row("POST /v1/keys/retired/drop", AdminKeyOnly, Anything, nothing),
    row("GET /v1/ai/files/{key}", Everybody, Anything, nothing).answers(404, "not_found"),
    row("GET /v1/ai/models", UsersAndTrusted, OneCity, city),
    row("GET /v1/ai/models/stored", Trusted, Anything, nothing),
    row(
        "POST /v1/ai/models/set",
        Trusted,
        Anything,
        |_| json!({"models": [{"id": "m", "definition": {"name": "M", "provider": "echo"}}]}),
    ),
    row("POST /v1/ai/models/remove", Trusted, Anything, |_| json!({"id": "none"}))
        .answers(404, "not_found"),
    row("POST /v1/ai/test", Trusted, OneCity, city),
    row("POST /v1/ai/text", UsersAndTrusted, Anything, prompt),
    row("POST /v1/ai/stream", UsersAndTrusted, Anything, prompt),
    row("POST /v1/ai/image/create", UsersAndTrusted, Anything, prompt),
    row("POST /v1/ai/image/result", UsersAndTrusted, Anything, media_job).answers(404, "not_found"),
    row("POST /v1/ai/image/fetch", Trusted, Anything, media_job).answers(404, "not_found"),
    row("POST /v1/ai/image", UsersAndTrusted, Anything, media).answers(422, "model_not_found"),
    row("POST /v1/ai/video/create", UsersAndTrusted, Anything, media)
        .answers(422, "model_not_found"),
    row("POST /v1/ai/video/result", UsersAndTrusted, Anything, media_job).answers(404, "not_found"),
    row("POST /v1/ai/video", UsersAndTrusted, Anything, media).answers(422, "model_not_found"),
    row("POST /v1/ai/chat/completions", UsersAndTrusted, Anything, chat),
    row("POST /v1/chat/completions", UsersAndTrusted, Anything, chat),
    row("POST /v1/responses", UsersAndTrusted, Anything, |_| json!({"input": "Hello"})),
    row("GET /v1/models", UsersAndTrusted, Anything, nothing),
    row("GET /v1/models/{*model}", UsersAndTrusted, Anything, nothing)
        .answers(404, "model_not_found"),
    row("POST /v1/ai/tts", UsersAndTrusted, Anything, |_| json!({"text": "Hello"})),
    row(
        "POST /v1/ai/asr",
        UsersAndTrusted,
        Anything,
        |_| json!({"data_url": "data:audio/wav;base64,UklGRg=="}),
    ),
    row("POST /v1/audio/speech", UsersAndTrusted, Anything, |_| json!({"input": "Hello"})),
    row("POST /v1/audio/transcriptions", UsersAndTrusted, Anything, nothing)
        .answers(400, "invalid_input"),
    row("POST /v1/ai/embeddings", UsersAndTrusted, Anything, |_| json!({"input": "Hello"})),
    row("POST /v1/images/generations", UsersAndTrusted, Anything, media)
        .answers(404, "model_not_found"),
    row("POST /v1/embeddings", UsersAndTrusted, Anything, |_| json!({"input": "Hello"})),
    row(
        "POST /v1/messages",
        Users,
        Anything,
        |_| json!({"max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}),
    ),
    row(
        "POST /v1/accounts/register",
        Everybody,
        OneCity,
        |world| json!({"email": world.new_email, "password": PASSWORD, "city_id": world.home}),
    ),
    row(
        "POST /v1/accounts/login",
        Everybody,
        OneCity,
        |world| json!({"email": world.email, "password": PASSWORD, "city_id": world.home}),
    ),
    row("GET /v1/accounts/me", Users, Anything, nothing),
    row("POST /v1/accounts/logout", Users, Anything, nothing),
    row("GET /v1/accounts/providers", Everybody, Anything, nothing),
    row("POST /v1/accounts/verify-email", Everybody, OneCity, token).answers(400, "invalid_code"),
    row("POST /v1/accounts/verify-email/resend", Everybody, OneCity, address)
        .answers(422, "unprocessable"),
    row("POST /v1/accounts/password/forgot", Everybody, OneCity, address)
        .answers(422, "unprocessable"),
    row(
        "POST /v1/accounts/password/reset",
        Everybody,
        Anything,
        |_| json!({"token": "no such token", "password": PASSWORD}),
    )
    .answers(400, "invalid_code"),
    row(
        "POST /v1/accounts/password/change",
        Users,
        Anything,
        |_| json!({"current_password": PASSWORD, "new_password": "another horse battery"}),
    ),
    row("POST /v1/accounts/magic-link/start", Everybody, OneCity, address)
        .answers(422, "unprocessable"),
    row("POST /v1/accounts/magic-link/verify", Everybody, OneCity, token)
        .answers(400, "invalid_code"),
    row("POST /v1/accounts/code/start", Everybody, OneCity, address).answers(422, "unprocessable"),
    row(
        "POST /v1/accounts/code/verify",
        Everybody,
        OneCity,
        |world| json!({"challenge": "none", "code": "123456", "city_id": world.home}),
    )
    .answers(400, "invalid_code"),
    row("POST /v1/accounts/profile/update", Users, Anything, |_| json!({"bio": "I am Ann."})),
    row(
        "POST /v1/accounts/email/change",
        Users,
        Anything,
        |world| json!({"new_email": world.new_email, "password": PASSWORD}),
    )
    .answers(422, "unprocessable"),
    row("POST /v1/accounts/email/change/confirm", Users, Anything, |_| json!({"token": "none"}))
        .answers(400, "invalid_code"),
    row("POST /v1/accounts/account/delete", Users, Anything, |_| json!({"password": PASSWORD})),
    row("GET /v1/accounts/sessions/me", Users, Anything, nothing),
    row(
        "POST /v1/accounts/sessions/revoke",
        UsersAndTrusted,
        OneCity,
        |world| json!({"session_id": world.session_id, "city_id": world.home}),
    ),
    row("GET /v1/accounts/sessions", Trusted, OneCity, city),
    row("GET /v1/accounts/users", Trusted, Anything, nothing),
    row(
        "POST /v1/accounts/users/import",
        Trusted,
        Anything,
        |world| json!({"users": [{"user_id": world.new_email, "email": world.new_email}]}),
    ),
    row("GET /v1/accounts/mailbox", Trusted, Anything, nothing),
    row("POST /v1/accounts/users/disable", Trusted, Anything, user),
    row("POST /v1/accounts/users/enable", Trusted, Anything, user),
    row("POST /v1/accounts/users/remove", Trusted, Anything, user),
    row("POST /v1/accounts/users/sessions/revoke", Trusted, Anything, user),
    row("GET /v1/accounts/identities", Users, Anything, nothing),
    // A password is the last way to sign in here.
    row("POST /v1/accounts/identities/unlink", Users, Anything, |_| json!({"provider": "email"}))
        .answers(409, "conflict"),
    // No provider is configured here, and browsers get pages.
    row(
        "POST /v1/accounts/oauth/start",
        Everybody,
        OneCity,
        |world| json!({"provider": "github", "city_id": world.home}),
    )
    .answers(400, "invalid_input"),
    row("GET /v1/accounts/oauth/callback", Everybody, Anything, nothing).answers(400, ""),
    row("POST /v1/accounts/oauth/confirm", Everybody, Anything, nothing).answers(400, ""),
    row("GET /v1/accounts/oauth/result", Everybody, Anything, |_| json!({"state": "none"}))
        .answers(404, "not_found"),
    row("GET /v1/visiblebase/models", Users, Anything, nothing),
    row("GET /v1/visiblebase/services", Users, Anything, nothing),
    row("POST /v1/visiblebase/invoke", Everybody, Anything, nothing).answers(400, "invalid_input"),
    row("GET /v1/usage/events", Trusted, OneCity, city),
    row("GET /v1/usage/summary", Trusted, OneCity, city),
    row("GET /v1/usage/me", Users, Anything, nothing),
    row("GET /v1/usage/requests/{request_id}", UsersAndTrusted, Anything, nothing)
        .answers(404, "not_found"),
    row("GET /v1/usage/status", Trusted, Anything, nothing),
    row("GET /v1/balance/me", Users, Anything, nothing),
    row("GET /v1/balance/history/me", Users, Anything, nothing),
    row("GET /v1/balance/charges/me", Users, Anything, nothing),
    row("GET /v1/balance/users", Trusted, Anything, nothing),
    row("GET /v1/balance/history", Trusted, OneCity, city),
    row("GET /v1/balance/charges", Trusted, OneCity, city),
    row("GET /v1/balance/holds/list", Trusted, OneCity, city),
    row("POST /v1/balance/add", Trusted, OneCity, money),
    row("POST /v1/balance/sub", Trusted, OneCity, money),
    row("POST /v1/balance/charge", Trusted, OneCity, money),
    row(
        "POST /v1/balance/charges/refund",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.home, "charge_id": world.vouchers.charge_id}),
    ),
    row("POST /v1/balance/holds/create", Trusted, OneCity, money),
    row(
        "POST /v1/balance/holds/settle",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.home, "hold_id": world.vouchers.hold_id, "amount_microcredits": 1}),
    ),
    row(
        "POST /v1/balance/holds/release",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.home, "hold_id": world.vouchers.hold_id}),
    ),
    row("POST /v1/balance/ledger/verify", Trusted, Anything, nothing),
    row("POST /v1/balance/topups/create", Users, Anything, |_| json!({"amount": 5})),
    row("GET /v1/balance/topups/me", Users, Anything, nothing),
    row("GET /v1/balance/topups", Trusted, OneCity, city),
    row("POST /v1/balance/topups/finish", Trusted, OneCity, topup),
    row("POST /v1/balance/topups/cancel", Trusted, OneCity, topup),
    row(
        "POST /v1/balance/redeem-codes/redeem",
        Users,
        Anything,
        |world| json!({"code": world.vouchers.code}),
    ),
    row("GET /v1/balance/redeem-codes", Trusted, OneCity, city),
    row("POST /v1/balance/redeem-codes/create", Trusted, OneCity, codes),
    row("POST /v1/balance/redeem-codes/batch", Trusted, OneCity, codes),
    row(
        "POST /v1/balance/redeem-codes/disable",
        Trusted,
        OneCity,
        |world| json!({"city_id": world.home, "redeem_code_id": world.vouchers.redeem_code_id}),
    ),
    row("GET /v1/payment/methods", Everybody, Anything, nothing),
    row("POST /v1/payment/checkout/create", Users, Anything, checkout)
        .answers(400, "invalid_input"),
    row("GET /v1/payment/payments/me", Users, Anything, nothing),
    row("GET /v1/payment/payments/get", UsersAndTrusted, Anything, payment)
        .answers(404, "not_found"),
    row("POST /v1/payment/payments/cancel", Users, Anything, payment).answers(404, "not_found"),
    row("GET /v1/payment/payments", Trusted, OneCity, city),
    row(
        "POST /v1/payment/payments/resolve",
        Trusted,
        Anything,
        |_| json!({"payment_id": "pay_none", "credit": true}),
    )
    .answers(404, "not_found"),
    row("GET /v1/payment/events", Trusted, Anything, nothing),
    row(
        "POST /v1/payment/events/replay",
        Trusted,
        Anything,
        |_| json!({"event_id": "stripe:evt_none"}),
    )
    .answers(404, "not_found"),
    row("POST /v1/payment/webhook", Everybody, Anything, nothing).answers(400, "invalid_input"),
    row("GET /v1/payment/redirect/success", Everybody, Anything, nothing),
    row("GET /v1/payment/redirect/cancel", Everybody, Anything, nothing),
    row("POST /v1/payment.stripe/checkout/create", Users, Anything, checkout)
        .answers(400, "invalid_input"),
    row("GET /v1/payment.stripe/payments/me", Users, Anything, nothing),
    row("GET /v1/payment.stripe/payments", Trusted, OneCity, city),
    row("GET /v1/payment.stripe/events", Trusted, Anything, nothing),
    row("POST /v1/payment.stripe/webhook", Everybody, Anything, nothing)
        .answers(503, "unavailable"),
    row("GET /v1/payment.stripe/redirect/success", Everybody, Anything, nothing),
    row("GET /v1/payment.stripe/redirect/cancel", Everybody, Anything, nothing),
];
