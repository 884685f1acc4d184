//! One witness, asked for its cosignature.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::super::{
    log_proof::{Signed, hashes},
    remote::Remote,
};
use crate::{
    audit::{
        checkpoint,
        tree::Hash,
        witness_asking::{self, Unvouched},
        witness_policy::Witness,
    },
    client::Client,
    domain::Timestamp,
};

/// Time limit for one witness, its answers and our proofs together.
const WITNESS_MAX: Duration = Duration::from_secs(10);

/// A witness, and all that it takes to ask it.
pub(super) struct Asking {
    pub(super) witness: Witness,
    pub(super) client: Client,
    pub(super) prefix: String,
    pub(super) signed: Arc<Signed>,
    pub(super) remote: Arc<Remote>,
    pub(super) now: Timestamp,
}

impl Asking {
    /// Returns the witness's signature line, with its end; `old` is the size that it cosigned last, as far as is known.
    ///
    /// # Errors
    /// The reason, as text for people.
    pub(super) async fn ask(&self, old: u64) -> Result<String, String> {
        let limit = WITNESS_MAX.as_secs();
        let asked = timeout(WITNESS_MAX, self.asked(old)).await;
        match asked.unwrap_or_else(|_| Err(format!("it did not answer within {limit} seconds")))? {
            Ok(line) => Ok(line),
            // The server's own slowness is not the witness's, and hides no other refusal.
            Err(error @ Unvouched::Ahead { .. }) => Err(error.by_now(self.size_by_now().await).to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns the witness's line or its refusal, or the reason why there is neither.
    async fn asked(&self, old: u64) -> Result<Result<String, Unvouched>, String> {
        let Signed { note, checkpoint: signed, key, .. } = &*self.signed;
        let mut asking = witness_asking::Asking::new(&self.witness.key, key, note, signed.size, old);
        loop {
            let proof = match asking.proven() {
                Some((from, to)) => self.proof(from, to).await?,
                None => Vec::new(),
            };
            let answer = self.client.add_checkpoint(&self.prefix, asking.body(proof)).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let taken = asking.take(answer.status, &answer.media_type, &answer.text, self.now);
            if let Some(line) = taken.transpose() {
                return Ok(line);
            }
        }
    }

    /// Returns the log's size of this moment, if the server tells it in time and signs it with the same key.
    async fn size_by_now(&self) -> Option<u64> {
        let note = timeout(WITNESS_MAX, self.remote.client.checkpoint()).await.ok()?.ok()?;
        checkpoint::open(&note, std::slice::from_ref(&self.signed.key)).ok().map(|newest| newest.size)
    }

    async fn proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, String> {
        let texts = self.remote.client.consistency_proof(from, to).await;
        let texts = texts.map_err(|error| format!("no proof from {from} to {to} records: {error}"))?;
        hashes(&texts).map_err(|error| error.message)
    }
}
