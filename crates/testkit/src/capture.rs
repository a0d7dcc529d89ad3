//! What a program writes, kept for a look at it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// A place to write to, such as that of log lines; clones write to the same place.
#[derive(Clone, Debug, Default)]
pub struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    /// Everything written so far.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines in which a text stands.
    pub fn lines_with(&self, text: &str) -> Vec<String> {
        let lines = self.text();
        lines.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
