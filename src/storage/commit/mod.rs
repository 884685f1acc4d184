//! Writing: decisions become batches, and the one commit thread makes each batch durable.

pub(super) mod access_sum;
pub(super) mod accesses;
pub(super) mod batch;
pub(super) mod changes;
mod date_changes;
mod handover;
pub(super) mod in_flight;
pub(super) mod job;
pub(super) mod outcomes;
pub(super) mod recent;
pub(super) mod rows;
pub(super) mod writer;
