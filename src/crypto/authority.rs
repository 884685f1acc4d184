//! A private certificate authority, for hosts that no public one reaches (RFC 5280), and the certificates that it issues.
//!
//! ```text
//! authority  P-256 · CN "sealroom authority " ‖ first 4 bytes of SHA-256(public key), hex · pathlen 0 · keyCertSign,
//!            cRLSign · name constraints, critical: its names and no other DNS name or address
//! leaf       P-256, a new key each time · CN "sealroom server" · subjectAltName · CA:FALSE · digitalSignature · serverAuth
//! ```
//!
//! The authority's name follows from its key, so that the key alone is needed to issue again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName, pem::PemObject};

use super::{digest::sha256, random::RandomError};
use crate::domain::{Secret, Timestamp};

/// The characters of a line of PEM (RFC 7468 §2).
const LINE: usize = 64;
/// The bytes of a key identifier (RFC 7093 §2, method 1), and at most of a serial number (RFC 5280 §4.1.2.2).
const IDENTIFIER_BYTES: usize = 20;

/// An authority or a certificate that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The file has no private key of an authority.
    #[error("there is no PEM private key (PKCS#8, ECDSA P-256) in it")]
    NoKey,
    /// A name cannot be encoded, or the system gives no random bytes for a signature.
    #[error("the certificate cannot be made: {0}")]
    Unmade(#[source] rcgen::Error),
    /// The system gives no random bytes for a key.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The days at which a certificate begins and ends, each at 00:00 UTC.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// Its begin.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Validity {
    fn set(self, params: &mut CertificateParams) {
        // rcgen's own type of a time is in no interface of ours.
        let midnight = |at: Timestamp| {
            let millis = i64::try_from(at.millis()).expect("a time before the year 10000");
            let at = jiff::Timestamp::from_millisecond(millis).expect("a time before the year 10000");
            let date = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
            let part = |number: i8| u8::try_from(number).expect("months and days are positive");
            date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
        };
        (params.not_before, params.not_after) = (midnight(self.from), midnight(self.until));
    }
}

/// A certificate with its private key, both as PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key, in PKCS#8.
    pub key: Secret,
}

/// A private key of ECDSA on P-256 (FIPS 186-5), with its encoding.
struct PrivateKey {
    pair: EcdsaKeyPair,
    pkcs8: Secret,
}

impl PrivateKey {
    fn generate() -> Result<Self, AuthorityError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        Self::from_pkcs8(pkcs8.map_err(|_| RandomError)?.as_ref())
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, AuthorityError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random);
        let pair = pair.map_err(|_| AuthorityError::NoKey)?;
        Ok(Self { pair, pkcs8: Secret::new(der.to_vec()) })
    }

    /// Returns the private key as PEM.
    fn to_pem(&self) -> Secret {
        Secret::from(pem("PRIVATE KEY", self.pkcs8.expose()))
    }

    /// Returns the key identifier (RFC 7093 §2, method 1, over the whole `SubjectPublicKeyInfo`).
    fn identifier(&self) -> KeyIdMethod {
        KeyIdMethod::PreSpecified(sha256(&self.subject_public_key_info())[..IDENTIFIER_BYTES].to_vec())
    }

    /// Returns the serial number of the only certificate that this key gets.
    fn serial(&self) -> SerialNumber {
        let mut serial = sha256(self.der_bytes());
        // A serial number is positive.
        serial[0] &= 0x7f;
        SerialNumber::from_slice(&serial[..IDENTIFIER_BYTES])
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| rcgen::Error::RingUnspecified)
    }
}

/// The key of an authority.
pub struct Authority(PrivateKey);

impl Authority {
    /// Generates an authority.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, AuthorityError> {
        PrivateKey::generate().map(Self)
    }

    /// Reads the key that [`Authority::key`] returned.
    ///
    /// # Errors
    /// There is none.
    pub fn from_pem(text: &[u8]) -> Result<Self, AuthorityError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|_| AuthorityError::NoKey)?;
        PrivateKey::from_pkcs8(der.secret_pkcs8_der()).map(Self)
    }

    /// Returns the private key as PEM.
    pub fn key(&self) -> Secret {
        self.0.to_pem()
    }

    /// Returns the authority's own certificate, as PEM. It vouches for these names and for nothing else.
    ///
    /// # Errors
    /// A name cannot be encoded.
    pub fn certificate(
        &self,
        names: &[ServerName<'_>],
        validity: Validity,
    ) -> Result<String, AuthorityError> {
        let mut params = self.params(validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.name_constraints = Some(constraints(names));
        params.serial_number = Some(self.0.serial());
        let made = params.self_signed(&self.0).map_err(AuthorityError::Unmade)?;
        Ok(pem("CERTIFICATE", made.der()))
    }

    /// Issues a certificate for a server of these names, with a new key.
    ///
    /// # Errors
    /// The system gives no random bytes, or a name cannot be encoded.
    pub fn issue(&self, names: &[ServerName<'_>], validity: Validity) -> Result<Issued, AuthorityError> {
        let mut params = CertificateParams::default();
        let names: Result<_, _> = names.iter().map(alternative_name).collect();
        params.subject_alt_names = names.map_err(AuthorityError::Unmade)?;
        params.distinguished_name = DistinguishedName::new();
        // The blank keeps verifiers that also read names from here from taking it for one.
        params.distinguished_name.push(DnType::CommonName, "sealroom server");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        validity.set(&mut params);
        let key = PrivateKey::generate()?;
        params.serial_number = Some(key.serial());
        params.key_identifier_method = key.identifier();
        let issuer = Issuer::new(self.params(validity), &self.0);
        let made = params.signed_by(&key, &issuer).map_err(AuthorityError::Unmade)?;
        Ok(Issued { certificate: pem("CERTIFICATE", made.der()), key: key.to_pem() })
    }

    /// Returns what issuer and authority have in common.
    fn params(&self, validity: Validity) -> CertificateParams {
        let [a, b, c, d, ..] = sha256(self.0.der_bytes());
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let name = format!("sealroom authority {a:02x}{b:02x}{c:02x}{d:02x}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_identifier_method = self.0.identifier();
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity.set(&mut params);
        params
    }
}

/// Permits each name, with the names below it, and each address. A kind of name that is not among them is excluded as a
/// whole: a constraint speaks only of its own kind (RFC 5280 §4.2.1.10).
fn constraints(names: &[ServerName<'_>]) -> NameConstraints {
    let permitted: Vec<GeneralSubtree> = names
        .iter()
        .filter_map(|name| match name {
            ServerName::DnsName(name) => Some(GeneralSubtree::DnsName(name.as_ref().to_owned())),
            ServerName::IpAddress(address) => {
                let address = IpAddr::from(*address);
                let bits = if address.is_ipv4() { 32 } else { 128 };
                Some(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits)))
            }
            _ => None,
        })
        .collect();
    let mut excluded = Vec::new();
    if !permitted.iter().any(|one| matches!(one, GeneralSubtree::DnsName(_))) {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    // Both families of addresses are one kind: to permit one address excludes every other.
    if !permitted.iter().any(|one| matches!(one, GeneralSubtree::IpAddress(_))) {
        for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(any, 0)));
        }
    }
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded }
}

fn alternative_name(name: &ServerName<'_>) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        ServerName::IpAddress(address) => SanType::IpAddress(IpAddr::from(*address)),
        name => SanType::DnsName(name.to_str().as_ref().try_into()?),
    })
}

/// Writes a block (RFC 7468). The heap wipes what is freed, keys too.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(LINE) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out + "-----END " + label + "-----\n"
}
