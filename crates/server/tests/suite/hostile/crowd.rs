//! More connections than there is room for.

use downcity_testkit::{block_on, tokio};

use super::assert_serves;
use crate::support::{Connection, Running, Slow};

#[test]
fn idle_connections_make_room_for_new_ones_the_longest_idle_first() {
    block_on(async {
        let running = Running::start(|config| config.server.max_connections = 4).await;
        let mut idle = Vec::new();
        for _ in 0..4 {
            let mut connection = running.connect().await;
            assert_eq!(connection.get("/livez", "").await.status, 200);
            idle.push(connection);
        }
        // The first is used again: the second has been idle longest then.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        assert_eq!(idle[0].get("/livez", "").await.status, 200);
        let mut fresh = running.connect().await;
        assert_eq!(fresh.get("/livez", "").await.status, 200);
        assert_eq!(idle[1].rest().await, "");
        assert_eq!(idle[0].get("/livez", "").await.status, 200);
        assert_eq!(fresh.get("/livez", "").await.status, 200);
    });
}

#[test]
fn a_flood_of_connections_that_say_nothing_locks_nobody_out() {
    block_on(async {
        let running = Running::start(|config| config.server.max_connections = 8).await;
        let address = running.federation.local_addr().unwrap();
        let mut flood = Vec::new();
        for round in 0..10 {
            for begin in ["", "P", "PRI * HT", "GET /livez HTTP/1.1\r\nx: "] {
                let mut connection = Connection::open(address).await;
                connection.send(begin).await;
                flood.push(connection);
            }
            let mut honest = running.connect().await;
            assert_eq!(honest.get("/livez", "").await.status, 200, "round {round}");
        }
    });
}

#[test]
fn connections_at_work_are_not_asked_to_leave() {
    block_on(async {
        let (slow, pieces) = Slow::new();
        let begun = slow.begun.clone();
        let running = Running::with_services(
            |config| config.server.max_connections = 1,
            |builder| builder.service(slow),
        )
        .await;
        let mut first = running.connect().await;
        first.send("GET /v1/slow/stream HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        begun.notified().await;
        first.head().await;

        // The system takes the connection; the server serves it once the first has nothing to do.
        let mut second = running.connect().await;
        second.send("GET /livez HTTP/1.1\r\nhost: fed\r\n\r\n").await;
        for _ in 0..3 {
            pieces.send("data: 1\n\n").await.unwrap();
            assert_eq!(first.chunk().await.as_deref(), Some("data: 1\n\n"));
        }
        drop(pieces);
        assert_eq!(first.chunk().await, None);
        assert_eq!(second.answer().await.status, 200);
        assert_eq!(first.rest().await, "");
        assert_serves(&running).await;
    });
}

#[test]
fn the_figures_say_why_connections_ended() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        connection.send("nonsense\r\n\r\n").await;
        assert!(connection.rest().await.starts_with("HTTP/1.1 400 "));
        // The server counts the connection after the client has seen its end.
        let line = "downcity_connections_closed_total{reason=\"malformed\"} 1";
        let mut figures = String::new();
        for _ in 0..1_000 {
            figures = running.connect().await.admin_get("/metrics").await.body;
            if figures.contains(line) {
                break;
            }
        }
        assert!(figures.contains(line), "{figures}");
        let line = "downcity_requests_total{action=\"none\",status=\"4xx\"} 1";
        assert!(figures.contains(line), "{figures}");
    });
}
