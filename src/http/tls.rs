//! TLS 1.2 and 1.3 with rustls; the certificate can be replaced while connections are open.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::domain::Timestamp;

/// A certificate and key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file has no valid PEM certificate.
    #[error("there is no PEM certificate in it")]
    NoCertificate,
    /// The key file has no valid PEM private key.
    #[error("there is no PEM private key in it (PKCS#8, PKCS#1 or SEC1, without a passphrase)")]
    NoKey,
    /// They do not match, or their algorithm is not supported.
    #[error("certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

/// A flaw for which clients reject a certificate that the server can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafFlaw {
    /// It is a CA certificate.
    #[error("it is an authority's certificate (CA:TRUE), and clients take none of these for a server's")]
    Authority,
    /// It has expired.
    #[error("it expired {0}")]
    Expired(Timestamp),
    /// It is not valid yet.
    #[error("it is not valid before {0}")]
    NotYetValid(Timestamp),
    /// Its extended key usage excludes servers.
    #[error("it is not made for servers (extendedKeyUsage)")]
    OtherPurpose,
    /// Clients cannot parse it.
    #[error("it is not X.509 version 3, or damaged")]
    Unreadable,
}

/// Returns the flaw of a chain's first certificate, if it has one; its issuer is not judged.
pub fn leaf_flaw(chain: &[u8], now: Timestamp) -> Option<LeafFlaw> {
    let leaf = CertificateDer::from_pem_slice(chain).ok()?;
    let Ok(parsed) = EndEntityCert::try_from(&leaf) else { return Some(LeafFlaw::Unreadable) };
    match flaw_at(&parsed, now)? {
        webpki::Error::CaUsedAsEndEntity => Some(LeafFlaw::Authority),
        webpki::Error::CertExpired { not_after, .. } => Some(LeafFlaw::Expired(time(not_after))),
        webpki::Error::CertNotValidYet { not_before, .. } => Some(LeafFlaw::NotYetValid(time(not_before))),
        webpki::Error::RequiredEkuNotFoundContext(_) => Some(LeafFlaw::OtherPurpose),
        _ => None,
    }
}

/// Returns the end of the validity of a chain's first certificate; `None` if it cannot be read or never ends.
pub fn certificate_end(chain: &[u8]) -> Option<Timestamp> {
    let leaf = CertificateDer::from_pem_slice(chain).ok()?;
    // webpki tells the end only to somebody who is past it, and before any other flaw.
    match flaw_at(&EndEntityCert::try_from(&leaf).ok()?, Timestamp::from_millis(u64::MAX))? {
        webpki::Error::CertExpired { not_after, .. } => Some(time(not_after)),
        _ => None,
    }
}

/// Returns the first flaw of the certificate itself. Without trust anchors, webpki reports those before the unknown
/// issuer.
fn flaw_at(leaf: &EndEntityCert<'_>, now: Timestamp) -> Option<webpki::Error> {
    leaf.verify_for_usage(&[], &[], &[], unix(now), KeyUsage::server_auth(), None, None).err()
}

/// A certificate that clients of an authority reject.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// One of the two is no certificate.
    #[error("there is no PEM certificate in it")]
    Unreadable,
    /// The authority may not vouch for a name.
    #[error("the authority vouches for other names only")]
    OtherNames,
    /// It is not for this name.
    #[error("it is not for {0}")]
    NotFor(String),
    /// Another authority or key issued it, or it is outside of its validity.
    #[error("the authority did not issue it: {0}")]
    Unissued(#[source] webpki::Error),
}

/// Verifies a certificate as a client does that trusts this authority alone, for each of these names.
///
/// # Errors
/// [`Distrust`].
pub fn verify_certificate(
    chain: &[u8],
    authority: &[u8],
    names: &[ServerName<'_>],
    now: Timestamp,
) -> Result<(), Distrust> {
    let leaf = CertificateDer::from_pem_slice(chain).map_err(|_| Distrust::Unreadable)?;
    let authority = CertificateDer::from_pem_slice(authority).map_err(|_| Distrust::Unreadable)?;
    let anchors = [anchor_from_trusted_cert(&authority).map_err(|_| Distrust::Unreadable)?];
    let leaf = EndEntityCert::try_from(&leaf).map_err(|_| Distrust::Unreadable)?;
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let verified =
        leaf.verify_for_usage(algorithms, &anchors, &[], unix(now), KeyUsage::server_auth(), None, None);
    verified.map_err(|error| match error {
        webpki::Error::NameConstraintViolation => Distrust::OtherNames,
        error => Distrust::Unissued(error),
    })?;
    let not_for = |name: &&ServerName<'_>| leaf.verify_is_valid_for_subject_name(name).is_err();
    match names.iter().find(not_for) {
        Some(name) => Err(Distrust::NotFor(name.to_str().into_owned())),
        None => Ok(()),
    }
}

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(at.millis()))
}

fn time(at: UnixTime) -> Timestamp {
    Timestamp::from_millis(at.as_secs().saturating_mul(1000))
}

/// The certificate and key for new connections.
pub struct Tls(ArcSwap<Pair>);

struct Pair {
    config: Arc<ServerConfig>,
    /// The end of the certificate's validity.
    ends: Option<Timestamp>,
}

impl Tls {
    /// Parses a certificate chain and its private key, both PEM.
    ///
    /// # Errors
    /// [`TlsError`], if either is invalid or they do not match.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::from_pointee(pair(chain, key)?)))
    }

    /// Replaces them for new connections; open connections are unaffected.
    ///
    /// # Errors
    /// As [`Tls::new`]; the old pair stays in use.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.0.store(Arc::new(pair(chain, key)?));
        Ok(())
    }

    /// Returns the end of the certificate's validity; `None` if it never ends.
    pub fn certificate_end(&self) -> Option<Timestamp> {
        self.0.load().ends
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.load().config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn pair(chain: &[u8], key: &[u8]) -> Result<Pair, TlsError> {
    Ok(Pair { config: Arc::new(config(chain, key)?), ends: certificate_end(chain) })
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
    // Reject a client that insists on HTTP/2 in the handshake, not with a broken request.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
