//! Advice on a file that is whole: about the rows, the slots and the log's times.

use std::{collections::BTreeMap, time::Duration};

use super::check::{Check, Findings, Status};
use crate::{
    audit::replay::Replay,
    crypto::{
        kdf::KdfParams,
        keys::{SlotHeader, SlotKind},
    },
    domain::{
        ApplicationToken, Integration, IntegrationId, Project, ProjectId, RemoteUrl, Role, Timestamp,
        TokenId, TokenStatus, User, days, minutes,
    },
};

/// The age from which the newest backup is old.
const BACKUP_AGE_MAX: Duration = days(7);
/// The time after which an unused token should be revoked.
const UNUSED_MAX: Duration = days(90);
/// The lag of the clock from which `serve` refuses to start.
const CLOCK_LAG_MAX: Duration = minutes(5);

/// The time of the examination, and the machine that will unlock the file.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// The time, as the host's clock reads it.
    pub now: Timestamp,
    /// The memory that a process may use, in bytes; `None` if the system does not say.
    pub memory_bytes: Option<u64>,
}

struct Token {
    name: String,
    expires_at: Timestamp,
    used: Timestamp,
    is_revoked: bool,
}

/// Facts about people, tokens and expiry from the opened rows.
#[derive(Default)]
pub(super) struct Advice {
    owners: Vec<String>,
    tokens: BTreeMap<[u8; 16], Token>,
    expiring: Vec<([u8; 16], &'static str, Timestamp)>,
    misread: Vec<String>,
    unregistered: Findings,
}

impl Advice {
    pub(super) fn user(&mut self, user: &User) {
        if user.role == Role::Owner && !user.disabled {
            self.owners.push(user.email.to_string());
        }
    }

    pub(super) fn project(&mut self, project: &Project) {
        let Some(url) = &project.remote_url else { return };
        // Today's rules refuse what git, ssh and browsers read differently; an earlier version let it in.
        if let Err(rule) = url.as_str().parse::<RemoteUrl>() {
            self.misread.push(format!("projects {}: {rule}", project.identifier));
        }
    }

    pub(super) fn integration(&mut self, integration: &Integration) {
        if let Some(end) = integration.expires_at() {
            self.expiring.push((*integration.id.as_bytes(), integration.provider.as_str(), end));
        }
    }

    /// Notes that a scope names a project without a row: whoever registers that name inherits the credential unseen.
    pub(super) fn unregistered(&mut self, integration: &Integration, project: &ProjectId) {
        self.unregistered.add(format!(
            "{} ({}): scoped to {project}, which is not registered: scope it anew",
            integration.id, integration.provider
        ));
    }

    pub(super) fn token(&mut self, token: &ApplicationToken) {
        let used = Token {
            name: token.name.to_string(),
            expires_at: token.expires_at,
            used: token.created_at,
            is_revoked: token.status(token.created_at) == TokenStatus::Revoked,
        };
        self.tokens.insert(*token.id.as_bytes(), used);
    }

    pub(super) fn accessed(&mut self, id: [u8; 16], time: Timestamp) {
        if let Some(token) = self.tokens.get_mut(&id) {
            token.used = token.used.max(time);
        }
    }

    /// Judges the opened rows.
    pub(super) fn checks(self, replay: &Replay, now: Timestamp) -> Vec<Check> {
        vec![self.owners(), self.unused(replay, now), self.expired(now), self.urls(), self.scopes()]
    }

    fn owners(&self) -> Check {
        match &*self.owners {
            [] => {
                Check::new("owners", Status::Failed, "no enabled owner is left to recover: restore a backup")
            }
            [one] => Check::new(
                "owners",
                Status::Warning,
                format!("{one} is the only enabled owner: sealroom user add EMAIL --role owner"),
            ),
            owners => Check::new("owners", Status::Ok, format!("{} enabled owners", owners.len())),
        }
    }

    fn unused(&self, replay: &Replay, now: Timestamp) -> Check {
        let active = || self.tokens.iter().filter(|(_, token)| !token.is_revoked && now < token.expires_at);
        let used = |id: &[u8; 16], token: &Token| {
            replay.last_access(id).map_or(token.used, |time| time.max(token.used))
        };
        let unused = active().filter(|(id, token)| now.since(used(id, token)) > UNUSED_MAX);
        let lines = unused.map(|(id, token)| {
            format!("{} ({}): last used {}", TokenId::from_bytes(*id), token.name, used(id, token))
        });
        let good = "no active token is unused for 90 days";
        let bad = "active tokens not used for 90 days: revoke them";
        Check::of("tokens", lines.collect(), good, Status::Warning, bad)
    }

    fn expired(&self, now: Timestamp) -> Check {
        let past = self.expiring.iter().filter(|(_, _, end)| *end <= now);
        let lines: Findings = past
            .map(|(id, provider, end)| {
                format!("{} ({provider}): ended {end}", IntegrationId::from_bytes(*id))
            })
            .collect();
        let good = "no credential is past its end";
        Check::of("expiry", lines, good, Status::Warning, "credentials past their end: rotate or delete them")
    }

    fn urls(&self) -> Check {
        let good = "no project has a remoteUrl that tools read differently";
        let bad = "projects with a remoteUrl that tools read differently: register them anew";
        Check::of("urls", self.misread.iter().cloned().collect(), good, Status::Warning, bad)
    }

    fn scopes(self) -> Check {
        let good = "no integration is scoped to a project that is not registered";
        let bad = "integrations scoped to projects that are not registered, whose credential goes to whoever registers \
                   them: scope them anew";
        Check::of("scopes", self.unregistered, good, Status::Warning, bad)
    }
}

/// Returns a number of passes in words.
fn passes(number: u32) -> String {
    format!("{number} pass{}", if number == 1 { "" } else { "es" })
}

/// Compares the clock with the newest event.
pub(super) fn clock(newest: Option<Timestamp>, now: Timestamp) -> Check {
    match newest {
        Some(newest) if newest.since(now) > CLOCK_LAG_MAX => Check::new(
            "clock",
            Status::Warning,
            format!("the clock says {now}, the newest event {newest}: set the clock"),
        ),
        Some(newest) => Check::new("clock", Status::Ok, format!("the newest event is of {newest}")),
        None => Check::skipped("clock", "the log has no readable record"),
    }
}

/// Judges the newest backup that the log records.
pub(super) fn backup(replay: &Replay, now: Timestamp) -> Check {
    let Some(newest) = replay.newest_backup() else {
        let message = if replay.lacks_beginning() {
            "the records in this file show no backup: sealroom backup FILE"
        } else {
            "no backup was ever made: sealroom backup FILE"
        };
        return Check::new("backup", Status::Warning, message);
    };
    // By a clock that was ahead: it would look new for as long.
    if newest.since(now) > CLOCK_LAG_MAX {
        let message = format!("the newest backup is of a time to come, {newest}: sealroom backup FILE");
        return Check::new("backup", Status::Warning, message);
    }
    let age = now.since(newest);
    if age > BACKUP_AGE_MAX {
        let message =
            format!("the newest backup is {} days old: sealroom backup FILE", age.as_secs() / 86_400);
        return Check::new("backup", Status::Warning, message);
    }
    Check::new("backup", Status::Ok, format!("the newest backup was made {newest}"))
}

/// Looks for a recovery slot.
pub(super) fn recovery(slots: &[SlotHeader]) -> Check {
    let count = slots.iter().filter(|slot| slot.kind == SlotKind::Recovery).count();
    if count == 0 {
        let message =
            "no recovery slot, so that a lost passphrase loses the vault: sealroom slot add recovery";
        return Check::new("recovery", Status::Warning, message);
    }
    Check::new("recovery", Status::Ok, format!("{count} recovery slot{}", if count == 1 { "" } else { "s" }))
}

/// Compares the cost of each passphrase with the default, and with this machine's memory.
pub(super) fn kdf(slots: &[SlotHeader], memory_bytes: Option<u64>) -> Check {
    let standard = KdfParams::STANDARD;
    let work = |params: KdfParams| u64::from(params.memory_kib()) * u64::from(params.passes());
    let mut findings = Findings::default();
    let passphrases = slots.iter().filter(|slot| slot.kind == SlotKind::Passphrase);
    for slot in passphrases {
        let (id, memory) = (slot.id, slot.params.memory_kib());
        if memory < standard.memory_kib() || work(slot.params) < work(standard) {
            findings.add(format!(
                "slot {id}: {memory} KiB and {}, weaker than the default of {} KiB and {}: sealroom slot change",
                passes(slot.params.passes()),
                standard.memory_kib(),
                standard.passes()
            ));
        }
        if let Some(available) = memory_bytes.filter(|available| u64::from(memory) * 1024 > *available) {
            findings.add(format!(
                "slot {id}: needs {} MiB to unlock, this machine grants {} MiB",
                memory / 1024,
                available >> 20
            ));
        }
    }
    let good = "no passphrase slot is weaker than the default or too large for this machine";
    Check::of("kdf", findings, good, Status::Warning, "findings about the passphrase slots")
}
