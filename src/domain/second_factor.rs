//! A user's second factor.

use std::sync::Arc;

use super::{Digest, Secret};

/// A second factor: a secret that an authenticator shares (RFC 6238), and printed one-time codes.
#[derive(Clone)]
pub struct SecondFactor {
    /// The shared secret; the copies of a row share it too.
    pub secret: Arc<Secret>,
    /// The newest step whose code was used: neither that code nor an older one is used again.
    pub used_step: u64,
    /// The one-time codes that were not used yet.
    pub codes: Vec<OneTimeCode>,
}

/// A printed one-time code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OneTimeCode {
    /// Its number on the printed list, from 1; the log names it by that.
    pub number: u8,
    /// SHA-256 of the code.
    pub digest: Digest,
}
