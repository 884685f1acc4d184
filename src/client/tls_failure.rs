//! Reasons why a TLS handshake failed, in our own words: rustls' text quotes the server's input.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustls::{AlertDescription, CertificateError, InvalidMessage, pki_types::UnixTime};

use crate::domain::Timestamp;

/// Maximum number of a certificate's names in a message.
const NAMES_MAX: usize = 5;

/// The reason why a TLS handshake failed; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFailure {
    /// The answer is not TLS.
    NotTls,
    /// No trusted authority issued the certificate; holds the file of the trusted ones, unless they are the system's.
    UnknownAuthority(Option<PathBuf>),
    /// An authority of that name is trusted, but its key did not sign this certificate.
    OtherKey,
    /// The certificate is an authority's, which signs others and identifies no server.
    Authority,
    /// The certificate is for these other names.
    OtherName(Vec<String>),
    /// The certificate has expired, at this time.
    Expired(Option<Timestamp>),
    /// The certificate is not valid before this time.
    NotYetValid(Option<Timestamp>),
    /// Its authority has revoked it.
    Revoked,
    /// It is not issued for servers (`extendedKeyUsage`).
    OtherPurpose,
    /// Its form is not supported: X.509 before version 3, or damaged.
    Unreadable,
    /// Client and server have no version or cipher in common.
    Incompatible,
    /// The server requires a client certificate.
    WantsCertificate,
    /// The server refused, with this alert's number.
    Alert(u8),
    /// The connection closed during the handshake.
    Ended,
    /// The server's name cannot occur in a certificate.
    NoName,
    /// Anything else.
    Other,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |time: &Option<Timestamp>| time.map_or(String::new(), |time| format!(" {time}"));
        match self {
            Self::NotTls => f.write_str("does not speak TLS"),
            Self::UnknownAuthority(None) => {
                f.write_str("presents a certificate of an authority that this system does not trust")
            }
            Self::UnknownAuthority(Some(file)) => {
                write!(f, "presents a certificate that no authority in {} issued", file.display())
            }
            Self::OtherKey => {
                f.write_str("presents a certificate that the trusted authority of that name did not sign")
            }
            Self::Authority => f.write_str("presents an authority's certificate (CA:TRUE) as its own"),
            Self::OtherName(names) if names.is_empty() => {
                f.write_str("presents a certificate without a server name (subjectAltName)")
            }
            Self::OtherName(names) => write!(f, "presents a certificate only for {}", names.join(", ")),
            Self::Expired(time) => write!(f, "presents a certificate that expired{}", at(time)),
            Self::NotYetValid(None) => f.write_str("presents a certificate that is not valid yet"),
            Self::NotYetValid(time) => {
                write!(f, "presents a certificate that is not valid before{}", at(time))
            }
            Self::Revoked => f.write_str("presents a certificate that was revoked"),
            Self::OtherPurpose => f.write_str("presents a certificate that is not meant for servers"),
            Self::Unreadable => f.write_str("presents a certificate that cannot be read"),
            Self::Incompatible => f.write_str("has no TLS version or cipher in common with this client"),
            Self::WantsCertificate => f.write_str("asks for a client's certificate"),
            Self::Alert(number) => write!(f, "refused the TLS handshake (alert {number})"),
            Self::Ended => f.write_str("ended the connection in the TLS handshake"),
            Self::NoName => f.write_str("has a name that no certificate can contain"),
            Self::Other => f.write_str("failed in the TLS handshake"),
        }
    }
}

impl TlsFailure {
    pub(super) fn of(error: &io::Error, ca_file: Option<&Path>) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            None => Self::Ended,
            Some(rustls::Error::InvalidCertificate(error)) => Self::of_certificate(error, ca_file),
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Self::NotTls,
            Some(rustls::Error::PeerIncompatible(_)) => Self::Incompatible,
            Some(rustls::Error::AlertReceived(alert)) => match alert {
                AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => Self::Incompatible,
                AlertDescription::CertificateRequired => Self::WantsCertificate,
                alert => Self::Alert(u8::from(*alert)),
            },
            Some(_) => Self::Other,
        }
    }

    fn of_certificate(error: &CertificateError, ca_file: Option<&Path>) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownAuthority(ca_file.map(Path::to_owned)),
            CertificateError::BadSignature => Self::OtherKey,
            CertificateError::NotValidForName => Self::OtherName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::OtherName(presented.iter().filter_map(|name| plain(name)).take(NAMES_MAX).collect())
            }
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(Some(time(*not_after))),
            CertificateError::NotValidYet => Self::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid(Some(time(*not_before)))
            }
            CertificateError::Revoked => Self::Revoked,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::OtherPurpose
            }
            CertificateError::BadEncoding | CertificateError::UnhandledCriticalExtension => Self::Unreadable,
            CertificateError::Other(other) => match other.0.downcast_ref() {
                Some(webpki::Error::CaUsedAsEndEntity) => Self::Authority,
                Some(_) => Self::Unreadable,
                None => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

fn time(at: UnixTime) -> Timestamp {
    Timestamp::from_millis(at.as_secs().saturating_mul(1000))
}

/// Returns the name in `DnsName("localhost")` or `IpAddress(127.0.0.1)`, the library's form. The name is the server's
/// text, and must not control a terminal.
fn plain(name: &str) -> Option<String> {
    let (_, name) = name.split_once('(')?;
    let name = name.trim_end_matches(')').trim_matches('"');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_*:".contains(c);
    (!name.is_empty() && name.len() <= 253 && name.chars().all(is_plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{OtherError, PeerIncompatible};

    use super::*;

    #[test]
    fn no_cause_of_a_failed_handshake_is_told_in_the_librarys_words() {
        let other = |error: webpki::Error| CertificateError::Other(OtherError(Arc::new(error)));
        let certificate = |error: CertificateError| rustls::Error::InvalidCertificate(error);
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: "localhost".try_into().unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (error, failure) in [
            (certificate(CertificateError::UnknownIssuer), TlsFailure::UnknownAuthority(None)),
            (certificate(CertificateError::BadSignature), TlsFailure::OtherKey),
            (certificate(other(webpki::Error::CaUsedAsEndEntity)), TlsFailure::Authority),
            (certificate(other(webpki::Error::UnsupportedCertVersion)), TlsFailure::Unreadable),
            (certificate(names(&[])), TlsFailure::OtherName(Vec::new())),
            (
                certificate(names(&[
                    "DnsName(\"*.example.com\")",
                    "IpAddress(127.0.0.1)",
                    "Unsupported(0x01)",
                ])),
                TlsFailure::OtherName(vec![
                    "*.example.com".to_owned(),
                    "127.0.0.1".to_owned(),
                    "0x01".to_owned(),
                ]),
            ),
            (certificate(names(&["DnsName(\"a\u{1b}[2Jb\")"])), TlsFailure::OtherName(Vec::new())),
            (certificate(CertificateError::Expired), TlsFailure::Expired(None)),
            (certificate(CertificateError::NotValidYet), TlsFailure::NotYetValid(None)),
            (certificate(CertificateError::Revoked), TlsFailure::Revoked),
            (certificate(CertificateError::InvalidPurpose), TlsFailure::OtherPurpose),
            (certificate(CertificateError::BadEncoding), TlsFailure::Unreadable),
            (rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType), TlsFailure::NotTls),
            (PeerIncompatible::NoCipherSuitesInCommon.into(), TlsFailure::Incompatible),
            (rustls::Error::AlertReceived(AlertDescription::ProtocolVersion), TlsFailure::Incompatible),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                TlsFailure::WantsCertificate,
            ),
            (rustls::Error::AlertReceived(AlertDescription::InternalError), TlsFailure::Alert(80)),
            (rustls::Error::DecryptError, TlsFailure::Other),
        ] {
            let debug = format!("{error:?}");
            let told = TlsFailure::of(&io::Error::new(io::ErrorKind::InvalidData, error), None);
            assert_eq!(told, failure, "{debug}");
            let words = told.to_string();
            assert!(!words.contains('{') && !words.contains("Error") && !words.contains('\u{1b}'), "{words}");
        }
        assert_eq!(TlsFailure::of(&io::ErrorKind::UnexpectedEof.into(), None), TlsFailure::Ended);
    }
}
