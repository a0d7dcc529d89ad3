//! Figures and health.

use downcity_testkit::block_on;

use crate::support::{Connection, Running, Slow};

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
