//! Limits over real sockets: who is counted, and what the wire says.

use downcity_testkit::block_on;

use crate::support::{Answer, Connection, Running};

const PATH: &str = "/v1/services";

async fn running(change: impl FnOnce(&mut downcity_server::Config)) -> Running {
    Running::start(change).await
}

async fn get(connection: &mut Connection, headers: &str) -> Answer {
    connection.get(PATH, headers).await
}

fn forwarded(list: &str) -> String {
    format!("x-forwarded-for: {list}\r\n")
}

#[test]
fn a_client_beyond_its_limit_is_told_when_to_come_back() {
    block_on(async {
        let running = running(|config| config.limits.address = 3).await;
        let mut connection = running.connect().await;
        for remaining in ["2", "1", "0"] {
            let answer = get(&mut connection, "origin: https://app.example\r\n").await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("x-ratelimit-limit"), Some("3"));
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
            let exposed = answer.header("access-control-expose-headers").unwrap();
            assert!(exposed.contains("x-ratelimit-remaining"), "{exposed}");
        }
        let refused = get(&mut connection, "").await;
        assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=69).contains(&wait), "{wait}");
        assert_eq!(refused.header("x-ratelimit-reset"), refused.header("retry-after"));
        assert!(refused.header("x-request-id").is_some());

        // Another connection is the same client; probes and the connection itself go on.
        assert_eq!(get(&mut running.connect().await, "").await.status, 429);
        assert_eq!(connection.get("/readyz", "").await.status, 200);
        // Nor does a header of the client's own help, without a proxy to be believed.
        assert_eq!(get(&mut connection, &forwarded("192.0.2.1")).await.status, 429);
    });
}

#[test]
fn behind_a_proxy_each_client_is_counted_by_what_the_proxy_wrote() {
    block_on(async {
        let running = running(|config| {
            config.limits.address = 2;
            config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        })
        .await;
        let mut connection = running.connect().await;
        // The left end is the client's own invention, new in every request.
        for (number, status) in [200, 200, 429, 429].into_iter().enumerate() {
            let list = forwarded(&format!("203.0.113.{number}, 192.0.2.1"));
            assert_eq!(get(&mut connection, &list).await.status, status);
        }
        assert_eq!(get(&mut connection, &forwarded("192.0.2.2")).await.status, 200);
        // What cannot be read counts as the proxy's own.
        for status in [200, 200, 429] {
            assert_eq!(get(&mut connection, &forwarded("unknown")).await.status, status);
        }
        assert_eq!(get(&mut connection, "").await.status, 429);
    });
}

#[test]
fn addresses_can_be_exempt_and_limits_be_off() {
    block_on(async {
        let exempt = running(|config| {
            config.limits.address = 1;
            config.limits.exempt = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
        let off = running(|config| config.limits.address = 0).await;
        for running in [exempt, off] {
            let mut connection = running.connect().await;
            for _ in 0..5 {
                let answer = get(&mut connection, "").await;
                assert_eq!(answer.status, 200);
                assert_eq!(answer.header("x-ratelimit-limit"), None);
            }
        }
    });
}

#[test]
fn guesses_at_the_admin_key_are_slowed_and_its_holder_is_not() {
    block_on(async {
        let running = running(|config| config.limits.failed_auth = 5).await;
        let mut connection = running.connect().await;
        let mut seen = Vec::new();
        for number in 0..8 {
            let guess = format!("authorization: Bearer admin_guess_{number}\r\n");
            seen.push(connection.get("/v1/cities/list", &guess).await.status);
        }
        assert_eq!(seen, [401, 401, 401, 401, 401, 429, 429, 429]);
        assert_eq!(connection.admin_get("/v1/cities/list").await.status, 200);

        let figures = connection.admin_get("/metrics").await.body;
        let limited = figures
            .lines()
            .find(|line| line.starts_with("downcity_limited_total{scope=\"failed_auth\"}"));
        // Tests of one process share the figures.
        assert!(limited.is_some_and(|line| !line.ends_with(" 0")), "{limited:?}");
    });
}
