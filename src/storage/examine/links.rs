//! Rows that must agree with other rows: credentials with their integrations, and both indexes in both directions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::check::Findings;
use crate::{
    crypto::{
        digest::sha256,
        keys::Keys,
        seal::{self, Context},
    },
    domain::{AuthType, FileId, Integration, IntegrationId, Provider, Revision, TokenId},
    storage::{commit::changes::Scoping, error::key_for_display, format::tables::scope_key_id},
};

/// The credentials that an integration's row says there are.
struct Kept {
    provider: Provider,
    auth_type: AuthType,
    /// Its revisions, each with whether its credential was found.
    revisions: Vec<(u64, bool)>,
}

/// The references between rows. Integrations come before credentials and scopes, tokens before their ids.
#[derive(Default)]
pub(super) struct Links {
    integrations: BTreeMap<[u8; 16], Kept>,
    unopened: BTreeSet<[u8; 16]>,
    /// The integration of each expected entry, by the entry's hash.
    scopes: HashMap<[u8; 16], [u8; 16]>,
    tokens: BTreeMap<[u8; 16], Vec<u8>>,
    unopened_tokens: BTreeSet<Vec<u8>>,
    pub(super) credentials: u64,
    pub(super) entries: u64,
    pub(super) bad_credentials: Findings,
    pub(super) bad_entries: Findings,
}

impl Links {
    pub(super) fn integration(&mut self, keys: &Keys, integration: &Integration) {
        let id = *integration.id.as_bytes();
        for key in Scoping::of(integration).keys(keys.state()) {
            self.scopes.insert(hash(&key), id);
        }
        let revisions = integration.kept.iter().map(|kept| (kept.revision.number(), false)).collect();
        let Integration { provider, auth_type, .. } = *integration;
        self.integrations.insert(id, Kept { provider, auth_type, revisions });
    }

    pub(super) fn unopened_integration(&mut self, id: [u8; 16]) {
        self.unopened.insert(id);
    }

    pub(super) fn credential(&mut self, keys: &Keys, file: FileId, key: &[u8], sealed: &[u8]) {
        self.credentials += 1;
        let Some((id, revision)) = parts(key) else {
            self.bad_credentials.add(format!("credentials {}: its key is no id", key_for_display(key)));
            return;
        };
        let (id, number) = (IntegrationId::from_bytes(id), revision.number());
        let Some(kept) = self.integrations.get_mut(id.as_bytes()) else {
            if !self.unopened.contains(id.as_bytes()) {
                let line = format!("credentials {id} revision {number}: belongs to no integration");
                self.bad_credentials.add(line);
            }
            return;
        };
        if let Some((_, found)) = kept.revisions.iter_mut().find(|(known, _)| *known == number) {
            *found = true;
        } else {
            let line = format!("credentials {id} revision {number}: its integration keeps no such revision");
            self.bad_credentials.add(line);
        }
        let context = Context::credential(
            crate::storage::tables::Table::Credentials.number(),
            file,
            id,
            revision,
            kept.provider,
            kept.auth_type,
        );
        if seal::open(keys.row(), &context, sealed).is_err() {
            self.bad_credentials.add(format!("credentials {id} revision {number}: does not open"));
        }
    }

    /// Checks a credential as far as that goes without a key.
    pub(super) fn unopened_credential(&mut self, key: &[u8]) {
        self.credentials += 1;
        match parts(key) {
            None => {
                self.bad_credentials.add(format!("credentials {}: its key is no id", key_for_display(key)));
            }
            Some((id, revision)) if !self.unopened.contains(&id) => self.bad_credentials.add(format!(
                "credentials {} revision {}: belongs to no integration",
                IntegrationId::from_bytes(id),
                revision.number()
            )),
            Some(_) => {}
        }
    }

    pub(super) fn token(&mut self, id: [u8; 16], digest: &[u8]) {
        self.tokens.insert(id, digest.to_vec());
    }

    pub(super) fn unopened_token(&mut self, digest: &[u8]) {
        self.unopened_tokens.insert(digest.to_vec());
    }

    /// Checks an entry; returns whether it leads to a token, opened or not.
    pub(super) fn token_id(&mut self, key: &[u8], digest: &[u8]) -> bool {
        self.entries += 1;
        let name = || match key.try_into() {
            Ok(id) => TokenId::from_bytes(id).to_string(),
            Err(_) => key_for_display(key),
        };
        let told = key.try_into().ok().and_then(|id: [u8; 16]| self.tokens.remove(&id));
        let is_led = match told {
            Some(told) if told == digest => return true,
            Some(_) => {
                self.bad_entries.add(format!("token_ids {}: leads to another token", name()));
                true
            }
            None => self.unopened_tokens.remove(digest),
        };
        if !is_led {
            self.bad_entries.add(format!("token_ids {}: leads to no token", name()));
        }
        is_led
    }

    pub(super) fn scope(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        let Some(id) = scope_key_id(key) else {
            self.bad_entries.add(format!("scopes {}: its key is too short", key_for_display(key)));
            return;
        };
        let is_expected = self.scopes.remove(&hash(key)).is_some();
        if !is_expected && !self.unopened.contains(id.as_bytes()) {
            let what = if self.integrations.contains_key(id.as_bytes()) {
                "its scope, provider or name has no such entry"
            } else {
                "no such integration"
            };
            self.bad_entries.add(format!("scopes entry of {id}: {what}"));
        } else if !value.is_empty() {
            self.bad_entries.add(format!("scopes entry of {id}: it holds a value"));
        }
    }

    /// Names what is expected and was not found, once every table was read.
    pub(super) fn finish(&mut self) {
        for (id, kept) in &self.integrations {
            for (revision, _) in kept.revisions.iter().filter(|(_, found)| !found) {
                let id = IntegrationId::from_bytes(*id);
                self.bad_credentials.add(format!("credentials {id} revision {revision}: is missing"));
            }
        }
        let missing: BTreeSet<[u8; 16]> = self.scopes.values().copied().collect();
        for id in missing {
            let id = IntegrationId::from_bytes(id);
            self.bad_entries.add(format!("scopes: an entry of integration {id} is missing"));
        }
        for id in self.tokens.keys() {
            self.bad_entries.add(format!("token_ids {}: is missing", TokenId::from_bytes(*id)));
        }
        if !self.unopened_tokens.is_empty() {
            let count = self.unopened_tokens.len();
            self.bad_entries.add(format!("token_ids: {count} of the tokens that do not open have no entry"));
        }
    }
}

fn parts(key: &[u8]) -> Option<([u8; 16], Revision)> {
    let (id, revision) = key.split_at_checked(16)?;
    Some((id.try_into().ok()?, Revision::new(u64::from_be_bytes(revision.try_into().ok()?))))
}

fn hash(key: &[u8]) -> [u8; 16] {
    sha256(key)[..16].try_into().expect("SHA-256 has 32 bytes")
}
