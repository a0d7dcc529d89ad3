//! A list as it is shown: its rows, the chosen one, and what they are narrowed to.

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde_json::{Map, Value};

use super::load::{Load, Stand};
use crate::workspace::section::{LAST_DAYS, List, Source};
use crate::workspace::task::{Number, Read};

/// How many days back sums go.
const DAYS: i64 = 59;

/// A list that is shown.
#[derive(Debug)]
pub(in crate::workspace) struct Page {
    pub(in crate::workspace) list: &'static List,
    /// Its heading, where it belongs to a record of another list.
    pub(in crate::workspace) heading: Option<String>,
    /// Fields of the query beyond those of the list.
    query: Value,
    pub(in crate::workspace) load: Load<Vec<Value>>,
    /// Where the server goes on, while there is more.
    pub(in crate::workspace) next: Option<String>,
    pub(in crate::workspace) selected: usize,
    /// The first row on the screen.
    pub(in crate::workspace) offset: usize,
    /// Only rows with this text are shown.
    pub(in crate::workspace) filter: String,
    /// The record that was made or changed last: its row is chosen once it is there.
    pub(super) made: Option<Value>,
    /// The last read of it; answers to others come too late.
    pub(super) asked: Number,
}

impl Page {
    pub(super) fn new(list: &'static List) -> Self {
        Self {
            list,
            heading: None,
            query: Value::Null,
            load: Load::default(),
            next: None,
            selected: 0,
            offset: 0,
            filter: String::new(),
            made: None,
            asked: 0,
        }
    }

    /// One that belongs to a record.
    pub(super) fn of(list: &'static List, heading: String, query: Value) -> Self {
        Self { heading: Some(heading), query, ..Self::new(list) }
    }

    /// The rows that pass the filter.
    pub(in crate::workspace) fn rows(&self) -> Vec<&Value> {
        let rows = self.load.get().into_iter().flatten();
        rows.filter(|row| holds(self.list, row, &self.filter)).collect()
    }

    /// The record that is chosen; none where the rows are not shown, because their last read failed.
    pub(in crate::workspace) fn record(&self) -> Option<&Value> {
        let is_shown = !matches!(self.load.stand(), Stand::Failed(_));
        self.rows().get(self.selected).copied().filter(|_| is_shown)
    }

    /// Asks for its rows anew, or for those that follow.
    pub(super) fn ask(&mut self, number: Number, goes_on: bool, today: Option<Date>) -> Read {
        self.load.begin();
        self.asked = number;
        self.read(goes_on, today)
    }

    /// What is read to fill it; from where it ended, to go on.
    fn read(&self, goes_on: bool, today: Option<Date>) -> Read {
        match self.list.source {
            Source::Document => Read::Route("/openapi.json"),
            Source::Servers => Read::Servers,
            Source::Action(path, fixed) => {
                let fixed = fixed.iter().filter_map(|(name, value)| {
                    let value = match *value {
                        LAST_DAYS => days_before(today?),
                        value => value.to_owned(),
                    };
                    Some(((*name).to_owned(), value.into()))
                });
                let mut query: Map<String, Value> = fixed.collect();
                query.extend(self.query.as_object().cloned().unwrap_or_default());
                if let Some(next) = self.next.as_ref().filter(|_| goes_on) {
                    query.insert("cursor".to_owned(), next.clone().into());
                }
                Read::Action(path.to_owned(), Value::Object(query))
            }
        }
    }

    /// Takes the rows of an answer, in place of those that were there or behind them. The chosen record
    /// stays the chosen one, wherever it stands now.
    pub(super) fn fill(&mut self, answer: Value, goes_on: bool) {
        let chosen = self.rows().get(self.selected).map(|row| (*row).clone());
        self.next = answer["next_cursor"].as_str().map(str::to_owned);
        let mut rows = (self.list.rows)(answer);
        for row in &mut rows {
            self.complete(row);
        }
        match self.load.get_mut() {
            Some(known) if goes_on => {
                known.extend(rows);
                self.load.cancel();
            }
            _ => self.load.end(Ok(rows)),
        }
        match (self.made.take(), chosen) {
            (Some(record), _) | (None, Some(record)) => self.choose(&record),
            (None, None) => {}
        }
        let last = self.rows().len().saturating_sub(1);
        self.selected = self.selected.min(last);
    }

    /// Chooses a record: as it was read, else the one of its id and its city. Where the rows were narrowed
    /// to others, all of them are shown again.
    pub(super) fn choose(&mut self, record: &Value) {
        if let Some(found) = self.rows().iter().position(|row| *row == record) {
            self.selected = found;
            return;
        }
        let id = self.list.id(record);
        let is_it = |row: &&Value| {
            !id.is_empty() && self.list.id(row) == id && row["city_id"] == record["city_id"]
        };
        if let Some(found) = self.rows().iter().position(is_it) {
            self.selected = found;
        } else if let Some(found) =
            self.load.get().and_then(|rows| rows.iter().position(|row| is_it(&row)))
        {
            self.narrow(String::new());
            self.selected = found;
        }
    }

    /// Rows know the record that their list belongs to: a version of a value its key.
    fn complete(&self, row: &mut Value) {
        let Some(row) = row.as_object_mut() else { return };
        for (name, value) in self.query.as_object().into_iter().flatten() {
            if !row.contains_key(name) {
                row.insert(name.clone(), value.clone());
            }
        }
    }

    /// Moves the choice; says whether the end of what is known came into sight.
    pub(super) fn step(&mut self, by: isize) -> bool {
        let last = self.rows().len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
        self.selected == last && self.next.is_some() && !self.load.is_loading()
    }

    /// Narrows it to rows with this text.
    pub(super) fn narrow(&mut self, filter: String) {
        self.filter = filter;
        self.selected = 0;
        self.offset = 0;
    }
}

/// When the first of the days begins that sums are made of.
pub(super) fn days_before(today: Date) -> String {
    format!("{}T00:00:00Z", today.saturating_sub(DAYS.days()))
}

/// Whether any column of a row holds a text.
pub(super) fn holds(list: &List, row: &Value, text: &str) -> bool {
    let wanted = text.to_lowercase();
    let mut columns = list.columns.iter();
    wanted.is_empty() || columns.any(|column| column.text(row).to_lowercase().contains(&wanted))
}
