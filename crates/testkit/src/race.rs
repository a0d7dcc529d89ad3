//! Transactions that are open while others run.

use std::sync::mpsc;
use std::time::Duration;

use downcity_core::{Error, Result};
use downcity_db::Tx;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::TestApp;

/// Long enough for a call that does not wait to be answered.
const A_WHILE: Duration = Duration::from_millis(400);

impl TestApp {
    /// Calls while a transaction is open that has done this, and commits it then. On PostgreSQL nobody
    /// sees what it has done before, unless they wait for it: a call that does not wait fails the test.
    pub async fn during<T>(
        &self,
        mut done: impl FnMut(&mut Tx<'_>) -> Result<()> + Send + 'static,
        call: impl Future<Output = T>,
    ) -> T {
        assert!(self.runs_once, "a rehearsal hides races: build the app with runs_once");
        let (let_go, wait) = mpsc::channel::<()>();
        let (say, is_open) = oneshot::channel();
        let (mut open, mut say) = (JoinSet::new(), Some(say));
        let db = self.runtime().db().clone();
        open.spawn(async move {
            db.write(move |tx| {
                done(tx)?;
                say.take().map(|say| say.send(()));
                let _ = wait.recv();
                Ok::<_, Error>(())
            })
            .await
        });
        is_open.await.expect("the transaction does what it should");
        let mut call = std::pin::pin!(call);
        let is_early = tokio::time::timeout(A_WHILE, &mut call).await.is_ok();
        drop(let_go);
        for ended in open.join_all().await {
            ended.expect("the transaction is committed");
        }
        assert!(!is_early, "a call did not wait for a transaction that it depends on");
        call.await
    }
}
