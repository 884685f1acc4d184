//! RS256: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3), and RSA keys as people paste their PEM.

use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::pem::{PemObject, SectionKind};
use zeroize::Zeroizing;

use super::random::RandomError;

/// The start of a PEM block (RFC 7468 §3).
const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// The reason why a text is no usable key; holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// There is no PEM block.
    #[error("it has no line -----BEGIN … PRIVATE KEY-----")]
    NoBlock,
    /// A block has no end.
    #[error("its block has no line -----END … PRIVATE KEY-----")]
    Truncated,
    /// The blocks hold something else.
    #[error("its blocks hold no private key")]
    NoKey,
    /// A passphrase protects the key.
    #[error("it is encrypted with a passphrase, which has to be removed")]
    Encrypted,
    /// It is a key of another algorithm.
    #[error("it is not an RSA key")]
    NotRsa,
    /// It is in OpenSSH's own format.
    #[error("it is in OpenSSH's format: PKCS#1 or PKCS#8 is needed")]
    OpenSsh,
    /// Its size is not supported.
    #[error("its size is not between 2048 and 4096 bits")]
    Size,
    /// Its bytes are not a key.
    #[error("its block is damaged")]
    Damaged,
}

/// A private RSA key.
pub struct SigningKey(RsaKeyPair);

impl SigningKey {
    /// Reads a PEM text: PKCS#1 or PKCS#8, with any line ends, with `\n` spelt out, indented, or on one line.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        if !text.contains(BEGIN) {
            return Err(BadKey::NoBlock);
        }
        // In the label of PKCS#8, or in a header of PKCS#1 (RFC 1421 §4.6.1.1).
        if text.contains("ENCRYPTED") {
            return Err(BadKey::Encrypted);
        }
        if text.contains("-----BEGIN OPENSSH PRIVATE KEY") {
            return Err(BadKey::OpenSsh);
        }
        let blocks = blocks(text).ok_or(BadKey::Truncated)?;
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(blocks.as_bytes()) {
            let (kind, der) = section.map_err(|_| BadKey::Damaged)?;
            let der = Zeroizing::new(der);
            let read = match kind {
                SectionKind::PrivateKey => RsaKeyPair::from_pkcs8(&der),
                SectionKind::RsaPrivateKey => RsaKeyPair::from_der(&der),
                SectionKind::EcPrivateKey => return Err(BadKey::NotRsa),
                _ => continue,
            };
            return read.map(Self).map_err(|rejected| match rejected.to_string().as_str() {
                "WrongAlgorithm" => BadKey::NotRsa,
                "TooSmall" | "TooLarge" => BadKey::Size,
                _ => BadKey::Damaged,
            });
        }
        Err(BadKey::NoKey)
    }

    /// Signs a message.
    ///
    /// # Errors
    /// The operating system gives no random bytes, which blind the operation.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, RandomError> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map(|()| signature).map_err(|_| RandomError)
    }
}

/// Writes each block as RFC 7468 §3 wants it, a line a line; `None` if one has no end.
///
/// Variables, JSON and indented files change line ends; base64 has no blank and no backslash, so that either separates
/// lines.
fn blocks(text: &str) -> Option<Zeroizing<String>> {
    let count = text.matches(BEGIN).count();
    // Allocated once: each line end replaces at least one character, except those around a block's labels.
    let mut out = Zeroizing::new(String::with_capacity(text.len() + 4 * count));
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (label, body) = rest[at + BEGIN.len()..].split_once(DASHES)?;
        let end = ["-----END ", label, DASHES].concat();
        let (body, after) = body.split_once(&end)?;
        [BEGIN, label, DASHES, "\n"].iter().for_each(|part| out.push_str(part));
        let lines = body.split("\\n").flat_map(|part| part.split("\\r")).flat_map(str::split_whitespace);
        lines.flat_map(|line| [line, "\n"]).for_each(|part| out.push_str(part));
        [&end, "\n"].iter().for_each(|part| out.push_str(part));
        rest = after;
    }
    Some(out)
}

#[cfg(test)]
mod tests;
