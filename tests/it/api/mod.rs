//! The HTTP API over a real socket.

mod auth_token;
mod backup_revocation;
mod canaries;
mod changes;
mod codes;
mod contract;
mod edge;
mod limits;
mod lingering;
mod malformed;
mod measure;
mod metrics;
mod minting;
mod minting_quota;
mod openapi;
mod own;
mod own_password;
mod policy;
mod projects;
mod revisions;
mod revocation;
mod rights;
mod shadow;
mod single;
mod spellings;
mod users;
