//! L2. Who may come in and what they may do: bearer tokens, passwords and their spellings, second
//! factors, the one policy table, the login limiter.
//!
//! Owns every decision about access, and the two proofs of it, [`Permit`] and [`Disclosure`], which nothing else can
//! make. Knows no storage, no HTTP, no serde and no clock: rows and `now` arrive as arguments.

pub mod common;
pub mod limiter;
pub mod password;
pub mod policy;
pub mod second_factor;
pub mod spelling;
pub mod token;

pub use limiter::{Limiter, RetryAfter};
pub use password::PasswordError;
pub use policy::{Denied, Disclosure, Permit, Rules, Verb, authorize};
pub use token::NewToken;
