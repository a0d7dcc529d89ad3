//! TLS towards PostgreSQL.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{DbError, DbErrorKind};
use crate::url::{PostgresTarget, Tls};

/// How connections are encrypted, prepared once.
#[derive(Clone)]
pub(crate) enum Connector {
    Plain,
    Tls(MakeRustlsConnect),
}

/// Prepares encryption as the URL asks for.
pub(crate) fn connector(target: &PostgresTarget) -> Result<Connector, DbError> {
    match &target.tls {
        Tls::Off => Ok(Connector::Plain),
        Tls::Verified { roots } => {
            let roots = match roots {
                None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
                Some(path) => roots_of(path)?,
            };
            // The provider is named here, so that this works before, or without, an installed one.
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| DbError::new(DbErrorKind::Config, format!("TLS: {error}")))?
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(Connector::Tls(MakeRustlsConnect::new(config)))
        }
    }
}

fn roots_of(path: &Path) -> Result<RootCertStore, DbError> {
    let unusable = |problem: String| {
        DbError::new(DbErrorKind::Config, format!("sslrootcert {}: {problem}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("no certificate in it".to_owned()));
    }
    Ok(roots)
}
