//! L1. The wire: requests as types, answers as JSON, one rule for every body.
//!
//! Owns the JSON of requests and answers, in the spelling of the published API. Knows no HTTP, no rows and no caller;
//! server and client share it. [`strict`] checks a body before anything reads it, fields are parsed into domain types
//! at once, and no message quotes a value.

pub mod bad_request;
mod fields;
pub mod requests;
pub mod responses;
#[cfg(feature = "server")]
pub mod stored;
pub mod strict;
pub(crate) mod text;
mod unescape;

pub use bad_request::BadRequest;
#[cfg(feature = "client")]
pub(crate) use fields::Members;
pub use requests::parse;
pub use strict::BadJson;

/// The part of a `locked` message by which a client knows that no unlock opens the vault.
pub const OLDER_COPY: &str = "its file is an older copy";
