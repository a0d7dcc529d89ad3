//! `kill -9` under a load of money: what was answered is in the ledger exactly once, what was not
//! answered is there once or not at all, and `fed ledger verify` finds nothing wrong.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use downcity_db::Engine;
use serde_json::{Value, json};

use crate::check::{get, list};
use crate::http::{Client, Reply, Send};
use crate::load::{Line, Target};
use crate::node::{ADMIN_KEY, Place};
use crate::random::{Random, is_long_run};

/// Rounds on one database; PostgreSQL takes twice the time for one.
const ROUNDS_ON_SQLITE: usize = 50;
const ROUNDS_ON_POSTGRES: usize = 25;
const LONG_RUN: usize = 200;
const WRITERS: usize = 6;
/// The node is killed after at most this many answers.
const MOST_ANSWERS: u64 = 300;
const CITY: &str = "city_downcity";

#[test]
fn sqlite() {
    run(Engine::Sqlite, ROUNDS_ON_SQLITE);
}

#[test]
fn postgres() {
    run(Engine::Postgres, ROUNDS_ON_POSTGRES);
}

fn run(engine: Engine, rounds: usize) {
    let seed = Random::seed();
    println!("{engine:?}: DOWNCITY_TEST_SEED={seed}");
    let rounds = if is_long_run() { LONG_RUN } else { rounds };
    let place = Place::new(engine);
    let mut series = Series {
        place: &place,
        random: Random::new(seed),
        spenders: Vec::new(),
        sums: Sums::default(),
    };
    let done = catch_unwind(AssertUnwindSafe(|| {
        (0..rounds).for_each(|number| series.round(number));
        series.look();
    }));
    let log = place.log();
    if let Err(failure) = done {
        let tail: Vec<_> = log.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        println!("the end of the log:\n{}", tail.join("\n"));
        resume_unwind(failure);
    }
    assert!(!log.contains("panicked"), "{log}");
    let Sums { answered, unanswered, entries } = series.sums;
    println!(
        "{engine:?}: {rounds} kills, {answered} answers, {unanswered} calls without one, {entries} ledger entries"
    );
    assert!(answered > 0 && entries > 0);
}

#[derive(Default)]
struct Sums {
    answered: usize,
    unanswered: usize,
    entries: usize,
}

/// The rounds on one database.
struct Series<'a> {
    place: &'a Place,
    random: Random,
    /// Those of the round before.
    spenders: Vec<Spender>,
    sums: Sums,
}

impl Series<'_> {
    /// Looks for the money of the round before, moves more of it, and kills the node.
    fn round(&mut self, number: usize) {
        self.look();
        self.place.settle();
        let mut node = self.place.spawn();
        let (address, _) = node.ready().expect("the node starts");
        let mut client = Client::new(&address);
        self.spenders = (0..WRITERS)
            .map(|writer| Spender::new(&mut client, number, writer, self.random.fork()))
            .collect();
        let dying = Arc::new(AtomicBool::new(false));
        let (answers, counted) = channel();
        let target = Target { address, dying: Arc::clone(&dying), may_fail: false, answers };
        std::thread::scope(|scope| {
            for spender in &mut self.spenders {
                let target = target.clone();
                std::thread::Builder::new()
                    .spawn_scoped(scope, move || spender.run(&target))
                    .unwrap();
            }
            drop(target);
            for _ in 0..self.random.below(MOST_ANSWERS) {
                counted.recv_timeout(Duration::from_secs(30)).expect("answers come");
            }
            std::thread::sleep(Duration::from_micros(self.random.below(4_000)));
            dying.store(true, Ordering::SeqCst);
            node.kill();
        });
    }

    /// After a start: the money of every spender is as the answers said.
    fn look(&mut self) {
        if self.spenders.is_empty() {
            return;
        }
        self.place.settle();
        let mut node = self.place.spawn();
        let (address, _) = node.ready().expect("the node starts");
        let mut client = Client::new(&address);
        for spender in &mut self.spenders {
            spender.check(&mut client, &mut self.sums);
        }
        self.place.verify_ledger();
        // The next kill finds a node that has just answered what was asked again.
        node.kill();
    }
}

/// One request that moves money, or prepares it.
struct Step {
    path: &'static str,
    by_user: bool,
    key: String,
    body: Value,
    /// The reference of the entry that it leaves in the ledger, if it leaves one.
    entry: Option<String>,
    /// Whether the wallet may not have enough for it.
    may_lack: bool,
    outcome: Outcome,
}

enum Outcome {
    /// The answer.
    Done(Value),
    /// 402: nothing was changed.
    Refused,
    /// No answer came.
    Unknown,
}

/// A client with a wallet of its own, for one round.
struct Spender {
    user_id: String,
    user_token: String,
    random: Random,
    steps: Vec<Step>,
    /// Holds that are open as far as the client knows.
    holds: Vec<String>,
}

impl Spender {
    fn new(client: &mut Client, round: usize, writer: usize, random: Random) -> Self {
        let user_id = format!("money-{round}-{writer}");
        let body = json!({"city_id": CITY, "user_id": user_id});
        let send = Send { bearer: ADMIN_KEY, idempotency_key: None, body: Some(&body) };
        let issued = client.call("/v1/cities/tokens/apply", send).expect("an answer");
        let user_token = issued.text("user_token");
        Self { user_id, user_token, random, steps: Vec::new(), holds: Vec::new() }
    }

    /// Moves money until the node does not answer any more.
    fn run(&mut self, target: &Target) {
        let mut line = Line::new(target);
        loop {
            let done = match self.random.below(12) {
                0..=2 => self.add(&mut line),
                3..=5 => self.spend(&mut line, "/v1/balance/charge", "amount_microcredits"),
                6 => self.spend(&mut line, "/v1/balance/sub", "amount_microcredits"),
                7 => self.top_up(&mut line),
                8 => self.redeem(&mut line),
                9 => self.hold(&mut line),
                _ => self.end_hold(&mut line),
            };
            if done.is_none() {
                return;
            }
        }
    }

    /// A name that no other request has.
    fn name(&self) -> String {
        format!("{}-{}", self.user_id, self.steps.len())
    }

    /// Sends a request once or twice with its key; `None` when the node is dead. Gives its answer.
    fn step(&mut self, line: &mut Line<'_>, mut step: Step) -> Option<Option<Value>> {
        let mut dead = false;
        for _ in 0..=self.random.below(2) {
            match line.send(step.path, step.send(&self.user_token)) {
                Some(Some(reply)) => step.take(&reply),
                Some(None) => panic!("{}: nothing was to fail", step.path),
                None => dead = true,
            }
            if dead {
                break;
            }
        }
        let answer = match &step.outcome {
            Outcome::Done(answer) => Some(answer.clone()),
            _ => None,
        };
        self.steps.push(step);
        (!dead).then_some(answer)
    }

    /// A request of the operator about this wallet.
    fn of_admin(&self, path: &'static str, fields: Value) -> Step {
        let name = self.name();
        let mut body = json!({"user_id": self.user_id, "city_id": CITY, "ref": name});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let entry = Some(name.clone());
        Step {
            path,
            by_user: false,
            key: name,
            body,
            entry,
            may_lack: false,
            outcome: Outcome::Unknown,
        }
    }

    /// A request of the user.
    fn of_user(&self, path: &'static str, body: Value) -> Step {
        Step { by_user: true, body, entry: None, ..self.of_admin(path, json!({})) }
    }

    fn add(&mut self, line: &mut Line<'_>) -> Option<()> {
        let amount = 1 + self.random.below(3);
        let step = self.of_admin("/v1/balance/add", json!({ "amount": amount }));
        self.step(line, step).map(drop)
    }

    fn spend(&mut self, line: &mut Line<'_>, path: &'static str, field: &str) -> Option<()> {
        let amount = 1 + self.random.below(1_500_000);
        let step = self.of_admin(path, json!({ field: amount }));
        self.step(line, Step { may_lack: true, ..step }).map(drop)
    }

    fn top_up(&mut self, line: &mut Line<'_>) -> Option<()> {
        let step = self.of_user("/v1/balance/topups/create", json!({"amount": 2}));
        let Some(topup) = self.step(line, step)? else { return Some(()) };
        let finish = json!({"topup_id": topup["topup_id"]});
        let step = self.of_admin("/v1/balance/topups/finish", finish);
        self.step(line, step).map(drop)
    }

    fn redeem(&mut self, line: &mut Line<'_>) -> Option<()> {
        let step = self.of_admin("/v1/balance/redeem-codes/create", json!({"amount": 1}));
        let Some(code) = self.step(line, Step { entry: None, ..step })? else { return Some(()) };
        let step = self.of_user("/v1/balance/redeem-codes/redeem", json!({"code": code["code"]}));
        // The code was made with a reference, which the entry takes over.
        let entry = code["ref"].as_str().map(str::to_owned);
        self.step(line, Step { entry, ..step }).map(drop)
    }

    fn hold(&mut self, line: &mut Line<'_>) -> Option<()> {
        let amount = 1 + self.random.below(700_000);
        let fields = json!({"amount_microcredits": amount});
        let step = self.of_admin("/v1/balance/holds/create", fields);
        let hold = self.step(line, Step { entry: None, may_lack: true, ..step })?;
        self.holds.extend(hold.and_then(|hold| hold["hold_id"].as_str().map(str::to_owned)));
        Some(())
    }

    fn end_hold(&mut self, line: &mut Line<'_>) -> Option<()> {
        let Some(hold_id) = self.holds.pop() else { return Some(()) };
        if self.random.one_in(4) {
            let step = self.of_admin("/v1/balance/holds/release", json!({"hold_id": hold_id}));
            return self.step(line, Step { entry: None, ..step }).map(drop);
        }
        let amount = 1 + self.random.below(700_000);
        let fields = json!({"hold_id": hold_id, "amount_microcredits": amount});
        let step = self.of_admin("/v1/balance/holds/settle", fields);
        self.step(line, step).map(drop)
    }

    /// Compares the ledger with the answers, asks again for everything, and compares once more.
    fn check(&mut self, client: &mut Client, sums: &mut Sums) {
        let mut entries = self.ledger(client);
        for step in &mut self.steps {
            step.look(&entries);
            match &step.outcome {
                Outcome::Unknown => sums.unanswered += 1,
                Outcome::Done(_) | Outcome::Refused => sums.answered += 1,
            }
            // What was refused for want of money may be taken now, and is left alone.
            if matches!(step.outcome, Outcome::Refused) {
                continue;
            }
            let send = step.send(&self.user_token);
            let again = client.call(step.path, send).expect("an answer");
            step.take(&again);
            entries = entries_after(entries, step);
        }
        let entries_now = self.ledger(client);
        for step in &self.steps {
            step.look(&entries_now);
        }
        assert_eq!(entries, entries_now, "{}: an entry that no request explains", self.user_id);
        sums.entries += entries_now.len();
    }

    /// How often each reference stands in the ledger. The balance is the sum of the entries.
    fn ledger(&self, client: &mut Client) -> BTreeMap<String, usize> {
        let items =
            list(client, &format!("/v1/balance/history?limit=200&user_id={}", self.user_id));
        let mut counted = BTreeMap::new();
        let mut sum = 0;
        // Newest first.
        for entry in items.iter().rev() {
            sum += entry["amount"].as_i64().expect("an amount");
            assert_eq!(entry["balance_after"], sum, "{entry}");
            *counted.entry(entry["ref"].as_str().expect("a reference").to_owned()).or_default() +=
                1;
        }
        let me = get(client, "/v1/balance/me", &self.user_token);
        assert_eq!(me.body["microcredits"], sum, "{me:?}");
        counted
    }
}

/// The entries after a request was made again: those that were there, and its own.
fn entries_after(mut entries: BTreeMap<String, usize>, step: &Step) -> BTreeMap<String, usize> {
    if let (Some(entry), Outcome::Done(_)) = (&step.entry, &step.outcome) {
        entries.insert(entry.clone(), 1);
    }
    entries
}

impl Step {
    fn send<'a>(&'a self, user_token: &'a str) -> Send<'a> {
        let bearer = if self.by_user { user_token } else { ADMIN_KEY };
        Send { bearer, idempotency_key: Some(&self.key), body: Some(&self.body) }
    }

    /// Takes an answer, which has to be that of before if there was one.
    fn take(&mut self, reply: &Reply) {
        let outcome = match reply.status {
            200 => Outcome::Done(reply.body.clone()),
            402 if self.may_lack => Outcome::Refused,
            _ => panic!("{} {}: {reply:?}", self.path, self.body),
        };
        if let (Outcome::Done(before), Outcome::Done(now)) = (&self.outcome, &outcome) {
            assert_eq!(before, now, "{} {} has one answer", self.path, self.body);
        }
        self.outcome = outcome;
    }

    /// Whether the ledger says what the answer said.
    fn look(&self, entries: &BTreeMap<String, usize>) {
        let Some(entry) = &self.entry else { return };
        let found = entries.get(entry).copied().unwrap_or_default();
        let (path, body) = (self.path, &self.body);
        match self.outcome {
            Outcome::Done(_) => assert_eq!(found, 1, "{path} {body} was answered"),
            Outcome::Refused => assert_eq!(found, 0, "{path} {body} was refused"),
            Outcome::Unknown => assert!(found <= 1, "{path} {body} was made {found} times"),
        }
    }
}
