//! For scripts and tools without async code: [`wait`] for a call, and [`iter`] over a stream.
//!
//! ```no_run
//! use downcity::{City, CityCreate, blocking::wait};
//!
//! # fn run() -> downcity::Result<()> {
//! let admin = City::admin("https://fed.example.com").build()?;
//! wait(admin.cities().create(CityCreate::new("Demo")))?;
//! for city in wait(admin.cities().list())? {
//!     println!("{}", city.city_id);
//! }
//! # Ok(())
//! # }
//! ```

use std::sync::OnceLock;

use futures_util::{Stream, StreamExt as _};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{Error, Result};

/// The runtime that calls of all threads share; `None` where the system gave no thread for it.
static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();

fn runtime() -> Result<&'static Runtime> {
    if Handle::try_current().is_ok() {
        return Err(Error::config("blocking", "would hold up an async task; await the call there"));
    }
    let made = || Builder::new_multi_thread().worker_threads(1).enable_all().build().ok();
    let runtime = RUNTIME.get_or_init(made).as_ref();
    runtime.ok_or_else(|| Error::config("blocking", "found no thread to run calls on"))
}

/// Waits for the answer of a call.
///
/// # Errors
/// Those of the call; [`Error::Config`] inside of an async task, which awaits calls instead.
pub fn wait<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    runtime()?.block_on(call)
}

/// What a stream brings, each piece when it comes. Dropping the iterator ends the stream. Inside of an async
/// task it brings an [`Error::Config`] and ends.
pub fn iter<T, S: Stream<Item = Result<T>> + Unpin>(stream: S) -> Iter<S> {
    Iter { stream: Some(stream) }
}

/// A stream as an iterator; see [`iter`].
#[derive(Debug)]
pub struct Iter<S> {
    stream: Option<S>,
}

impl<T, S: Stream<Item = Result<T>> + Unpin> Iterator for Iter<S> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let stream = self.stream.as_mut()?;
        match runtime() {
            Ok(runtime) => runtime.block_on(stream.next()),
            Err(error) => {
                self.stream = None;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[test]
    fn calls_and_streams_are_waited_for() {
        assert_eq!(wait(async { Ok(7) }).unwrap(), 7);
        let pieces = iter(stream::iter([Ok(1), Ok(2)]));
        assert_eq!(pieces.collect::<Result<Vec<_>>>().unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn an_async_task_is_told_to_await() {
        let error = wait(async { Ok(()) }).unwrap_err();
        assert!(matches!(error, Error::Config { field: "blocking", .. }), "{error}");
        let mut pieces = iter(stream::iter([Ok(1)]));
        assert!(matches!(pieces.next(), Some(Err(Error::Config { .. }))));
        assert!(pieces.next().is_none());
    }
}
