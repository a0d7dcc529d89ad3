//! Random steps, and how each is made: of the model, and over HTTP.

use std::sync::Arc;
use std::time::Duration;

use downcity_core::Clock as _;
use downcity_services::Balance;
use downcity_services::balance::{Refund, Refunded, claw_back, sweep_vouchers, sweep_wallets};
use downcity_testkit::{Client, TestApp, TestReply};
use downcity_types::{Microcredits, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::model::{Code, Model, Status};
use crate::seen;

pub(crate) const USERS: usize = 2;

/// One thing that happens. Numbers that stand for earlier things count round.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Add {
        user: usize,
        amount: i64,
        lasts: Option<i64>,
    },
    Sub {
        user: usize,
        amount: i64,
    },
    Charge {
        user: usize,
        amount: i64,
    },
    RefundCharge {
        charge: usize,
    },
    Hold {
        user: usize,
        amount: i64,
    },
    Settle {
        hold: usize,
        amount: i64,
    },
    Release {
        hold: usize,
    },
    CreateTopup {
        user: usize,
        cents: i64,
    },
    FinishTopup {
        topup: usize,
    },
    CancelTopup {
        topup: usize,
    },
    CreateCode {
        amount: i64,
        max_uses: usize,
        per_user: usize,
        ends: Option<i64>,
        lasts: Option<i64>,
    },
    Redeem {
        user: usize,
        code: usize,
    },
    DisableCode {
        code: usize,
    },
    ClawBack {
        user: usize,
        amount: i64,
    },
    ClawBackAgain {
        refund: usize,
    },
    /// A request of before comes once more, with its key.
    Repeat {
        request: usize,
    },
    Wait {
        seconds: i64,
    },
    Sweep,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let user = 0..USERS;
    let amount = 1..2_000_000_i64;
    let nth = 0..1_000_usize;
    let lasts = prop::option::weighted(0.6, 1..7_200_i64);
    prop_oneof![
        4 => (user.clone(), amount.clone(), lasts.clone())
            .prop_map(|(user, amount, lasts)| Step::Add { user, amount, lasts }),
        2 => (user.clone(), amount.clone()).prop_map(|(user, amount)| Step::Sub { user, amount }),
        4 => (user.clone(), amount.clone()).prop_map(|(user, amount)| Step::Charge { user, amount }),
        2 => nth.clone().prop_map(|charge| Step::RefundCharge { charge }),
        4 => (user.clone(), amount.clone()).prop_map(|(user, amount)| Step::Hold { user, amount }),
        4 => (nth.clone(), 0..3_000_000_i64)
            .prop_map(|(hold, amount)| Step::Settle { hold, amount }),
        2 => nth.clone().prop_map(|hold| Step::Release { hold }),
        2 => (user.clone(), 100..400_i64)
            .prop_map(|(user, cents)| Step::CreateTopup { user, cents }),
        2 => nth.clone().prop_map(|topup| Step::FinishTopup { topup }),
        1 => nth.clone().prop_map(|topup| Step::CancelTopup { topup }),
        2 => (amount.clone(), 1..4_usize, 1..3_usize, lasts.clone(), lasts).prop_map(
            |(amount, max_uses, per_user, ends, lasts)| {
                Step::CreateCode { amount, max_uses, per_user, ends, lasts }
            }
        ),
        3 => (user.clone(), nth.clone()).prop_map(|(user, code)| Step::Redeem { user, code }),
        1 => nth.clone().prop_map(|code| Step::DisableCode { code }),
        1 => (user, amount).prop_map(|(user, amount)| Step::ClawBack { user, amount }),
        1 => nth.clone().prop_map(|refund| Step::ClawBackAgain { refund }),
        2 => nth.prop_map(|request| Step::Repeat { request }),
        3 => (1..5_000_i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (80_000..90_000_i64).prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::Sweep),
    ]
}

/// A request that had success.
struct Request {
    by: Client,
    path: String,
    body: Value,
    answer: Value,
}

/// Wallets of their own on an app that several sequences share.
pub(crate) struct World {
    app: TestApp,
    balance: Arc<Balance>,
    name: String,
    pub(crate) user_ids: Vec<String>,
    clients: Vec<Client>,
    pub(crate) model: Model,
    pub(crate) hold_ids: Vec<String>,
    pub(crate) charge_ids: Vec<String>,
    pub(crate) topup_ids: Vec<String>,
    pub(crate) code_ids: Vec<String>,
    codes: Vec<String>,
    refunds: Vec<(usize, Refund, Refunded)>,
    requests: Vec<Request>,
    count: usize,
}

/// The earlier thing that a number stands for.
fn nth(number: usize, length: usize) -> Option<usize> {
    number.checked_rem(length)
}

impl World {
    /// A world in the city `shop`, which is there.
    pub(crate) async fn new(app: &TestApp, balance: &Arc<Balance>, name: String) -> Self {
        let user_ids: Vec<_> = (0..USERS).map(|user| format!("{name}-{user}")).collect();
        let mut clients = Vec::new();
        for user_id in &user_ids {
            clients.push(app.user(&app.token("shop", user_id).await));
        }
        Self {
            app: app.clone(),
            balance: balance.clone(),
            name,
            user_ids,
            clients,
            model: Model::new(USERS),
            hold_ids: Vec::new(),
            charge_ids: Vec::new(),
            topup_ids: Vec::new(),
            code_ids: Vec::new(),
            codes: Vec::new(),
            refunds: Vec::new(),
            requests: Vec::new(),
            count: 0,
        }
    }

    fn now(&self) -> i64 {
        self.app.clock().now().millis()
    }

    /// Makes a step on both sides and compares them.
    pub(crate) async fn make(&mut self, step: &Step) {
        match step {
            Step::Add { .. }
            | Step::Sub { .. }
            | Step::Charge { .. }
            | Step::RefundCharge { .. } => {
                self.move_money(step).await;
            }
            Step::Hold { .. } | Step::Settle { .. } | Step::Release { .. } => {
                self.reserve(step).await;
            }
            Step::CreateTopup { .. } | Step::FinishTopup { .. } | Step::CancelTopup { .. } => {
                self.top_up(step).await;
            }
            Step::CreateCode { .. } | Step::Redeem { .. } | Step::DisableCode { .. } => {
                self.use_code(step).await;
            }
            Step::ClawBack { .. } | Step::ClawBackAgain { .. } => self.go_back(step).await,
            Step::Repeat { request } => self.repeat(*request).await,
            Step::Wait { seconds } => {
                self.app.clock().advance(Duration::from_secs(seconds.unsigned_abs()));
            }
            Step::Sweep => {
                sweep_vouchers(self.app.runtime()).await.expect("the sweep ends");
                sweep_wallets(self.app.runtime()).await.expect("the sweep ends");
                self.model.sweep(self.now());
            }
        }
        seen::compare(&self.app, self, step).await;
    }

    /// Sends a request with a key of its own; `None` when it is refused, as the model says.
    async fn send(
        &mut self,
        by: Option<usize>,
        action: &str,
        body: Value,
        expected: Status,
    ) -> Option<Value> {
        self.count += 1;
        let mut body = body;
        body["idempotency_key"] = format!("{}/{}", self.name, self.count).into();
        let by = by.map_or_else(|| self.app.admin(), |user| self.clients[user].clone());
        let path = format!("/v1/balance/{action}");
        let reply: TestReply = by.post(&path, body.clone()).await;
        let answer = reply.expect(expected);
        if expected != 200 {
            return None;
        }
        self.requests.push(Request { by, path, body, answer: answer.clone() });
        Some(answer)
    }

    fn of_user(&self, user: usize, amount: i64) -> Value {
        json!({"user_id": self.user_ids[user], "city_id": "shop", "amount_microcredits": amount})
    }

    async fn move_money(&mut self, step: &Step) {
        let now = self.now();
        match *step {
            Step::Add { user, amount, lasts } => {
                let ends = lasts.map(|seconds| now + seconds * 1_000);
                let mut body = self.of_user(user, amount);
                body["expires_at"] = json!(ends.map(Timestamp::from_millis));
                let status = self.model.add(user, amount, ends, now);
                self.send(None, "add", body, status).await;
            }
            Step::Sub { user, amount } => {
                let status = self.model.sub(user, amount, now);
                self.send(None, "sub", self.of_user(user, amount), status).await;
            }
            Step::Charge { user, amount } => {
                let status = self.model.charge(user, amount, now);
                let charge = self.send(None, "charge", self.of_user(user, amount), status).await;
                self.charge_ids.extend(charge.map(|charge| text(&charge, "charge_id")));
            }
            Step::RefundCharge { charge } => {
                let Some(charge) = nth(charge, self.charge_ids.len()) else { return };
                let body = json!({"charge_id": self.charge_ids[charge]});
                let status = self.model.refund_charge(charge, now);
                self.send(None, "charges/refund", body, status).await;
            }
            _ => unreachable!("{step:?} is made elsewhere"),
        }
    }

    async fn reserve(&mut self, step: &Step) {
        let now = self.now();
        match *step {
            Step::Hold { user, amount } => {
                let status = self.model.hold(user, amount, 3_600_000, now);
                let hold =
                    self.send(None, "holds/create", self.of_user(user, amount), status).await;
                self.hold_ids.extend(hold.map(|hold| text(&hold, "hold_id")));
            }
            Step::Settle { hold, amount } => {
                let Some(hold) = nth(hold, self.hold_ids.len()) else { return };
                let body = json!({"hold_id": self.hold_ids[hold], "amount_microcredits": amount});
                let charges = self.model.charges.len();
                let status = self.model.settle(hold, amount, now);
                let settled = self.send(None, "holds/settle", body, status).await;
                if self.model.charges.len() > charges {
                    self.charge_ids.extend(settled.map(|hold| text(&hold, "charge_id")));
                }
            }
            Step::Release { hold } => {
                let Some(hold) = nth(hold, self.hold_ids.len()) else { return };
                let body = json!({"hold_id": self.hold_ids[hold]});
                let status = self.model.release(hold);
                let path = "/v1/balance/holds/release";
                self.app.admin().post(path, body).await.expect(status);
            }
            _ => unreachable!("{step:?} is made elsewhere"),
        }
    }

    async fn top_up(&mut self, step: &Step) {
        let now = self.now();
        match *step {
            Step::CreateTopup { user, cents } => {
                let amount = cents * 10_000;
                let body = json!({"amount_microcredits": amount});
                let status = self.model.create_topup(user, amount, now);
                let topup = self.send(Some(user), "topups/create", body, status).await;
                self.topup_ids.extend(topup.map(|topup| text(&topup, "topup_id")));
            }
            Step::FinishTopup { topup } => {
                let Some(topup) = nth(topup, self.topup_ids.len()) else { return };
                let status = self.model.finish_topup(topup, now);
                let body = json!({"topup_id": self.topup_ids[topup]});
                self.send(None, "topups/finish", body, status).await;
            }
            Step::CancelTopup { topup } => {
                let Some(topup) = nth(topup, self.topup_ids.len()) else { return };
                let status = self.model.cancel_topup(topup);
                let body = json!({"topup_id": self.topup_ids[topup]});
                self.send(None, "topups/cancel", body, status).await;
            }
            _ => unreachable!("{step:?} is made elsewhere"),
        }
    }

    async fn use_code(&mut self, step: &Step) {
        let now = self.now();
        match *step {
            Step::CreateCode { amount, max_uses, per_user, ends, lasts } => {
                let expires_at = ends.map(|seconds| now + seconds * 1_000);
                let body = json!({
                    "amount_microcredits": amount, "max_uses": max_uses,
                    "max_uses_per_user": per_user,
                    "expires_at": expires_at.map(Timestamp::from_millis),
                    "credits_expire_after": lasts,
                });
                self.model.codes.push(Code {
                    amount,
                    status: "active",
                    max_uses,
                    max_uses_per_user: per_user,
                    uses: Vec::new(),
                    expires_at,
                    credits_last: lasts.map(|seconds| seconds * 1_000),
                });
                let code = self.send(None, "redeem-codes/create", body, 200).await.expect("a code");
                self.code_ids.push(text(&code, "redeem_code_id"));
                self.codes.push(text(&code, "code"));
            }
            Step::Redeem { user, code } => {
                let Some(code) = nth(code, self.codes.len()) else { return };
                let status = self.model.redeem(user, code, now);
                let body = json!({"code": self.codes[code]});
                self.send(Some(user), "redeem-codes/redeem", body, status).await;
            }
            Step::DisableCode { code } => {
                let Some(code) = nth(code, self.code_ids.len()) else { return };
                let status = self.model.disable_code(code);
                let body = json!({"redeem_code_id": self.code_ids[code]});
                self.send(None, "redeem-codes/disable", body, status).await;
            }
            _ => unreachable!("{step:?} is made elsewhere"),
        }
    }

    /// Payments that go back have no action of their own: those who take payments call the function.
    async fn go_back(&mut self, step: &Step) {
        let now = self.now();
        match *step {
            Step::ClawBack { user, amount } => {
                let refund = Refund {
                    refund_id: format!("{}/{}", self.name, self.refunds.len()),
                    owner: self.balance.owner("shop", &self.user_ids[user]),
                    amount: Microcredits(amount),
                    note: String::new(),
                    reference: "payment".to_owned(),
                    metadata: Map::new(),
                    actor: "payment:test".to_owned(),
                    now: Timestamp::from_millis(now),
                };
                let taken = self.model.claw_back(user, amount, now);
                let refunded = self.claw_back(&refund).await;
                let unpaid = Microcredits(amount - taken);
                assert_eq!(refunded, Refunded { taken: Microcredits(taken), unpaid });
                self.refunds.push((user, refund, refunded));
            }
            Step::ClawBackAgain { refund } => {
                let Some(refund) = nth(refund, self.refunds.len()) else { return };
                let (user, mut refund, before) = self.refunds[refund].clone();
                refund.now = Timestamp::from_millis(now);
                self.model.claw_back_again(user, now);
                assert_eq!(self.claw_back(&refund).await, before);
            }
            _ => unreachable!("{step:?} is made elsewhere"),
        }
    }

    async fn claw_back(&self, refund: &Refund) -> Refunded {
        let refund = refund.clone();
        let write = self.app.runtime().db().write(move |tx| claw_back(tx, &refund));
        write.await.expect("a payment goes back")
    }

    /// A repeated request has the answer of before, and changes nothing; with another body it is
    /// refused.
    async fn repeat(&mut self, request: usize) {
        let Some(request) = nth(request, self.requests.len()) else { return };
        let request = &self.requests[request];
        let again = request.by.post(&request.path, request.body.clone()).await;
        assert_eq!(again.expect(200), request.answer, "{}", request.path);
        let mut other = request.body.clone();
        other["note"] = "another body".into();
        request.by.post(&request.path, other).await.expect_error(409, "idempotency_mismatch");
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}")).to_owned()
}
