//! The entry into the sandbox, and its line in the log.

use super::rules::Rules;
#[cfg(target_os = "linux")]
use super::{landlock, rights, seccomp};

/// The parts that hold, and those that this system lacks, each with the cause.
#[derive(Debug, Default)]
pub(in crate::cli::host) struct Sandbox {
    pub(super) holds: Vec<String>,
    pub(super) lacks: Vec<String>,
}

impl Sandbox {
    /// Restricts this process as far as the system can.
    #[cfg(target_os = "linux")]
    pub(in crate::cli::host) fn enter(rules: &Rules) -> Self {
        let mut this = Self::default();
        this.note(landlock::restrict(rules));
        // In this order: without capabilities a filter needs `no_new_privs`.
        rights::drop_all().into_iter().for_each(|part| this.note(part));
        this.note(seccomp::restrict(rules.outgoing()));
        this
    }

    /// Restricts nothing: each part is one of Linux.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::cli::host) fn enter(_: &Rules) -> Self {
        Self { lacks: vec!["no part of it exists on this system".to_owned()], ..Self::default() }
    }

    #[cfg(target_os = "linux")]
    fn note(&mut self, part: Result<String, String>) {
        match part {
            Ok(part) => self.holds.push(part),
            Err(cause) => self.lacks.push(cause),
        }
    }

    /// Logs what holds, in one line, and what does not; without a sandbox, that it is off.
    pub(in crate::cli::host) fn tell(sandbox: Option<&Self>) {
        match sandbox {
            Some(Self { holds, .. }) if !holds.is_empty() => tracing::info!("sandbox: {}", holds.join(", ")),
            Some(_) => tracing::warn!("sandbox: nothing holds"),
            None => tracing::warn!("sandbox: off, by the setting `sandbox`"),
        }
        for cause in sandbox.iter().flat_map(|sandbox| &sandbox.lacks) {
            tracing::warn!("sandbox: this system lacks a part: {cause}");
        }
        if rustix::process::getuid().is_root() {
            tracing::warn!(
                "this server runs as root, and owns every file of root's: run it as a user of its own, to whom the \
                 vault's folder belongs"
            );
        }
    }
}
