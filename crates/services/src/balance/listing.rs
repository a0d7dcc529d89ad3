//! Pages of lists that begin with the newest record, and what they may be narrowed to.

use downcity_core::{Error, Result};
use downcity_types::{BadCursor, Cursor, Items, Page, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

/// Records of a page where no number is asked for, and the most there are.
const DEFAULT: u32 = 20;
const MOST: u32 = 200;

/// What a list of the trusted side is narrowed to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Filter {
    /// How many records to return: 20 unless said otherwise, at most 200.
    #[serde(flatten)]
    pub(super) page: Page,
    /// Those of this user.
    #[serde(default)]
    pub(super) user_id: Option<String>,
    /// Those of this city.
    #[serde(default)]
    pub(super) city_id: Option<String>,
    /// Those with this status.
    #[serde(default)]
    pub(super) status: Option<String>,
    /// Those with this reference.
    #[serde(default, rename = "ref")]
    pub(super) reference: Option<String>,
    /// Those made at this time or later.
    #[serde(default)]
    pub(super) from: Option<Timestamp>,
    /// Those made before this time.
    #[serde(default)]
    pub(super) to: Option<Timestamp>,
}

/// A stretch of a list, newest first.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    /// Records before this time and id: after the page before, and before `to`.
    pub(crate) before: (i64, String),
    /// Records made at this time or later.
    pub(crate) from: i64,
    /// Records made before this time.
    pub(crate) to: i64,
    limit: u32,
}

impl Stretch {
    /// The stretch that a request asks for.
    ///
    /// # Errors
    /// 400 for a cursor that no page gave.
    pub(crate) fn of(page: &Page, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Self> {
        let invalid =
            |BadCursor| Error::invalid("cursor", "is not the next_cursor of a page; leave it out");
        let before = match page.cursor().map_err(invalid)? {
            None => (i64::MAX, String::new()),
            Some(cursor) => {
                let id = cursor.text(1).map_err(invalid)?;
                if id.contains('\0') {
                    return Err(invalid(BadCursor));
                }
                (cursor.int(0).map_err(invalid)?, id.to_owned())
            }
        };
        // One bound, so that the index leads there: no id stands before the empty one.
        let before = match to.map(Timestamp::millis) {
            Some(to) if to <= before.0 => (to, String::new()),
            _ => before,
        };
        Ok(Self {
            before,
            from: from.map_or(i64::MIN, Timestamp::millis),
            to: to.map_or(i64::MAX, Timestamp::millis),
            limit: page.limit(DEFAULT, MOST),
        })
    }

    /// How many records to read: one more than the page has, to know whether others follow.
    pub(crate) fn wanted(&self) -> u32 {
        self.limit + 1
    }

    /// The page of these records; `key` gives the time of creation and the id of one.
    pub(crate) fn page<T>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> (Timestamp, &str),
    ) -> Items<T> {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let last = items.last().filter(|_| more).map(key);
        let next_cursor =
            last.map(|(at, id)| Cursor::new([at.millis().into(), id.into()]).encode());
        Items { items, next_cursor }
    }
}

/// A filter as a text that statements compare with; empty stands for none.
pub(crate) fn wanted_text(filter: Option<&String>) -> &str {
    filter.map_or("", |text| text.trim())
}
