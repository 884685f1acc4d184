//! L1. The wire: requests as types, answers as JSON, one rule for every body.
//!
//! Owns what JSON may come in and what goes out, in the spelling of the published API. Knows no HTTP, no rows and no
//! caller; server and client share it. A body is checked by [`strict`] before anything reads it, a request's fields
//! are parsed into domain types at once, and no message repeats a value.

pub mod bad_request;
mod fields;
pub mod requests;
pub mod responses;
pub mod strict;
mod unescape;

pub use bad_request::BadRequest;
#[cfg(feature = "client")]
pub(crate) use fields::Members;
pub use requests::parse;
pub use strict::BadJson;
