//! This vault as a witness of other vaults' logs: it cosigns each checkpoint that continues the one before.
//!
//! Its key is sealed under the vault key, so that a stolen disk cosigns nothing, and lies in one file with its state, so
//! that no key outlives its state. A checkpoint is on the disk before its cosignature leaves. No row of the vault and no
//! record of its log is read or written: a cosignature discloses nothing.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::{
    error::{Error, InternalError},
    state::{Open, Vault},
    witness_state::{Kept, NotWitnessed, Witness, WitnessFileError},
    work::Context,
};
use crate::{
    audit::{
        checkpoint::{Checkpoint, VerifierKey, origin},
        cosignature::{WitnessKey, cosign, witness_name},
        witness::{Refusal, Request},
        witness_file::State,
    },
    crypto::{digest::sha256, sign::LogKey, stack::leaving_nothing},
    domain::{Peer, Timestamp},
};

impl Vault {
    /// Checks that the witness's state belongs to this vault, and that it witnesses others.
    ///
    /// # Errors
    /// It belongs to another one, or the log is its own.
    pub fn check_witness(&self) -> Result<(), WitnessFileError> {
        let Some(witness) = &self.settings().witness else { return Ok(()) };
        let own = origin(self.store().file());
        if witness.logs.iter().any(|key| key.name() == own) {
            return Err(WitnessFileError::Itself { own });
        }
        let kept = witness.kept();
        let (Some(state), own) = (&kept.state, witness_name(self.store().file())) else { return Ok(()) };
        let key = state.key.name();
        if key == own {
            return Ok(());
        }
        Err(WitnessFileError::Foreign { path: witness.path.clone(), key: key.to_owned(), own })
    }

    /// Returns the number of logs that this vault is a witness of.
    pub fn witnessed_logs(&self) -> usize {
        self.settings().witness.as_ref().map_or(0, |witness| witness.logs.len())
    }

    /// Returns the verifier key of this vault as a witness, and generates it at the first call.
    ///
    /// # Errors
    /// This vault is no witness, is locked before the first call, or has another vault key since the witness's key was
    /// sealed.
    pub async fn witness_key(self: &Arc<Self>) -> Result<WitnessKey, NotWitnessed> {
        self.as_witness(|vault, witness| {
            let (open, mut kept) = (vault.opened(), witness.kept());
            match (open, &kept.state) {
                // Only an unlocked vault can tell if it still opens.
                (Err(_), Some(state)) => Ok(state.key.clone()),
                (Err(error), None) => Err(error.into()),
                (Ok(open), _) => Self::own_key(witness, &mut kept, &open).map(|(key, _)| key),
            }
        })
        .await
    }

    /// Returns the checkpoint that was cosigned last, of the log with this SHA-256 of its origin in hexadecimal.
    ///
    /// # Errors
    /// There is none, or too many ask.
    pub async fn witnessed_checkpoint(self: &Arc<Self>, origin_hash: &str) -> Result<String, NotWitnessed> {
        let hash = origin_hash.to_owned();
        // Not on a serving thread: a cosignature holds the state while the disk syncs.
        self.as_witness(move |_, witness| {
            let kept = witness.kept();
            let state = kept.state.as_ref().ok_or(Refusal::UnknownLog)?;
            let mut origins = state.origins();
            let origin = origins.find(|origin| HEXLOWER.encode(&sha256(origin.as_bytes())) == hash);
            let note = origin.and_then(|origin| state.note(origin)).ok_or(Refusal::UnknownLog)?;
            Ok(note.to_owned())
        })
        .await
    }

    /// Cosigns a checkpoint of another log (C2SP `tlog-witness`, `add-checkpoint`), and returns the signature line.
    ///
    /// # Errors
    /// The checkpoint does not continue the last one, the client was refused too often, or the state cannot be kept.
    pub async fn add_checkpoint(
        self: &Arc<Self>,
        context: &Context,
        body: Bytes,
    ) -> Result<String, NotWitnessed> {
        if self.settings().witness.is_none() {
            return Err(NotWitnessed::NoWitness);
        }
        let (now, peer) = (context.now, context.peer.unwrap_or(Peer::Unix));
        let checked = self.limiter().check_checkpoint(peer, now);
        checked.map_err(|wait| Error::TooManyTries { retry_after_secs: wait.seconds })?;
        let cosigned = self.as_witness(move |vault, witness| vault.cosign(witness, &body, now)).await;
        // A 409 is the protocol's way to learn the size, and no refusal.
        let is_refused = matches!(&cosigned, Err(NotWitnessed::Refused(refusal)) if !refusal.is_stale());
        if !is_refused {
            self.limiter().cosigned(peer);
        }
        cosigned
    }

    /// Runs work of the witness on a thread that may wait for the disk; a client that goes away does not stop it.
    async fn as_witness<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Witness) -> Result<T, NotWitnessed> + Send + 'static,
    ) -> Result<T, NotWitnessed> {
        let witness = self.settings().witness.clone().ok_or(NotWitnessed::NoWitness)?;
        let turn = Arc::clone(&witness.turns).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let vault = Arc::clone(self);
        let worked = tokio::task::spawn_blocking(move || {
            let worked = leaving_nothing(|| work(&vault, &witness));
            drop(turn);
            worked
        });
        worked.await.map_err(|_| Error::from(InternalError::TaskPanicked))?
    }

    fn cosign(&self, witness: &Witness, body: &[u8], now: Timestamp) -> Result<String, NotWitnessed> {
        let request = Request::read(body)?;
        let new = request.open(&witness.logs)?;
        let open = self.opened()?;
        // From here to the end: two requests from one old size must not both pass.
        let mut kept = witness.kept();
        let last = kept.state.as_ref().and_then(|state| state.last(&new.origin)).cloned();
        // Before the key is touched: a stranger may repeat a public checkpoint for ever.
        if let Err(refusal) = request.judge(&new, last.as_ref()) {
            report(refusal, &request, &new, last.as_ref());
            return Err(refusal.into());
        }
        let (name, key) = Self::own_key(witness, &mut kept, &open)?;
        let state = kept.state.clone().ok_or(NotWitnessed::NotKept)?;
        let (signed, lines) = own_lines(request.note, &new.origin, &witness.logs);
        let line = cosign(&signed, name.name(), &key, now);
        if last.as_ref().is_none_or(|last| last.size < new.size) {
            if last.is_none() {
                tracing::info!(
                    origin = new.origin,
                    size = new.size,
                    "cosigned the first checkpoint of a log"
                );
            }
            let note = format!("{signed}\n{lines}{line}");
            witness.keep(&mut kept, state.with(new, note), &key)?;
        }
        Ok(line)
    }

    /// Returns the key of this vault as a witness; generates and keeps one if there is none.
    fn own_key(
        witness: &Witness,
        kept: &mut Kept,
        open: &Open,
    ) -> Result<(WitnessKey, LogKey), NotWitnessed> {
        let view = open.writer.fresh_view();
        if let Some(state) = &kept.state {
            let key = view.open_witness_key(*state.key.public(), &state.sealed);
            return key.map(|key| (state.key.clone(), key)).ok_or_else(|| {
                let hint = "a rekey ends the witness's key, as it ends the log's: move the file away, start again, and \
                            give the new key to those who rely on this witness";
                tracing::error!(path = %witness.path.display(), hint, "the witness's key does not open under this vault key");
                NotWitnessed::NotKept
            });
        }
        let key = LogKey::generate().map_err(|error| Error::from(InternalError::from(error)))?;
        let sealed = view.seal_witness_key(&key).map_err(Error::from)?;
        let verifier = WitnessKey::new(&witness_name(view.file()), key.public());
        witness.keep(kept, State::new(verifier.clone(), sealed), &key)?;
        tracing::info!(key = %verifier, path = %witness.path.display(), "generated a new key for this witness");
        Ok((verifier, key))
    }
}

/// Returns the text of a note that was opened, and the lines of its log's keys, each once: nobody has verified another
/// line.
fn own_lines(note: &str, origin: &str, logs: &[VerifierKey]) -> (String, String) {
    let (text, lines) = note.rsplit_once("\n\n").unwrap_or_default();
    let mut seen = BTreeSet::new();
    let own = |line: &&str| {
        logs.iter().any(|key| key.name() == origin && key.is_of(line)) && seen.insert((*line).to_owned())
    };
    let lines = lines.lines().filter(own).flat_map(|line| [line, "\n"]).collect();
    (format!("{text}\n"), lines)
}

/// Logs a refusal that may be a log's misbehaviour.
fn report(refusal: Refusal, request: &Request<'_>, new: &Checkpoint, last: Option<&Checkpoint>) {
    let (origin, size) = (&new.origin, new.size);
    match (refusal, last) {
        // Only the log's own key brings this about: it is the proof of two histories.
        (Refusal::Forked, Some(last)) => tracing::error!(
            origin,
            size,
            root = STANDARD.encode(new.root),
            cosigned_root = STANDARD.encode(last.root),
            note = request.note,
            "a log signed two roots of one size: it has two histories; keep this line, and ask its operator"
        ),
        // A client with a wrong proof brings it about too.
        (Refusal::Unproven | Refusal::Forked, _) => tracing::warn!(
            origin,
            size,
            old = request.old,
            "refused a checkpoint that does not continue the one that was cosigned last"
        ),
        (Refusal::Stale { .. } | Refusal::Malformed | Refusal::UnknownLog | Refusal::Unsigned, _) => {}
    }
}
