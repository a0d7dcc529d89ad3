//! What was counted within a length of time.

/// Parts of a window: the one that is passing and seven that have passed.
pub(super) const SLICES: usize = 8;

const SPAN: i64 = SLICES as i64;

/// Some 36 million years from 1970, in milliseconds.
const FARTHEST: i64 = 1 << 60;

/// How time is cut: the index of a slice is the number of its lengths since 1970, so that nodes
/// whose clocks agree cut alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    slice_ms: i64,
}

/// A moment, and how time is cut around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) slice: i64,
    millis: i64,
    slice_ms: i64,
}

impl Measure {
    /// Slices for a window of this length: seven whole ones are at least as long.
    pub(super) fn new(window: std::time::Duration) -> Self {
        let millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        Self { slice_ms: (millis.saturating_add(SPAN - 2) / (SPAN - 1)).max(1) }
    }

    pub(super) fn at(self, millis: i64) -> Moment {
        // Far from where sums of slices could overflow; no clock is right that shows such a time.
        let millis = millis.clamp(-FARTHEST, FARTHEST);
        Moment { slice: millis.div_euclid(self.slice_ms), millis, slice_ms: self.slice_ms }
    }
}

impl Moment {
    /// Milliseconds until what was counted in this slice is counted no more.
    fn until_gone(self, slice: i64) -> u64 {
        let end = slice.saturating_add(SPAN).saturating_mul(self.slice_ms);
        u64::try_from(end.saturating_sub(self.millis)).unwrap_or(0)
    }
}

/// A sliding window.
///
/// It counts the slice that is passing and the seven before it, each as a whole. Those cover the
/// window's length at every moment, so that no window of that length, wherever it begins, ever holds
/// more than the limit. What it costs: room comes back up to one slice (a seventh of the window)
/// later than it might.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    newest: i64,
    /// What this node counted, by slice modulo [`SLICES`].
    own: [u32; SLICES],
    /// What other nodes counted, as far as they told.
    others: [u32; SLICES],
}

impl Window {
    pub(super) fn new(slice: i64) -> Self {
        Self { newest: slice, own: [0; SLICES], others: [0; SLICES] }
    }

    /// Moves on to this slice and forgets those that are over.
    ///
    /// A clock that was set back by less than a window counts on in the newest slice until it is
    /// there again; one that was set back further starts anew, rather than hold what was counted
    /// for as long as the clock lags.
    pub(super) fn advance(&mut self, slice: i64) {
        let ahead = slice.saturating_sub(self.newest);
        if ahead == 0 || (ahead < 0 && ahead > -SPAN) {
            return;
        }
        if !(0..SPAN).contains(&ahead) {
            *self = Self::new(slice);
            return;
        }
        for gone in self.newest + 1..=slice {
            self.own[place(gone)] = 0;
            self.others[place(gone)] = 0;
        }
        self.newest = slice;
    }

    /// What is counted, on this node and the others.
    pub(super) fn used(&self) -> u64 {
        self.own_used() + self.others.iter().map(|count| u64::from(*count)).sum::<u64>()
    }

    /// What this node counted.
    pub(super) fn own_used(&self) -> u64 {
        self.own.iter().map(|count| u64::from(*count)).sum()
    }

    /// Whether nothing is counted at this slice.
    pub(super) fn is_idle(mut self, slice: i64) -> bool {
        self.advance(slice);
        self.used() == 0
    }

    /// Counts; gives the slice in which it stands.
    pub(super) fn add(&mut self, amount: u32) -> i64 {
        let count = &mut self.own[place(self.newest)];
        *count = count.saturating_add(amount);
        self.newest
    }

    /// Corrects what was counted in a slice: more is counted also when that slice is over.
    pub(super) fn correct(&mut self, slice: i64, by: i64) {
        let at = if self.holds(slice) { slice } else { self.newest };
        if at != slice && by < 0 {
            return;
        }
        let count = &mut self.own[place(at)];
        let corrected = i64::from(*count).saturating_add(by).max(0);
        *count = u32::try_from(corrected).unwrap_or(u32::MAX);
    }

    fn holds(&self, slice: i64) -> bool {
        slice <= self.newest && slice > self.newest - SPAN
    }

    /// What this node counted, slice by slice up to the newest.
    pub(super) fn own_counts(&self) -> (i64, [u32; SLICES]) {
        let first = self.newest + 1 - SPAN;
        let counts = std::array::from_fn(|index| self.own[place(first + index as i64)]);
        (self.newest, counts)
    }

    /// Takes in what all other nodes counted, each with its newest slice. Counts of slices that are
    /// over, or that are to come, say nothing here.
    pub(super) fn set_others(&mut self, counts: &[(i64, [u32; SLICES])]) {
        self.others = [0; SLICES];
        for (newest, counts) in counts {
            let first = newest.saturating_sub(SPAN - 1);
            for (slice, count) in (first..=*newest).zip(counts) {
                if self.holds(slice) {
                    let sum = &mut self.others[place(slice)];
                    *sum = sum.saturating_add(*count);
                }
            }
        }
    }

    /// Milliseconds until `amount` more fits under the limit, if nothing else is counted meanwhile.
    pub(super) fn wait(&self, now: Moment, limit: u32, amount: u32) -> u64 {
        let mut used = self.used();
        for slice in self.newest + 1 - SPAN..=self.newest {
            used -= self.count(slice);
            if used + u64::from(amount) <= u64::from(limit) {
                return now.until_gone(slice);
            }
        }
        now.until_gone(self.newest)
    }

    /// Milliseconds until something that is counted now is counted no more; 0 when nothing is.
    pub(super) fn until_room_grows(&self, now: Moment) -> u64 {
        let oldest = (self.newest + 1 - SPAN..=self.newest).find(|slice| self.count(*slice) > 0);
        oldest.map_or(0, |slice| now.until_gone(slice))
    }

    fn count(&self, slice: i64) -> u64 {
        u64::from(self.own[place(slice)]) + u64::from(self.others[place(slice)])
    }
}

fn place(slice: i64) -> usize {
    (slice & (SPAN - 1)) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000;

    struct Counted {
        measure: Measure,
        window: Window,
        limit: u32,
    }

    impl Counted {
        fn new(limit: u32, now: i64) -> Self {
            let measure = Measure::new(Duration::from_mins(1));
            Self { measure, window: Window::new(measure.at(now).slice), limit }
        }

        /// Whether one more was let in; if not, how long to wait.
        fn call(&mut self, now: i64) -> Result<(), u64> {
            let now = self.measure.at(now);
            self.window.advance(now.slice);
            if self.window.used() < u64::from(self.limit) {
                self.window.add(1);
                return Ok(());
            }
            Err(self.window.wait(now, self.limit, 1))
        }
    }

    proptest! {
        #[test]
        fn no_minute_holds_more_than_the_limit(
            limit in 1..20_u32,
            begin in -200_000..4_000_000_000_000_i64,
            steps in prop::collection::vec(0..9_000_i64, 1..400),
        ) {
            let mut counted = Counted::new(limit, begin);
            let mut now = begin;
            let mut let_in = Vec::new();
            for step in steps {
                now += step;
                if counted.call(now).is_ok() {
                    let_in.push(now);
                }
            }
            for (index, first) in let_in.iter().enumerate() {
                let within = let_in[index..].iter().filter(|at| **at - first < MINUTE).count();
                prop_assert!(within <= limit as usize, "{within} within a minute");
            }
        }

        #[test]
        fn whoever_waits_as_told_is_let_in_and_not_a_moment_before(
            limit in 1..20_u32,
            begin in 0..4_000_000_000_000_i64,
            steps in prop::collection::vec(0..3_000_i64, 30..100),
        ) {
            let mut counted = Counted::new(limit, begin);
            let mut now = begin;
            for step in steps {
                now += step;
                if let Err(wait) = counted.call(now) {
                    let wait = i64::try_from(wait).unwrap();
                    let longest = SPAN * counted.measure.slice_ms;
                    prop_assert!(wait > 0 && wait <= longest, "{wait}");
                    prop_assert!(counted.call(now + wait - 1).is_err());
                    prop_assert!(counted.call(now + wait).is_ok());
                    now += wait;
                }
            }
        }

        #[test]
        fn a_clock_that_jumps_locks_nobody_out_for_long(
            jump in prop_oneof![
                Just(-86_400_000_i64), Just(86_400_000), -200_000..200_000_i64,
                Just(i64::MIN / 2), Just(i64::MAX / 2),
            ],
            begin in 0..4_000_000_000_000_i64,
        ) {
            let mut counted = Counted::new(3, begin);
            for _ in 0..4 {
                let _ = counted.call(begin);
            }
            let after = begin.saturating_add(jump);
            // At worst the clock has to come back to where it was, and a window has to pass.
            let patience = 2 * (MINUTE + 2 * 8_572);
            prop_assert!((0..=patience).step_by(1_000).any(|passed| counted.call(after + passed).is_ok()));
        }

        #[test]
        fn any_order_of_operations_keeps_the_sums(
            moves in prop::collection::vec((-FARTHEST..FARTHEST, any::<u32>(), any::<i64>()), 0..50),
        ) {
            let mut window = Window::new(0);
            for (slice, amount, by) in moves {
                window.advance(slice);
                let at = window.add(amount);
                window.correct(at, by);
                window.correct(slice, by);
                window.set_others(&[(slice, [amount; SLICES]), (at, [1; SLICES])]);
                let now = Measure::new(Duration::from_mins(1)).at(slice);
                window.wait(now, 5, amount);
                window.until_room_grows(now);
                prop_assert!(window.used() >= window.own_used());
            }
        }
    }

    #[test]
    fn corrections_find_their_slice_as_long_as_it_counts() {
        let mut window = Window::new(100);
        let first = window.add(10);
        window.advance(103);
        window.add(5);
        window.correct(first, -4);
        assert_eq!(window.used(), 11);
        window.correct(first, -100);
        assert_eq!(window.used(), 5, "less than nothing is nothing");
        window.advance(108);
        window.correct(first, -3);
        assert_eq!(window.used(), 5, "the slice is over, and gave its room back");
        window.correct(first, 7);
        assert_eq!(window.used(), 12, "what was used late is counted now");
        assert!(!window.is_idle(115) && window.is_idle(116));
    }

    #[test]
    fn other_nodes_count_by_slice() {
        let mut window = Window::new(100);
        window.add(1);
        let told = [(100, [1, 0, 0, 0, 0, 0, 0, 2]), (101, [1, 0, 0, 0, 0, 0, 4, 8])];
        window.set_others(&told);
        assert_eq!(window.used(), 1 + 3 + 5, "slice 101 is to come");
        window.set_others(&told);
        assert_eq!(window.used(), 9, "told again is not counted again");
        window.advance(101);
        window.set_others(&told[1..]);
        assert_eq!((window.used(), window.own_used()), (1 + 13, 1));
        assert_eq!(window.own_counts(), (101, [0, 0, 0, 0, 0, 0, 1, 0]));
        window.advance(200);
        window.set_others(&told);
        assert_eq!(window.used(), 0);
        window.set_others(&[(i64::MIN, [1; SLICES]), (i64::MAX, [1; SLICES])]);
        assert_eq!(window.used(), 0);
    }
}
