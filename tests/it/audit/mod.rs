//! The audit log: its tree, its exports, and what a changed file gives away.

mod archive;
mod archived_ranges;
mod canary;
mod damages;
mod events;
mod export;
mod exposure;
mod exposure_by_another_hand;
mod exposure_histories;
mod log_keys;
mod log_tail;
mod outsiders;
mod replay;
mod replay_served;
mod rollback;
mod rollback_told;
mod rolls;
mod sealed;
mod tail;
mod tamper;
mod tree;
mod verify;
mod verify_inputs;
mod witness_by_another_hand;
