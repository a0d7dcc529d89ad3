//! Reading a stored file as a whole, for answers that hold it.

use bytes::Bytes;
use downcity_core::{Error, Result, Runtime};
use downcity_types::ErrorCode;
use tokio::io::AsyncReadExt as _;

use super::{Storage, Stored, local};

impl Storage {
    /// The bytes of a file.
    ///
    /// # Errors
    /// 404 when it is gone, otherwise those of the place.
    pub(crate) async fn get(&self, runtime: &Runtime, stored: &Stored) -> Result<Bytes> {
        if let Some(bucket) = &self.bucket {
            let got = bucket.get(runtime, stored, self.limits.max_bytes);
            let got = tokio::time::timeout(self.limits.timeout, got).await;
            return got.unwrap_or_else(|_| {
                let late = "The place for files did not answer in time.";
                Err(Error::new(ErrorCode::UpstreamTimeout, late))
            });
        }
        let gone = || Error::new(ErrorCode::NotFound, "The file is not kept any more.");
        let dir = self.dir(runtime).ok_or_else(gone)?;
        let opened = local::open(&dir, &stored.key).await.map_err(local::failed)?;
        let (mut file, size) = opened.ok_or_else(gone)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes).await.map_err(local::failed)?;
        Ok(bytes.into())
    }
}
