//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use downcity_core::ClientAddress;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::{AddressBlock, ProxyHeader};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The reverse proxies that are believed, and how they name a client.
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    pub(crate) fn new(trusted: &[AddressBlock], header: ProxyHeader) -> Self {
        Self { trusted: trusted.iter().map(|block| block.get()).collect(), header }
    }

    /// Where a request comes from whose connection comes from `peer`.
    ///
    /// Every proxy adds the address that it sees at the right end. So the list is read from there,
    /// as far as trusted proxies wrote it: the first address that is none of theirs is the client,
    /// and what stands left of it may be anybody's invention. An entry that cannot be read was
    /// written by a proxy of one's own: the request then counts as the peer's.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = ClientAddress::new(peer);
        if !self.trusts(peer) {
            return peer;
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => &X_FORWARDED_FOR,
            ProxyHeader::Forwarded => &FORWARDED,
        };
        let mut client = peer;
        for value in headers.get_all(name).iter().rev() {
            for entry in value.as_bytes().rsplit(|byte| *byte == b',') {
                let address = str::from_utf8(entry).ok().and_then(|entry| self.read(entry));
                let Some(address) = address else { return peer };
                client = ClientAddress::new(address);
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }

    fn trusts(&self, address: ClientAddress) -> bool {
        self.trusted.iter().any(|block| block.contains(&address.get()))
    }

    fn read(&self, entry: &str) -> Option<IpAddr> {
        match self.header {
            ProxyHeader::XForwardedFor => address(entry.trim()),
            ProxyHeader::Forwarded => forwarded_for(entry),
        }
    }
}

/// The address of an element of `Forwarded` (RFC 7239 §4).
///
/// A parameter may be a quoted text that a client chose, such as its `Host`, with commas and
/// semicolons in it. Only addresses need quotes here: an element with other quoted text, with an
/// open quote, or with several addresses is not read at all.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.trim().split_once('=')?;
        let bare = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        if bare.contains(['"', '\\', '=']) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(address(bare)?).is_some() {
            return None;
        }
    }
    found
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::Proxies;
    use crate::config::ProxyHeader;

    const PROXY: &str = "10.0.0.1";

    fn proxies(header: ProxyHeader) -> Proxies {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|block| block.parse().unwrap());
        Proxies::new(&trusted, header)
    }

    fn client(proxies: &Proxies, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        proxies.client(peer.parse().unwrap(), &map).get().to_string()
    }

    #[test]
    fn without_a_trusted_peer_headers_say_nothing() {
        let none = Proxies::new(&[], ProxyHeader::XForwardedFor);
        let some = proxies(ProxyHeader::XForwardedFor);
        let headers = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(client(&none, PROXY, &headers), PROXY);
        assert_eq!(client(&some, "198.51.100.7", &headers), "198.51.100.7");
    }

    #[test]
    fn the_right_most_address_that_no_proxy_has_is_the_client() {
        let proxies = proxies(ProxyHeader::XForwardedFor);
        for (list, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, nonsense, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("é, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            (" 2001:db8::1 ,fd00::5", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            // Only proxies: the farthest of them made the call itself.
            ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ] {
            assert_eq!(client(&proxies, PROXY, &[("x-forwarded-for", list)]), expected, "{list}");
        }
        let two = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1, 10.0.0.2")];
        assert_eq!(client(&proxies, PROXY, &two), "192.0.2.1");
        assert_eq!(client(&proxies, "::ffff:10.0.0.1", &two), "192.0.2.1");
        assert_eq!(client(&proxies, PROXY, &[]), PROXY);
    }

    #[test]
    fn what_cannot_be_read_counts_as_the_peers() {
        let forwarded = proxies(ProxyHeader::Forwarded);
        let proxies = proxies(ProxyHeader::XForwardedFor);
        for list in [
            "",
            "unknown",
            "192.0.2.1,",
            "192.0.2.256",
            "1.1.1.1, é",
            "192.0.2.1;8",
            "10.0.0.2, x, 10.0.0.3",
        ] {
            assert_eq!(client(&proxies, PROXY, &[("x-forwarded-for", list)]), PROXY, "{list:?}");
            assert_eq!(client(&forwarded, PROXY, &[("forwarded", list)]), PROXY, "{list:?}");
        }
        // Text of a client, as a proxy may copy it from Host.
        for list in [
            "for=192.0.2.1;host=\"x,for=6.6.6.6;y\"",
            "for=192.0.2.1;host=\"x, for=6.6.6.6\"",
            "host=\"x;for=6.6.6.6;y\";for=192.0.2.1",
            "for=192.0.2.1;host=\"x;for=6.6.6.6\"",
            "for=192.0.2.1;for=6.6.6.6",
            "for=192.0.2.1;host=x\"y",
        ] {
            assert_eq!(client(&forwarded, PROXY, &[("forwarded", list)]), PROXY, "{list:?}");
        }
        for list in ["for=unknown", "for=_hidden", "by=192.0.2.1", "for=\"192.0.2.1", "for"] {
            assert_eq!(client(&forwarded, PROXY, &[("forwarded", list)]), PROXY, "{list:?}");
        }
    }

    #[test]
    fn forwarded_is_read_where_it_is_configured_and_nothing_else() {
        let proxies = proxies(ProxyHeader::Forwarded);
        for (list, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
            ("for=1.1.1.1, proto=https; for=192.0.2.1, for=10.0.0.2;by=10.0.0.1", "192.0.2.1"),
            ("for=\"x, for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.1;host=\"a.example:80\"", "192.0.2.1"),
        ] {
            assert_eq!(client(&proxies, PROXY, &[("forwarded", list)]), expected, "{list}");
        }
        assert_eq!(client(&proxies, PROXY, &[("x-forwarded-for", "192.0.2.1")]), PROXY);
    }
}
