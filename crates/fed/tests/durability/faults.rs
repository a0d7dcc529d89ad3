//! A disk that fails on demand: a small C library, loaded before the server's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::random::Random;

/// What the disk of the database does; the words of `faults.c`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Full,
    Broken,
    Unsynced,
    ReadOnly,
}

impl Fault {
    pub(crate) fn any(random: &mut Random) -> Self {
        [Self::Full, Self::Broken, Self::Unsynced, Self::ReadOnly][random.index(4)]
    }

    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Broken => "broken",
            Self::Unsynced => "unsynced",
            Self::ReadOnly => "readonly",
        }
    }
}

/// The library, and the file through which it is told what to do.
pub(crate) struct Disk {
    library: PathBuf,
    control: PathBuf,
}

impl Disk {
    /// Compiles the library into this folder. The compiler is the one that SQLite is built with.
    pub(crate) fn new(folder: &Path) -> Self {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/durability/faults.c");
        let library = folder.join("faults.so");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, Path::new(source)])
            .arg("-ldl")
            .status();
        assert!(built.is_ok_and(|status| status.success()), "cc builds {source}");
        Self { library, control: folder.join("fault") }
    }

    pub(crate) fn prepare(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("DOWNCITY_TEST_FAULT", &self.control);
    }

    pub(crate) fn fail(&self, fault: Fault) {
        // Replaced at once, so that no half-written word is read.
        let draft = self.control.with_extension("new");
        std::fs::write(&draft, fault.word()).unwrap();
        std::fs::rename(draft, &self.control).unwrap();
    }

    pub(crate) fn heal(&self) {
        std::fs::remove_file(&self.control).unwrap();
    }
}
