//! What a call costs: pure arithmetic over a price and what was consumed.
//!
//! Every sum is exact until the very end: millionths of a microcredit are added up and rounded up
//! once per call. Whatever a provider tells as usage, the result is an amount that a wallet can hold
//! or an error, never a panic and never a negative amount.

use downcity_types::{Microcredits, MoneyError};
use serde::{Deserialize, Serialize};

use crate::config::{Mode, PriceConfig};

/// Bytes of a request or an answer that count as one token where nobody counted tokens.
pub(crate) const BYTES_PER_TOKEN: u64 = 3;

/// The output tokens of a call for which neither the request nor the model says a limit.
const DEFAULT_OUTPUT: u64 = 4_096;

/// More tokens, images or seconds than any single call consumes: a figure above is a fault of
/// whoever told it.
const MOST_UNITS: u64 = 1_000_000_000;

/// Millionths of a microcredit in one microcredit: tokens are priced per million.
const PER_MILLION: i128 = 1_000_000;

/// The tokens that bytes count for where nobody counted tokens.
pub(crate) const fn tokens_of(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// The most that the answers to a request may hold: what the request asks for, else the most that
/// the model gives, else 4,096 tokens; for each of `choices` answers.
pub(crate) fn most_output(asked: Option<u64>, model: Option<u64>, choices: u64) -> u64 {
    let one = match (asked, model) {
        (Some(asked), Some(model)) => asked.min(model),
        (Some(most), None) | (None, Some(most)) => most,
        (None, None) => DEFAULT_OUTPUT,
    };
    one.saturating_mul(choices.max(1))
}

/// What a call consumed, as far as prices go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Consumed {
    /// Input tokens that were not cached.
    pub(crate) input_tokens: u64,
    /// Input tokens that the provider had cached.
    pub(crate) cached_tokens: u64,
    /// Output tokens.
    pub(crate) output_tokens: u64,
    /// Images made.
    pub(crate) images: u64,
    /// Seconds of video or audio, made or heard.
    pub(crate) seconds: u64,
}

impl Consumed {
    /// What was consumed by the same measure as an estimate: bytes that were sent and produced.
    pub(crate) fn of_bytes(sent: u64, produced: u64) -> Self {
        Self {
            input_tokens: tokens_of(sent),
            output_tokens: tokens_of(produced),
            ..Self::default()
        }
    }

    /// Whether a call can have consumed this. A provider's figures beyond are no usage at all.
    pub(crate) fn is_plausible(&self) -> bool {
        let units =
            [self.input_tokens, self.cached_tokens, self.output_tokens, self.images, self.seconds];
        units.into_iter().all(|count| count <= MOST_UNITS)
    }
}

/// The price of one model's calls in one mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rate {
    /// The price of a request, whatever it consumes.
    flat: Option<Microcredits>,
    input_per_m: Microcredits,
    cached_per_m: Microcredits,
    output_per_m: Microcredits,
    per_image: Microcredits,
    per_second: Microcredits,
    minimum: Microcredits,
}

impl Rate {
    /// The price in a mode; `None` where calls are free.
    pub(crate) fn of(price: &PriceConfig, mode: Mode) -> Option<Self> {
        let or_zero = |price: Option<Microcredits>| price.unwrap_or(Microcredits::ZERO);
        let flat = price.per_mode.get(&mode).copied().or(price.per_request);
        let metered = |price: Option<Microcredits>| match flat {
            Some(_) => Microcredits::ZERO,
            None => or_zero(price),
        };
        let rate = Self {
            flat,
            input_per_m: metered(price.input_per_m),
            cached_per_m: metered(price.cached_per_m.or(price.input_per_m)),
            output_per_m: metered(price.output_per_m),
            per_image: metered(price.per_image),
            per_second: metered(price.per_second),
            minimum: or_zero(price.minimum),
        };
        let free = Self { flat: rate.flat.map(|_| Microcredits::ZERO), ..Self::default() };
        (rate != free).then_some(rate)
    }

    /// What a call will cost at most, as far as it can be known before: the flat price, else the
    /// bytes to be sent as input tokens and the most that its answer may bring, at list price.
    ///
    /// # Errors
    /// When it is more than any wallet holds.
    pub(crate) fn estimate(&self, sent: u64, most: &Consumed) -> Result<Microcredits, MoneyError> {
        let most = Consumed { input_tokens: tokens_of(sent), ..*most };
        // Nobody knows before how much of the input is cached: the dearer of both prices counts.
        let dearest = self.input_per_m.max(self.cached_per_m);
        Self { input_per_m: dearest, ..*self }.cost(&most)
    }

    /// What a call costs that consumed this.
    ///
    /// # Errors
    /// When it is more than any wallet holds.
    pub(crate) fn cost(&self, consumed: &Consumed) -> Result<Microcredits, MoneyError> {
        let metered = match self.flat {
            Some(flat) => flat,
            None => self.metered(consumed)?,
        };
        let cost = metered.max(self.minimum);
        if cost.get() > Microcredits::MAX_WIRE { Err(MoneyError) } else { Ok(cost) }
    }

    /// Whether the price hangs on what is consumed.
    pub(crate) fn is_metered(&self) -> bool {
        self.flat.is_none()
    }

    /// Whether the price hangs on tokens.
    pub(crate) fn is_by_tokens(&self) -> bool {
        let prices = [self.input_per_m, self.cached_per_m, self.output_per_m];
        prices.into_iter().any(|price| price > Microcredits::ZERO)
    }

    fn metered(&self, consumed: &Consumed) -> Result<Microcredits, MoneyError> {
        let parts = [
            (self.input_per_m, consumed.input_tokens, 1),
            (self.cached_per_m, consumed.cached_tokens, 1),
            (self.output_per_m, consumed.output_tokens, 1),
            (self.per_image, consumed.images, PER_MILLION),
            (self.per_second, consumed.seconds, PER_MILLION),
        ];
        let mut exact: i128 = 0;
        for (price, units, scale) in parts {
            let part = i128::from(price.get())
                .checked_mul(i128::from(units))
                .and_then(|part| part.checked_mul(scale))
                .ok_or(MoneyError)?;
            exact = exact.checked_add(part).ok_or(MoneyError)?;
        }
        let rest = i128::from(exact.rem_euclid(PER_MILLION) != 0);
        let whole = exact.div_euclid(PER_MILLION) + rest;
        i64::try_from(whole).map(Microcredits).map_err(|_| MoneyError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(price: serde_json::Value) -> PriceConfig {
        serde_json::from_value(price).unwrap()
    }

    fn rate(price: serde_json::Value) -> Rate {
        Rate::of(&read(price), Mode::Text).unwrap()
    }

    fn output(output_tokens: u64) -> Consumed {
        Consumed { output_tokens, ..Consumed::default() }
    }

    fn tokens(input_tokens: u64, cached_tokens: u64, output_tokens: u64) -> Consumed {
        Consumed { input_tokens, cached_tokens, output_tokens, ..Consumed::default() }
    }

    #[test]
    fn a_flat_price_is_the_price_whatever_is_consumed() {
        let price = serde_json::json!({
            "per_request": 10, "per_mode": {"stream": 7, "openai": 0}, "input_per_m": 1_000_000,
        });
        let price = read(price);
        let text = Rate::of(&price, Mode::Text).unwrap();
        assert_eq!(text.estimate(9_000, &output(4_096)), Ok(Microcredits(10)));
        assert_eq!(text.cost(&tokens(5_000, 0, 1)), Ok(Microcredits(10)));
        let stream = Rate::of(&price, Mode::Stream).unwrap();
        assert_eq!(stream.cost(&Consumed::default()), Ok(Microcredits(7)));
        assert_eq!(Rate::of(&price, Mode::Openai), None, "nothing is asked for in this mode");
    }

    #[test]
    fn tokens_are_priced_per_million_and_rounded_up_once() {
        let rate = rate(serde_json::json!({
            "input_per_m": 140_000, "cached_per_m": 14_000, "output_per_m": 280_000,
        }));
        // 0.14 + 0.014 + 0.28 microcredits: one, not three.
        assert_eq!(rate.cost(&tokens(1, 1, 1)), Ok(Microcredits(1)));
        assert_eq!(rate.cost(&tokens(1_000, 500, 2_000)), Ok(Microcredits(140 + 7 + 560)));
        assert_eq!(rate.cost(&Consumed::default()), Ok(Microcredits::ZERO));
        // 301 bytes are 101 tokens.
        assert_eq!(rate.estimate(301, &output(1_000)), Ok(Microcredits(295)), "14.14 + 280, up");
    }

    #[test]
    fn cached_tokens_cost_as_much_as_others_unless_priced() {
        let plain = rate(serde_json::json!({"input_per_m": 1_000_000}));
        assert_eq!(plain.cost(&tokens(2, 3, 9)), Ok(Microcredits(5)));
        let free = rate(serde_json::json!({"input_per_m": 1_000_000, "cached_per_m": 0}));
        assert_eq!(free.cost(&tokens(2, 3, 9)), Ok(Microcredits(2)));
    }

    #[test]
    fn images_seconds_and_the_minimum_count() {
        let rate = rate(serde_json::json!({"per_image": 50, "per_second": 3, "minimum": 60}));
        let made = |images, seconds| Consumed { images, seconds, ..Consumed::default() };
        assert_eq!(rate.cost(&made(1, 0)), Ok(Microcredits(60)));
        assert_eq!(rate.cost(&made(2, 5)), Ok(Microcredits(115)));
        assert_eq!(rate.estimate(10, &output(10)), Ok(Microcredits(60)));
    }

    #[test]
    fn prices_of_nothing_are_free() {
        for free in [
            serde_json::json!({}),
            serde_json::json!({"per_request": 0}),
            serde_json::json!({"per_request": 0, "input_per_m": 5}),
            serde_json::json!({"input_per_m": 0, "minimum": 0}),
        ] {
            assert_eq!(Rate::of(&read(free.clone()), Mode::Text), None, "{free}");
        }
        assert!(Rate::of(&read(serde_json::json!({"minimum": 1})), Mode::Text).is_some());
    }

    #[test]
    fn the_most_output_is_asked_for_or_configured() {
        assert_eq!(most_output(Some(10), None, 1), 10);
        assert_eq!(most_output(Some(10), Some(5), 1), 5);
        assert_eq!(most_output(None, Some(5), 3), 15);
        assert_eq!(most_output(None, None, 0), 4_096);
        assert_eq!(most_output(Some(u64::MAX), None, u64::MAX), u64::MAX);
    }

    #[test]
    fn what_no_wallet_holds_is_an_error() {
        let most = rate(serde_json::json!({
            "input_per_m": Microcredits::MAX_WIRE, "output_per_m": Microcredits::MAX_WIRE,
            "per_image": Microcredits::MAX_WIRE,
        }));
        assert_eq!(most.estimate(u64::MAX, &output(u64::MAX)), Err(MoneyError));
        assert_eq!(most.cost(&tokens(u64::MAX, u64::MAX, u64::MAX)), Err(MoneyError));
        let images = Consumed { images: u64::MAX, ..Consumed::default() };
        assert_eq!(most.cost(&images), Err(MoneyError));
        assert_eq!(most.cost(&tokens(1_000_001, 0, 0)), Err(MoneyError), "beyond 2^53");
        assert!(!images.is_plausible() && tokens(MOST_UNITS, 0, 0).is_plausible());
    }

    fn prices() -> impl Strategy<Value = Rate> {
        let price = || proptest::option::weighted(0.7, 0..=Microcredits::MAX_WIRE / 1_000_000);
        (price(), price(), price(), price(), price(), price()).prop_filter_map(
            "a price",
            |(flat, input, cached, output, image, minimum)| {
                let price = PriceConfig {
                    per_request: flat.filter(|price| price % 3 == 0).map(Microcredits),
                    input_per_m: input.map(Microcredits),
                    cached_per_m: cached.map(Microcredits),
                    output_per_m: output.map(Microcredits),
                    per_image: image.map(Microcredits),
                    minimum: minimum.filter(|price| price % 2 == 0).map(Microcredits),
                    ..PriceConfig::default()
                };
                Rate::of(&price, Mode::Text)
            },
        )
    }

    fn consumed(most: u64) -> impl Strategy<Value = Consumed> {
        (0..=most, 0..=most, 0..=most, 0..=most, 0..=most).prop_map(|counts| Consumed {
            input_tokens: counts.0,
            cached_tokens: counts.1,
            output_tokens: counts.2,
            images: counts.3,
            seconds: counts.4,
        })
    }

    proptest! {
        #[test]
        fn any_usage_gives_an_amount_or_an_error(rate in prices(), consumed in consumed(u64::MAX)) {
            if let Ok(cost) = rate.cost(&consumed) {
                prop_assert!((0..=Microcredits::MAX_WIRE).contains(&cost.get()));
            }
        }

        #[test]
        fn more_usage_never_costs_less(
            rate in prices(), less in consumed(1_000_000), more in consumed(1_000_000),
        ) {
            let sum = Consumed {
                input_tokens: less.input_tokens + more.input_tokens,
                cached_tokens: less.cached_tokens + more.cached_tokens,
                output_tokens: less.output_tokens + more.output_tokens,
                images: less.images + more.images,
                seconds: less.seconds + more.seconds,
            };
            if let (Ok(less), Ok(sum)) = (rate.cost(&less), rate.cost(&sum)) {
                prop_assert!(less <= sum);
            }
        }

        #[test]
        fn what_stays_within_the_estimate_costs_no_more(
            rate in prices(), sent in 0..1_000_000_u64, output in 0..1_000_000_u64,
            shares in (0.0..=1.0_f64, 0.0..=1.0_f64, 0.0..=1.0_f64),
        ) {
            let part = |whole: u64, share: f64| ((whole as f64) * share) as u64;
            let input = part(tokens_of(sent), shares.0);
            let cached = part(input, shares.1);
            let used = tokens(input - cached, cached, part(output, shares.2));
            let estimate = rate.estimate(sent, &self::output(output)).unwrap();
            prop_assert!(rate.cost(&used).unwrap() <= estimate);
        }
    }
}
