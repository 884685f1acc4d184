//! The HTTP API over a real socket.

mod auth_token;
mod changes;
mod codes;
mod contract;
mod limits;
mod lingering;
mod malformed;
mod metrics;
mod minting;
mod openapi;
mod policy;
mod projects;
mod revisions;
mod revocation;
mod single;
mod spellings;
mod users;
