//! The endpoints of this vault as a witness of other logs (C2SP `tlog-witness`): no token, and no state of the vault.

use bytes::Bytes;
use hyper::StatusCode;

use super::{
    error::{HandlerResult, HttpError},
    response::Answer,
    server::Server,
};
use crate::{
    audit::witness::Refusal,
    vault::{Context, NotWitnessed},
};

/// The type of the answer that states the size of the last checkpoint.
const SIZE: &str = "text/x.tlog.size";

impl From<NotWitnessed> for HttpError {
    fn from(error: NotWitnessed) -> Self {
        match error {
            NotWitnessed::NoWitness => Self::NoRoute,
            NotWitnessed::Refused(refusal) => Self::Witness(refusal),
            NotWitnessed::Vault(error) => Self::Vault(error),
            NotWitnessed::NotKept => Self::WitnessUnavailable,
        }
    }
}

impl Server {
    pub(super) async fn add_checkpoint(&self, context: &Context, body: Bytes) -> HandlerResult {
        match self.vault.add_checkpoint(context, body).await {
            Ok(line) => Ok(Answer::text(line)),
            Err(NotWitnessed::Refused(Refusal::Stale { size })) => {
                let status = StatusCode::CONFLICT;
                Ok(Answer { status, content_type: SIZE, ..Answer::text(format!("{size}\n")) })
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn witnessed_checkpoint(&self, origin_hash: &str) -> HandlerResult {
        Ok(Answer::text(self.vault.witnessed_checkpoint(origin_hash).await?))
    }

    pub(super) async fn witness_key(&self) -> HandlerResult {
        Ok(Answer::text(format!("{}\n", self.vault.witness_key().await?)))
    }
}
