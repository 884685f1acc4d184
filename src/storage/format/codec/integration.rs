//! The row of an integration: version 1, version 3 for a canary or one whose credential was replaced, and version 4 for
//! one whose older credentials were stored at known times too.
//!
//! ```text
//! 1   provider ‖ auth type ‖ name Option ‖ projects Option<Vec<String>>, none if global ‖ config Option
//!       ‖ kept Vec<(revision u64, end Option<u64>)>, the current one first ‖ created at u64 ‖ created by
//!       ‖ creator Option<[16]> ‖ updated at u64 ‖ version u64
//! 3   the fields of 1 ‖ canary bool ‖ the current value stored at Option<u64>
//! 4   the fields of 1 ‖ canary bool ‖ stored at Vec<Option<u64>>, one for each kept revision
//! ```

use super::{Decode, Encode, Row, decode, encode, encode_version, recorded, text, texts, version};
use crate::{
    domain::{Integration, IntegrationId, Json, KeptRevision, Name, Revision, Scope, Timestamp, UserId},
    storage::format::tables::Table,
};

#[derive(Encode, Decode)]
struct StoredIntegration {
    provider: String,
    auth_type: String,
    name: Option<String>,
    /// `None` means global.
    projects: Option<Vec<String>>,
    config: Option<String>,
    /// (revision, end) of each kept revision, the current one first.
    kept: Vec<(u64, Option<u64>)>,
    created_at: u64,
    created_by: String,
    creator: Option<[u8; 16]>,
    updated_at: u64,
    version: u64,
}

impl Row for Integration {
    const TABLE: Table = Table::Integrations;
    const VERSION: u8 = 4;

    fn key(&self) -> Vec<u8> {
        self.id.as_bytes().to_vec()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let kept = |kept: &KeptRevision| (kept.revision.number(), kept.expires_at.map(Timestamp::millis));
        let stored = StoredIntegration {
            provider: text(&self.provider),
            auth_type: text(&self.auth_type),
            name: self.name.as_ref().map(text),
            projects: match &self.scope {
                Scope::Global => None,
                Scope::Projects(projects) => Some(texts(projects)),
            },
            config: self.config.as_ref().map(|config| config.as_str().to_owned()),
            kept: self.kept.iter().map(kept).collect(),
            created_at: self.created_at.millis(),
            created_by: text(&self.created_by),
            creator: self.creator.map(|id| *id.as_bytes()),
            updated_at: self.updated_at.millis(),
            version: self.version,
        };
        let times: Vec<_> = self.kept.iter().map(|kept| kept.stored_at.map(Timestamp::millis)).collect();
        if times.iter().skip(1).any(Option::is_some) {
            return encode_version(4, (stored, self.is_canary, times));
        }
        match (self.is_canary, times.first().copied().flatten()) {
            (false, None) => encode(stored),
            (is_canary, current) => encode_version(3, (stored, is_canary, current)),
        }
    }

    fn from_bytes(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (stored, is_canary, mut times): (StoredIntegration, bool, Vec<Option<u64>>) =
            match version(bytes)? {
                (1, fields) => (decode(fields)?, false, Vec::new()),
                (3, fields) => {
                    let (stored, is_canary, current) = decode(fields)?;
                    (stored, is_canary, vec![current])
                }
                (4, fields) => {
                    let (stored, is_canary, times): (StoredIntegration, _, Vec<_>) = decode(fields)?;
                    if times.len() != stored.kept.len() {
                        return None;
                    }
                    (stored, is_canary, times)
                }
                _ => return None,
            };
        if stored.kept.is_empty() {
            return None;
        }
        times.resize(stored.kept.len(), None);
        let kept = |((revision, expires_at), stored_at): ((u64, Option<u64>), Option<u64>)| KeptRevision {
            revision: Revision::new(revision),
            expires_at: expires_at.map(Timestamp::from_millis),
            stored_at: stored_at.map(Timestamp::from_millis),
        };
        Some(Self {
            id: IntegrationId::from_bytes(key.try_into().ok()?),
            provider: stored.provider.parse().ok()?,
            auth_type: stored.auth_type.parse().ok()?,
            name: Name::recorded_option(stored.name)?,
            scope: match stored.projects {
                None => Scope::Global,
                Some(projects) => Scope::Projects(recorded(&projects)?),
            },
            config: stored.config.map(Json::new_checked),
            kept: stored.kept.into_iter().zip(times).map(kept).collect(),
            created_at: Timestamp::from_millis(stored.created_at),
            created_by: stored.created_by.parse().ok()?,
            creator: stored.creator.map(UserId::from_bytes),
            updated_at: Timestamp::from_millis(stored.updated_at),
            is_canary,
            version: stored.version,
        })
    }
}
