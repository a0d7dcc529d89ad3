//! Downloads over a network of names and addresses that a test made up.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use downcity_testkit::{Answer, MockUpstream, block_on};
use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

use super::connect::{Machine, Network};
use super::{Fault, Guard, Limits};
use crate::upstream::HyperUpstream;

const PUBLIC: &str = "93.184.216.34";

/// Names resolve to what a test says, each time to the next of its answers; every address leads to
/// one server on loopback.
struct Stub {
    server: SocketAddr,
    names: Mutex<HashMap<&'static str, VecDeque<Vec<IpAddr>>>>,
    resolved: Mutex<Vec<String>>,
    connected: Mutex<Vec<SocketAddr>>,
}

impl Network for Stub {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let found = self.names.lock().unwrap().get_mut(host.as_str()).map(|answers| {
            let next =
                if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            next.unwrap_or_default()
        });
        self.resolved.lock().unwrap().push(host);
        Box::pin(async move {
            let found = found.ok_or(io::ErrorKind::NotFound)?;
            Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.connected.lock().unwrap().push(address);
        Box::pin(TcpStream::connect(self.server))
    }
}

struct World {
    upstream: MockUpstream,
    network: Arc<Stub>,
    guard: Guard,
    limits: Limits,
}

fn tls() -> rustls::ClientConfig {
    HyperUpstream::new(Duration::from_secs(1), false).unwrap().tls().clone()
}

fn limits() -> Limits {
    let types = ["image/*", "application/octet-stream"].map(str::to_owned).to_vec();
    Limits { max_bytes: 10, timeout: Duration::from_secs(20), types }
}

fn png(body: &str) -> Answer {
    Answer::text(200, "image/png; q=1", body)
}

fn moved(location: &str) -> Answer {
    Answer::text(302, "text/html", "").header("location", location)
}

impl World {
    /// Names and the answers to the questions for them.
    async fn with(names: &[(&'static str, &[&[&str]])]) -> Self {
        let upstream = MockUpstream::start().await;
        let url: http::Uri = upstream.url().parse().unwrap();
        let server = url.authority().unwrap().as_str().parse().unwrap();
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let names =
            names.iter().map(|(name, answers)| (*name, answers.iter().map(parse).collect()));
        let network = Arc::new(Stub {
            server,
            names: Mutex::new(names.collect()),
            resolved: Mutex::default(),
            connected: Mutex::default(),
        });
        let guard = Guard::on(network.clone(), tls(), false);
        Self { upstream, network, guard, limits: limits() }
    }

    /// One public server.
    async fn public() -> Self {
        Self::with(&[("cdn.example", &[&[PUBLIC]])]).await
    }

    /// Everything that arrives.
    async fn fetch(&self, url: &str) -> Result<(String, String), Fault> {
        let mut download = self.guard.download(url, &self.limits).await?;
        let mut text = String::new();
        while let Some(bytes) = download.next().await? {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        Ok((download.media_type, text))
    }

    fn connected(&self) -> Vec<String> {
        self.network.connected.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    fn resolved(&self) -> Vec<String> {
        self.network.resolved.lock().unwrap().clone()
    }
}

#[test]
fn a_public_file_arrives_and_nothing_is_told_about_us() {
    block_on(async {
        let world = World::public().await;
        world.upstream.then(png("abc"));
        let got = world.fetch("http://cdn.example:8080/a%20b?x=1#part").await.unwrap();
        assert_eq!(got, ("image/png".to_owned(), "abc".to_owned()));
        assert_eq!(world.connected(), [format!("{PUBLIC}:8080")]);
        assert_eq!(world.resolved(), ["cdn.example"]);
        let request = world.upstream.request();
        assert_eq!(request.target, "GET /a%20b?x=1");
        let mut names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
        assert_eq!(request.headers["host"], "cdn.example:8080");
    });
}

#[test]
fn names_of_private_addresses_are_not_asked() {
    block_on(async {
        for addresses in [
            &["127.0.0.1"][..],
            &["10.1.2.3"],
            &["169.254.169.254"],
            &["::1"],
            &["fd00:ec2::254"],
            &["::ffff:192.168.0.1"],
            // The first address would do; the second shows what the name is for.
            &[PUBLIC, "127.0.0.1"],
        ] {
            let world = World::with(&[("inner.example", &[addresses])]).await;
            let refused = world.fetch("http://inner.example/").await.unwrap_err();
            assert!(matches!(refused, Fault::Private), "{addresses:?}: {refused:?}");
            let refused = world.fetch("https://inner.example/").await.unwrap_err();
            assert!(matches!(refused, Fault::Private), "{addresses:?}: {refused:?}");
            assert!(world.connected().is_empty(), "{addresses:?}");
        }
    });
}

#[test]
fn private_addresses_are_known_in_every_spelling() {
    block_on(async {
        let world = World::public().await;
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "169.254.169.254",
            "１２７.０.０.１",
            "10.0.0.1:8080",
        ] {
            let refused =
                world.fetch(&format!("http://{host}/latest/meta-data")).await.unwrap_err();
            assert!(matches!(refused, Fault::Private), "{host}: {refused:?}");
        }
        assert!(world.connected().is_empty() && world.resolved().is_empty());
    });
}

#[test]
fn redirects_to_private_addresses_are_not_followed() {
    block_on(async {
        for location in [
            "http://169.254.169.254/latest/meta-data/iam",
            "https://10.0.0.1/",
            "//127.0.0.1:6379/",
            "http://inner.example/",
            "http://[::1]/",
        ] {
            let names: [(_, &[&[&str]]); 2] =
                [("cdn.example", &[&[PUBLIC]]), ("inner.example", &[&["192.168.1.1"]])];
            let world = World::with(&names).await;
            world.upstream.then(moved(location));
            let refused = world.fetch("http://cdn.example/").await.unwrap_err();
            assert!(matches!(refused, Fault::Private), "{location}: {refused:?}");
            assert_eq!(world.connected(), [format!("{PUBLIC}:80")], "{location}");
        }
    });
}

#[test]
fn a_name_that_changes_its_mind_gains_nothing() {
    block_on(async {
        // A public address for whoever checks, a private one for whoever connects.
        let answers: &[&[&str]] = &[&[PUBLIC], &["127.0.0.1"]];
        let world = World::with(&[("rebind.example", answers)]).await;
        world.upstream.then(png("abc"));
        world.fetch("http://rebind.example/").await.unwrap();
        assert_eq!(world.connected(), [format!("{PUBLIC}:80")]);
        // The next hop asks anew, and is checked anew.
        let world = World::with(&[("rebind.example", answers)]).await;
        world.upstream.then(moved("/again"));
        let refused = world.fetch("http://rebind.example/").await.unwrap_err();
        assert!(matches!(refused, Fault::Private), "{refused:?}");
        assert_eq!(world.connected(), [format!("{PUBLIC}:80")]);
        assert_eq!(world.resolved().len(), 2);
    });
}

#[test]
fn five_redirects_are_followed_and_no_more() {
    block_on(async {
        for (count, works) in [(5, true), (6, false)] {
            let world = World::public().await;
            for number in 0..count {
                world.upstream.then(moved(&format!("../{number}")));
            }
            world.upstream.then(png("abc"));
            let got = world.fetch("http://cdn.example/a/b").await;
            match got {
                Ok((_, text)) => assert!(works && text == "abc"),
                Err(fault) => assert!(!works && matches!(fault, Fault::Redirects), "{fault:?}"),
            }
            assert_eq!(world.upstream.requests().len(), 6);
        }
    });
}

#[test]
fn other_addresses_than_those_of_the_web_are_none() {
    block_on(async {
        let world = World::public().await;
        for url in [
            "ftp://cdn.example/x",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "gopher://cdn.example/",
            "http://user:password@cdn.example/",
            "http://user@cdn.example/",
            "/v1/x",
            "http://",
            "",
        ] {
            let refused = world.fetch(url).await.unwrap_err();
            assert!(matches!(refused, Fault::Address), "{url}: {refused:?}");
        }
        for location in ["file:///etc/passwd", "ftp://cdn.example/", "http://a:b@cdn.example/"] {
            world.upstream.then(moved(location));
            let refused = world.fetch("http://cdn.example/").await.unwrap_err();
            assert!(matches!(refused, Fault::Address), "{location}: {refused:?}");
        }
        assert_eq!(world.connected().len(), 3);
    });
}

#[test]
fn a_file_that_is_too_large_is_given_up() {
    block_on(async {
        let world = World::public().await;
        world.upstream.then(png("0123456789"));
        assert_eq!(world.fetch("http://cdn.example/").await.unwrap().1.len(), 10);
        // Told by its length, before its body.
        world.upstream.then(png("0123456789a").header("x", "y"));
        let refused = world.guard.download("http://cdn.example/", &world.limits).await.unwrap_err();
        assert!(matches!(refused, Fault::TooLarge(10)), "{refused:?}");
        // Without a length, and without an end.
        world.upstream.then(Answer::pieces("image/png").write("0123456789").write("a").hang());
        let refused = world.fetch("http://cdn.example/").await.unwrap_err();
        assert!(matches!(refused, Fault::TooLarge(10)), "{refused:?}");
        let request = world.upstream.arrived(2).await;
        assert!(request.left_early().await, "the connection is closed");
    });
}

#[test]
fn a_download_that_takes_too_long_is_given_up() {
    block_on(async {
        let mut world = World::public().await;
        world.limits.timeout = Duration::from_millis(100);
        for answer in [png("abc").silent(), Answer::pieces("image/png").write("abc").hang()] {
            world.upstream.then(answer);
            let refused = world.fetch("http://cdn.example/").await.unwrap_err();
            assert!(matches!(refused, Fault::TimedOut), "{refused:?}");
        }
    });
}

#[test]
fn only_files_of_allowed_types_are_taken() {
    block_on(async {
        let world = World::public().await;
        let vague = || Answer::text(200, "application/octet-stream", "abc");
        for answer in [
            Answer::text(200, "text/html", "<html>"),
            Answer::text(200, "application/json", "{}"),
            Answer::text(200, "imagery/png", "abc"),
        ] {
            world.upstream.then(answer);
            let refused = world.fetch("http://cdn.example/").await.unwrap_err();
            assert!(matches!(refused, Fault::MediaType), "{refused:?}");
        }
        for (answer, told, expected) in [
            (png("abc"), Some("text/html"), Some("image/png")),
            (vague(), None, Some("application/octet-stream")),
            (vague(), Some("image/webp; q=1"), Some("image/webp")),
            (vague(), Some("text/html"), None),
            (Answer::text(200, "", "abc"), Some("image/webp"), Some("image/webp")),
        ] {
            world.upstream.then(answer);
            let download = world.guard.download("http://cdn.example/", &world.limits).await;
            let media_type = download.unwrap().media_type(told).ok();
            assert_eq!(media_type.as_deref(), expected, "{told:?}");
        }
    });
}

#[test]
fn anything_but_a_whole_plain_file_is_refused() {
    block_on(async {
        let world = World::public().await;
        for status in [201, 204, 206, 304, 400, 404, 500] {
            world.upstream.then(Answer::text(status, "image/png", ""));
            let refused = world.fetch("http://cdn.example/").await.unwrap_err();
            assert!(matches!(refused, Fault::Status(found) if found == status), "{refused:?}");
        }
        world.upstream.then(png("abc").header("content-encoding", "gzip"));
        let refused = world.fetch("http://cdn.example/").await.unwrap_err();
        assert!(matches!(refused, Fault::Packed), "{refused:?}");
        world.upstream.then(Answer::pieces("image/png").write("abc").cut());
        let refused = world.fetch("http://cdn.example/").await.unwrap_err();
        assert!(matches!(refused, Fault::Broken(_)), "{refused:?}");
    });
}

#[test]
fn what_cannot_be_reached_says_so_and_names_no_address() {
    block_on(async {
        let world = World::with(&[("empty.example", &[&[]])]).await;
        for url in ["http://empty.example/?token=secret", "http://gone.example/?token=secret"] {
            let refused = world.fetch(url).await.unwrap_err();
            assert!(matches!(refused, Fault::Unreachable(_)), "{refused:?}");
            let told = format!("{refused} {refused:?}");
            assert!(!told.contains("secret") && !told.contains("example"), "{told}");
        }
    });
}

#[test]
fn private_addresses_can_be_allowed() {
    block_on(async {
        let upstream = MockUpstream::start().await;
        upstream.then(png("abc"));
        let guard = Guard::on(Arc::new(Machine), tls(), true);
        let mut download = guard.download(&upstream.url(), &limits()).await.unwrap();
        assert_eq!(download.next().await.unwrap().unwrap(), "abc");
        // The same server, as it is met by default.
        let guard = Guard::new(tls(), false);
        let refused = guard.download(&upstream.url(), &limits()).await.unwrap_err();
        assert!(matches!(refused, Fault::Private), "{refused:?}");
        let local = upstream.url().replace("127.0.0.1", "localhost");
        let refused = guard.download(&local, &limits()).await.unwrap_err();
        assert!(matches!(refused, Fault::Private), "{refused:?}");
        assert_eq!(upstream.requests().len(), 1);
    });
}

#[test]
fn only_public_addresses_may_be_passed_on() {
    block_on(async {
        let names: &[(&'static str, &[&[&str]])] = &[
            ("cdn.example", &[&[PUBLIC]]),
            ("inner.example", &[&["10.0.0.7"]]),
            ("mixed.example", &[&[PUBLIC, "127.0.0.1"]]),
        ];
        let world = World::with(names).await;
        for url in ["https://cdn.example/1.png?x=1", "http://cdn.example:8080", "https://8.8.8.8/1"]
        {
            assert!(world.guard.is_public(url).await, "{url}");
        }
        for url in [
            "http://inner.example/1.png",
            "http://mixed.example/1.png",
            "http://unknown.example/1.png",
            "http://minio:9000/1.png",
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "https://user:word@cdn.example/",
            "ftp://cdn.example/",
            "//cdn.example/",
            "no address",
        ] {
            assert!(!world.guard.is_public(url).await, "{url}");
        }
    });
}
