//! Minted tokens, kept in memory until shortly before their end, and one call at a time for each.
//!
//! A key names one version of one integration: after a rotation, a change of scope or options, or a deletion no read
//! chooses that version again. The cache is a part of the open vault, so that a lock drops it.
//!
//! Failures are kept too, for a time: a caller who asks in a loop must not use up what the provider allows the App.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::sync::watch;

use crate::{
    crypto::digest::sha256,
    domain::{Actor, Integration, IntegrationId, ProjectId, Secret, Timestamp, minutes},
    outgoing::{Failure, InstallationToken, MintError, Share, Shares},
};

/// A token is handed out until this long before its end (contract §8): a job may take a while.
const MARGIN: Duration = minutes(10);
/// GitHub's tokens live for an hour. A later end would keep one that the provider may have taken back.
const KEPT_MAX: Duration = minutes(50);
/// A refusal stays for this long, as nothing but a change at the provider ends it.
const REFUSAL_KEPT: Duration = minutes(1);
/// A fault at the provider, or on the way there, stays for this long: it may be over soon.
const FAULT_KEPT: Duration = Duration::from_secs(1);
/// A caller makes a quarter of all calls at a time at most.
const PART_OF_CALLER: usize = 4;
/// An App is for half of them: more than for a caller, since one App often serves all callers.
const PART_OF_APP: usize = 2;
/// The most tokens in memory.
const TOKENS_MAX: usize = 1_024;

/// A token, and whether the log has its minting.
pub(super) struct Minted {
    pub(super) token: Secret,
    /// The base64 of its SHA-256, as GitHub's audit log has it.
    pub(super) hashed: String,
    pub(super) expires_at: Timestamp,
    fresh_until: Timestamp,
    /// Set with the first disclosure, which is the one that is recorded as the minting.
    pub(super) is_recorded: AtomicBool,
}

impl Minted {
    pub(super) fn new(InstallationToken { token, expires_at }: InstallationToken, now: Timestamp) -> Self {
        let fresh_until = expires_at.minus(MARGIN).min(now.plus(KEPT_MAX));
        let hashed = STANDARD.encode(sha256(token.expose()));
        Self { token, hashed, expires_at, fresh_until, is_recorded: AtomicBool::new(false) }
    }
}

/// A failure, which all that waited for the same call share.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoToken {
    pub(super) error: MintError,
    since: Timestamp,
    /// No further call is made before; the moment of the failure itself where none was made.
    pub(super) until: Timestamp,
}

impl NoToken {
    pub(super) fn new(error: MintError, now: Timestamp) -> Self {
        let kept = match error {
            MintError::Failed { retry_after: Some(time), .. } => time,
            MintError::NotInstalled
            | MintError::Failed { failure: Failure::Status(300..=499) | Failure::TooWide, .. } => {
                REFUSAL_KEPT
            }
            MintError::Failed { .. } => FAULT_KEPT,
            MintError::Disabled(_) | MintError::BadApp(_) | MintError::Random => Duration::ZERO,
        };
        Self { error, since: now, until: now.plus(kept) }
    }

    /// Returns whether the failure still counts; a clock that was set back must not prolong it.
    fn counts(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

/// A version of an App, and the project that a token of it is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct MintKey {
    pub(super) integration: IntegrationId,
    version: u64,
    pub(super) project: ProjectId,
}

impl MintKey {
    pub(super) fn new(integration: &Integration, project: &ProjectId) -> Self {
        Self { integration: integration.id, version: integration.version, project: project.clone() }
    }

    /// Returns whether the integration is the one of the key, unchanged.
    pub(super) fn is_of(&self, integration: &Integration) -> bool {
        (self.integration, self.version) == (integration.id, integration.version)
    }
}

/// The place of one token: filled once, while all others who ask wait for the turn.
#[derive(Default)]
pub(super) struct Slot {
    found: OnceLock<Result<Arc<Minted>, NoToken>>,
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Slot {
    /// Returns what it was filled with.
    pub(super) fn get(&self) -> Option<&Result<Arc<Minted>, NoToken>> {
        self.found.get()
    }

    /// Fills it, unless it is full; returns what it has.
    pub(super) fn fill(&self, found: Result<Arc<Minted>, NoToken>) -> Result<Arc<Minted>, NoToken> {
        self.found.get_or_init(|| found).clone()
    }
}

/// The cache of an open vault.
pub(super) struct MintedTokens {
    slots: Mutex<HashMap<MintKey, Arc<Slot>>>,
    /// The Apps that the provider wants no call of for a time, whatever the repository.
    paused: Mutex<HashMap<(IntegrationId, u64), NoToken>>,
    of_callers: Shares<Actor>,
    of_apps: Shares<IntegrationId>,
    /// Closed with the vault; nothing is ever sent.
    open: watch::Sender<()>,
}

impl MintedTokens {
    pub(super) fn new() -> Self {
        Self {
            slots: Mutex::default(),
            paused: Mutex::default(),
            of_callers: Shares::new(PART_OF_CALLER),
            of_apps: Shares::new(PART_OF_APP),
            open: watch::Sender::new(()),
        }
    }

    /// Returns the slot of a key, an empty one if its token is no longer fresh; and a receiver that closes with the
    /// vault.
    pub(super) fn slot(&self, key: &MintKey, now: Timestamp) -> (Arc<Slot>, watch::Receiver<()>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slots.get(key).filter(|slot| !is_over(slot, now)).map(Arc::clone);
        let slot = known.unwrap_or_else(|| {
            slots.retain(|other, slot| {
                let is_older = other.integration == key.integration && other.version != key.version;
                !is_older && !is_over(slot, now)
            });
            if slots.len() >= TOKENS_MAX {
                slots.clear();
            }
            Arc::clone(slots.entry(key.clone()).or_default())
        });
        (slot, self.open.subscribe())
    }

    /// Returns the failure for which no call of that App is made yet.
    pub(super) fn paused(&self, key: &MintKey, now: Timestamp) -> Option<NoToken> {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.get(&(key.integration, key.version)).filter(|failed| failed.counts(now)).copied()
    }

    /// Keeps a failure with which the provider named a time.
    pub(super) fn pause(&self, key: &MintKey, failed: NoToken) {
        if let MintError::Failed { retry_after: Some(_), .. } = failed.error {
            let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
            paused.retain(|_, known| known.counts(failed.since));
            paused.insert((key.integration, key.version), failed);
        }
    }

    /// Returns what a call of that caller with that App takes its turns from.
    pub(super) fn shares(&self, caller: Actor, key: &MintKey) -> [Share; 2] {
        [self.of_callers.of(caller), self.of_apps.of(key.integration)]
    }
}

/// Returns whether a slot was filled with what counts no more.
fn is_over(slot: &Slot, now: Timestamp) -> bool {
    match slot.get() {
        Some(Ok(minted)) => minted.fresh_until <= now,
        Some(Err(failed)) => !failed.counts(now),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_514_400_000);

    fn key(integration: u8, version: u64, project: &str) -> MintKey {
        let integration = IntegrationId::from_bytes([integration; 16]);
        MintKey { integration, version, project: project.parse().unwrap() }
    }

    fn fill(slot: &Slot, life: Duration) {
        let token = Secret::from("ghs_example".to_owned());
        let minted = Minted::new(InstallationToken { token, expires_at: NOW.plus(life) }, NOW);
        assert!(slot.fill(Ok(Arc::new(minted))).is_ok());
    }

    #[test]
    fn no_token_is_kept_to_its_end_nor_past_an_hour() {
        for (life, fresh) in [(60, 50), (11, 1), (10, 0), (5, 0), (600, 50), (0, 0)] {
            let tokens = MintedTokens::new();
            let key = key(1, 1, "acme/app");
            fill(&tokens.slot(&key, NOW).0, minutes(life));
            let kept = |after: Duration| tokens.slot(&key, NOW.plus(after)).0.get().is_some();
            assert!(!kept(minutes(fresh)), "{life}");
            let tokens = MintedTokens::new();
            fill(&tokens.slot(&key, NOW).0, minutes(life));
            let before = minutes(fresh).saturating_sub(Duration::from_millis(1));
            assert_eq!(tokens.slot(&key, NOW.plus(before)).0.get().is_some(), fresh > 0, "{life}");
        }
    }

    #[test]
    fn a_failure_is_kept_only_as_long_as_the_provider_asks() {
        let tokens = MintedTokens::new();
        for (wait, kept) in [(0, false), (60, true)] {
            let until = NOW.plus(Duration::from_secs(wait));
            let key = key(1, wait, "acme/app");
            let failed = NoToken { error: MintError::NotInstalled, since: NOW, until };
            assert!(tokens.slot(&key, NOW).0.fill(Err(failed)).is_err());
            assert_eq!(tokens.slot(&key, NOW).0.get().is_some(), kept);
            assert!(tokens.slot(&key, until).0.get().is_none());
        }
    }

    #[test]
    fn no_call_is_made_for_an_app_in_the_time_that_a_provider_named_and_no_clock_prolongs_it() {
        let tokens = MintedTokens::new();
        let limited = |secs| MintError::Failed {
            failure: Failure::Status(429),
            retry_after: Some(Duration::from_secs(secs)),
        };
        tokens.pause(&key(2, 1, "acme/app"), NoToken::new(MintError::NotInstalled, NOW));
        assert!(tokens.paused(&key(2, 1, "acme/app"), NOW).is_none(), "the refusal of one repository");
        tokens.pause(&key(1, 1, "acme/app"), NoToken::new(limited(60), NOW));
        let paused =
            |integration, version, at| tokens.paused(&key(integration, version, "acme/web"), at).is_some();
        let second = Duration::from_secs(1);
        assert!(paused(1, 1, NOW) && paused(1, 1, NOW.plus(59 * second)));
        assert!(!paused(1, 1, NOW.plus(60 * second)) && !paused(1, 1, NOW.minus(second)));
        assert!(!paused(1, 2, NOW) && !paused(2, 1, NOW));
        tokens.pause(&key(3, 1, "acme/app"), NoToken::new(limited(1), NOW.plus(60 * second)));
        assert_eq!(tokens.paused.lock().unwrap().len(), 1, "what is over is not kept");
    }

    #[test]
    fn each_project_and_each_version_has_a_token_of_its_own_and_older_versions_are_dropped() {
        let tokens = MintedTokens::new();
        fill(&tokens.slot(&key(1, 1, "acme/app"), NOW).0, minutes(60));
        for other in [key(1, 1, "acme/web"), key(2, 1, "acme/app")] {
            assert!(tokens.slot(&other, NOW).0.get().is_none(), "{other:?}");
            assert!(tokens.slot(&key(1, 1, "acme/app"), NOW).0.get().is_some(), "beside {other:?}");
        }
        assert!(tokens.slot(&key(1, 2, "acme/app"), NOW).0.get().is_none());
        assert_eq!(tokens.slots.lock().unwrap().len(), 2, "both of version 1 are gone");
        for number in 0..2 * TOKENS_MAX as u64 {
            fill(&tokens.slot(&key(3, 1, &format!("acme/{number}")), NOW).0, minutes(60));
        }
        assert!(tokens.slots.lock().unwrap().len() <= TOKENS_MAX);
    }
}
