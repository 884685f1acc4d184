//! Notices to people: an alarm at once, and a summary once a day.
//!
//! ```text
//! watch ── a canary's read, a failed backup, a witness that refuses or is silent, a rollback, a flood of refusals,
//!          a new day
//!   └ merge: the first of a kind at once, further ones of a minute as one with a count
//!       ├ outbox ── webhook, over `outgoing`
//!       └ outbox ── command, through the helper process
//! ```
//!
//! Every queue is bounded, and nothing here is awaited by a request or by the shutdown.

mod hook;
mod merge;
mod notice;
mod outbox;
mod summary;
mod targets;
mod test;
mod watch;

pub(super) use self::{hook::Hook, targets::Targets, watch::keep};
pub(in crate::cli) use self::{
    hook::{HOOK, help_run},
    test::{Args, run},
};
