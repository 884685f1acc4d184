//! sealroom keeps credentials in one encrypted file and records every disclosure.

pub mod api;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod storage;
pub mod vault;
