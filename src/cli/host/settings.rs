//! The settings of `serve`: flag, then environment, then the config file, then default.

mod address;
mod args;
mod checks;
mod notify;
mod outgoing;
mod plan;
mod sources;
mod told;
mod witness;

pub(in crate::cli) use self::args::Args;
pub(super) use self::{
    address::Address,
    checks::{check_files, check_listener, others_write},
    notify::{NotifyArgs, read_notify},
    outgoing::OutgoingPlan,
    plan::{Plan, TlsFiles, read},
};

#[cfg(test)]
mod tests;
