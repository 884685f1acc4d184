//! Verification of a server's records against its newest signed checkpoint, with the proofs that the server states.
//!
//! Owns the arithmetic of trust: each hash that the server states is used only if the signed root follows from it.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::remote::Remote;
use crate::{
    audit::{
        checkpoint::{self, Checkpoint, VerifierKey},
        proof,
        tree::{Frontier, Hash, leaf_hash},
    },
    cli::error::CliError,
};

/// The flag `--key`.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct KeyArg {
    /// Trust this verifier key, or the file that holds it, instead of the key that the server states.
    #[arg(long, value_name = "KEY|FILE")]
    key: Option<String>,
}

/// The origin of the key that signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// `--key`.
    Given,
    /// The server itself.
    Server,
}

/// A checkpoint whose signature holds.
pub(super) struct Signed {
    pub(super) note: String,
    pub(super) checkpoint: Checkpoint,
    pub(super) key: VerifierKey,
    pub(super) trust: Trust,
}

impl Signed {
    /// Requests the newest checkpoint and verifies its signature.
    ///
    /// # Errors
    /// The key cannot be read, or did not sign the checkpoint.
    pub(super) async fn newest(key: &KeyArg, remote: &Remote) -> Result<Self, CliError> {
        let (key, trust) = if let Some(text) = &key.key {
            (given(text)?, Trust::Given)
        } else {
            let text = remote.client.verifier_key().await?;
            (text.trim().parse().map_err(|_| foreign("a verifier key"))?, Trust::Server)
        };
        let note = remote.client.checkpoint().await?;
        let checkpoint = checkpoint::open(&note, std::slice::from_ref(&key)).map_err(|error| {
            CliError::failed(
                format!("the server's checkpoint: {error}"),
                "after a rekey or a restore the log goes on with a new key: `sealroom audit verify --key` follows the handover",
            )
        })?;
        Ok(Self { note, checkpoint, key, trust })
    }

    /// Says what the result rests on.
    pub(super) fn basis(&self) -> &'static str {
        match self.trust {
            Trust::Given => "the key that was given with --key",
            Trust::Server => {
                "the key that the server itself states: compare it with the one that `sealroom init` printed"
            }
        }
    }

    /// Verifies that the record is in the signed tree.
    ///
    /// # Errors
    /// The tree has no such record, or the proof does not hold.
    pub(super) async fn includes(
        &self,
        sequence: u64,
        record: &[u8],
        remote: &Remote,
    ) -> Result<usize, CliError> {
        let Checkpoint { size, root, .. } = &self.checkpoint;
        let path = hashes(&remote.client.inclusion_proof(sequence, *size).await?)?;
        if proof::includes(leaf_hash(record), sequence, *size, &path, root) {
            Ok(path.len())
        } else {
            Err(disproved(&format!("record {sequence} is not in the tree of the signed checkpoint")))
        }
    }

    /// Verifies that the signed tree begins with the tree of this frontier.
    ///
    /// # Errors
    /// It does not.
    pub(super) async fn continues(&self, frontier: &Frontier, remote: &Remote) -> Result<(), CliError> {
        self.begins_with(frontier.size(), &frontier.root(), remote).await
    }

    /// Verifies that the signed tree begins with the one that an earlier checkpoint signs.
    ///
    /// # Errors
    /// It does not.
    pub(super) async fn follows(&self, earlier: &Self, remote: &Remote) -> Result<(), CliError> {
        self.begins_with(earlier.checkpoint.size, &earlier.checkpoint.root, remote).await
    }

    async fn begins_with(&self, from: u64, tree: &Hash, remote: &Remote) -> Result<(), CliError> {
        let Checkpoint { size, root, .. } = &self.checkpoint;
        let path = match from {
            0 => return Ok(()),
            from if from < *size => hashes(&remote.client.consistency_proof(from, *size).await?)?,
            _ => Vec::new(),
        };
        if proof::extends(from, *size, &path, tree, root) {
            Ok(())
        } else {
            Err(disproved("the records are not those of the tree that the signed checkpoint names"))
        }
    }
}

/// Returns the tree before a record, as the server states it. Only a root that follows from it proves it.
///
/// # Errors
/// The server gives no proof, or one of another length.
pub(super) async fn tree_before(sequence: u64, remote: &Remote) -> Result<Frontier, CliError> {
    if sequence == 0 {
        return Ok(Frontier::EMPTY);
    }
    // The siblings on the way from the last leaf to the root are the complete subtrees before it, smallest first.
    let mut nodes = hashes(&remote.client.inclusion_proof(sequence, sequence + 1).await?)?;
    nodes.reverse();
    Frontier::from_parts(sequence, nodes).map_err(|_| foreign("a proof"))
}

pub(super) fn hashes(texts: &[String]) -> Result<Vec<Hash>, CliError> {
    let hash = |text: &String| STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    texts.iter().map(|text| hash(text).ok_or_else(|| foreign("a proof"))).collect()
}

fn given(text: &str) -> Result<VerifierKey, CliError> {
    let hint = "pass what `init` printed, like sealroom/…+…+…, or a file that holds it";
    if let Ok(key) = text.trim().parse() {
        return Ok(key);
    }
    let read = fs::read_to_string(Path::new(text));
    let read = read.map_err(|error| CliError::usage(format!("--key {text}: {error}"), hint))?;
    checkpoint::only_key(&read)
        .ok_or_else(|| CliError::usage(format!("--key {text}: it does not contain one verifier key"), hint))
}

fn foreign(what: &str) -> CliError {
    CliError::failed(format!("the server's answer is not {what}"), "check the URL in --server")
}

pub(super) fn disproved(what: &str) -> CliError {
    CliError::failed(
        what,
        "the log was changed, or the answers were: keep the file, run `sealroom doctor` on the host, and compare with a kept checkpoint",
    )
}
