//! L2. The audit log as a proof: records, the tree over them, and signed checkpoints of it.
//!
//! Follows RFC 6962 §2.1 (tree) and C2SP `signed-note`, `tlog-checkpoint`, `tlog-cosignature`, `tlog-witness` and
//! `tlog-policy`. Knows no storage.

pub mod archive;
pub mod checkpoint;
pub mod cosignature;
mod detail;
pub mod exposure;
pub mod key_ring;
pub mod proof;
pub mod receipt;
pub mod record;
pub mod replay;
pub mod salvage;
pub mod taken_away;
pub mod transport;
pub mod tree;
pub mod verify;
pub mod witness;
pub mod witness_asking;
pub mod witness_file;
pub mod witness_policy;
