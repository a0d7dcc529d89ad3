//! Where people and providers reach this Federation.

use downcity_types::ErrorCode;
use http::Uri;
use http::header::HOST;

use crate::{Call, Error, Result};

/// The address that links and callbacks begin with, without a slash at its end: `server.public_url`.
///
/// Only where that is not set and the request came to a loopback address, as in development, is it
/// what the request says: a `Host` is the caller's invention, and a link that trusts it leads anywhere.
///
/// # Errors
/// 500 `missing_config` when there is none.
pub fn public_url(call: &Call) -> Result<String> {
    if let Some(url) = &call.runtime().settings().public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = call.parts().headers.get(HOST).and_then(|host| host.to_str().ok());
    match host.filter(|host| is_loopback(host)) {
        Some(host) => Ok(format!("http://{host}")),
        None => Err(Error::new(ErrorCode::MissingConfig, "server.public_url is not configured.")
            .with_fix("Set server.public_url to the address at which people reach this server.")),
    }
}

/// Whether a `host` or `host:port` names this machine alone.
pub fn is_loopback(authority: &str) -> bool {
    let Ok(uri) = Uri::builder().scheme("http").authority(authority).path_and_query("/").build()
    else {
        return false;
    };
    match uri.host() {
        Some("localhost") => !authority.contains('@'),
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let address = host.parse::<std::net::IpAddr>();
            !authority.contains('@') && address.is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_and_nothing_that_looks_like_it() {
        for host in ["localhost", "localhost:43127", "127.0.0.1", "127.8.0.1:80", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "example.com",
            "10.0.0.1",
            "localhost@example.com",
            "x@127.0.0.1",
            "[::2]",
            "127.0.0.1/x",
            "127.0.0.1 x",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
