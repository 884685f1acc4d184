//! The protocol's lines on the local socket.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{cli::error::CliError, storage::Check};

/// The longest line: a passphrase of 64 KiB, escaped.
pub(super) const LINE_BYTES_MAX: u64 = 512 * 1024;
/// Time limit for a client to send its request.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for an answer: a key derivation on a slow host, or a revocation's wait.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub(super) enum Request {
    Unlock { secret: Zeroizing<String> },
    Lock,
    Log,
    Archive { before: String, to: PathBuf },
    Examine,
    Rescue,
    Slots,
    Slot(SlotRequest),
}

/// A change of the key slots.
#[derive(Serialize, Deserialize)]
pub(in crate::cli::host) struct SlotRequest {
    /// The secret of a slot.
    pub(in crate::cli::host) secret: Zeroizing<String>,
    pub(in crate::cli::host) change: SlotVerb,
    /// The slot to change or remove.
    #[serde(default)]
    pub(in crate::cli::host) id: Option<u32>,
    /// The new secret, to add or to change.
    #[serde(default)]
    pub(in crate::cli::host) new: Option<NewSlot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli::host) enum SlotVerb {
    Add,
    Change,
    Remove,
}

#[derive(Serialize, Deserialize)]
pub(in crate::cli::host) struct NewSlot {
    pub(in crate::cli::host) kind: String,
    pub(in crate::cli::host) secret: Zeroizing<String>,
    pub(in crate::cli::host) memory_kib: u32,
    pub(in crate::cli::host) passes: u32,
    pub(in crate::cli::host) lanes: u32,
    /// True if its operator accepts a key derivation below the floor.
    #[serde(default)]
    pub(in crate::cli::host) weak_kdf: bool,
}

/// A slot as the server lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli::host) struct SlotRow {
    pub(in crate::cli::host) id: u32,
    pub(in crate::cli::host) kind: String,
    /// `argon2id`, or `hkdf-sha256` for a machine key.
    pub(in crate::cli::host) kdf: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::host) memory_kib: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::host) passes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::host) lanes: Option<u32>,
    /// The time of its last change, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::host) changed_at: Option<u64>,
}

/// The answer to `slots` and `slot`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::cli::host) enum SlotAnswer {
    Changed { changed: u32, slots: Vec<SlotRow> },
    Listed { slots: Vec<SlotRow> },
    Failed { error: String, hint: String },
}

/// The checkpoint and key that the log is verified against.
#[derive(Serialize, Deserialize)]
pub(super) struct LogHead {
    pub(super) checkpoint: String,
    pub(super) key: String,
    /// The log's first key, if it is another one.
    #[serde(default)]
    pub(super) first_key: Option<String>,
    /// The checkpoints with which earlier keys ended.
    #[serde(default)]
    pub(super) handovers: Vec<String>,
    /// The number of archived records.
    #[serde(default)]
    pub(super) first: u64,
    /// The hashes of the complete subtrees of the archived records, largest first, in base64.
    #[serde(default)]
    pub(super) frontier: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Done {
        ok: bool,
        /// The request required no change.
        #[serde(default)]
        already: bool,
        /// The archived range, first and last sequence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        archived: Option<(u64, u64)>,
    },
    Failed {
        error: String,
        hint: String,
    },
}

/// A line of an examination.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Examined {
    /// The number of bytes read since the last such line.
    Read(u64),
    /// The report, which ends it.
    Checks(Vec<Check>),
}

/// A line of an archive in progress: the number of records written, and of all; an [`Answer`] ends it.
#[derive(Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) done: u64,
    pub(super) total: u64,
}

/// The line that precedes the file's bytes.
#[derive(Serialize, Deserialize)]
pub(in crate::cli::host) struct RescueHead {
    pub(in crate::cli::host) bytes: u64,
    /// The reason why these bytes are not what the server wrote, if they are not.
    pub(in crate::cli::host) foreign: Option<String>,
}

pub(super) fn line_of(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default() + "\n"
}

/// Prefix of the line in which the server reports why the stream ends early.
pub(in crate::cli::host) const ENDED_EARLY: &[u8] = br#"{"error":"#;

/// Returns the error that such a line reports.
pub(in crate::cli::host) fn ended_early(line: &[u8]) -> CliError {
    match serde_json::from_slice(line) {
        Ok(Answer::Failed { error, hint }) => CliError::failed(error, hint),
        Ok(Answer::Done { .. }) | Err(_) => not_understood(),
    }
}

pub(super) fn not_understood() -> CliError {
    CliError::failed(
        "the server's answer was not understood",
        "use the same version of sealroom as the server",
    )
}
