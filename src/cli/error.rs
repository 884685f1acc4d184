//! Errors of the command line: one line of cause, one of remedy.

#[cfg(feature = "server")]
use crate::{
    cli::listeners::neighbours_told,
    disk::{FileError, newest_kept_copy},
    storage::{MigrationError, OpenError, StorageError},
    vault::{InitError, InternalError, UnlockError},
};

/// The hint of a vault file that does not exist. On an empty mount point `init` would make a second vault.
#[cfg(feature = "server")]
pub(super) const NO_FILE: &str =
    "if it is on a volume, mount that first; `sealroom init` creates a new one, --data passes another file";

/// Returns the hint of a vault file that does not exist: the file that a server in its folder has, if there is one.
#[cfg(feature = "server")]
fn no_file(path: &std::path::Path) -> String {
    neighbours_told(path).unwrap_or_else(|| NO_FILE.to_owned())
}

/// The remedy of a recovery key with a typing mistake.
#[cfg(feature = "server")]
pub(super) const MISTYPED: &str =
    "compare each group of four with the paper; 0 and O, 1, I and L count as one";

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The command of `exec` cannot be executed.
    NotExecutable = 126,
    /// The command of `exec` is not found.
    NotFound = 127,
}

/// A failure, as the user sees it.
#[derive(Debug)]
pub struct CliError {
    /// The cause, lower case, one line.
    pub message: String,
    /// The remedy; empty if the user declined.
    pub hint: String,
    /// The server's code, if a server refused.
    pub code: Option<String>,
    /// The exit code.
    pub exit: Exit,
}

impl CliError {
    /// Returns the error of an operation that failed.
    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: None, exit: Exit::Failed }
    }

    /// Returns the outcome of a command whose question was answered with no; the user needs no hint.
    pub fn declined() -> Self {
        Self::failed("nothing was changed", "")
    }

    /// Returns the error of a command that was used wrongly.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code: None, exit: Exit::Usage }
    }
}

#[cfg(feature = "server")]
impl From<FileError> for CliError {
    fn from(error: FileError) -> Self {
        let hint = match &error {
            FileError::InUse { .. } => "stop that process, or use another file with --data",
            FileError::Missing(path) => return Self::failed(error.to_string(), no_file(path)),
            FileError::Exists(_) => {
                "existing files are never overwritten: choose another --data, or move the file away yourself"
            }
            FileError::NoLocks { .. } => {
                "keep the vault on a file system with locks, or, where no other process can open it, pass \
                 --without-file-lock"
            }
            FileError::Linked { .. } => {
                "a hard link is not a backup: remove the other names, or copy the file"
            }
            FileError::NoFolder(_) => {
                "mount its volume, create that folder, or pass another file with --data"
            }
            FileError::Io { source, .. } if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
                "remount the volume writable: a server records each disclosure in the file"
            }
            FileError::Io { source, .. } if source.kind() == std::io::ErrorKind::Unsupported => {
                "use a folder on another file system: sealroom self-check examines one"
            }
            FileError::Io { .. } => "check the path, its owner and its mode",
        };
        Self::failed(error.to_string(), hint)
    }
}

#[cfg(feature = "server")]
impl CliError {
    /// Returns the error of a file that does not open.
    pub fn open(data: &std::path::Path, error: &OpenError) -> Self {
        let hint = match error {
            OpenError::Missing => no_file(data),
            OpenError::Foreign => {
                "pass a vault file or a backup of one; this file was not changed".to_owned()
            }
            OpenError::Truncated { .. } => {
                "it was cut short, as by a copy that broke off or a full disk: copy it again, or take another backup; \
                 this file was not changed"
                    .to_owned()
            }
            OpenError::Damaged(_) => "restore a backup; this file was not changed".to_owned(),
            OpenError::Newer { known, program, .. } => newer(program, newest_kept_copy(data, *known)),
            OpenError::NewerRows { program, .. } => newer(program, None),
            OpenError::Io(cause) => format!("{cause}: check the path, its owner and its mode"),
        };
        Self::failed(format!("{}: {error}", data.display()), hint)
    }

    /// Returns the error of a vault that was not created.
    pub fn init(error: &InitError) -> Self {
        let hint = match error {
            InitError::Memory(_) => {
                "free memory, raise its limit, or lower --kdf-memory; nothing was left behind"
            }
            InitError::Random(_) => {
                "let this process use getrandom(2) or /dev/urandom, which a sandbox may forbid; nothing was left behind"
            }
            InitError::Invalid(_) => "choose another one; nothing was left behind",
            InitError::Disk(_) => "check the disk's space and the folder's mode; nothing was left behind",
        };
        let mut message = error.to_string();
        if let InitError::Disk(cause) = error {
            message = format!("{message}: {}", root_cause(cause));
        }
        Self::failed(message, hint)
    }

    /// Returns the error of a vault that stays locked.
    pub fn unlock(error: &UnlockError) -> Self {
        let hint = match error {
            UnlockError::WrongPassphrase => {
                "check the passphrase file or the keyboard layout; the recovery key unlocks too"
            }
            UnlockError::Mistyped { .. } => MISTYPED,
            UnlockError::WrongRecoveryKey => {
                "it was replaced or removed, or is of another vault: take the newest one, or the passphrase"
            }
            UnlockError::WrongMachineKey => {
                "check the key file, or unlock with the passphrase and add a slot: sealroom slot add machine"
            }
            UnlockError::WrongEncoding => "save the passphrase's file as UTF-8, or type the passphrase",
            UnlockError::Kdf => "free memory, or run on a larger host",
            UnlockError::Internal(InternalError::Random(_)) => {
                "let this process use getrandom(2) or /dev/urandom, which a sandbox may forbid"
            }
            UnlockError::Internal(_) => "look for the panic's place in the log, and report it",
            UnlockError::Storage(StorageError::Engine(_)) => {
                "the disk or the system refuses, and the file may be whole: check them, then try again"
            }
            UnlockError::Storage(StorageError::Older { .. }) => {
                "start the server with it once, then run this again"
            }
            UnlockError::Storage(_) => {
                "the file was changed from outside or is damaged: `sealroom doctor FILE` names where; restore a backup"
            }
            UnlockError::Open(_) => {
                "check the disk and the file; the server tries again with the next unlock"
            }
            UnlockError::Migration(MigrationError::NotKept(error)) => &error.hint,
            UnlockError::Migration(_) => {
                "check the disk, then start again: the file is whole, and the copy that was kept opens with the \
                 version of sealroom before"
            }
            UnlockError::RolledBack { .. } => {
                "stop the server and put the newest file back, or `sealroom restore` a backup with \
                 --checkpoint-folder; to go on with this copy, start with --accept-rollback"
            }
            UnlockError::AuditUnavailable => "check the disk's space and the file's mode",
        };
        let mut message = error.to_string();
        if let UnlockError::Storage(cause @ StorageError::Engine(_)) = error {
            message = format!("{message}: {}", root_cause(cause));
        }
        Self::failed(message, hint)
    }
}

/// Returns the hint of a file that a newer program wrote, with the copy that was kept before, if there is one.
#[cfg(feature = "server")]
fn newer(program: &str, kept: Option<std::path::PathBuf>) -> String {
    let version = if program.is_empty() {
        "the version that wrote it".to_owned()
    } else {
        format!("sealroom {program}")
    };
    match kept {
        Some(copy) => format!(
            "use {version} or a newer one; to go back without what was changed since, put {} in its place",
            copy.display()
        ),
        None => format!("use {version} or a newer one; this file was not changed"),
    }
}

/// Returns the innermost cause: the operating system's message.
#[cfg(feature = "server")]
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_refuses_is_not_called_damage() {
        let refused = redb::Error::Io(std::io::Error::other("input/output error of the example"));
        let CliError { message, hint, .. } =
            CliError::unlock(&UnlockError::Storage(StorageError::Engine(Box::new(refused))));
        assert!(message.contains("input/output error of the example"), "{message}");
        assert!(!hint.contains("damaged") && !hint.contains("backup"), "{hint}");
    }
}
