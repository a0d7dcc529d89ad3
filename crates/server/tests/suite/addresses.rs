//! Where calls come from, over real sockets.

use std::sync::Arc;

use downcity_server::config::ProxyHeader;
use downcity_server::prelude::*;
use downcity_testkit::block_on;

use crate::support::Running;

/// Answers with the address of its caller.
struct Where;

impl Where {
    async fn show(self: Arc<Self>, cx: Cx, _: NoInput) -> Result<String> {
        Ok(cx.client_address().map_or_else(String::new, |address| address.to_string()))
    }
}

impl Service for Where {
    fn id(&self) -> &'static str {
        "where"
    }

    fn name(&self) -> &'static str {
        "Where"
    }

    fn define(self: Arc<Self>, s: &mut ServiceDef) {
        s.get("show", PUBLIC, &self, Self::show).summary("Say where the call comes from.");
    }
}

async fn running(change: impl FnOnce(&mut Config)) -> Running {
    Running::with_services(change, |builder| builder.service(Where)).await
}

async fn shown(running: &Running, headers: &str) -> String {
    let answer = running.connect().await.get("/v1/where/show", headers).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.trim_matches('"').to_owned()
}

const SPOOFED: &str = "x-forwarded-for: 1.1.1.1, 192.0.2.1\r\nforwarded: for=192.0.2.2\r\n\
                       x-real-ip: 1.1.1.1\r\n";

#[test]
fn a_call_comes_from_its_socket_whatever_it_says() {
    block_on(async {
        let running = running(|_| ()).await;
        assert_eq!(shown(&running, "").await, "127.0.0.1");
        assert_eq!(shown(&running, SPOOFED).await, "127.0.0.1");

        let other = running_with(&["10.0.0.0/8"]).await;
        assert_eq!(shown(&other, SPOOFED).await, "127.0.0.1", "the peer is no trusted proxy");
    });
}

async fn running_with(trusted: &'static [&'static str]) -> Running {
    running(|config| {
        config.server.trusted_proxies =
            trusted.iter().map(|block| block.parse().unwrap()).collect();
    })
    .await
}

#[test]
fn a_trusted_proxy_is_believed_as_far_as_it_wrote_the_header() {
    block_on(async {
        let running = running_with(&["127.0.0.0/8"]).await;
        assert_eq!(shown(&running, "").await, "127.0.0.1");
        assert_eq!(shown(&running, SPOOFED).await, "192.0.2.1");
        let two = "x-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2001:db8::1, 127.0.0.9\r\n";
        assert_eq!(shown(&running, two).await, "2001:db8::1");
        assert_eq!(shown(&running, "x-forwarded-for: unknown\r\n").await, "127.0.0.1");
    });
}

#[test]
fn the_forwarded_header_is_read_where_it_is_configured() {
    block_on(async {
        let running = running(|config| {
            config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            config.server.proxy_header = ProxyHeader::Forwarded;
        })
        .await;
        assert_eq!(shown(&running, SPOOFED).await, "192.0.2.2");
    });
}
