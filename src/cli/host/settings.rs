//! The settings of `serve`: flag, then environment, then the config file, then default.

mod address;
mod args;
mod checks;
mod notify;
mod outgoing;
mod plan;
mod sources;

pub(in crate::cli) use self::args::Args;
pub(super) use self::{
    address::Address,
    checks::{check_files, check_listener},
    notify::{NotifyArgs, read_notify},
    outgoing::OutgoingPlan,
    plan::{Plan, TlsFiles, read},
};

#[cfg(test)]
mod tests;
