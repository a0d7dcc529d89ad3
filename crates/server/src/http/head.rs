//! The head of a request, apart from the connection that it came over.

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

/// Copies what the head refers to in the buffer of its connection.
///
/// A stream keeps its request for as long as it is open, and the request its part of the buffer: the
/// whole buffer would stay for a few hundred bytes of it, and the connection take another one.
pub(crate) fn copy(parts: &mut Parts) {
    let length = parts.headers.values().map(HeaderValue::len).sum();
    let mut copies = BytesMut::with_capacity(length);
    for value in parts.headers.values_mut() {
        copies.extend_from_slice(value.as_bytes());
        // What was a value is one.
        if let Ok(mut copy) = HeaderValue::from_maybe_shared(copies.split().freeze()) {
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
    }
    if parts.uri.authority().is_none()
        && let Some(path) = parts.uri.path_and_query()
        && let Ok(copy) =
            PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(path.as_str().as_bytes()))
    {
        parts.uri = Uri::from(copy);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_copy_says_the_same_and_holds_nothing_of_the_original() {
        let buffer = Bytes::from_static(b"/v1/a?b=c|Bearer x|y");
        let value = |part| HeaderValue::from_maybe_shared(buffer.slice(part)).unwrap();
        let path = PathAndQuery::from_maybe_shared(buffer.slice(..9)).unwrap();
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = Uri::from(path);
        let mut secret = value(10..18);
        secret.set_sensitive(true);
        parts.headers.append("authorization", secret);
        parts.headers.append("x-two", value(19..20));
        parts.headers.append("x-two", value(0..3));
        let before = parts.clone();
        copy(&mut parts);
        assert_eq!(parts.uri, before.uri);
        assert_eq!(parts.headers, before.headers);
        assert!(parts.headers["authorization"].is_sensitive());
        let range = buffer.as_ptr_range();
        assert!(parts.headers.values().all(|value| !range.contains(&value.as_bytes().as_ptr())));
        assert!(!range.contains(&parts.uri.path().as_ptr()));
    }
}
