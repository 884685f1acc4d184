//! TLS of the client: the authorities that it trusts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use super::Error;

/// Authorities that may have issued a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The authorities that the system trusts.
    System,
    /// Only the authorities in this PEM file.
    File(PathBuf),
}

/// Returns a connector to a server whose certificate one of these authorities issued.
pub(super) fn connector(roots: &Roots) -> Result<TlsConnector, Error> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => add_system(&mut store)?,
        Roots::File(path) => add_file(&mut store, path)?,
    }
    over(store)
}

/// Returns a connector to a proxy. Another party may run it, so it may also use the system's authorities.
pub(super) fn proxy_connector(roots: &Roots) -> Result<TlsConnector, Error> {
    let mut store = RootCertStore::empty();
    let system = add_system(&mut store);
    match roots {
        Roots::System => system?,
        Roots::File(path) => add_file(&mut store, path)?,
    }
    over(store)
}

fn add_system(store: &mut RootCertStore) -> Result<(), Error> {
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() { Err(Error::Roots("this system has none".to_owned())) } else { Ok(()) }
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let unreadable = |text: String| Error::Roots(format!("{}: {text}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.ok().filter(|found| !found.is_empty());
    for certificate in certificates.ok_or_else(|| unreadable("no PEM certificates".to_owned()))? {
        store.add(certificate).map_err(|_| unreadable("not an authority's certificate".to_owned()))?;
    }
    Ok(())
}

fn over(store: RootCertStore) -> Result<TlsConnector, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|_| Error::Roots("no TLS version is left".to_owned()))?;
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(store).with_no_client_auth())))
}
