//! Amounts as clients of the generation *gate* know them: whole units of their own, in and out.
//!
//! Such a client sends `{"amount": 300}` and shows what comes back. What one unit is worth is
//! `compat.gate_unit`; the server converts, so that the same number stays the same money on the way in
//! and out. Exact amounts go out beside the converted ones.

use async_trait::async_trait;
use downcity_core::{Call, Dialect, Error, Hook, Outcome, Result};
use downcity_types::Microcredits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::amount::{credits_text, of_decimal, parse_credits};
use super::records::{CREDITS, MICROCREDITS};

/// What one unit of an amount of the generation gate is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateUnit {
    /// A hundredth of a credit, which is what users of that generation paid for one unit.
    #[default]
    Cent,
    /// A credit.
    Credit,
}

impl GateUnit {
    /// Units in one credit.
    const fn per_credit(self) -> i64 {
        match self {
            Self::Cent => 100,
            Self::Credit => 1,
        }
    }

    /// Units as a client writes them; `None` for what is no amount, or is no whole microcredit.
    fn read(self, units: &Value) -> Option<Microcredits> {
        // A millionth of a unit is the finest that can be written.
        let millionths = parse_credits(units)?.get();
        (millionths % self.per_credit() == 0).then(|| Microcredits(millionths / self.per_credit()))
    }

    /// An amount in units, exact.
    fn write(self, amount: Microcredits) -> Option<Number> {
        let millionths = amount.get().checked_mul(self.per_credit())?;
        credits_text(Microcredits(millionths)).parse().ok()
    }
}

/// The fields of records that hold amounts, and the name of each in microcredits.
const FIELDS: [(&str, &str); 3] = [
    ("amount", "amount_microcredits"),
    ("balance", "balance_microcredits"),
    ("balance_after", "balance_after_microcredits"),
];

/// Converts amounts of calls under the dialect of the generation gate.
pub(super) struct GateAmounts(pub(super) GateUnit);

#[async_trait]
impl Hook for GateAmounts {
    async fn before(&self, call: &mut Call) -> Result<()> {
        if call.dialect() != Dialect::Gate || !call.input()["amount"].is_number_or_text() {
            return Ok(());
        }
        let Value::Object(mut input) = call.input().clone() else { return Ok(()) };
        let Some(units) = input.remove("amount") else { return Ok(()) };
        let amount = self.0.read(&units).ok_or_else(|| {
            Error::invalid("amount", "must be a positive number of units of this client")
        })?;
        if input.insert("amount_microcredits".to_owned(), amount.get().into()).is_some() {
            return Err(Error::invalid(
                "amount_microcredits",
                "is sent beside amount; send one of them",
            ));
        }
        call.set_input(Value::Object(input));
        Ok(())
    }

    async fn after(&self, call: &Call, outcome: &mut Outcome) -> Result<()> {
        if call.dialect() != Dialect::Gate {
            return Ok(());
        }
        let Some(mut output) = outcome.json() else { return Ok(()) };
        self.convert(&mut output);
        outcome.replace(&output)
    }

    /// An amount in another unit than the client's would be wrong money.
    fn is_critical(&self) -> bool {
        true
    }
}

trait IsAmount {
    fn is_number_or_text(&self) -> bool;
}

impl IsAmount for Value {
    fn is_number_or_text(&self) -> bool {
        self.is_number() || self.is_string()
    }
}

impl GateAmounts {
    /// Converts every record, which is known by its `unit`.
    fn convert(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.convert(item)),
            Value::Object(record) => {
                self.convert_record(record);
                record.values_mut().for_each(|inner| self.convert(inner));
            }
            _ => {}
        }
    }

    fn convert_record(&self, record: &mut Map<String, Value>) {
        let read: fn(&Value) -> Option<Microcredits> =
            match record.get("unit").and_then(Value::as_str) {
                Some(MICROCREDITS) => |value| value.as_i64().map(Microcredits),
                Some(CREDITS) => |value| signed_credits(&value.to_string()),
                _ => return,
            };
        for (field, exact) in FIELDS {
            let Some(amount) = record.get(field).and_then(read) else { continue };
            let Some(units) = self.0.write(amount) else { continue };
            record.insert(field.to_owned(), Value::Number(units));
            record.insert(exact.to_owned(), amount.get().into());
        }
        record.insert("unit".to_owned(), CREDITS.into());
    }
}

/// Credits of a record, which may be negative.
fn signed_credits(text: &str) -> Option<Microcredits> {
    match text.strip_prefix('-') {
        Some(text) => of_decimal(text).map(|amount| Microcredits(-amount.get())),
        None => of_decimal(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_unit_is_worth_what_is_configured() {
        for (unit, value, micro) in [
            (GateUnit::Cent, json!(300), Some(3_000_000)),
            (GateUnit::Cent, json!("300"), Some(3_000_000)),
            (GateUnit::Cent, json!(0.0001), Some(1)),
            (GateUnit::Cent, json!(0.000_01), None),
            (GateUnit::Credit, json!(300), Some(300_000_000)),
            (GateUnit::Cent, json!("x"), None),
            (GateUnit::Cent, json!(-3), None),
        ] {
            assert_eq!(unit.read(&value).map(Microcredits::get), micro, "{unit:?} {value}");
        }
    }

    #[test]
    fn records_are_converted_wherever_they_stand() {
        let mut value = json!({"items": [
            {"unit": "microcredits", "amount": -3_000_000, "balance_after": 15_000, "note": "n"},
            {"unit": "credits", "balance": 1.25},
        ], "amount": 7});
        GateAmounts(GateUnit::Cent).convert(&mut value);
        let converted = json!({"items": [
            {"unit": "credits", "amount": -300, "amount_microcredits": -3_000_000,
             "balance_after": 1.5, "balance_after_microcredits": 15_000, "note": "n"},
            {"unit": "credits", "balance": 125, "balance_microcredits": 1_250_000},
        ], "amount": 7});
        assert_eq!(value, converted);
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_back_as_the_same_money(micro in 1_i64..90_000_000_000_000) {
            for unit in [GateUnit::Cent, GateUnit::Credit] {
                let units = Value::Number(unit.write(Microcredits(micro)).unwrap());
                prop_assert_eq!(unit.read(&Value::String(units.to_string())), Some(Microcredits(micro)));
            }
        }
    }
}
