//! The kept revisions of a credential.

use serde::Deserialize;

use super::answers::{Integration, SecretJson};
use crate::{
    api::text,
    domain::{Secret, Timestamp},
};

/// The kept revisions of one credential, with its metadata of the same moment.
pub struct Revisions {
    /// The answer as the server sent it.
    pub body: Secret,
    /// `audit-receipt`: evidence to check against the log later.
    pub receipt: Option<String>,
    pub(super) server: String,
}

/// The parts of [`Revisions`].
#[derive(Deserialize)]
pub struct Kept {
    /// The metadata.
    pub integration: Integration,
    /// The revisions, the current one first.
    pub revisions: Vec<KeptRevision>,
}

/// One revision of a credential.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptRevision {
    /// Its number.
    pub revision: u64,
    /// Its own expiry at the provider.
    #[serde(with = "text::optional")]
    pub expires_at: Option<Timestamp>,
    /// The credential.
    pub credentials: SecretJson,
}

impl Revisions {
    /// Returns the metadata and the revisions.
    ///
    /// # Errors
    /// The answer does not follow this API.
    pub fn parts(&self) -> Result<Kept, super::Error> {
        serde_json::from_slice(self.body.expose())
            .map_err(|_| super::Error::Foreign { server: self.server.clone(), status: 200 })
    }
}
