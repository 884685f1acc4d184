//! The HTTP API over a real socket.

mod changes;
mod codes;
mod contract;
mod edge;
mod limits;
mod lingering;
mod malformed;
mod measure;
mod metrics;
mod openapi;
mod policy;
mod projects;
mod revocation;
mod rights;
mod shadow;
mod single;
mod spellings;
mod users;
