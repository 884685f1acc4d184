//! Reading: snapshots of the engine, views that open rows, and the checks of both.

pub(super) mod cache;
pub(super) mod integrity;
pub(super) mod log;
mod proofs;
pub(super) mod sealed_log;
pub(super) mod snapshot;
pub(super) mod view;
mod view_dates;
mod view_log;
mod view_meta;
