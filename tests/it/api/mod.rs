//! The HTTP API over a real socket.

mod changes;
mod codes;
mod contract;
mod limits;
mod lingering;
mod malformed;
mod metrics;
mod openapi;
mod own;
mod policy;
mod projects;
mod revocation;
mod single;
mod spellings;
mod users;
