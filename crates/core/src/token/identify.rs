//! From the headers of a request to an identity. Touches no database.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::snapshot::Snapshot;
use crate::{GuestReason, Identity};

/// Who sends these headers.
pub(crate) fn identify(snapshot: &Snapshot, _now_seconds: i64, headers: &HeaderMap) -> Identity {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Identity::Guest(GuestReason::NoCredential);
    };
    let Some(credential) = header.as_bytes().strip_prefix(b"Bearer ") else {
        return Identity::Guest(GuestReason::NoCredential);
    };
    if snapshot.credentials().is_admin_key(credential) {
        return Identity::Admin;
    }
    Identity::Guest(GuestReason::Invalid)
}
