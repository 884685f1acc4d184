//! Authorities that may have issued a provider's certificate: the system's, and those of `[outgoing] ca_file`.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

/// There are no authorities to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// The file has no certificate.
    #[error("there is no PEM certificate in it")]
    NoCertificate,
    /// The file has a block that is no certificate that can be trusted.
    #[error("it has a certificate that cannot be read")]
    Unreadable,
    /// The system has none, and no file was given.
    #[error("this system has no certificate authorities")]
    NoSystemRoots,
    /// The library refuses its own defaults.
    #[error("no TLS version is left")]
    NoVersion,
}

pub(super) fn connector(ca_pem: Option<&[u8]>) -> Result<TlsConnector, RootsError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca_pem {
        let given: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let given = given.map_err(|_| RootsError::Unreadable)?;
        if given.is_empty() {
            return Err(RootsError::NoCertificate);
        }
        for certificate in given {
            store.add(certificate).map_err(|_| RootsError::Unreadable)?;
        }
    }
    if store.is_empty() {
        return Err(RootsError::NoSystemRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|_| RootsError::NoVersion)?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
