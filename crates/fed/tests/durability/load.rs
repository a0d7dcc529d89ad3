//! Clients that write one after the other, each its own things, until the node is dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use serde_json::{Value, json};

use crate::http::{Client, Reply, Send};
use crate::model::{CityChange, CityState, Known};
use crate::node::ADMIN_KEY;
use crate::random::Random;

const CITIES: usize = 3;
const ENV_KEYS: usize = 2;
/// Service keys that a client keeps an eye on.
const SERVICE_KEYS: usize = 3;
/// Tokens of one city that a client keeps an eye on.
const TOKENS: usize = 6;

/// What the rounds need to know about the node.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: String,
    /// Set just before the node is killed: until then every call has an answer.
    pub(crate) dying: Arc<AtomicBool>,
    /// Connections or the disk fail in this round: answers may say so.
    pub(crate) may_fail: bool,
    /// Told of every answer.
    pub(crate) answers: Sender<()>,
}

/// A client and what it knows. It lives as long as the database.
pub(crate) struct Writer {
    name: String,
    pub(crate) random: Random,
    pub(crate) cities: Vec<CitySlot>,
    pub(crate) env: Vec<EnvSlot>,
    pub(crate) pair: PairSlot,
    pub(crate) keys: Vec<KeySlot>,
    pub(crate) once: Vec<Once>,
    /// Writers of one group send the same idempotent requests.
    group: usize,
    round: usize,
}

pub(crate) struct CitySlot {
    pub(crate) id: String,
    pub(crate) known: Known<CityState>,
    pub(crate) tokens: Vec<String>,
    /// Left alone until the next start: the node may not show yet what the database has.
    unclear: bool,
}

pub(crate) struct EnvSlot {
    pub(crate) key: String,
    pub(crate) known: Known<Option<String>>,
    unclear: bool,
}

/// Two env values that are only ever written together.
pub(crate) struct PairSlot {
    pub(crate) keys: [String; 2],
    pub(crate) known: Known<Option<String>>,
    unclear: bool,
}

pub(crate) struct KeySlot {
    pub(crate) name: String,
    /// The key and its id; `None` when the answer that shows them was lost.
    pub(crate) issued: Option<(String, String)>,
    /// Whether it is revoked.
    pub(crate) known: Known<bool>,
}

/// A city that is created with an `Idempotency-Key` and gets its id from the server.
#[derive(Clone)]
pub(crate) struct Once {
    pub(crate) key: String,
    /// The id, if the answer came.
    pub(crate) id: Option<String>,
}

impl Once {
    /// The body of the request: the same for the same key.
    pub(crate) fn body(&self) -> Value {
        json!({ "name": self.key })
    }
}

impl Writer {
    pub(crate) fn new(number: usize, random: Random) -> Self {
        let slot = |index: usize| CitySlot {
            id: format!("city_{number}_{index}"),
            known: Known::new(CityState { active: None, alive: Vec::new() }),
            tokens: Vec::new(),
            unclear: false,
        };
        let env = |index: usize| EnvSlot {
            key: format!("KEY_{number}_{index}"),
            known: Known::new(None),
            unclear: false,
        };
        Self {
            name: format!("w{number}"),
            random,
            cities: (0..CITIES).map(slot).collect(),
            env: (0..ENV_KEYS).map(env).collect(),
            pair: PairSlot {
                keys: ["A", "B"].map(|side| format!("PAIR_{number}_{side}")),
                known: Known::new(None),
                unclear: false,
            },
            keys: Vec::new(),
            once: Vec::new(),
            group: number / 2,
            round: 0,
        }
    }

    /// Writes until the node does not answer any more.
    pub(crate) fn run(&mut self, target: &Target, round: usize) {
        self.begin(round);
        let mut line = Line::new(target);
        let mut step = 0;
        loop {
            let done = match self.random.below(10) {
                0..=4 => self.change_city(&mut line),
                5 | 6 => self.change_env(&mut line, step),
                7 => self.import_pair(&mut line, step),
                8 => self.change_key(&mut line, step),
                _ => self.create_once(&mut line, step),
            };
            if done.is_none() {
                return;
            }
            step += 1;
        }
    }

    fn begin(&mut self, round: usize) {
        self.round = round;
        self.once.clear();
        self.keys.retain(|slot| slot.issued.is_some() && !slot.known.any(|revoked| *revoked));
        self.pair.unclear = false;
        self.env.iter_mut().for_each(|slot| slot.unclear = false);
        for slot in &mut self.cities {
            slot.unclear = false;
            // Two by two: a token's place says whose it is.
            while slot.tokens.len() >= TOKENS {
                slot.tokens.drain(..2);
                slot.known.each(|state| drop(state.alive.drain(..2)));
            }
        }
    }

    /// A text that no other change writes.
    fn text(&self, step: usize) -> String {
        format!("{}-r{}-{step}", self.name, self.round)
    }

    fn change_city(&mut self, line: &mut Line<'_>) -> Option<()> {
        let slot = self.random.index(CITIES);
        let slot = &mut self.cities[slot];
        if slot.unclear {
            return Some(());
        }
        let exists = slot.known.any(|state| state.active.is_some());
        let tokens = slot.tokens.len();
        let change = match self.random.below(if exists { 16 } else { 4 }) {
            0..=2 => CityChange::Create,
            3 if tokens > 0 => CityChange::RevokeToken(self.random.index(tokens)),
            3..=5 => CityChange::Remove,
            6 => CityChange::Pause,
            7 | 8 => CityChange::Activate,
            9 => CityChange::RevokeCity,
            10 => CityChange::RevokeUser(self.random.index(2)),
            _ if tokens < TOKENS => CityChange::Issue,
            _ => CityChange::Activate,
        };
        let (path, body) = city_request(slot, change);
        let reply = line.post(path, &body, None);
        let Some(Some(reply)) = &reply else {
            // A token without an answer is one that nobody has.
            if !matches!(change, CityChange::Issue) {
                slot.known.unanswered(|state| change.outcome(state).1);
            }
            slot.unclear = true;
            return reply.map(drop);
        };
        slot.known.answered(&(&slot.id, change, reply), |state| {
            let (status, after) = change.outcome(state);
            (status == reply.status).then_some(after)
        });
        if let (CityChange::Issue, 200) = (change, reply.status) {
            slot.tokens.push(reply.text("user_token"));
        }
        Some(())
    }

    fn change_env(&mut self, line: &mut Line<'_>, step: usize) -> Option<()> {
        let value = (!self.random.one_in(4)).then(|| self.text(step));
        let index = self.random.index(ENV_KEYS);
        let slot = &mut self.env[index];
        if slot.unclear {
            return Some(());
        }
        let reply = match &value {
            Some(value) => {
                line.post("/v1/env/upsert", &json!({"key": slot.key, "value": value}), None)
            }
            None => line.post("/v1/env/remove", &json!({"key": slot.key}), None),
        };
        let Some(Some(reply)) = &reply else {
            slot.known.unanswered(|_| value.clone());
            slot.unclear = true;
            return reply.map(drop);
        };
        slot.known.answered(&(&slot.key, &value, reply), |before| {
            let removed = reply.body["removed"].as_bool();
            let fits = value.is_some() || removed == Some(before.is_some());
            (reply.status == 200 && fits).then(|| value.clone())
        });
        Some(())
    }

    fn import_pair(&mut self, line: &mut Line<'_>, step: usize) -> Option<()> {
        let value = Some(self.text(step));
        let slot = &mut self.pair;
        if slot.unclear {
            return Some(());
        }
        let raw: String =
            slot.keys.iter().map(|key| format!("{key}={}\n", value.as_deref().unwrap())).collect();
        let reply = line.post("/v1/env/import", &json!({ "raw": raw }), None);
        let Some(Some(reply)) = &reply else {
            slot.known.unanswered(|_| value.clone());
            slot.unclear = true;
            return reply.map(drop);
        };
        slot.known.answered(&(&slot.keys, reply), |_| (reply.status == 200).then(|| value.clone()));
        Some(())
    }

    fn change_key(&mut self, line: &mut Line<'_>, step: usize) -> Option<()> {
        if self.keys.len() < SERVICE_KEYS {
            let name = self.text(step);
            let body = json!({"name": name, "actions": ["cities/list"]});
            let reply = line.post("/v1/keys/create", &body, None);
            let issued = reply.as_ref().and_then(Option::as_ref).map(|reply| {
                assert_eq!(reply.status, 200, "{reply:?}");
                (reply.text("key"), reply.text("key_id"))
            });
            self.keys.push(KeySlot { name, issued, known: Known::new(false) });
            return reply.map(drop);
        }
        let index = self.random.index(self.keys.len());
        let slot = &mut self.keys[index];
        let Some((_, key_id)) = &slot.issued else { return Some(()) };
        let reply = line.post("/v1/keys/revoke", &json!({ "key_id": key_id }), None);
        match &reply {
            Some(Some(reply)) => {
                slot.known.answered(&(&slot.name, reply), |_| (reply.status == 200).then_some(true))
            }
            _ => slot.known.unanswered(|_| true),
        }
        reply.map(drop)
    }

    /// Creates a city once, asking one, two or three times, as the other writer of the group does.
    fn create_once(&mut self, line: &mut Line<'_>, step: usize) -> Option<()> {
        let number = self.once.len();
        let key = format!("once-g{}-r{}-{number}", self.group, self.round);
        let mut once = Once { key, id: None };
        let mut outcome = Some(());
        for _ in 0..=self.random.below(3) {
            let reply = line.post("/v1/cities/create", &once.body(), Some(&once.key));
            if let Some(Some(reply)) = &reply {
                assert_eq!(reply.status, 200, "{} in step {step}: {reply:?}", once.key);
                let id = reply.text("city_id");
                let before = once.id.get_or_insert_with(|| id.clone());
                assert_eq!(*before, id, "{} has one effect", once.key);
            }
            if reply.is_none() {
                outcome = None;
                break;
            }
        }
        self.once.push(once);
        outcome
    }
}

/// Where a change goes, and what is sent.
fn city_request(slot: &CitySlot, change: CityChange) -> (&'static str, Value) {
    let id = &slot.id;
    let user = |number: usize| format!("user_{number}");
    match change {
        CityChange::Create => ("/v1/cities/create", json!({"city_id": id, "name": id})),
        CityChange::Pause => ("/v1/cities/pause", json!({"city_id": id})),
        CityChange::Activate => ("/v1/cities/activate", json!({"city_id": id})),
        CityChange::Remove => ("/v1/cities/remove", json!({"city_id": id})),
        CityChange::RevokeCity => ("/v1/cities/tokens/revoke", json!({"city_id": id})),
        CityChange::RevokeUser(number) => {
            ("/v1/cities/tokens/revoke", json!({"city_id": id, "user_id": user(number)}))
        }
        CityChange::RevokeToken(index) => {
            ("/v1/cities/tokens/revoke", json!({"user_token": slot.tokens[index]}))
        }
        CityChange::Issue => {
            let user_id = user(slot.tokens.len() % 2);
            ("/v1/cities/tokens/apply", json!({"city_id": id, "user_id": user_id, "ttl": "7d"}))
        }
    }
}

/// The connection of a writer during one round.
pub(crate) struct Line<'a> {
    client: Client,
    target: &'a Target,
}

impl<'a> Line<'a> {
    pub(crate) fn new(target: &'a Target) -> Self {
        Self { client: Client::new(&target.address), target }
    }

    fn post(&mut self, path: &str, body: &Value, key: Option<&str>) -> Option<Option<Reply>> {
        self.send(path, Send { bearer: ADMIN_KEY, idempotency_key: key, body: Some(body) })
    }

    /// `None` when the node is dead, `Some(None)` when it says that it does not know whether the
    /// change was made.
    pub(crate) fn send(&mut self, path: &str, send: Send<'_>) -> Option<Option<Reply>> {
        let Some(reply) = self.client.call(path, send) else {
            let dying = self.target.dying.load(Ordering::SeqCst);
            assert!(dying, "{path}: no answer from a node that lives");
            return None;
        };
        // Nobody counts any more once the node is dying.
        let _ = self.target.answers.send(());
        if reply.status >= 500 && self.target.may_fail {
            let known = ["unavailable", "commit_unknown", "storage_full"];
            assert!(known.iter().any(|code| reply.body["code"] == *code), "{path}: {reply:?}");
            return Some(None);
        }
        assert!(reply.status < 500, "{path}: {reply:?}");
        Some(Some(reply))
    }
}

impl Reply {
    /// A text of the answer.
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("{field} in {self:?}")).to_owned()
    }
}
