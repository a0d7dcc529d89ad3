//! Rounds, samples and medians.

use anyhow::Result;

/// How long and how often to measure.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds; in each one every candidate has a turn.
    pub(crate) rounds: usize,
    /// Length of a turn under load, in seconds.
    pub(crate) seconds: u64,
    /// Streams that each connection reads in a turn, one after the other.
    pub(crate) streams: usize,
    /// Starts of a server.
    pub(crate) starts: usize,
    /// Streams that are open at the same time.
    pub(crate) open: usize,
    /// Length of the soak, in seconds.
    pub(crate) soak: u64,
    /// Rows of each kind in the large database of the list rows.
    pub(crate) list_rows: i64,
}

impl Plan {
    /// A figure to quote.
    pub(crate) const FULL: Self = Self {
        rounds: 9,
        seconds: 1,
        streams: 4,
        starts: 15,
        open: 2_000,
        soak: 600,
        list_rows: 10_000_000,
    };
    /// A look.
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        seconds: 1,
        streams: 2,
        starts: 5,
        open: 500,
        soak: 60,
        list_rows: 1_000_000,
    };
}

/// What one turn gave.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// The value in the unit of the row.
    pub(crate) value: f64,
    /// Processor time of the server per request, in microseconds.
    pub(crate) cpu: f64,
}

/// The candidates' turns.
pub(crate) type Turns<'a> = Vec<Box<dyn FnMut() -> Result<Sample> + 'a>>;

/// Gives every candidate a turn in every round and returns the samples per candidate. The order
/// turns round from one round to the next, so that a machine that slows down hits all alike. What
/// the first turn of each gives is thrown away.
pub(crate) fn interleave(rounds: usize, mut turns: Turns<'_>) -> Result<Vec<Vec<Sample>>> {
    for turn in &mut turns {
        turn()?;
    }
    let mut samples = vec![Vec::with_capacity(rounds); turns.len()];
    for round in 0..rounds {
        for place in 0..turns.len() {
            let index = if round % 2 == 0 { place } else { turns.len() - 1 - place };
            samples[index].push(turns[index]()?);
        }
    }
    Ok(samples)
}

/// The median; NaN of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Two candidates, ours and its baseline, as medians.
pub(crate) struct Pair {
    /// Our value.
    pub(crate) ours: f64,
    /// The baseline's value.
    pub(crate) baseline: f64,
    /// Ours by the baseline's: the median of the rounds' ratios, as neighbours in time share the
    /// machine's mood.
    pub(crate) ratio: f64,
    /// Ours minus the baseline's, likewise.
    pub(crate) added: f64,
    /// Processor time per request: ours, the baseline's.
    pub(crate) cpu: (f64, f64),
}

impl Pair {
    /// Compares the samples of the same rounds.
    pub(crate) fn of(ours: &[Sample], baseline: &[Sample]) -> Self {
        let rounds = || ours.iter().zip(baseline);
        Self {
            ours: median(ours.iter().map(|sample| sample.value)),
            baseline: median(baseline.iter().map(|sample| sample.value)),
            ratio: median(rounds().map(|(ours, baseline)| ours.value / baseline.value)),
            added: median(rounds().map(|(ours, baseline)| ours.value - baseline.value)),
            cpu: (
                median(ours.iter().map(|sample| sample.cpu)),
                median(baseline.iter().map(|sample| sample.cpu)),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_nothing() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn the_order_turns_round_and_the_first_turns_are_not_counted() {
        let order = std::cell::RefCell::new(Vec::new());
        let turn = |name: f64| {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(Sample { value: name, cpu: 0.0 })
            }) as Box<dyn FnMut() -> Result<Sample>>
        };
        let samples = interleave(2, vec![turn(1.0), turn(2.0)]).unwrap();
        assert_eq!(*order.borrow(), [1.0, 2.0, 1.0, 2.0, 2.0, 1.0]);
        assert_eq!(samples.len(), 2);
        assert!(samples[1].iter().all(|sample| sample.value == 2.0));
        assert_eq!(samples[0].len(), 2);
    }
}
