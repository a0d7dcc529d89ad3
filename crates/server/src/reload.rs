//! Notices that the configuration file changed.

use std::path::PathBuf;
use std::time::SystemTime;

/// Looks at a file for a change of its time or size.
pub(crate) struct FileWatch {
    path: Option<PathBuf>,
    seen: Option<(SystemTime, u64)>,
}

impl FileWatch {
    /// Begins with the file as it is now.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        let mut watch = Self { path, seen: None };
        watch.seen = watch.look();
        watch
    }

    /// Whether the file changed since the last look. A file that is gone did not change: editors
    /// replace files by moving another one there.
    pub(crate) fn changed(&mut self) -> bool {
        let now = self.look();
        let changed = now.is_some() && now != self.seen;
        if changed {
            self.seen = now;
        }
        changed
    }

    /// One call to the system of a few microseconds, so it need not leave the calling task.
    fn look(&self) -> Option<(SystemTime, u64)> {
        let found = std::fs::metadata(self.path.as_ref()?).ok()?;
        Some((found.modified().ok()?, found.len()))
    }
}
