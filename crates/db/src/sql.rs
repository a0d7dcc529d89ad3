//! Statements: written once with `$1`, registered where they are written, run on both engines.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::Engine;

/// Names of the columns of a result, shared by its rows.
pub(crate) type Columns = Arc<[Box<str>]>;

/// One statement of the program, made by [`sql!`](crate::sql).
pub struct Sql {
    text: &'static str,
    file: &'static str,
    line: u32,
    sqlite_text: OnceLock<Cow<'static, str>>,
    sqlite_columns: OnceLock<Columns>,
    postgres_columns: OnceLock<Columns>,
}

impl Sql {
    /// For [`sql!`](crate::sql) only: a statement that is not registered is not checked.
    #[doc(hidden)]
    pub const fn new(text: &'static str, file: &'static str, line: u32) -> Self {
        Self {
            text,
            file,
            line,
            sqlite_text: OnceLock::new(),
            sqlite_columns: OnceLock::new(),
            postgres_columns: OnceLock::new(),
        }
    }

    /// The text as written, parameters as `$1`, `$2`.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Source file in which the statement stands.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// Line of [`Sql::file`].
    pub fn line(&self) -> u32 {
        self.line
    }

    /// `file:line`.
    pub fn location(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    pub(crate) fn sqlite_text(&self) -> &str {
        self.sqlite_text.get_or_init(|| number_parameters(self.text))
    }

    /// The column names of a result of this statement. They are built once per engine; a database
    /// with another schema (several live in one test process) gets its own copy.
    pub(crate) fn columns<'n>(
        &self,
        engine: Engine,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Columns {
        let cell = match engine {
            Engine::Sqlite => &self.sqlite_columns,
            Engine::Postgres => &self.postgres_columns,
        };
        let cached = cell.get_or_init(|| names.clone().map(Box::from).collect());
        if cached.iter().map(|name| &**name).eq(names.clone()) {
            Arc::clone(cached)
        } else {
            names.map(Box::from).collect()
        }
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sql({}:{})", self.file, self.line)
    }
}

/// A statement in the list that every [`sql!`](crate::sql) of the program joins.
#[doc(hidden)]
#[derive(Debug)]
pub struct Registered(pub &'static Sql);

inventory::collect!(Registered);

/// Every statement that is linked into this program, in no particular order.
pub fn registered_statements() -> impl Iterator<Item = &'static Sql> {
    inventory::iter::<Registered>.into_iter().map(|registered| registered.0)
}

/// Declares a statement and registers it, so that [`prepare_all`](crate::prepare_all) can check it
/// against a migrated database of either engine. Gives a `&'static Sql`.
///
/// ```
/// let statement = downcity_db::sql!("SELECT value FROM db_revision WHERE id = $1");
/// assert_eq!(statement.text(), "SELECT value FROM db_revision WHERE id = $1");
/// ```
#[macro_export]
macro_rules! sql {
    ($text:expr $(,)?) => {{
        static STATEMENT: $crate::Sql = $crate::Sql::new($text, file!(), line!());
        $crate::__private::inventory::submit! { $crate::__private::Registered(&STATEMENT) }
        &STATEMENT
    }};
}

/// Rewrites `$n` to `?n`. SQLite takes `$1` for a *name* and numbers names by first appearance, so
/// that `.. $2 .. $1` would bind the wrong values. Quoted text and comments stay as they are.
fn number_parameters(text: &'static str) -> Cow<'static, str> {
    if !text.contains('$') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['$', '\'', '"', '-', '/']) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let skipped = match rest.as_bytes() {
            [b'$', digit, ..] if digit.is_ascii_digit() => {
                out.push('?');
                rest = &rest[1..];
                0
            }
            [quote @ (b'\'' | b'"'), ..] => {
                let end = if *quote == b'\'' { "'" } else { "\"" };
                closing(rest, 1, end)
            }
            [b'-', b'-', ..] => closing(rest, 2, "\n"),
            [b'/', b'*', ..] => closing(rest, 2, "*/"),
            _ => 1,
        };
        out.push_str(&rest[..skipped]);
        rest = &rest[skipped..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Length of the part of `text` up to and with `end`, looked for after `skip` bytes.
fn closing(text: &str, skip: usize, end: &str) -> usize {
    text[skip..].find(end).map_or(text.len(), |at| skip + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::number_parameters;

    #[test]
    fn numbers_are_kept_and_quotes_are_left_alone() {
        let cases = [
            ("SELECT $2, $1", "SELECT ?2, ?1"),
            ("SELECT '$1', \"$2\", $3", "SELECT '$1', \"$2\", ?3"),
            ("SELECT 'it''s $1' || $1", "SELECT 'it''s $1' || ?1"),
            ("SELECT $10 -- not $1\n, $2", "SELECT ?10 -- not $1\n, ?2"),
            ("SELECT /* $1 */ $1 / $2 - $3", "SELECT /* $1 */ ?1 / ?2 - ?3"),
            ("SELECT '$1", "SELECT '$1"),
            ("SELECT $name", "SELECT $name"),
        ];
        for (text, expected) in cases {
            assert_eq!(number_parameters(text), expected);
        }
    }
}
