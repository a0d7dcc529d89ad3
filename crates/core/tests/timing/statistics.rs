//! A test for differences in time, after dudect: <https://eprint.iacr.org/2016/1123>.
//!
//! Two classes of input are timed in random order, the slow samples of both are cropped, because
//! they show what else the machine does, and Welch's t-test says how likely it is that the rest
//! comes from one distribution.

use std::hint::black_box;
use std::time::Instant;

use downcity_core::Random;
use downcity_testkit::TestRandom;

/// From here on the classes differ. By chance alone one in a million rounds comes to 5; what is left
/// is room for the habits of a busy machine.
const LEAK: f64 = 10.0;

/// A difference of less than this share of the whole time is no leak, however sure it is: caches and
/// the places of things in memory make as much, and many samples show it.
const NEGLIGIBLE: f64 = 0.001;

/// A difference is believed when it shows in every one of so many rounds.
const ROUNDS: u64 = 5;

/// Calls per sample: one is shorter than what the clock can tell apart.
const CALLS: u32 = 4;

/// Shares of all samples that are kept, the fastest first.
const KEPT: [f64; 3] = [0.3, 0.6, 0.9];

/// Samples of both classes per round.
fn samples() -> usize {
    let is_long = std::env::var_os("DOWNCITY_LONG_TESTS").is_some_and(|value| value == "1");
    if is_long { 200_000 } else { 6_000 }
}

/// Which of two inputs is timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// The one kind.
    A,
    /// The other kind.
    B,
}

/// Whether `run` takes another time for the inputs of one class than for those of the other. Each
/// sample has an input of its own, so that its place in memory is no property of its class.
pub(crate) fn differ<I, O>(
    mut input: impl FnMut(Class, u64) -> I,
    mut run: impl FnMut(&I) -> O,
) -> bool {
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        let t = one_round(round, &mut input, &mut run);
        seen.push(t);
        if t < LEAK {
            return false;
        }
    }
    eprintln!("the classes differ in every round: t = {seen:.1?}");
    true
}

/// The largest t over all croppings.
fn one_round<I, O>(
    seed: u64,
    input: &mut impl FnMut(Class, u64) -> I,
    run: &mut impl FnMut(&I) -> O,
) -> f64 {
    let random = TestRandom::new(seed);
    let next = || {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    };
    let count = samples();
    let mut timed: Vec<(Class, f64)> = Vec::with_capacity(count);
    // The first samples warm caches and predictors up.
    for index in 0..count + count / 10 {
        let class = if next() % 2 == 0 { Class::A } else { Class::B };
        let input = input(class, next());
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(run(black_box(&input)));
        }
        let nanos = start.elapsed().as_nanos() as f64;
        if index >= count / 10 {
            timed.push((class, nanos));
        }
    }
    timed.sort_by(|a, b| a.1.total_cmp(&b.1));
    let kept = KEPT.map(|share| &timed[..(count as f64 * share) as usize]);
    kept.into_iter().map(welch).fold(0.0, f64::max)
}

/// Welch's t of the two classes, without its sign; 0 for a negligible difference.
fn welch(samples: &[(Class, f64)]) -> f64 {
    let [a, b] = [Class::A, Class::B].map(|class| {
        let times = samples.iter().filter(|(own, _)| *own == class).map(|(_, time)| *time);
        Moments::of(times)
    });
    let error = (a.variance / a.count + b.variance / b.count).sqrt();
    let difference = (a.mean - b.mean).abs();
    // One class alone is what is left when the other one is slower by far.
    if a.count < 2.0 || b.count < 2.0 {
        return f64::INFINITY;
    }
    match difference {
        small if small < a.mean * NEGLIGIBLE => 0.0,
        _ if error > 0.0 => difference / error,
        _ => f64::INFINITY,
    }
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(times: impl Iterator<Item = f64> + Clone) -> Self {
        let count = times.clone().count() as f64;
        let mean = times.clone().sum::<f64>() / count.max(1.0);
        let squares: f64 = times.map(|time| (time - mean).powi(2)).sum();
        Self { count, mean, variance: squares / (count - 1.0).max(1.0) }
    }
}

#[test]
fn the_test_knows_a_difference_from_none() {
    let times = |offset: f64| {
        (0..1000).flat_map(move |index| {
            let noise = f64::from(index * 7919 % 100);
            [(Class::A, 1000.0 + noise), (Class::B, 1000.0 + offset + noise)]
        })
    };
    assert!(welch(&times(0.0).collect::<Vec<_>>()) < 0.01);
    assert!(welch(&times(0.5).collect::<Vec<_>>()) < 0.01);
    assert!(welch(&times(20.0).collect::<Vec<_>>()) > LEAK);
    assert!(welch(&times(-20.0).collect::<Vec<_>>()) > LEAK);
    assert!(welch(&[(Class::A, 1.0), (Class::A, 2.0)]).is_infinite());
}
