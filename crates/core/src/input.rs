//! Checks of input, and pages of lists, that several services share.

use downcity_types::{BadCursor, Cursor, Items, Page};

use crate::{Error, Result};

/// Longest display name, in characters.
const NAME_MAX_CHARS: usize = 200;

/// Most records of one page, and of a list without `limit`.
const PAGE_MAX: u32 = 1_000;

/// A display name: trimmed, not empty, of at most 200 characters.
///
/// # Errors
/// 400 for the field `name`.
pub(crate) fn new_name(name: &str) -> Result<String> {
    let name = name.trim();
    let problem = if name.is_empty() {
        "must not be empty".to_owned()
    } else if name.chars().count() > NAME_MAX_CHARS {
        format!("must have at most {NAME_MAX_CHARS} characters")
    } else if name.contains('\0') {
        "must not have NUL characters".to_owned()
    } else {
        return Ok(name.to_owned());
    };
    Err(Error::invalid("name", problem))
}

/// Where a page begins in a list that is ordered by creation, then id.
pub(crate) struct Place {
    /// The record before was created then, in milliseconds since 1970.
    pub(crate) created_at: i64,
    /// The id of the record before.
    pub(crate) id: String,
    /// How many records the page has at most.
    pub(crate) limit: u32,
}

impl Place {
    /// The place that a request asks for.
    ///
    /// # Errors
    /// 400 for a cursor that no page gave.
    pub(crate) fn of(page: &Page) -> Result<Self> {
        let invalid =
            |_| Error::invalid("cursor", "is not the next_cursor of a page; leave it out");
        let limit = page.limit(PAGE_MAX, PAGE_MAX);
        let Some(cursor) = page.cursor().map_err(invalid)? else {
            return Ok(Self { created_at: i64::MIN, id: String::new(), limit });
        };
        let id = cursor.text(1).map_err(invalid)?;
        if id.contains('\0') {
            return Err(invalid(BadCursor));
        }
        Ok(Self { created_at: cursor.int(0).map_err(invalid)?, id: id.to_owned(), limit })
    }

    /// How many records to read: one more than the page has, to know whether others follow.
    pub(crate) fn wanted(&self) -> u32 {
        self.limit + 1
    }
}

/// A page of at most `limit` of these records; `key` gives a record's time of creation and id.
pub(crate) fn page_of<T>(
    limit: u32,
    mut items: Vec<T>,
    key: impl Fn(&T) -> (i64, &str),
) -> Items<T> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let last = items.last().filter(|_| more).map(key);
    let next_cursor =
        last.map(|(created_at, id)| Cursor::new([created_at.into(), id.into()]).encode());
    Items { items, next_cursor }
}
