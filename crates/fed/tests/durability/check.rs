//! After a start: is everything there that was answered, and nothing half made?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::http::{Client, Reply, Send};
use crate::load::{CitySlot, Once, Writer};
use crate::node::ADMIN_KEY;

/// What a node shows.
struct Seen {
    /// Id → whether it is active.
    cities: BTreeMap<String, bool>,
    /// Name → the ids of cities with it.
    names: BTreeMap<String, BTreeSet<String>>,
    env: BTreeMap<String, String>,
    /// Name → whether each key with it is revoked.
    keys: BTreeMap<String, Vec<bool>>,
}

/// Compares what the node shows with what the writers know, and asks again for what was to happen
/// once.
pub(crate) fn everything(address: &str, writers: &mut [Writer]) {
    let mut client = Client::new(address);
    let seen = read(&mut client);
    for writer in &mut *writers {
        cities(&mut client, &seen, writer);
        env(&seen, writer);
        keys(&mut client, &seen, writer);
    }
    let once = once(&mut client, &seen, writers);
    let own = writers.iter().flat_map(|writer| writer.cities.iter().map(|slot| &slot.id));
    let explained: BTreeSet<&String> = own.chain(&once).collect();
    let strange: Vec<_> =
        seen.cities.keys().filter(|id| *id != "city_downcity" && !explained.contains(id)).collect();
    assert!(strange.is_empty(), "cities that nobody created: {strange:?}");
    for id in once {
        post(&mut client, "/v1/cities/remove", &json!({ "city_id": id }), None);
    }
}

fn cities(client: &mut Client, seen: &Seen, writer: &mut Writer) {
    for slot in &mut writer.cities {
        let active = seen.cities.get(&slot.id).copied();
        slot.known.seen(&(&slot.id, active), |state| state.active == active);
        tokens(client, slot, active);
        if active.is_none() && !slot.tokens.is_empty() {
            // Whether a removal was whole shows when there is a city of this id again.
            let body = json!({"city_id": slot.id, "name": slot.id});
            post(client, "/v1/cities/create", &body, None);
            slot.known.each(|state| state.active = Some(true));
            tokens(client, slot, Some(true));
        }
    }
}

fn tokens(client: &mut Client, slot: &mut CitySlot, active: Option<bool>) {
    for (index, token) in slot.tokens.iter().enumerate() {
        let reply = get(client, "/v1/ai/models", token);
        let code = reply.body["code"].as_str().unwrap_or_default();
        let works = match (reply.status, code) {
            (200, _) | (403, "city_paused") => true,
            (401, "token_revoked" | "invalid_credential") => false,
            _ => panic!("a token of {}: {reply:?}", slot.id),
        };
        let what = (&slot.id, active, "token", index, works, code);
        slot.known.seen(&what, |state| match active {
            Some(_) => state.alive[index] == works,
            None => !works,
        });
    }
}

fn env(seen: &Seen, writer: &mut Writer) {
    for slot in &mut writer.env {
        let value = seen.env.get(&slot.key).cloned();
        slot.known.seen(&(&slot.key, &value), |state| *state == value);
    }
    for key in &writer.pair.keys {
        let value = seen.env.get(key).cloned();
        writer.pair.known.seen(&(key, &value), |state| *state == value);
    }
}

fn keys(client: &mut Client, seen: &Seen, writer: &mut Writer) {
    for slot in &mut writer.keys {
        let stored = seen.keys.get(&slot.name).map(Vec::as_slice).unwrap_or_default();
        let Some((key, _)) = &slot.issued else {
            assert!(stored.len() <= 1, "{}: {stored:?}", slot.name);
            continue;
        };
        let [revoked] = stored else { panic!("{}: {stored:?}", slot.name) };
        slot.known.seen(&(&slot.name, revoked), |state| state == revoked);
        let reply = get(client, "/v1/cities/list", key);
        let expected = if *revoked { 401 } else { 200 };
        assert_eq!(reply.status, expected, "{}: {reply:?}", slot.name);
    }
}

/// Repeats every idempotent request of the round: each has one effect. Gives the ids.
fn once(client: &mut Client, seen: &Seen, writers: &[Writer]) -> BTreeSet<String> {
    let mut requests: BTreeMap<&str, (&Once, BTreeSet<&String>)> = BTreeMap::new();
    for once in writers.iter().flat_map(|writer| &writer.once) {
        let (_, ids) = requests.entry(&once.key).or_insert_with(|| (once, BTreeSet::new()));
        ids.extend(&once.id);
    }
    let mut made = BTreeSet::new();
    for (key, (once, answered)) in requests {
        let stored = seen.names.get(key).cloned().unwrap_or_default();
        assert!(answered.len() <= 1 && stored.len() <= 1, "{key}: {answered:?}, {stored:?}");
        if let Some(id) = answered.first() {
            assert!(stored.contains(*id), "{key}: {id} was answered and is lost");
        }
        let again = post(client, "/v1/cities/create", &once.body(), Some(key));
        let id = again.text("city_id");
        assert!(stored.is_empty() || stored.contains(&id), "{key}: {stored:?}, then {id}");
        made.insert(id);
    }
    made
}

fn read(client: &mut Client) -> Seen {
    let mut seen = Seen {
        cities: BTreeMap::new(),
        names: BTreeMap::new(),
        env: BTreeMap::new(),
        keys: BTreeMap::new(),
    };
    for city in list(client, "/v1/cities/list") {
        let id = text(&city, "city_id");
        seen.names.entry(text(&city, "name")).or_default().insert(id.clone());
        seen.cities.insert(id, city["status"] == "active");
    }
    for entry in list(client, "/v1/env/list") {
        assert!(entry["error"].is_null(), "{entry}");
        seen.env.insert(text(&entry, "key"), text(&entry, "value"));
    }
    for key in list(client, "/v1/keys/list") {
        seen.keys.entry(text(&key, "name")).or_default().push(!key["revoked_at"].is_null());
    }
    seen
}

/// All pages of a list.
pub(crate) fn list(client: &mut Client, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut page = path.to_owned();
    let mark = if path.contains('?') { '&' } else { '?' };
    loop {
        let mut reply = get(client, &page, ADMIN_KEY);
        assert_eq!(reply.status, 200, "{reply:?}");
        items.append(reply.body["items"].as_array_mut().expect("items"));
        match reply.body["next_cursor"].as_str() {
            Some(cursor) => page = format!("{path}{mark}cursor={cursor}"),
            None => return items,
        }
    }
}

pub(crate) fn get(client: &mut Client, path: &str, bearer: &str) -> Reply {
    let send = Send { bearer, ..Send::default() };
    client.call(path, send).unwrap_or_else(|| panic!("{path}: no answer"))
}

fn post(client: &mut Client, path: &str, body: &Value, key: Option<&str>) -> Reply {
    let send = Send { bearer: ADMIN_KEY, idempotency_key: key, body: Some(body) };
    let reply = client.call(path, send).unwrap_or_else(|| panic!("{path}: no answer"));
    assert_eq!(reply.status, 200, "{path} {body}: {reply:?}");
    reply
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}")).to_owned()
}
