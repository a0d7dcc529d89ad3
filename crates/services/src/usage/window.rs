//! Which sums and which single facts make up a span of time.

use downcity_types::Timestamp;

use super::events::first_id;
use super::sums::{DAY, State};

/// A span of time as it is read: whole days from the sums, and what lies beside them from facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Days since 1970, the second excluded.
    pub(super) days: (i64, i64),
    /// Ids of facts, the seconds excluded: before the days, after them, and not yet in the sums. Those
    /// of the first two are below the mark of the sums.
    pub(super) ids: [(i64, i64); 3],
}

const NOTHING: (i64, i64) = (0, 0);

impl Window {
    /// The span from one time to before another. Where single facts may be gone, days count whole.
    pub(super) fn new(from: Option<Timestamp>, to: Option<Timestamp>, state: State) -> Self {
        let id_of_day = |day: i64| first_id(Timestamp::from_millis(day.saturating_mul(DAY)));
        let from = from.map_or(0, |from| from.millis().max(0));
        let from_id = first_id(Timestamp::from_millis(from));
        let to_id = to.map_or(i64::MAX, first_id);
        // The first whole day.
        let mut first = from.div_euclid(DAY) + i64::from(from.rem_euclid(DAY) > 0);
        if from_id < state.erased_to {
            first = from.div_euclid(DAY);
        }
        let first_id = id_of_day(first);
        let head = (from_id, first_id.min(to_id).min(state.summed_to));
        let head = if head.0 < head.1 { head } else { NOTHING };
        if to_id >= state.summed_to {
            let fresh = (state.summed_to.max(from_id), to_id);
            return Self { days: (first, i64::MAX), ids: [head, NOTHING, fresh] };
        }
        let to = to.map_or(0, |to| to.millis().max(0));
        let mut last = to.div_euclid(DAY);
        if to_id < state.erased_to && to.rem_euclid(DAY) > 0 {
            last += 1;
        }
        if last < first {
            return Self { days: NOTHING, ids: [head, NOTHING, NOTHING] };
        }
        let tail = (id_of_day(last), to_id);
        Self { days: (first, last), ids: [head, tail, NOTHING] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time in hours since 1970.
    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_millis(hour * 3_600_000)
    }

    /// How often a fact of this hour is counted.
    fn times(window: &Window, at: i64, state: State) -> usize {
        let (id, day) = (first_id(hour(at)), at.div_euclid(24));
        let within = |(from, to): (i64, i64), what: i64| usize::from(from <= what && what < to);
        let in_sums = if id < state.summed_to { within(window.days, day) } else { 0 };
        let alive = id >= state.erased_to;
        let single = window.ids.iter().map(|&ids| within(ids, id)).sum::<usize>();
        in_sums + if alive { single } else { 0 }
    }

    #[test]
    fn each_fact_of_a_span_is_counted_once_and_no_other() {
        const LAST: i64 = 24 * 6;
        for summed in (0..LAST).step_by(5) {
            let state = State { summed_to: first_id(hour(summed)), erased_to: 0 };
            for from in (0..LAST).step_by(3) {
                for to in (from..LAST).step_by(7) {
                    let window = Window::new(Some(hour(from)), Some(hour(to)), state);
                    for at in 0..LAST {
                        let expected = usize::from(from <= at && at < to);
                        assert_eq!(
                            times(&window, at, state),
                            expected,
                            "{at}: {from}..{to}, {state:?}"
                        );
                    }
                }
                let window = Window::new(Some(hour(from)), None, state);
                for at in 0..LAST {
                    assert_eq!(
                        times(&window, at, state),
                        usize::from(from <= at),
                        "{at}: {from}.."
                    );
                }
            }
        }
    }

    #[test]
    fn where_facts_are_gone_days_count_whole() {
        let state = State { summed_to: first_id(hour(24 * 5)), erased_to: first_id(hour(24 * 3)) };
        let window = Window::new(Some(hour(30)), Some(hour(50)), state);
        for at in 0..24 * 6 {
            assert_eq!(times(&window, at, state), usize::from((24..72).contains(&at)), "{at}");
        }
    }
}
