//! Changes as data: the rows that a decision writes, with their index entries.

use zeroize::Zeroizing;

use crate::{
    crypto::digest::StateKey,
    domain::{
        ApplicationToken, AuthType, Email, Integration, IntegrationId, Name, Project, ProjectId, Provider,
        Revision, Scope, Secret, SessionKey, SessionRow, User,
    },
    storage::format::{
        codec::{self, Row, session_key},
        head::{Slot, encode_slots},
        last_access::LastAccess,
        slot_times::{self, SlotTime},
        tables::{Table, credential_key, meta, scope_group_prefix, scope_prefix},
    },
};

/// One row to write or delete.
pub(in crate::storage) enum Change {
    /// A row to seal.
    Row { table: Table, key: Vec<u8>, plain: Zeroizing<Vec<u8>> },
    /// A credential to seal.
    Credential {
        id: IntegrationId,
        revision: Revision,
        provider: Provider,
        auth_type: AuthType,
        secret: Secret,
    },
    /// An index entry, which holds nothing to seal.
    Index { table: Table, key: Vec<u8>, value: Vec<u8> },
    /// The index entries of an integration, before and after the change.
    Scopes { before: Option<Scoping>, after: Option<Scoping> },
    /// The first record that the file holds afterwards: those before it are deleted.
    FirstRecord { sequence: u64 },
    /// A row to delete.
    Delete { table: Table, key: Vec<u8> },
    /// A value of `meta` to replace.
    Meta { name: &'static str, value: Vec<u8> },
    /// The log continues with a new key after this commit.
    NewLogKey,
}

/// The writes of a decision; nothing is written until the writer commits them beside the event.
#[derive(Default)]
pub struct Changes(pub(in crate::storage) Vec<Change>);

impl Changes {
    /// Returns an empty set of changes.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Returns whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes of rows and credentials to write, about as many as the file grows by.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |change: &Change| match change {
            Change::Row { plain, .. } => plain.len(),
            Change::Credential { secret, .. } => secret.expose().len(),
            Change::Index { key, value, .. } => key.len() + value.len(),
            _ => 0,
        };
        self.0.iter().map(bytes).sum()
    }

    /// Returns the newest version of a row among them; 1 if there is none.
    pub(in crate::storage) fn row_version(&self) -> u8 {
        let version = |change: &Change| match change {
            Change::Row { plain, .. } => codec::version(plain).map(|(version, _)| version),
            _ => None,
        };
        self.0.iter().filter_map(version).max().unwrap_or(1)
    }

    /// Returns the first record that the file holds after these changes, if they delete any.
    pub(in crate::storage) fn first_record(&self) -> Option<u64> {
        let sequence = |change: &Change| match change {
            Change::FirstRecord { sequence } => Some(*sequence),
            _ => None,
        };
        self.0.iter().filter_map(sequence).max()
    }

    /// Deletes the records before `sequence`, which an archive holds; a multiple of 256, so that the stored subtrees
    /// stand for them.
    pub fn archive_before(&mut self, sequence: u64) {
        debug_assert!(sequence.is_multiple_of(256), "stored subtrees have 256 leaves");
        self.0.push(Change::FirstRecord { sequence });
    }

    /// Writes a user.
    pub fn user(&mut self, mut user: User) {
        user.version += 1;
        self.row(&user);
    }

    /// Deletes a user.
    pub fn remove_user(&mut self, email: &Email) {
        self.delete(Table::Users, email.as_str().as_bytes().to_vec());
    }

    /// Writes a session's token.
    pub fn session(&mut self, mut row: SessionRow) {
        row.version += 1;
        self.row(&row);
    }

    /// Deletes a session's token.
    pub fn remove_session(&mut self, key: &SessionKey) {
        self.delete(Table::Sessions, session_key(key));
    }

    /// Writes a project.
    pub fn project(&mut self, mut project: Project) {
        project.version += 1;
        self.row(&project);
    }

    /// Deletes a project.
    pub fn remove_project(&mut self, identifier: &ProjectId) {
        self.delete(Table::Projects, identifier.as_str().as_bytes().to_vec());
    }

    /// Writes an application token and its index entry by id.
    pub fn token(&mut self, mut token: ApplicationToken) {
        token.version += 1;
        let (key, value) = (token.id.as_bytes().to_vec(), token.digest.0.to_vec());
        self.0.push(Change::Index { table: Table::TokenIds, key, value });
        self.row(&token);
    }

    /// Writes an integration's metadata, and those of its index entries that differ from before.
    pub fn integration(&mut self, before: Option<&Integration>, mut after: Integration) {
        after.version += 1;
        let (before, after_it) = (before.map(Scoping::of), Some(Scoping::of(&after)));
        if before != after_it {
            self.0.push(Change::Scopes { before, after: after_it });
        }
        self.row(&after);
    }

    /// Deletes an integration with its index entries and every revision of its credential.
    pub fn remove_integration(&mut self, integration: &Integration) {
        self.0.push(Change::Scopes { before: Some(Scoping::of(integration)), after: None });
        for kept in &integration.kept {
            self.remove_credential(integration.id, kept.revision);
        }
        self.delete(Table::LastAccess, integration.id.as_bytes().to_vec());
        self.delete(Table::Integrations, integration.key());
    }

    /// Seals and writes a credential.
    pub fn credential(&mut self, integration: &Integration, revision: Revision, secret: Secret) {
        let Integration { id, provider, auth_type, .. } = *integration;
        self.0.push(Change::Credential { id, revision, provider, auth_type, secret });
    }

    /// Deletes one revision of a credential.
    pub fn remove_credential(&mut self, id: IntegrationId, revision: Revision) {
        self.delete(Table::Credentials, credential_key(id, revision));
    }

    /// Replaces the key slots, with the time of each one's last change where it is known.
    pub fn slots(&mut self, slots: &[Slot], times: &[SlotTime]) {
        self.0.push(Change::Meta { name: meta::SLOTS, value: encode_slots(slots) });
        self.0.push(Change::Meta { name: meta::SLOT_TIMES, value: slot_times::encode(times) });
    }

    /// Ends the log's key with this commit's checkpoint, which hands the log over to a new one. No copy of the file
    /// from before can then sign what this file's log says after.
    pub fn new_log_key(&mut self) {
        self.0.push(Change::NewLogKey);
    }

    /// Makes a copy that a backup made the vault's own file.
    pub fn adopt_copy(&mut self) {
        self.0.push(Change::Meta { name: meta::ORIGIN_COPY, value: Vec::new() });
    }

    pub(in crate::storage) fn starts_log_key(&self) -> bool {
        self.0.iter().any(|change| matches!(change, Change::NewLogKey))
    }

    pub(in crate::storage) fn last_access(&mut self, row: &LastAccess) {
        self.row(row);
    }

    fn row<R: Row>(&mut self, row: &R) {
        self.0.push(Change::Row { table: R::TABLE, key: row.key(), plain: Zeroizing::new(row.to_bytes()) });
    }

    fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.0.push(Change::Delete { table, key });
    }
}

/// The fields of an integration that make up its index entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct Scoping {
    scope: Scope,
    provider: Provider,
    name: Option<Name>,
    id: IntegrationId,
}

impl Scoping {
    pub(in crate::storage) fn of(integration: &Integration) -> Self {
        let Integration { scope, provider, id, .. } = integration;
        let (_, name) = integration.group();
        Self { scope: scope.clone(), provider: *provider, name: name.cloned(), id: *id }
    }

    /// Returns the keys of the entries.
    pub(in crate::storage) fn keys(&self, key: &StateKey) -> Vec<Vec<u8>> {
        let entry =
            |project: Option<&ProjectId>| entry(key, project, self.provider, self.name.as_ref(), self.id);
        match &self.scope {
            Scope::Global => vec![entry(None)],
            Scope::Projects(projects) => projects.iter().map(|project| entry(Some(project))).collect(),
        }
    }
}

/// Returns whether `key` is one of the integration's own index entries. Computes only the one entry that can match it.
pub(in crate::storage) fn leads_to(state: &StateKey, key: &[u8], integration: &Integration) -> bool {
    let (_, name) = integration.group();
    let is_it = |project| entry(state, project, integration.provider, name, integration.id) == key;
    match &integration.scope {
        Scope::Global => is_it(None),
        // No scope's prefix is a prefix of another's.
        Scope::Projects(projects) => projects
            .iter()
            .find(|project| key.starts_with(&scope_prefix(Some(project))))
            .is_some_and(|project| is_it(Some(project))),
    }
}

fn entry(
    state: &StateKey,
    project: Option<&ProjectId>,
    provider: Provider,
    name: Option<&Name>,
    id: IntegrationId,
) -> Vec<u8> {
    let mut entry = scope_group_prefix(state, project, provider, name);
    entry.extend_from_slice(id.as_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Actor, KeptRevision};

    fn integration(id: u8, name: &str, scope: Scope) -> Integration {
        let now = crate::domain::Timestamp::from_millis(0);
        Integration {
            id: IntegrationId::from_bytes([id; 16]),
            provider: Provider::Custom,
            auth_type: AuthType::ApiKey,
            name: name.parse().ok(),
            scope,
            config: None,
            kept: vec![KeptRevision { revision: Revision::FIRST, expires_at: None, stored_at: None }],
            created_at: now,
            created_by: Actor::host("test"),
            creator: None,
            updated_at: now,
            is_canary: false,
            version: 1,
        }
    }

    #[test]
    fn an_entry_leads_to_the_integration_whose_key_it_is_and_to_no_other() {
        let state = StateKey::new(&[7; 32]);
        let projects =
            |texts: &[&str]| Scope::Projects(texts.iter().map(|text| text.parse().unwrap()).collect());
        let all = [
            integration(1, "one", projects(&["a/b", "a/bc"])),
            integration(2, "one", projects(&["a/b", "a/bc"])),
            integration(1, "two", projects(&["a/b"])),
            integration(1, "one", projects(&["a/c"])),
            integration(1, "one", Scope::Global),
        ];
        for (n, one) in all.iter().enumerate() {
            for key in Scoping::of(one).keys(&state) {
                let led: Vec<usize> =
                    (0..all.len()).filter(|other| leads_to(&state, &key, &all[*other])).collect();
                assert_eq!(led, [n]);
                assert!(!leads_to(&StateKey::new(&[8; 32]), &key, one), "a tag of another vault's key");
            }
        }
    }
}
