//! sealroom keeps credentials in one encrypted file and records every disclosure.

pub mod audit;
pub mod crypto;
pub mod domain;
