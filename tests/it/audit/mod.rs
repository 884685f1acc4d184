//! The audit log: its tree, its exports, and what a changed file gives away.

pub mod canary;
pub mod events;
pub mod export;
pub mod log_tail;
pub mod outsiders;
pub mod tail;
pub mod tamper;
pub mod tree;
pub mod verify;
pub mod verify_inputs;
