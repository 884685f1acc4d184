//! One witness, asked for its cosignature.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::super::{
    log_proof::{Signed, hashes},
    remote::Remote,
};
use crate::{
    audit::{checkpoint, tree::Hash, witness_asking, witness_policy::Witness},
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
        asked.unwrap_or_else(|_| Err(format!("it did not answer within {limit} seconds")))
    }

    async fn asked(&self, old: u64) -> Result<String, String> {
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
            match taken {
                Ok(Some(line)) => return Ok(line),
                Ok(None) => {}
                Err(error) => return Err(error.by_now(self.size_by_now().await).to_string()),
            }
        }
    }

    /// Returns the log's size of this moment, or that of the checkpoint if the server does not tell.
    async fn size_by_now(&self) -> u64 {
        let note = self.remote.client.checkpoint().await.unwrap_or_default();
        let newest = checkpoint::open(&note, std::slice::from_ref(&self.signed.key));
        newest.map_or(self.signed.checkpoint.size, |newest| newest.size)
    }

    async fn proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, String> {
        let texts = self.remote.client.consistency_proof(from, to).await;
        let texts = texts.map_err(|error| format!("no proof from {from} to {to} records: {error}"))?;
        hashes(&texts).map_err(|error| error.message)
    }
}
