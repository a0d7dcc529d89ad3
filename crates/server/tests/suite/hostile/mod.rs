//! Clients that mean no good: the server ends what they hold, and goes on answering others.

mod crowd;
mod floods;
mod frames;
mod http2;
mod slow;
mod smuggling;

use downcity_server::config::Span;

use crate::support::Running;

/// Long enough for an honest client on a busy machine, short enough for a test.
const PATIENCE: Span = Span::millis(300);

/// A Federation that is not patient with slow clients.
async fn impatient() -> Running {
    Running::start(|config| {
        config.server.header_timeout = PATIENCE;
        config.server.body_timeout = PATIENCE;
        config.server.write_timeout = PATIENCE;
    })
    .await
}

/// The server still answers others.
async fn assert_serves(running: &Running) {
    assert_eq!(running.connect().await.get("/livez", "").await.status, 200);
}
