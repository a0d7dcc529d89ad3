//! The table, and the same as JSON.

use std::io::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::sample::Pair;

/// What is to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Ours by the baseline's, at least.
    RatioAtLeast(f64),
    /// Ours by the baseline's, at most.
    RatioAtMost(f64),
    /// Ours minus the baseline's, at most.
    AddedAtMost(f64),
    /// Ours alone, at least.
    AtLeast(f64),
    /// Ours alone, at most.
    AtMost(f64),
}

/// One line of the table.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) measure: &'static str,
    /// The unit of both values.
    pub(crate) unit: &'static str,
    /// What it was compared with.
    pub(crate) against: &'static str,
    /// Our median.
    pub(crate) ours: f64,
    /// The baseline's median.
    pub(crate) baseline: Option<f64>,
    /// Ours by the baseline's.
    pub(crate) ratio: Option<f64>,
    /// Ours minus the baseline's.
    pub(crate) added: Option<f64>,
    /// Processor time per request in microseconds: ours, the baseline's.
    pub(crate) cpu: Option<(f64, f64)>,
    /// What is to be reached.
    pub(crate) target: Target,
}

impl Row {
    /// A row without processor times.
    pub(crate) fn alone(
        measure: &'static str,
        unit: &'static str,
        ours: f64,
        target: Target,
    ) -> Self {
        Self {
            measure,
            unit,
            against: "",
            ours,
            baseline: None,
            ratio: None,
            added: None,
            cpu: None,
            target,
        }
    }

    /// A row that compares two values of their own.
    pub(crate) fn against(self, against: &'static str, baseline: f64) -> Self {
        Self {
            against,
            ratio: Some(self.ours / baseline),
            added: Some(self.ours - baseline),
            baseline: Some(baseline),
            ..self
        }
    }

    /// A row of interleaved samples.
    pub(crate) fn pair(
        measure: &'static str,
        unit: &'static str,
        against: &'static str,
        pair: &Pair,
        target: Target,
    ) -> Self {
        Self {
            measure,
            unit,
            against,
            ours: pair.ours,
            baseline: Some(pair.baseline),
            ratio: Some(pair.ratio),
            added: Some(pair.added),
            cpu: Some(pair.cpu),
            target,
        }
    }

    fn reached(&self) -> bool {
        let ratio = self.ratio.unwrap_or(f64::NAN);
        match self.target {
            Target::RatioAtLeast(least) => ratio >= least,
            Target::RatioAtMost(most) => ratio <= most,
            Target::AddedAtMost(most) => self.added.unwrap_or(f64::NAN) <= most,
            Target::AtLeast(least) => self.ours >= least,
            Target::AtMost(most) => self.ours <= most,
        }
    }

    fn target(&self) -> String {
        let unit = self.unit;
        match self.target {
            Target::RatioAtLeast(least) => format!("ratio >= {least}"),
            Target::RatioAtMost(most) => format!("ratio <= {most}"),
            Target::AddedAtMost(most) => format!("added <= {} {unit}", figure(most)),
            Target::AtLeast(least) => format!(">= {} {unit}", figure(least)),
            Target::AtMost(most) => format!("<= {} {unit}", figure(most)),
        }
    }

    /// What the target looks at besides our own value.
    fn compared(&self) -> String {
        match (self.target, self.ratio, self.added) {
            (Target::AddedAtMost(_), _, Some(added)) => format!("{added:+.0} {}", self.unit),
            (_, Some(ratio), _) => format!("{ratio:.2}"),
            _ => "-".to_owned(),
        }
    }

    fn cells(&self) -> [String; 8] {
        let unit = self.unit;
        [
            self.measure.to_owned(),
            format!("{} {unit}", figure(self.ours)),
            self.baseline.map_or_else(
                || "-".to_owned(),
                |value| format!("{} {unit} ({})", figure(value), self.against),
            ),
            self.compared(),
            self.cpu.map_or_else(|| "-".to_owned(), |(ours, _)| figure(ours)),
            self.cpu.map_or_else(|| "-".to_owned(), |(_, baseline)| figure(baseline)),
            self.target(),
            if self.reached() { "ok" } else { "MISSED" }.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "measure": self.measure,
            "unit": self.unit,
            "against": self.against,
            "ours": self.ours,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "added": self.added,
            "cpu_us": self.cpu.map(|(ours, _)| ours),
            "baseline_cpu_us": self.cpu.map(|(_, baseline)| baseline),
            "target": self.target(),
            "ok": self.reached(),
        })
    }
}

/// The rows of a run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

const HEAD: [&str; 8] =
    ["measure", "ours", "baseline", "ratio", "cpu us", "baseline cpu", "target", ""];

impl Report {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Writes the table, or JSON, to standard output.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
            serde_json::to_writer_pretty(&mut out, &rows)?;
            writeln!(out)?;
            return Ok(());
        }
        let mut lines = vec![HEAD.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths: Vec<usize> = (0..HEAD.len())
            .map(|column| lines.iter().map(|cells| cells[column].len()).max().unwrap_or(0))
            .collect();
        for cells in &lines {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Says on standard error what is being done.
pub(crate) fn progress(text: &str) {
    // Nobody reads it: then nobody misses it.
    let _ = writeln!(std::io::stderr(), "==> {text}");
}

/// Three significant digits or more, thousands apart.
fn figure(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(figure(1.25), "1.2");
        assert_eq!(figure(100.4), "100");
        assert_eq!(figure(1234.0), "1,234");
        assert_eq!(figure(1_234_567.0), "1,234,567");
    }

    #[test]
    fn targets_judge_the_right_number() {
        let row = |target| Row::alone("m", "u", 10.0, target).against("b", 8.0);
        assert!(row(Target::RatioAtMost(1.25)).reached());
        assert!(!row(Target::RatioAtLeast(1.3)).reached());
        assert!(row(Target::AddedAtMost(2.0)).reached());
        assert!(!row(Target::AtMost(9.0)).reached());
        assert!(row(Target::AtLeast(10.0)).reached());
        assert!(!Row::alone("m", "u", 10.0, Target::RatioAtLeast(0.1)).reached());
    }
}
