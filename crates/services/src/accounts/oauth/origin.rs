//! Whether the browser that comes from a provider is on the machine that began the flow.

use std::net::{IpAddr, Ipv6Addr};

use downcity_core::Call;
use http::HeaderMap;

use super::flow::Flow;
use downcity_core::is_loopback;

/// Headers with which proxies say for whom they ask.
const BY_PROXY: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-real-ip", "cf-connecting-ip", "true-client-ip"];

/// Whether starter and browser have the same address, and the address says something.
///
/// Behind a proxy that is not configured as trusted everybody has the proxy's address. So where a
/// proxy names clients, the address has to be one that it names; and an address of a local network
/// counts only where the Federation itself is reached at a loopback address, as in development.
pub(super) fn is_same_machine(call: &Call, flow: &Flow) -> bool {
    let Some(address) = call.client_address() else { return false };
    let starter = flow.address.as_deref().and_then(|starter| starter.parse::<IpAddr>().ok());
    starter == Some(address)
        && is_named(&call.parts().headers, address)
        && (is_of_the_internet(address) || is_local(&flow.redirect_uri))
}

/// Whether every proxy that names clients names this one.
fn is_named(headers: &HeaderMap, address: IpAddr) -> bool {
    let address = address.to_string();
    BY_PROXY.iter().flat_map(|name| headers.get_all(*name)).all(|value| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        value
            .split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'))
            .any(|part| part == address || part.strip_suffix(':') == Some(address.as_str()))
    })
}

fn is_local(redirect_uri: &str) -> bool {
    let authority = redirect_uri.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    authority.is_some_and(is_loopback)
}

fn is_of_the_internet(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // 100.64.0.0/10 is shared by the customers of a carrier (RFC 6598).
            let is_shared = first == 100 && (64..128).contains(&second);
            !(is_shared
                || address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified())
        }
        IpAddr::V6(address) => !is_inner_v6(address),
    }
}

fn is_inner_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_has_to_name_the_address() {
        let named = |headers: &[(&'static str, &str)], address: &str| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            is_named(&map, address.parse().unwrap())
        };
        assert!(named(&[], "203.0.113.7"));
        assert!(named(&[("x-forwarded-for", "198.51.100.1, 203.0.113.7")], "203.0.113.7"));
        assert!(named(&[("forwarded", "for=203.0.113.7;proto=https")], "203.0.113.7"));
        assert!(named(&[("forwarded", "for=\"[2001:DB8::7]\"")], "2001:db8::7"));
        for (name, value) in [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "1203.0.113.7"),
            ("x-real-ip", "198.51.100.1"),
            ("forwarded", "for=unknown"),
            ("cf-connecting-ip", ""),
        ] {
            assert!(!named(&[(name, value)], "203.0.113.7"), "{name}: {value}");
        }
    }

    #[test]
    fn addresses_of_local_networks_say_nothing() {
        for address in ["203.0.113.7", "8.8.8.8", "2a00:1450::1", "100.63.0.1", "100.128.0.1"] {
            assert!(is_of_the_internet(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.9",
            "172.16.0.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(!is_of_the_internet(address.parse().unwrap()), "{address}");
        }
        assert!(is_local("http://127.0.0.1:43127/v1/accounts/oauth/callback"));
        assert!(!is_local("https://fed.example.com/v1/accounts/oauth/callback"));
        assert!(!is_local("http://127.0.0.1.example.com/v1/accounts/oauth/callback"));
    }
}
