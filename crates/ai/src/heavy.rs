//! Work that takes a thread for long, such as decoding a video, beside the threads that run tasks.

use downcity_core::{Error, Result};

/// Work on fewer bytes is done sooner than it is handed on.
const LIGHT: usize = 256 * 1024;

/// Does work on so many bytes: at once, or on a thread where no task waits for it.
///
/// # Errors
/// 500 when the work was cut off by the end of the process.
pub(crate) async fn heavy<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if bytes <= LIGHT {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_large_work_leaves_the_thread() {
        let here = thread::current().id();
        assert_eq!(heavy(LIGHT, || thread::current().id()).await.unwrap(), here);
        assert_ne!(heavy(LIGHT + 1, || thread::current().id()).await.unwrap(), here);
    }
}
