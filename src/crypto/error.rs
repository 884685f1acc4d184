//! Why a key does not open what it is given.

/// The key does not fit.
#[derive(Debug, thiserror::Error)]
#[error("the key does not fit")]
pub struct WrongKey;
