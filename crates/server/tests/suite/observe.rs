//! Figures and health.

use downcity_server::config::ByteSize;
use downcity_testkit::block_on;

use crate::support::{ADMIN_KEY, Connection, Running, Slow};

#[test]
fn figures_need_the_admin_key_beside_the_api() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        assert_eq!(connection.get("/metrics", "").await.status, 401);
        assert_eq!(connection.get("/livez", "").await.status, 200);

        let answer = connection.admin_get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        for line in [
            "downcity_requests_total{action=\"GET /livez\",status=\"2xx\"} ",
            "downcity_requests_total{action=\"GET /metrics\",status=\"4xx\"} ",
            "downcity_request_seconds_bucket{action=\"GET /livez\",le=\"0.005\"} ",
            "# TYPE downcity_connections gauge",
            "downcity_tasks ",
            "process_start_time_seconds ",
        ] {
            assert!(answer.body.contains(line), "{line}\n{}", answer.body);
        }
    });
}

#[test]
fn figures_can_have_an_address_of_their_own_or_be_off() {
    block_on(async {
        let listen = Some("127.0.0.1:0".to_owned());
        let running = Running::start(|config| config.metrics.listen = listen).await;
        assert_eq!(running.connect().await.admin_get("/metrics").await.status, 404);
        let mut own = Connection::open(running.federation.metrics_addr().unwrap()).await;
        let answer = own.get("/metrics", "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("downcity_requests_total"), "{}", answer.body);
        assert_eq!(own.get("/v1/cities/list", "").await.status, 404);

        let running = Running::start(|config| config.metrics.enabled = false).await;
        assert_eq!(running.connect().await.admin_get("/metrics").await.status, 404);
        assert!(running.federation.metrics_addr().is_none());
    });
}

/// The value of a line of the figures; 0 when it is not there.
fn figure(figures: &str, line: &str) -> u64 {
    let value = figures.lines().find_map(|other| other.strip_prefix(line));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

#[test]
fn requests_that_no_action_answers_are_counted() {
    block_on(async {
        let small = ByteSize::bytes(100);
        let running = Running::start(|config| config.server.max_uri_size = small).await;
        let mut connection = running.connect().await;
        let line = "downcity_requests_total{action=\"none\",status=\"4xx\"} ";
        let before = figure(&connection.admin_get("/metrics").await.body, line);
        let long = format!("/livez?{}", "x".repeat(100));
        for (target, status) in
            [("GET /nowhere", 404), ("PUT /livez", 405), (&format!("GET {long}"), 414)]
        {
            connection.send(format!("{target} HTTP/1.1\r\nhost: fed\r\n\r\n")).await;
            assert_eq!(connection.answer().await.status, status, "{target}");
        }
        let after = figure(&connection.admin_get("/metrics").await.body, line);
        assert_eq!(after - before, 3);
    });
}

/// Runs in a process of its own as long as the runner starts one for each test; the figures of
/// other tests could only add names of the same few kinds.
#[test]
fn the_number_of_series_does_not_grow_with_what_callers_send() {
    block_on(async {
        let running = Running::start(|_| ()).await;
        let mut connection = running.connect().await;
        let admin = format!("authorization: Bearer {ADMIN_KEY}\r\n");
        let mut series = Vec::new();
        for round in 0..3 {
            for n in 0..20 {
                let id = format!("{round}x{n}");
                let city = format!("{{\"name\":\"{id}\",\"city_id\":\"city_{id}\"}}");
                let token = format!("{{\"city_id\":\"city_{id}\",\"user_id\":\"user_{id}\"}}");
                let requests = [
                    ("POST", "/v1/cities/create".to_owned(), city),
                    ("POST", "/v1/cities/tokens/apply".to_owned(), token),
                    ("GET", format!("/v1/ai/{id}"), String::new()),
                    ("GET", format!("/v1/{id}/x?{id}={id}"), String::new()),
                    ("GET", format!("/{id}"), String::new()),
                    (&format!("M{id}"), "/livez".to_owned(), String::new()),
                ];
                for (method, path, body) in requests {
                    let head = format!("{method} {path} HTTP/1.1\r\nhost: fed\r\n{admin}");
                    let length = body.len();
                    connection.send(format!("{head}content-length: {length}\r\n\r\n{body}")).await;
                    connection.answer().await;
                }
            }
            let figures = connection.admin_get("/metrics").await.body;
            series.push(figures.lines().filter(|line| !line.starts_with('#')).count());
        }
        assert_eq!(series[1], series[2], "{series:?}");
        let actions = running.federation.runtime().registry().actions().count();
        // By action: five classes of status and the buckets of its time.
        assert!(series[2] <= (actions + 1) * 30 + 50, "{series:?} for {actions} actions");
    });
}

#[test]
fn a_panic_is_a_generic_500_and_the_server_goes_on() {
    block_on(async {
        let (slow, _pieces) = Slow::new();
        let running = Running::with_services(|_| (), |builder| builder.service(slow)).await;
        let mut connection = running.connect().await;
        let answer = connection.get("/v1/slow/fail", "").await;
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
        assert!(!answer.body.contains("secret"), "{}", answer.body);
        assert_eq!(connection.get("/health", "").await.status, 200);
    });
}

#[test]
fn the_health_names_the_services_and_hides_the_hidden() {
    block_on(async {
        let (slow, _pieces) = Slow::new();
        let running = Running::with_services(|_| (), |builder| builder.service(slow)).await;
        let answer = running.connect().await.get("/health", "").await;
        let health: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(health["ok"], true);
        let services = health["services"].as_array().unwrap();
        assert!(services.iter().any(|id| id == "slow"), "{health}");
        assert!(!services.iter().any(|id| id == "metrics" || id == "system"), "{health}");
    });
}
