//! sealroom keeps credentials in one encrypted file and records every disclosure.

pub mod domain;
