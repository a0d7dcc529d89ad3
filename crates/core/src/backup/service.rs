//! `/v1/backup/*`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use downcity_db::{CopyStop, CopyWatch, DbError, DbErrorKind};
use downcity_types::ErrorCode;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::SERVICE_ID;
use super::folder::Folder;
use crate::audit::Target;
use crate::{ADMIN, Body, Cx, Error, NoInput, Reply, Result, Runtime, Service, ServiceDef};

/// How long the making of a copy may take; what a large database needs.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The type of SQLite files (<https://www.iana.org/assignments/media-types/application/vnd.sqlite3>).
const CONTENT_TYPE: &str = "application/vnd.sqlite3";

/// The service `backup`.
#[derive(Debug, Default)]
pub(crate) struct BackupService {
    /// Held while a copy is made and sent.
    turn: Arc<Mutex<()>>,
}

impl Service for BackupService {
    fn id(&self) -> &'static str {
        SERVICE_ID
    }

    fn name(&self) -> &'static str {
        "Backup"
    }

    fn define(self: Arc<Self>, service: &mut ServiceDef) {
        service.instruction(include_str!("instruction.md"));
        service
            .post("create", ADMIN, &self, Self::create)
            .summary("Get a copy of the whole database, as it stands at one moment.")
            .description(
                "A SQLite file, whatever the engine of the database; everything is served meanwhile. \
                 The answer begins once the copy is made and checked, and has its length. The master \
                 key is not in it. A node makes one copy at a time: 409 while another one is made or \
                 sent, \
                 507 at once where the disk is known to lack the room.",
            )
            .produces(CONTENT_TYPE)
            .timeout(LONGEST)
            .cancel_on_disconnect();
    }
}

impl BackupService {
    async fn create(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<Reply> {
        let turn = self.turn.clone().try_lock_owned().map_err(|_| {
            Error::new(ErrorCode::Conflict, "Another copy is being made on this node.")
                .with_fix("Try again when it has ended.")
        })?;
        let name = cx.request_id().to_owned();
        cx.write(move |_, trail| {
            trail.record(Target::new("backup", &name), (), serde_json::json!({}));
            Ok(())
        })
        .await?;
        let made = made(cx.runtime(), cx.request_id()).await?;
        let file = tokio::fs::File::open(made.folder.copy()).await.map_err(Error::internal)?;
        let mut reply = Reply::default();
        let disposition = HeaderValue::from_static("attachment; filename=\"downcity.sqlite\"");
        reply.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        reply.headers.insert(CONTENT_LENGTH, HeaderValue::from(made.bytes));
        reply.headers.insert(CONTENT_DISPOSITION, disposition);
        reply.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply.body = Body::from_file(file, made.bytes, Sent::of(made.folder, turn));
        Ok(reply)
    }
}

/// A copy that is on the disk.
struct Made {
    folder: Folder,
    bytes: u64,
}

/// What ends when the copy was sent, or when its client has left.
struct Sent {
    /// Where an open file can be removed, this is done by now: then nothing is left of it even if the
    /// process is killed.
    _folder: Option<Folder>,
    _turn: OwnedMutexGuard<()>,
}

impl Sent {
    fn of(folder: Folder, turn: OwnedMutexGuard<()>) -> Self {
        let folder = if cfg!(unix) { None } else { Some(folder) };
        Self { _folder: folder, _turn: turn }
    }
}

/// Stops a copy that nobody waits for any more.
struct StopWhenLeft(CopyStop);

impl Drop for StopWhenLeft {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Makes a copy. Its folder lasts until nobody writes into it, also when this is dropped before.
async fn made(runtime: &Arc<Runtime>, request_id: &str) -> Result<Made> {
    let watch = CopyWatch::default();
    let left = StopWhenLeft(watch.stop());
    let (stop, stopping) = (watch.stop(), runtime.tasks().stopping());
    let (db, name) = (runtime.db().clone(), request_id.to_owned());
    let work = runtime.tasks().spawn(async move {
        let beside = db.clone();
        let folder = tokio::task::spawn_blocking(move || Folder::new(&beside, &name));
        let folder = folder.await.map_err(Error::internal)?.map_err(no_folder)?;
        let target = folder.copy();
        let mut copying = std::pin::pin!(db.backup(&target, watch));
        let copied = tokio::select! {
            copied = &mut copying => copied,
            () = stopping.cancelled() => {
                stop.stop();
                copying.await
            }
        };
        copied.map(|bytes| Made { folder, bytes }).map_err(not_made)
    });
    let made = work.await.map_err(Error::internal)??;
    drop(left);
    tracing::info!(bytes = made.bytes, "a copy of the database was made");
    Ok(made)
}

fn no_folder(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => no_room().with_source(error),
        _ => Error::internal(error),
    }
}

fn no_room() -> Error {
    Error::new(ErrorCode::StorageFull, "The disk has no room for the copy.").with_fix(
        "Free some space beside the SQLite database, or in the folder for temporary files with \
         PostgreSQL; or write the copy to another disk with `fed backup create PATH --database`.",
    )
}

/// What the trusted side is told; the text of these errors holds no data.
fn not_made(error: DbError) -> Error {
    match error.kind() {
        DbErrorKind::DiskFull => no_room().with_source(error),
        DbErrorKind::InvalidValue
        | DbErrorKind::ForeignKeyViolation
        | DbErrorKind::SchemaDivergent
        | DbErrorKind::SchemaNewer { .. } => {
            let message = format!("No copy was made: {error}.");
            Error::new(ErrorCode::Internal, message).with_source(error)
        }
        _ => error.into(),
    }
}
