//! What has to hold for any bytes: targets for fuzzers, run by tests.

use std::net::IpAddr;

use downcity_fuzz::check;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{AddressBlock, ConfigSources, ProxyHeader};
use crate::http::Proxies;

/// A configuration file: every value is shown with its place, or every mistake with its line.
fn file(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("federation.toml");
    std::fs::write(&path, bytes).unwrap();
    let none: [(&str, &str); 0] = [];
    match ConfigSources::with_environment(none).file(&path).load() {
        Ok(loaded) => assert!(!loaded.effective().is_empty()),
        Err(error) => {
            assert!(!error.problems.is_empty());
            assert!(!error.to_string().is_empty());
            assert!(error.problems.iter().all(|problem| !problem.message.is_empty()));
        }
    }
}

/// Environment variables, as lines of `NAME=VALUE`.
fn environment(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let variables: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    match ConfigSources::with_environment(variables).load() {
        Ok(loaded) => assert!(!loaded.effective().is_empty()),
        Err(error) => assert!(!error.problems.is_empty()),
    }
}

fn block(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(block) = text.parse::<AddressBlock>()
    {
        assert_eq!(block.to_string().parse(), Ok(block), "{text}");
        assert_eq!(block.get().trunc(), block.get(), "{text}");
    }
}

/// A header that names a client is believed from trusted proxies only, and then never names one of
/// them beside somebody else.
fn client(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let peers: [IpAddr; 2] = ["10.0.0.1", "198.51.100.7"].map(|peer| peer.parse().unwrap());
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|block| block.parse().unwrap());
    for (header, name) in
        [(ProxyHeader::XForwardedFor, "x-forwarded-for"), (ProxyHeader::Forwarded, "forwarded")]
    {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), value.clone());
        let proxies = Proxies::new(&trusted, header);
        assert_eq!(proxies.client(peers[1], &headers).get(), peers[1], "nobody's proxy");
        let client = proxies.client(peers[0], &headers).get();
        // What a proxy of ours adds at the right end is what counts.
        let seen: IpAddr = "203.0.113.9".parse().unwrap();
        let added = if name == "forwarded" { "for=203.0.113.9" } else { "203.0.113.9" };
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(added));
        assert_eq!(proxies.client(peers[0], &headers).get(), seen, "whatever stands left of it");
        assert!(client.to_canonical() == client);
    }
}

#[test]
fn files() {
    let samples = [
        crate::config::template(),
        "[server]\nlisten = \"127.0.0.1:1\"\nbody_limit = \"1 MB\"\n[server.cors]\norigins = []\n".to_owned(),
        "[[ai.provider]]\nid = \"a\"\nprotocol = \"echo\"\n[[ai.model]]\nid = \"m\"\nprovider = \"a\"\nprice = { input_per_m = 1 }\n".to_owned(),
        "[tokens]\ndefault_ttl = \"7d\"\n[log]\nformat = \"json\"\nx = 1_0\ny = 1979-05-27\n".to_owned(),
    ];
    check(&samples, file);
}

#[test]
fn environments() {
    let samples = [
        "HOST=::1\nPORT=80\n",
        "DOWNCITY_FEDERATION__SERVER__BODY_LIMIT=1 MB\nDOWNCITY_FEDERATION_DATABASE_URL=sqlite:x\n",
        "DOWNCITY_FEDERATION__LOG__REQUESTS=true\nDOWNCITY_FEDERATION__TOKENS__DEFAULT_TTL=7d\n",
    ];
    check(&samples, environment);
}

#[test]
fn blocks() {
    check(&["10.0.0.0/8", "fd00::/8", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1/128"], block);
}

#[test]
fn clients() {
    let samples = [
        "192.0.2.1",
        "1.1.1.1, nonsense, 192.0.2.1:4711, 10.0.0.2",
        "[2001:db8::1]:443, fd00::5",
        "for=192.0.2.1;proto=https, for=\"[2001:db8::1]:80\";by=_x",
    ];
    check(&samples, client);
}
