//! The request log: a line for each request that changes something or is refused, and one summary a minute of reads.
//!
//! The summary counts reads that the audit log records, which a line of their own would repeat, and routes that are
//! open to anyone. Authenticated reads without an audit record, such as the projects, keep their line. At `debug`
//! every request is a line. Lines hold typed fields only, never a part of the request's text.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tracing::Level;

use super::{
    metrics::Metrics,
    routes::{Access, ROUTES, Route},
};
use crate::domain::{Action, Actor, Peer, RequestId};

/// The target of lines about authenticated callers: the log writes each of them.
pub const ANSWERED: &str = "sealroom::answered";
/// The target of lines about other callers, who could fill a disk: the log writes some and counts the rest.
pub const STRANGERS: &str = "sealroom::strangers";

/// The fields of a request's line.
pub(super) struct Line<'a> {
    pub(super) route: Option<&'static Route>,
    pub(super) caller: Option<&'a Actor>,
    pub(super) request: RequestId,
    pub(super) peer: Peer,
    pub(super) status: u16,
    pub(super) bytes: usize,
    pub(super) took: Duration,
}

impl Line<'_> {
    pub(super) fn log(&self) {
        let level = match self.status {
            500 => Level::ERROR,
            200..=399 if self.route.is_some_and(is_summarized) => Level::DEBUG,
            _ => Level::INFO,
        };
        if level > tracing::level_filters::LevelFilter::current() {
            return;
        }
        let Self { request, peer, status, bytes, .. } = self;
        let (method, route) = self.route.map_or(("none", "none"), |route| (route.method, route.path));
        let known = self.caller.map(ToString::to_string);
        let caller = known.as_deref().unwrap_or("nobody");
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:ident, $target:expr) => {
                tracing::$level!(
                    target: $target, %request, %peer, caller, method, route, status, micros, bytes, "answered"
                )
            };
        }
        match (level, known.is_some()) {
            (Level::ERROR, true) => line!(error, ANSWERED),
            (Level::ERROR, false) => line!(error, STRANGERS),
            (Level::DEBUG, true) => line!(debug, ANSWERED),
            (Level::DEBUG, false) => line!(debug, STRANGERS),
            (_, true) => line!(info, ANSWERED),
            (_, false) => line!(info, STRANGERS),
        }
    }
}

/// The counts of reads as the last summary found them, by route.
#[derive(Default)]
pub(super) struct ReadSummary(Mutex<Vec<u64>>);

impl ReadSummary {
    /// Logs the number of reads since the last call, by route; nothing if there were none.
    pub(super) fn log(&self, metrics: &Metrics) {
        let counts: Vec<u64> = ROUTES.iter().map(|route| metrics.succeeded(route)).collect();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.iter().copied().chain(std::iter::repeat(0));
        let new: Vec<(&str, u64)> = ROUTES
            .iter()
            .zip(counts.iter().zip(before))
            .map(|(route, (count, before))| (route, count - before))
            .filter(|(route, count)| is_summarized(route) && *count > 0)
            .map(|(route, count)| (route.path, count))
            .collect();
        *last = counts;
        drop(last);
        if new.is_empty() {
            return;
        }
        let reads: u64 = new.iter().map(|(_, count)| count).sum();
        let routes: Vec<String> = new.iter().map(|(path, count)| format!("{path}: {count}")).collect();
        tracing::info!(reads, routes = routes.join(", "), "answered reads");
    }
}

/// Returns whether the summary replaces the line of a successful request at `info`.
fn is_summarized(route: &Route) -> bool {
    let leaves_a_trace = match route.access {
        Access::Open | Access::Login | Access::Local(_) => true,
        // The policy gives this action to verbs that have no audit record of their own.
        Access::Needs(verb) | Access::OwnOr(verb, _) => verb.action() != Action::RequestDenied,
    };
    route.method == "GET" && leaves_a_trace
}
