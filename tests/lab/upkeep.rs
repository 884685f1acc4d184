//! The work of an operator on the model disk: key slots, archive, backup, restore, compact and rekey, each alone on a
//! vault that has been used.

use std::{ops::ControlFlow, sync::Arc};

use sealroom::{
    audit::tree::Frontier,
    crypto::{kdf::KdfParams, keys::SlotKind, machine::MachineKey, recovery::RecoveryKey},
    domain::{Action, Actor, Event, Secret, Timestamp},
    storage::{Status, Surroundings},
    vault::{Closed, NewSecret, RestorePlan, Settings, SlotChange, Step, Vault},
};

use super::{
    content::{self, Content},
    disk::{Disk, Fault},
    driver::{Broken, Driver, OWNER, PASSPHRASE, PASSWORD, START, fresh_with_key, secret, settings},
    rng::Rng,
};

/// Later than any time of the run before.
const LATER: u64 = START + 1_800_000;
/// More than a block of the archive.
const EVENTS: usize = 300;
const NEW: &str = "another passphrase of the laboratory";

/// One piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    AddPassphrase,
    AddRecovery,
    AddMachine,
    ChangePassphrase,
    RemoveRecovery,
    /// By hand and by schedule alike: both let the vault's records go in the same commits.
    Archive,
    /// The commit that makes a copy of a backup the vault's file.
    Restore,
    /// A backup that is served as it is.
    Adopt,
    /// By hand and by schedule alike, seen from the vault's own disk.
    BackUp,
}

/// A copy of the whole file, seen from the new file's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying {
    Compact,
    Rekey,
    BackUp,
}

impl Upkeep {
    pub const ALL: [Self; 9] = [
        Self::AddPassphrase,
        Self::AddRecovery,
        Self::AddMachine,
        Self::ChangePassphrase,
        Self::RemoveRecovery,
        Self::Archive,
        Self::Restore,
        Self::Adopt,
        Self::BackUp,
    ];
}

impl Copying {
    pub const ALL: [Self; 3] = [Self::Compact, Self::Rekey, Self::BackUp];
}

/// A vault that has been used, and a backup of it.
pub struct Used {
    pub base: Arc<Vec<u8>>,
    copy: Arc<Vec<u8>>,
    content: Content,
    recovery: Secret,
    machine: Secret,
    new_recovery: Secret,
    /// The tree of the records that an archive takes.
    archived: Frontier,
}

fn copied(secret: &Secret) -> Secret {
    Secret::new(secret.expose().to_vec())
}

fn host() -> Actor {
    Actor::host("lab")
}

fn now() -> Timestamp {
    Timestamp::from_millis(LATER)
}

fn as_is() -> Settings {
    Settings { adopts_copies: false, ..settings() }
}

async fn stop(vault: &Vault) -> Result<(), String> {
    vault.lock(Event::new(now(), host(), Action::ServerStop)).await.map_err(|error| error.to_string())
}

impl Used {
    /// Runs the model with a seed, then adds events.
    pub async fn make(seed: u64) -> Result<Self, Broken> {
        let (fresh, recovery) = fresh_with_key();
        let disk = Disk::new(fresh);
        let mut driver = Driver::new(disk.clone(), Rng::new(&[seed, 5]), true);
        driver.run(30).await?;
        // The model has killed the disk's first process.
        let disk = Disk::new(Arc::new(disk.image()));
        let vault = Vault::open(disk.medium(), settings()).map_err(|error| format!("{error:?}"))?;
        vault.unlock(secret(PASSPHRASE), host(), Timestamp::from_millis(LATER - 1), None).await.unwrap();
        for _ in 0..EVENTS {
            let event = Event::new(Timestamp::from_millis(LATER - 1), host(), Action::AuditRead);
            vault.record(event).await.map_err(|error| error.to_string())?;
        }
        let range = vault.plan_archive(now()).map_err(|error| error.to_string())?.ok_or("too few events")?;
        let archived = vault.archive_header(&range).map_err(|error| error.to_string())?;
        let mut tree = archived.frontier.clone();
        let mut next = range.start;
        while next < range.end {
            for (sequence, record) in vault.records(next).map_err(|error| error.to_string())? {
                if sequence < range.end {
                    tree.push(sealroom::audit::tree::leaf_hash(&record));
                    next = sequence + 1;
                }
            }
        }
        stop(&vault).await?;
        drop(vault);
        let base = Arc::new(disk.image());
        let target = Disk::new(Arc::default());
        let vault = Vault::open(Disk::new(Arc::clone(&base)).medium(), settings()).unwrap();
        vault.unlock(secret(PASSPHRASE), host(), now(), None).await.unwrap();
        let made = vault.back_up(target.medium(), now()).await;
        made.map_err(|error| error.to_string())?.1.arrived(&vault, now());
        Ok(Self {
            base,
            copy: Arc::new(target.image()),
            content: driver.content,
            recovery,
            machine: MachineKey::generate().unwrap().to_text(),
            new_recovery: RecoveryKey::generate().unwrap().to_text(),
            archived: tree,
        })
    }

    /// The file that the work begins with.
    pub fn file(&self, upkeep: Upkeep) -> Arc<Vec<u8>> {
        match upkeep {
            Upkeep::Restore | Upkeep::Adopt => Arc::clone(&self.copy),
            _ => Arc::clone(&self.base),
        }
    }

    /// Opens the vault, does the work, notes its answer in the journal and stops the vault. Returns the calls of the
    /// work itself, after those of the unlock, if there was an answer.
    pub async fn run(&self, upkeep: Upkeep, disk: &Disk) -> Option<std::ops::Range<usize>> {
        let settings = if upkeep == Upkeep::Restore { as_is() } else { settings() };
        let vault = Vault::open(disk.medium(), settings).ok()?;
        vault.unlock(secret(PASSPHRASE), host(), now(), None).await.ok()?;
        // A backup that is served is adopted by its unlock.
        let from = if upkeep == Upkeep::Adopt { 0 } else { disk.with_journal(<[_]>::len) };
        let is_done = self.work(upkeep, &vault).await;
        if is_done {
            let size = vault.checkpoint().ok().and_then(|note| note.lines().nth(1)?.parse().ok());
            disk.acknowledge(size.unwrap_or(0));
        }
        let until = disk.with_journal(<[_]>::len);
        drop(stop(&vault).await);
        is_done.then_some(from..until)
    }

    async fn work(&self, upkeep: Upkeep, vault: &Vault) -> bool {
        let new = |kind, secret: &Secret| NewSecret { kind, secret: copied(secret), kdf: KdfParams::LIGHT };
        let slot = |change| vault.change_slots(secret(PASSPHRASE), change, host(), now());
        match upkeep {
            Upkeep::AddPassphrase => {
                slot(SlotChange::Add(new(SlotKind::Passphrase, &secret(NEW)))).await.is_ok()
            }
            Upkeep::AddRecovery => {
                slot(SlotChange::Add(new(SlotKind::Recovery, &self.new_recovery))).await.is_ok()
            }
            Upkeep::AddMachine => slot(SlotChange::Add(new(SlotKind::Machine, &self.machine))).await.is_ok(),
            Upkeep::ChangePassphrase => {
                let new = new(SlotKind::Passphrase, &secret(NEW));
                slot(SlotChange::Change { id: None, new }).await.is_ok()
            }
            Upkeep::RemoveRecovery => slot(SlotChange::Remove { id: 2 }).await.is_ok(),
            Upkeep::Archive => {
                let records = 0..self.archived.size();
                vault.archive(records, host(), now()).await.is_ok()
            }
            Upkeep::Restore => {
                let plan = RestorePlan { later: None, behind: None, actor: host(), now: now() };
                vault.restore(plan).await.is_ok()
            }
            Upkeep::Adopt => true,
            Upkeep::BackUp => {
                let made = vault.back_up(Disk::new(Arc::default()).medium(), now()).await;
                made.map(|(_, backup)| backup.arrived(vault, now())).is_ok()
            }
        }
    }

    /// Copies the file to a disk; returns whether the copy is called done, and the secrets that open it.
    pub async fn copy(&self, copy: Copying, target: &Disk) -> Result<Option<Vec<Secret>>, Broken> {
        let source = Disk::new(Arc::clone(&self.base));
        if copy == Copying::BackUp {
            let vault = Vault::open(source.medium(), settings()).map_err(|error| format!("{error:?}"))?;
            vault.unlock(secret(PASSPHRASE), host(), now(), None).await.map_err(|error| error.to_string())?;
            let made = vault.back_up(target.medium(), now()).await;
            let made = made.map(|(_, backup)| backup.arrived(&vault, now())).is_ok();
            return Ok(made.then(|| vec![secret(PASSPHRASE), copied(&self.recovery)]));
        }
        let closed = Closed::open(source.medium(), 1 << 20).map_err(|error| format!("{error:?}"))?;
        let offline = closed.unseal(secret(PASSPHRASE)).map_err(|error| error.to_string())?;
        let go_on = &mut |_: Step| ControlFlow::<()>::Continue(());
        let opens = if copy == Copying::Rekey {
            let made = offline.rekey(target.medium(), host(), now(), go_on);
            made.ok().map(|made| vec![secret(PASSPHRASE), made.recovery_key])
        } else {
            let made = offline.compact(target.medium(), host(), now(), go_on);
            made.ok().map(|_| vec![secret(PASSPHRASE), copied(&self.recovery)])
        };
        drop(offline);
        match source.calls() {
            0 => Ok(opens),
            calls => Err(format!("{calls} calls changed the file that is copied")),
        }
    }

    /// Checks a file after a cut: it is the vault before the work or after it, whole, and after it if there was an
    /// answer.
    pub async fn check(&self, upkeep: Upkeep, disk: &Disk, floor: Option<u64>) -> Result<(), Broken> {
        let settings = if upkeep == Upkeep::Restore { as_is() } else { settings() };
        let vault = Vault::open(disk.medium(), settings).map_err(|error| format!("no opening: {error:?}"))?;
        if disk.calls() > 0 {
            return Err("opening wrote to the file before anybody had unlocked it".to_owned());
        }
        let mut opens = Vec::new();
        for one in [secret(PASSPHRASE), secret(NEW), copied(&self.recovery)] {
            opens.push(vault.slot_of(one).await.is_ok());
        }
        for one in [&self.new_recovery, &self.machine] {
            opens.push(vault.slot_of(copied(one)).await.is_ok());
        }
        let is_after = self.is_after(upkeep, &vault)?;
        let expected = match upkeep {
            Upkeep::AddPassphrase => [true, is_after, true, false, false],
            Upkeep::AddRecovery => [true, false, true, is_after, false],
            Upkeep::AddMachine => [true, false, true, false, is_after],
            Upkeep::ChangePassphrase => [!is_after, is_after, true, false, false],
            Upkeep::RemoveRecovery => [true, false, !is_after, false, false],
            _ => [true, false, true, false, false],
        };
        if opens != expected {
            return Err(format!("after it: {is_after}, and what opens is {opens:?}"));
        }
        if floor.is_some() && !is_after {
            return Err("it was answered, and is undone".to_owned());
        }
        let opener = if opens[0] { secret(PASSPHRASE) } else { secret(NEW) };
        self.is_whole(&vault, opener, floor.unwrap_or(0)).await
    }

    fn is_after(&self, upkeep: Upkeep, vault: &Vault) -> Result<bool, Broken> {
        let slots = vault.slots().map_err(|error| error.to_string())?;
        let text = |error: sealroom::storage::StorageError| error.to_string();
        Ok(match upkeep {
            Upkeep::AddPassphrase | Upkeep::AddRecovery | Upkeep::AddMachine => slots.len() == 3,
            Upkeep::ChangePassphrase => slots.iter().any(|slot| slot.changed_at == Some(now())),
            Upkeep::RemoveRecovery => slots.len() == 1,
            Upkeep::Archive => {
                let held = vault.archived_frontier().map_err(text)?;
                if held.size() > 0 && held != self.archived {
                    return Err("what the file says of the archived records is not what they were".to_owned());
                }
                held.size() > 0
            }
            Upkeep::Restore | Upkeep::Adopt => vault.verifier_keys().map_err(text)?.len() == 2,
            Upkeep::BackUp => true,
        })
    }

    /// Examines the whole file as `doctor` does, unlocks it and compares what it shows.
    async fn is_whole(&self, vault: &Vault, opener: Secret, floor: u64) -> Result<(), Broken> {
        let surroundings = Surroundings { now: now(), memory_bytes: None };
        let checks = vault.examine(Some(&opener), surroundings, None, &|_| true);
        if let Some(failed) = checks.iter().find(|check| check.status == Status::Failed) {
            return Err(format!("{}: {} {:?}", failed.name, failed.message, failed.detail));
        }
        let unlocked = vault.unlock(opener, host(), now(), None).await;
        unlocked.map_err(|error| format!("no unlocking: {error:?}"))?;
        let size = vault.checkpoint().map_err(|error| error.to_string())?;
        let size: u64 = size.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or(0);
        if size < floor {
            return Err(format!("{floor} records were acknowledged, and {size} are there"));
        }
        let context = sealroom::vault::Context { now: now(), request: None, peer: None };
        let login =
            vault.login(&context, OWNER, secret(PASSWORD)).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8(login.access.expose().to_vec()).unwrap();
        let bearer = sealroom::auth::token::parse_bearer(&text).unwrap();
        let owner = vault.authenticate(bearer, &context).map_err(|error| error.to_string())?;
        let seen = content::observe(vault, &context, &owner).await.map_err(|error| error.to_string())?.0;
        if seen != self.content {
            return Err(format!("there is {seen:?}, and not {:?}", self.content));
        }
        stop(vault).await
    }

    /// Checks what a cut left of a copy: it does not open, or it is whole. Returns whether it opened.
    pub async fn check_copy(&self, disk: &Disk, opens: &[Secret]) -> Result<bool, Broken> {
        let Ok(vault) = Vault::open(disk.medium(), as_is()) else { return Ok(false) };
        for opener in opens {
            let found = vault.slot_of(copied(opener)).await;
            found.map_err(|error| format!("a copy that this secret does not open: {error}"))?;
        }
        let opener = opens.first().map(copied).ok_or("no secret")?;
        self.is_whole(&vault, opener, 0).await.map(|()| true)
    }

    /// Does the work on a disk that fails at one call; checks the file as the next process finds it, and as a power cut
    /// leaves it.
    pub async fn fail(&self, upkeep: Upkeep, first: usize) -> Result<(), Broken> {
        let file = self.file(upkeep);
        let disk = Disk::new(Arc::clone(&file));
        disk.set_fault(Some(Fault { first, last: first, seed: first as u64 }));
        let is_done = self.run(upkeep, &disk).await.is_some();
        let floor = is_done.then_some(0);
        self.check(upkeep, &Disk::new(Arc::new(disk.image())), floor).await?;
        let durable = super::journal::durable(&file, &disk.take_journal());
        let lost = self.check(upkeep, &Disk::new(Arc::new(durable)), floor).await;
        lost.map_err(|broken| format!("after a power cut: {broken}"))
    }
}
