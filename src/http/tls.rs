//! TLS 1.2 and 1.3 with rustls: a certificate that can be exchanged while connections go on.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Why a certificate and key are not used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's file holds none that reads.
    #[error("there is no PEM certificate in it")]
    NoCertificate,
    /// The key's file holds none that reads.
    #[error("there is no PEM private key in it (PKCS#8, PKCS#1 or SEC1, without a passphrase)")]
    NoKey,
    /// They do not belong together, or are of a kind that is not spoken.
    #[error("certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

/// The certificate that new connections are shown.
pub struct Tls(ArcSwap<ServerConfig>);

impl Tls {
    /// Takes a certificate chain and its private key, both as PEM.
    ///
    /// # Errors
    /// They do not read, or do not belong together.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::from_pointee(config(chain, key)?)))
    }

    /// Exchanges them for connections to come; those that there are go on.
    ///
    /// # Errors
    /// As [`Tls::new`]; the old ones then stay.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.0.store(Arc::new(config(chain, key)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn config(chain: &[u8], key: &[u8]) -> Result<ServerConfig, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unusable)?;
    // A client that insists on HTTP/2 is told so in the handshake rather than by a broken request.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
