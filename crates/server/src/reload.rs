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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::FileWatch;

    #[test]
    fn a_change_of_time_or_size_is_noticed_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("federation.toml");
        let mut watch = FileWatch::new(Some(path.clone()));
        assert!(!watch.changed(), "there is no file yet");

        fs::write(&path, "a = 1").unwrap();
        assert!(watch.changed());
        assert!(!watch.changed());

        fs::write(&path, "a = 12").unwrap();
        assert!(watch.changed(), "another size");

        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(watch.changed(), "another time");

        fs::remove_file(&path).unwrap();
        assert!(!watch.changed(), "an editor is about to put the new file there");
        fs::write(&path, "a = 123").unwrap();
        assert!(watch.changed());
    }

    #[test]
    fn without_a_file_nothing_changes() {
        assert!(!FileWatch::new(None).changed());
    }
}
