//! The vault whose slots are listed or changed: a file that this command opens, or the server that has it open.

use std::{os::unix::net::UnixStream, path::Path};

use crate::{
    cli::{
        error::CliError,
        host::{
            control::{self, SlotAnswer, SlotRequest, SlotRow},
            host_actor::host_actor,
            offline,
        },
    },
    clock,
    disk::{DataFile, FileError, Locking, beside, resolved},
    domain::Secret,
    vault::{Settings, Vault},
};

/// The reason why a change is not known to be done.
pub(super) enum NotDone {
    /// The slots are as before.
    Refused(CliError),
    /// The slots may have changed: no answer came.
    InDoubt(CliError),
}

impl From<NotDone> for CliError {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Refused(error) | NotDone::InDoubt(error) => error,
        }
    }
}

/// A vault whose slots can be listed and changed.
pub(super) enum Target {
    /// This command has the file open.
    File(Box<Vault>),
    /// A server has it open; the error tells which process.
    Server(FileError),
}

impl Target {
    /// Opens the file, or leaves it to the server that has it open.
    pub(super) fn of(data: &Path, locking: Locking) -> Result<Self, CliError> {
        let file = match DataFile::open(data, locking) {
            Err(in_use @ FileError::InUse { .. }) => return Ok(Self::Server(in_use)),
            other => other?,
        };
        let vault = Vault::open(file.medium(), Settings::new(host_actor(), clock::monotonic));
        Ok(Self::File(Box::new(vault.map_err(|error| CliError::open(data, &error))?)))
    }

    fn server(data: &Path, in_use: &FileError) -> Result<UnixStream, CliError> {
        UnixStream::connect(beside(&resolved(data), ".sock"))
            .map_err(|_| CliError::failed(in_use.to_string(), "wait for that process, or stop it"))
    }

    pub(super) fn list(&self, data: &Path) -> Result<Vec<SlotRow>, CliError> {
        match self {
            Self::File(vault) => listed(control::slots::list(vault)).map(|(_, slots)| slots),
            Self::Server(in_use) => control::listed_slots(Self::server(data, in_use)?),
        }
    }

    /// Changes the slots; returns the slot that changed, and all slots.
    pub(super) fn change(&self, data: &Path, request: SlotRequest) -> Result<(u32, Vec<SlotRow>), NotDone> {
        match self {
            Self::File(vault) => change(vault, request).map_err(NotDone::Refused),
            Self::Server(in_use) => {
                let server = Self::server(data, in_use).map_err(NotDone::Refused)?;
                listed(control::change_slot(server, request).map_err(NotDone::InDoubt)?)
                    .map_err(NotDone::Refused)
            }
        }
    }
}

fn listed(answer: SlotAnswer) -> Result<(u32, Vec<SlotRow>), CliError> {
    match answer {
        SlotAnswer::Listed { slots } => Ok((0, slots)),
        SlotAnswer::Changed { changed, slots } => Ok((changed, slots)),
        SlotAnswer::Failed { error, hint } => Err(CliError::failed(error, hint)),
    }
}

fn change(vault: &Vault, request: SlotRequest) -> Result<(u32, Vec<SlotRow>), CliError> {
    let clock = offline::clock(vault)?;
    let secret = Secret::new(request.secret.as_bytes().to_vec());
    let work = async || listed(control::slots::change(request, host_actor(), vault, &clock).await);
    // The slots have changed, whether or not the disk takes the lock's record too.
    offline::unlocked(vault, &clock, secret, CliError::unlock, work).map(|(slots, _)| slots)
}
