//! The HTTP API over a real socket.

pub mod changes;
pub mod codes;
pub mod contract;
pub mod limits;
pub mod lingering;
pub mod malformed;
pub mod metrics;
pub mod openapi;
pub mod policy;
pub mod projects;
pub mod revocation;
pub mod spellings;
pub mod users;
