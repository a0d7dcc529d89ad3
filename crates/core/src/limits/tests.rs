use std::collections::HashSet;

use super::*;

const NOW: i64 = 1_767_323_045_678;

fn limiter(change: impl FnOnce(&mut LimitSettings)) -> Limiter {
    let mut settings = LimitSettings::default();
    change(&mut settings);
    Limiter::new(settings, &[1; 16])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOW + seconds * 1_000)
}

fn user(limiter: &Limiter, user: &str, limit: u32) -> Option<LimitKey> {
    limiter.key(Scope::User, &[b"c", user.as_bytes()], limit)
}

fn one(key: Option<LimitKey>) -> LimitKeys {
    LimitKeys::default().with(key)
}

fn address(limiter: &Limiter, text: &str) -> LimitKey {
    limiter.address_key(Scope::Address, text.parse().unwrap(), 5).unwrap()
}

#[test]
fn a_limit_lets_in_so_many_and_tells_how_it_stands() {
    let limiter = limiter(|_| ());
    let keys = one(user(&limiter, "u", 3));
    for remaining in [2, 1, 0] {
        let standing = limiter.reserve(at(0), keys, 1).unwrap().standing().unwrap();
        assert_eq!((standing.limit, standing.remaining), (3, remaining));
        assert!(standing.reset > Duration::from_mins(1), "{standing:?}");
    }
    let denied = limiter.reserve(at(10), keys, 1).unwrap_err();
    assert_eq!((denied.scope, denied.standing.remaining), (Scope::User, 0));
    assert_eq!(denied.retry_after, denied.standing.reset);
    let wait = i64::try_from(denied.retry_after.as_millis()).unwrap();
    assert!((50_000..60_000).contains(&wait), "{wait}");
    assert!(limiter.reserve(at(10).saturating_add(denied.retry_after), keys, 1).is_ok());
    assert!(limiter.reserve(at(0), one(user(&limiter, "v", 3)), 1).is_ok(), "others are not meant");
}

#[test]
fn refused_calls_count_nowhere() {
    let limiter = limiter(|_| ());
    let city = limiter.key(Scope::City, &[b"c"], 5);
    let call = |name: &str| {
        limiter.reserve(at(0), LimitKeys::default().with(user(&limiter, name, 4)).with(city), 1)
    };
    for _ in 0..4 {
        call("u").unwrap();
    }
    for _ in 0..10 {
        assert_eq!(call("u").unwrap_err().scope, Scope::User);
    }
    assert_eq!(
        limiter.remaining(at(0), &city.unwrap()).remaining,
        1,
        "the user's excess is no call"
    );
    call("v").unwrap();
    for _ in 0..10 {
        assert_eq!(call("v").unwrap_err().scope, Scope::City);
    }
    let left = limiter.remaining(at(0), &user(&limiter, "v", 4).unwrap());
    assert_eq!(left.remaining, 3, "what the city refuses is given back to the user");
}

#[test]
fn the_tightest_limit_is_told() {
    let limiter = limiter(|_| ());
    let (wide, narrow) = (limiter.key(Scope::City, &[b"c"], 100), user(&limiter, "u", 10));
    for keys in [one(wide).with(narrow), one(narrow).with(wide)] {
        assert_eq!(limiter.reserve(at(0), keys, 1).unwrap().standing().unwrap().limit, 10);
    }
    assert!(limiter.reserve(at(0), LimitKeys::default(), 1).unwrap().standing().is_none());
    assert!(limiter.key(Scope::City, &[b"c"], 0).is_none(), "0 is no limit");
}

#[test]
fn amounts_are_corrected_when_they_are_known() {
    let limiter = limiter(|_| ());
    let key = limiter.key(Scope::Model, &[b"m"], 1_000).unwrap();
    let remaining = |seconds| limiter.remaining(at(seconds), &key).remaining;
    let first = limiter.reserve(at(0), one(Some(key)), 600).unwrap();
    assert!(limiter.reserve(at(1), one(Some(key)), 600).is_err());
    limiter.adjust(at(1), &first, 100);
    assert_eq!(remaining(1), 900);
    let second = limiter.reserve(at(1), one(Some(key)), 600).unwrap();
    limiter.adjust(at(2), &second, 5_000);
    assert_eq!(remaining(2), 0, "what was used is counted, also beyond the limit");
    assert_eq!(remaining(70), 1_000);
    let denied = limiter.reserve(at(70), one(Some(key)), 1_001).unwrap_err();
    assert!(denied.retry_after > Duration::from_mins(1), "it never fits: {denied:?}");
}

#[test]
fn addresses_count_alone_and_blocks_of_ipv6_together() {
    let limiter = limiter(|_| ());
    let id = |text| address(&limiter, text).id;
    assert_eq!(id("192.0.2.1"), id("::ffff:192.0.2.1"));
    assert_ne!(id("192.0.2.1"), id("192.0.2.2"));
    assert_eq!(id("2001:db8:0:1::1"), id("2001:db8:0:1:ffff:ffff:ffff:ffff"));
    assert_ne!(id("2001:db8:0:1::1"), id("2001:db8:0:2::1"));
    let failed = limiter.address_key(Scope::FailedAuth, "192.0.2.1".parse().unwrap(), 5).unwrap();
    assert_ne!(id("192.0.2.1"), failed.id);
}

#[test]
fn subjects_are_told_apart_by_all_their_parts_and_alike_on_all_nodes() {
    let (limiter, other) = (limiter(|_| ()), limiter(|settings| settings.tracked = 10));
    let id = |limiter: &Limiter, parts: &[&[u8]]| limiter.key(Scope::User, parts, 1).unwrap().id;
    let subjects: [&[&[u8]]; 6] =
        [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc"], &[b"abc", b""], &[b""], &[]];
    let ids: HashSet<u64> = subjects.iter().map(|parts| id(&limiter, parts)).collect();
    assert_eq!(ids.len(), subjects.len());
    assert!(subjects.iter().all(|parts| id(&limiter, parts) == id(&other, parts)));
    let foreign = Limiter::new(LimitSettings::default(), &[2; 16]);
    assert_ne!(id(&limiter, subjects[0]), id(&foreign, subjects[0]));
}

#[test]
fn a_flood_of_addresses_takes_bounded_memory_and_locks_nobody_out() {
    let limiter = limiter(|settings| settings.tracked = 2_000);
    let heavy = one(user(&limiter, "heavy", 50));
    for _ in 0..50 {
        limiter.reserve(at(0), heavy, 1).unwrap();
    }
    for number in 0..10_000_u32 {
        let key = address(&limiter, &format!("2001:db8:{:x}:{:x}::1", number >> 8, number & 255));
        assert!(limiter.reserve(at(1), one(Some(key)), 1).is_ok(), "a new address is let in");
    }
    assert!(limiter.table.len() <= 2_048, "{}", limiter.table.len());
    assert!(limiter.reserve(at(1), heavy, 1).is_err(), "who called much is not forgotten");
    limiter.table.sweep(limiter.measure.at(NOW + 80_000).slice);
    assert_eq!(limiter.table.len(), 0, "what is idle goes");
    assert!(limiter.reserve(at(80), heavy, 1).is_ok());
}

#[test]
fn many_callers_at_once_get_exactly_the_limit() {
    let limiter = limiter(|_| ());
    let keys = one(user(&limiter, "u", 1_000)).with(limiter.key(Scope::City, &[b"c"], 1_500));
    let let_in: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..500).filter(|_| limiter.reserve(at(0), keys, 1).is_ok()).count())
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(let_in, 1_000);
}

#[test]
fn a_clock_that_jumps_a_day_ends_no_service() {
    let limiter = limiter(|_| ());
    let keys = one(user(&limiter, "u", 2));
    for seconds in [0, 86_400, -86_400, 0, i64::MAX / 2_000_000, -(i64::MAX / 2_000_000)] {
        assert!(limiter.reserve(at(seconds), keys, 1).is_ok(), "{seconds}");
        assert!(limiter.reserve(at(seconds), keys, 1).is_ok(), "{seconds}");
        assert!(limiter.reserve(at(seconds), keys, 1).is_err(), "{seconds}");
    }
}

#[test]
fn debug_shows_no_subject() {
    let limiter = limiter(|_| ());
    limiter.reserve(at(0), one(user(&limiter, "somebody", 2)), 1).unwrap();
    let shown = format!("{limiter:?}");
    assert!(shown.contains("keys: 1") && !shown.contains("somebody"), "{shown}");
}
