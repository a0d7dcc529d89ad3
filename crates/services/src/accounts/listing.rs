//! Pages of lists that run from the newest to the oldest.

use downcity_core::{Error, Result};
use downcity_types::{Cursor, Items, Page};

/// Records of a page without `limit`, and the most that one has.
const DEFAULT: u32 = 50;
const MOST: u32 = 200;

/// Where a page begins.
pub(super) struct Place {
    /// The time of the record before.
    pub(super) at: i64,
    /// The id of the record before.
    pub(super) id: String,
    /// How many records the page has at most.
    pub(super) limit: u32,
}

impl Place {
    /// The place that a request asks for.
    ///
    /// # Errors
    /// 400 for a cursor that no page gave.
    pub(super) fn of(page: &Page) -> Result<Self> {
        let invalid =
            |_| Error::invalid("cursor", "is not the next_cursor of a page; leave it out");
        let limit = page.limit(DEFAULT, MOST);
        let Some(cursor) = page.cursor().map_err(invalid)? else {
            return Ok(Self { at: i64::MAX, id: String::new(), limit });
        };
        let (at, id) = (cursor.int(0).map_err(invalid)?, cursor.text(1).map_err(invalid)?);
        Ok(Self { at, id: id.replace('\0', ""), limit })
    }

    /// A page of at most `limit` of these records; `key` gives a record's time and id.
    pub(super) fn page<T>(
        limit: u32,
        mut items: Vec<T>,
        key: impl Fn(&T) -> (i64, &str),
    ) -> Items<T> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| more).map(key);
        let next_cursor = last.map(|(at, id)| Cursor::new([at.into(), id.into()]).encode());
        Items { items, next_cursor }
    }
}
