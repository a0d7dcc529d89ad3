//! `fed payment` against a real server.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
/// As base64 of PKCS #8; made for tests.
const PRIVATE_KEY: &str = include_str!("../../testkit/src/keys/rsa_of_nobody.txt");
const PUBLIC_KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA9zznZa7B3zC2fxVbzoWMlN+wtBvpvkbpFUqVlBo+Hr/ZtJcYP9w474VvUPLHYri08ADYn5/VG0oWsx5fBkUwLoXmvc+m+2PVgsX7kvoSfdTcIa6D3nW5qF002zx92jwrqeFyVI9dYliV0uA8OHVMDE4owhs7nUNVzAr9vkH9mXYS0F4iC9jo0W2kFjQW9+Lm9rI0Vfqkwl7rOI4QA3zpYf5Bkziv2PrTztGJVKlZVBiYWDrOZDBUGv4p6kkeM1piIy++UXIb+agEz8iI29bIZ33QOfzosYAIFwYAFkUYKevhsD/risBnr5aFUcDtpYKk3x95YY/PzxSpgwO6BX9lQwIDAQAB";

fn fed(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
    command.env_clear().current_dir(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server in a folder of its own, ended by its id when the test ends.
struct Server {
    child: Child,
    address: String,
    folder: TempDir,
    admin_key: String,
}

impl Server {
    fn start(mode: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let config = format!("[payment]\nmode = \"{mode}\"\nallow_loopback_http = true\n");
        std::fs::write(folder.path().join("federation.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fed"));
        command.env_clear().current_dir(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // The banner comes when the server listens; its last line says what to try.
        let mut banner = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            banner.push(line.unwrap());
            if banner.last().is_some_and(|line| line.contains("Try ")) {
                break;
            }
        }
        let url = banner.iter().find_map(|line| line.trim().strip_prefix("URL")).map(str::trim);
        let address =
            url.and_then(|url| url.strip_prefix("http://")).expect("an address").to_owned();
        let admin_key = text(&fed(folder.path(), &["key", "show-admin"]).stdout).trim().to_owned();
        Self { child, address, folder, admin_key }
    }

    fn set(&self, key: &str, value: &str) {
        let body = json!({"key": key, "value": value, "test": false}).to_string();
        let request = format!(
            "POST /v1/env/upsert HTTP/1.1\r\nhost: fed\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.admin_key,
            body.len(),
        );
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    fn simulate(&self, arguments: &[&str]) -> Output {
        let url = format!("http://{}", self.address);
        let all = [&["payment", "simulate", "--url", &url, "--json"][..], arguments].concat();
        fed(self.folder.path(), &all)
    }

    /// Sets what a provider needs, its API at a free port of this machine.
    fn sell_through(&self, provider: &str) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let base = format!("http://127.0.0.1:{port}/v1");
        let set: &[(&str, &str)] = match provider {
            "stripe" => &[
                ("STRIPE_SECRET_KEY", "sk_test_1"),
                ("STRIPE_WEBHOOK_SECRET", SECRET),
                ("STRIPE_API_BASE_URL", &base),
            ],
            "creem" => &[
                ("CREEM_API_KEY", "creem_test_1"),
                ("CREEM_PRODUCT_ID", "prod_1"),
                ("CREEM_WEBHOOK_SECRET", SECRET),
                ("CREEM_API_BASE_URL", &base),
            ],
            "dodo" => &[
                ("DODO_PAYMENTS_API_KEY", "key_1"),
                ("DODO_PRODUCT_ID", "pdt_1"),
                ("DODO_WEBHOOK_KEY", SECRET),
                ("DODO_API_BASE_URL", &base),
            ],
            _ => &[
                ("WAFFO_MERCHANT_ID", "MER_1"),
                ("WAFFO_PRIVATE_KEY", PRIVATE_KEY),
                ("WAFFO_PRODUCT_ID", "PROD_1"),
                ("WAFFO_WEBHOOK_PUBLIC_KEY", PUBLIC_KEY),
                ("WAFFO_API_BASE_URL", &base),
            ],
        };
        for (key, value) in set {
            self.set(key, value);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn steps(output: &Output) -> Vec<Value> {
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {output:?}"));
    report["steps"].as_array().unwrap().clone()
}

fn simulated(provider: &str, further: &[&str], wanted: &[&str]) {
    let server = Server::start("test");
    server.sell_through(provider);
    std::fs::write(server.folder.path().join("waffo.pem"), PRIVATE_KEY).unwrap();
    let output = server.simulate(&[&["--provider", provider], further].concat());
    let steps = steps(&output);
    let wrong: Vec<_> = steps.iter().filter(|step| step["ok"] != true).collect();
    assert!(wrong.is_empty(), "{provider}: {wrong:#?}");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for name in wanted {
        assert!(steps.iter().any(|step| step["event"] == *name), "{provider}: {name}");
    }
    let ledger = fed(server.folder.path(), &["ledger", "verify", "--database"]);
    assert!(ledger.status.success(), "{}", text(&ledger.stderr));
}

const ALWAYS: &[&str] = &[
    "not signed",
    "changed after it was signed",
    "paid",
    "the same event again",
    "another event of the payment",
    "delivered five times at once",
    "paid after all",
    "too little money",
    "another currency",
    "a payment of another system",
    "refunded",
    "the same refund again",
];

#[test]
fn stripe_is_simulated() {
    let further =
        ["signed with another secret", "signed a day ago", "of the other mode", "expired"];
    simulated("stripe", &[], &[ALWAYS, &further].concat());
}

#[test]
fn creem_is_simulated() {
    simulated(
        "creem",
        &[],
        &[ALWAYS, &["signed with another secret", "of the other mode"]].concat(),
    );
}

#[test]
fn dodo_is_simulated() {
    simulated("dodo", &[], &[ALWAYS, &["signed with another secret", "signed a day ago"]].concat());
}

#[test]
fn waffo_is_simulated() {
    let further = ["signed a day ago", "of the other mode"];
    simulated("waffo", &["--private-key", "waffo.pem"], &[ALWAYS, &further].concat());
}

#[test]
fn a_difference_ends_with_exit_code_1() {
    let server = Server::start("test");
    server.sell_through("stripe");
    std::fs::write(server.folder.path().join("other.secret"), "whsec_other").unwrap();
    let output = server.simulate(&["--provider", "stripe", "--secret-file", "other.secret"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let steps = steps(&output);
    let paid = steps.iter().find(|step| step["event"] == "paid").unwrap();
    assert_eq!((&paid["ok"], &paid["got"]["http"]), (&json!(false), &json!(400)));
    assert!(text(&output.stderr).contains("did not come to what they have to"));
    assert!(!text(&output.stdout).contains("whsec_"), "no secret is shown");
}

#[test]
fn a_server_with_real_money_is_left_alone() {
    let server = Server::start("live");
    server.sell_through("creem");
    let output = server.simulate(&["--provider", "creem"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("real money"));
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_missing_is_named() {
    let server = Server::start("test");
    let missing = |arguments: &[&str], name: &str| {
        let output = server.simulate(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(name), "{}", text(&output.stderr));
    };
    missing(&["--provider", "stripe"], "STRIPE_WEBHOOK_SECRET");
    missing(&["--provider", "waffo"], "--private-key");
    server.set("STRIPE_WEBHOOK_SECRET", SECRET);
    missing(&["--provider", "stripe"], "not_configured");
    server.set("STRIPE_SECRET_KEY", "sk_test_1");
    missing(&["--provider", "stripe"], "STRIPE_API_BASE_URL");
    assert_eq!(server.simulate(&["--provider", "paypal"]).status.code(), Some(2));
    let nowhere = fed(
        server.folder.path(),
        &["payment", "simulate", "--provider", "stripe", "--url", "http://127.0.0.1:9"],
    );
    assert_eq!(nowhere.status.code(), Some(6), "{}", text(&nowhere.stderr));
}

#[test]
fn the_addresses_of_webhooks_are_printed() {
    let folder = TempDir::new().unwrap();
    let output = fed(folder.path(), &["payment", "webhooks", "--url", "https://fed.example.com/"]);
    assert!(output.status.success());
    let printed = text(&output.stdout);
    for line in [
        "https://fed.example.com/v1/payment/webhook?provider=stripe",
        "checkout.session.completed",
        "DODO_WEBHOOK_KEY",
        "order.completed",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
    let output =
        fed(folder.path(), &["payment", "webhooks", "--url", "https://a.example", "--json"]);
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list[1]["provider"], "creem");
    let bare = fed(folder.path(), &["payment", "webhooks"]);
    assert_eq!(bare.status.code(), Some(1));
    assert!(text(&bare.stderr).contains("server.public_url"));
}
