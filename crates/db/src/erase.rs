//! Overwriting what replaced rows leave behind in the files of a database.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{DbError, DbErrorKind};
use crate::options::DbOptions;
use crate::postgres::{Ended, Session, connector};
use crate::sqlite::{beside, not_written, open_plain, sync_folder, translate, write_copy};
use crate::tx::Tx;
use crate::url::{PostgresTarget, Target};

/// The largest SQLite file that is rewritten as a whole. Larger ones would hold up writers for
/// longer than they wait.
const REWRITTEN_UP_TO: i64 = 64 * 1024 * 1024;
/// How often readers that hold old pages are waited for, each time for `connect_timeout`.
const ATTEMPTS: u32 = 5;
/// How long PostgreSQL may take for one table.
const REWRITE: Duration = Duration::from_secs(30);

/// See [`crate::Db::erase_replaced`].
pub(crate) fn run(options: &DbOptions, tables: &[&str]) -> Result<(), DbError> {
    match options.url.target() {
        Target::Sqlite(path) => sqlite(path, options.connect_timeout),
        Target::Postgres(target) => postgres(target, options.connect_timeout, tables),
    }
    .map_err(|error| error.within("overwriting replaced rows"))
}

fn sqlite(path: &Path, wait: Duration) -> Result<(), DbError> {
    let connection = open_plain(path, wait)?;
    rewrite(&connection)?;
    // The log holds every page that was written since it was last emptied.
    for _ in 0..ATTEMPTS {
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| translate(&error))?;
        if busy == 0 {
            return Ok(());
        }
    }
    Err(DbError::new(
        DbErrorKind::Busy,
        "the write-ahead log could not be emptied: another process reads from it",
    ))
}

/// Writes a file of a moderate size anew. Cells that this library frees are overwritten at once, but
/// other tools leave theirs in place.
fn rewrite(connection: &Connection) -> Result<(), DbError> {
    let rewritten = || -> rusqlite::Result<()> {
        // The new file is built in memory, not in a temporary file.
        connection.execute_batch("PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;")?;
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        if pages.saturating_mul(size) <= REWRITTEN_UP_TO {
            connection.execute_batch("VACUUM")?;
        }
        Ok(())
    };
    rewritten().map_err(|error| translate(&error))
}

fn postgres(target: &PostgresTarget, wait: Duration, tables: &[&str]) -> Result<(), DbError> {
    let mut session = Session::connect(target, &connector(target)?, wait)?;
    // Readers of the table are waited for, and nobody is kept waiting behind that for long.
    let mut command = |text: &str| session.command(REWRITE, text).map_err(Ended::into_db_error);
    command(&format!("SET lock_timeout = {}", wait.as_millis()))?;
    // The server gives up before we do: whoever left must not keep the table locked.
    let limit = REWRITE.saturating_sub(Duration::from_secs(1));
    command(&format!("SET statement_timeout = {}", limit.as_millis()))?;
    for table in tables {
        // Into a new file: a plain VACUUM frees the room of rows without overwriting it.
        command(&format!("VACUUM (FULL) {table}"))?;
    }
    Ok(())
}

/// See [`crate::Db::rewrite_copies`].
pub(crate) fn rewrite_copies<E>(
    options: &DbOptions,
    mut closure: impl FnMut(&mut Tx<'_>) -> Result<bool, E>,
) -> Result<usize, E>
where
    E: From<DbError>,
{
    let Target::Sqlite(path) = options.url.target() else { return Ok(0) };
    let mut changed = 0;
    for copy in copies(path, options)? {
        // Changed under another name: a kill in the middle leaves the copy as it was.
        let draft = beside(&copy, ".part");
        let kept = change_into(&copy, &draft, options, &mut closure);
        if matches!(kept, Ok(true)) {
            replace(&draft, &copy).map_err(|error| not_written(&copy, &error))?;
            changed += 1;
        } else {
            // Nobody asks for it again; that it stays would change nothing.
            let _ = std::fs::remove_file(&draft);
            kept?;
        }
    }
    Ok(changed)
}

/// Writes the changed copy into `draft`; says whether the change is wanted.
fn change_into<E: From<DbError>>(
    copy: &Path,
    draft: &Path,
    options: &DbOptions,
    mut closure: impl FnMut(&mut Tx<'_>) -> Result<bool, E>,
) -> Result<bool, E> {
    write_copy(&open_plain(copy, options.connect_timeout)?, draft)?;
    let connection = open_plain(draft, options.connect_timeout)?;
    let run = |text: &str| connection.execute_batch(text).map_err(|error| translate(&error));
    // The pages that are about to change stay in memory, not in a file beside the draft.
    run("PRAGMA secure_delete = ON; PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE")?;
    let mut tx = Tx::sqlite(&connection, Instant::now() + options.scan_limit, true);
    let keep = closure(&mut tx)? && tx.verdict().is_ok();
    run(if keep { "COMMIT" } else { "ROLLBACK" })?;
    if keep {
        rewrite(&connection)?;
    }
    Ok(keep)
}

/// Puts the draft, once it is on the disk, in the place of the copy, whose bytes are then overwritten:
/// without its name the file is gone, but what it held would still lie on the disk.
fn replace(draft: &Path, copy: &Path) -> io::Result<()> {
    let mut open = File::options();
    open.write(true);
    open.open(draft)?.sync_all()?;
    let mut old = open.open(copy)?;
    let length = old.metadata()?.len();
    std::fs::rename(draft, copy)?;
    sync_folder(copy)?;
    io::copy(&mut io::repeat(0).take(length), &mut old)?;
    old.sync_all()
}

/// The copies that were taken of a file before it was migrated.
fn copies(path: &Path, options: &DbOptions) -> Result<Vec<PathBuf>, DbError> {
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = options.backup_dir.as_deref().or(beside).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let unreadable = |error: io::Error| {
        let message = format!("{} cannot be listed: {error}", folder.display());
        DbError::new(DbErrorKind::Unavailable, message)
    };
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        let rest = entry.file_name().and_then(|entry| entry.to_str()?.strip_prefix(name));
        if rest.is_some_and(|rest| rest.starts_with(".before-") && rest.ends_with(".bak")) {
            found.push(entry);
        }
    }
    Ok(found)
}
