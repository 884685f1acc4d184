//! A view: the only way to read rows, for requests and decisions.
//!
//! A request's view is the last committed state, read through the thread's cache. A decision's view is that state plus
//! the changes of the batch's earlier jobs, which the overlay holds.

use std::{
    cell::{Cell, OnceCell},
    collections::BTreeMap,
    sync::Arc,
};

use super::{
    cache::{self, Generation},
    snapshot::Snapshot,
};
use crate::{
    auth::policy::{Disclosure, KeptDisclosure, Restoration},
    crypto::seal::{self, Context},
    domain::{
        ApplicationToken, Digest, Email, FileId, Integration, IntegrationId, Name, Project, ProjectId,
        Provider, Revision, Secret, SessionId, SessionKey, SessionRow, TokenId, User,
    },
    storage::{
        commit::changes::Scoping,
        error::StorageError,
        format::{
            codec::{NewerRow, Row, session_key},
            last_access::LastAccess,
            tables::{
                Table, credential_key, scope_group_prefix, scope_key_id, scope_prefix, scope_service_prefix,
                session_prefix,
            },
        },
        state::{Overlay, VaultState},
    },
};

/// A consistent state of the rows.
pub struct View<'a> {
    pub(in crate::storage) source: &'a VaultState,
    pub(super) overlay: Option<&'a Overlay>,
    generation: Cell<Option<Generation>>,
    snapshot: OnceCell<Snapshot>,
    /// The batch's snapshot, which all its decisions share.
    shared: Option<&'a OnceCell<Snapshot>>,
}

impl<'a> View<'a> {
    /// Returns a view of the committed state. If a commit lands while the view is in use, [`View::generation`] returns
    /// [`None`]: read again.
    pub(in crate::storage) fn committed(source: &'a VaultState) -> Self {
        let generation = Cell::new(Some(source.generation()).filter(|now| now.number.is_multiple_of(2)));
        Self { source, overlay: None, generation, snapshot: OnceCell::new(), shared: None }
    }

    /// Returns a view of the committed state from one snapshot, without the cache.
    pub(in crate::storage) const fn fresh(source: &'a VaultState) -> Self {
        Self { source, overlay: None, generation: Cell::new(None), snapshot: OnceCell::new(), shared: None }
    }

    /// Returns the view of a decision.
    pub(in crate::storage) fn deciding(
        source: &'a VaultState,
        overlay: &'a Overlay,
        snapshot: &'a OnceCell<Snapshot>,
    ) -> Self {
        let generation = Cell::new(overlay.is_empty().then(|| source.generation()));
        Self { source, overlay: Some(overlay), generation, snapshot: OnceCell::new(), shared: Some(snapshot) }
    }

    /// Returns the generation that the view shows, for comparing a request's view with a decision's; `None` equals
    /// none.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.generation.get()
    }

    /// Returns the vault's id.
    pub fn file(&self) -> FileId {
        self.source.file
    }

    /// Returns a user by e-mail.
    ///
    /// # Errors
    /// As for every method of a view: the file cannot be read, or the row fails authentication.
    pub fn user(&self, email: &Email) -> Result<Option<Arc<User>>, StorageError> {
        self.row(email.as_str().as_bytes())
    }

    /// Returns every user, by e-mail.
    pub fn users(&self) -> Result<Vec<User>, StorageError> {
        self.all(&[])
    }

    /// Returns the row of a session's token.
    pub fn session(&self, key: &SessionKey) -> Result<Option<Arc<SessionRow>>, StorageError> {
        self.row(&session_key(key))
    }

    /// Returns every token of a session.
    pub fn session_tokens(&self, session: SessionId) -> Result<Vec<SessionRow>, StorageError> {
        self.all(&session_prefix(session))
    }

    /// Returns at most `limit` tokens of the oldest sessions.
    pub fn oldest_sessions(&self, limit: usize) -> Result<Vec<SessionRow>, StorageError> {
        let mut rows = Vec::new();
        self.snapshot()?.walk(Table::Sessions, &[], |key, sealed| {
            rows.push(self.open_row(key, sealed)?);
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    /// Returns a project.
    pub fn project(&self, identifier: &ProjectId) -> Result<Option<Arc<Project>>, StorageError> {
        self.row(identifier.as_str().as_bytes())
    }

    /// Returns every project, by identifier.
    pub fn projects(&self) -> Result<Vec<Project>, StorageError> {
        self.all(&[])
    }

    /// Returns an application token by the digest of its text.
    pub fn token(&self, digest: &Digest) -> Result<Option<Arc<ApplicationToken>>, StorageError> {
        self.row(&digest.0)
    }

    /// Returns an application token by its id.
    ///
    /// # Errors
    /// As [`View::user`]; an index entry without its token, or with another, was tampered with.
    pub fn token_by_id(&self, id: TokenId) -> Result<Option<Arc<ApplicationToken>>, StorageError> {
        let Some(digest) = self.raw(Table::TokenIds, id.as_bytes())? else { return Ok(None) };
        let token: Option<Arc<ApplicationToken>> = self.row(&digest)?;
        let token = token.filter(|token| token.id == id);
        token.map(Some).ok_or_else(|| tampered(Table::TokenIds, id.as_bytes()))
    }

    /// Returns every application token.
    pub fn tokens(&self) -> Result<Vec<ApplicationToken>, StorageError> {
        self.all(&[])
    }

    /// Returns an integration's metadata.
    pub fn integration(&self, id: IntegrationId) -> Result<Option<Arc<Integration>>, StorageError> {
        self.row(id.as_bytes())
    }

    /// Returns every integration, oldest first.
    pub fn integrations(&self) -> Result<Arc<Vec<Arc<Integration>>>, StorageError> {
        // No integration has an empty key: the cache holds the list of all under it.
        if let Some(generation) = self.generation()
            && let Some(Some(all)) = cache::get(generation, Table::Integrations, &[])
        {
            return Ok(all);
        }
        let all: Arc<Vec<_>> = Arc::new(self.all(&[])?.into_iter().map(Arc::new).collect());
        if let Some(generation) = self.generation() {
            cache::put(generation, Table::Integrations, &[], Some(&all), all.len() * 512);
        }
        Ok(all)
    }

    /// Visits every integration, oldest first, and holds one at a time.
    pub fn each_integration(&self, mut visit: impl FnMut(&Integration)) -> Result<(), StorageError> {
        let is_changed = |overlay: &Overlay| overlay.keys().any(|(table, _)| *table == Table::Integrations);
        if self.overlay.is_some_and(is_changed) {
            self.all(&[])?.iter().for_each(visit);
            return Ok(());
        }
        self.snapshot()?.walk(Table::Integrations, &[], |key, sealed| {
            visit(&self.open_row(key, sealed)?);
            Ok(true)
        })
    }

    /// Returns the integrations of one scope (`None` is the global one), of one service or of all, newest first.
    ///
    /// # Errors
    /// As [`View::user`]; an index entry that its integration does not confirm was tampered with.
    pub fn scoped(
        &self,
        project: Option<&ProjectId>,
        provider: Option<Provider>,
    ) -> Result<Vec<Arc<Integration>>, StorageError> {
        let prefix = provider.map_or_else(|| scope_prefix(project), |one| scope_service_prefix(project, one));
        self.listed(&prefix)
    }

    /// Returns the integrations of one group: of one scope and service and, for `custom`, of one name; newest first.
    pub fn group(
        &self,
        project: Option<&ProjectId>,
        provider: Provider,
        name: Option<&Name>,
    ) -> Result<Vec<Arc<Integration>>, StorageError> {
        self.listed(&scope_group_prefix(self.source.keys.state(), project, provider, name))
    }

    pub(in crate::storage) fn scope_keys(&self, of: &Scoping) -> Vec<Vec<u8>> {
        of.keys(self.source.keys.state())
    }

    /// Returns the integrations that the index entries under a prefix refer to.
    fn listed(&self, prefix: &[u8]) -> Result<Vec<Arc<Integration>>, StorageError> {
        if let Some(generation) = self.generation()
            && let Some(Some(found)) = cache::get::<Vec<_>>(generation, Table::Scopes, prefix)
        {
            return Ok(found.to_vec());
        }
        let mut found = Vec::new();
        for key in self.merged(Table::Scopes, prefix)?.into_keys() {
            let confirmed = scope_key_id(&key).map(|id| self.integration(id)).transpose()?.flatten();
            let integration = confirmed
                .filter(|integration| {
                    crate::storage::commit::changes::leads_to(self.source.keys.state(), &key, integration)
                })
                .ok_or_else(|| tampered(Table::Scopes, &key))?;
            found.push(integration);
        }
        found.sort_by_key(|integration| std::cmp::Reverse(integration.id));
        if let Some(generation) = self.generation() {
            cache::put(generation, Table::Scopes, prefix, Some(&Arc::new(found.clone())), found.len() * 64);
        }
        Ok(found)
    }

    /// Counts the integrations that are scoped to a project.
    pub fn scoped_count(&self, project: &ProjectId) -> Result<usize, StorageError> {
        Ok(self.merged(Table::Scopes, &scope_prefix(Some(project)))?.len())
    }

    /// Returns the last read of an integration's credential, or the last use of a token, by its id.
    pub fn last_access(&self, id: &[u8; 16]) -> Result<Option<LastAccess>, StorageError> {
        match self.source.accesses.of(id) {
            Some(access) => Ok(Some(access)),
            // Bypass the thread's cache: writing a last access begins no new generation.
            None => self.raw(Table::LastAccess, id)?.map(|sealed| self.open_row(id, &sealed)).transpose(),
        }
    }

    /// Opens the current credential of an integration; takes a proof that only policy creates.
    ///
    /// # Errors
    /// As [`View::user`]; a credential that its metadata names and that is missing was tampered with.
    pub fn open_credential(&self, proof: &Disclosure<'_>) -> Result<Secret, StorageError> {
        let integration = proof.integration();
        self.credential(integration, integration.revision())
    }

    /// Opens a kept credential to disclose it; takes a proof that only policy creates.
    pub fn disclose_kept(
        &self,
        proof: &KeptDisclosure<'_>,
        revision: Revision,
    ) -> Result<Secret, StorageError> {
        self.credential(proof.integration(), revision)
    }

    /// Opens a kept credential to make it current again; takes a proof that only policy creates.
    pub fn open_kept(&self, proof: &Restoration<'_>, revision: Revision) -> Result<Secret, StorageError> {
        self.credential(proof.integration(), revision)
    }

    pub(in crate::storage) fn credential(
        &self,
        integration: &Integration,
        revision: Revision,
    ) -> Result<Secret, StorageError> {
        let key = credential_key(integration.id, revision);
        let context = Context::credential(
            Table::Credentials.number(),
            self.source.file,
            integration.id,
            revision,
            integration.provider,
            integration.auth_type,
        );
        let open = |sealed: &[u8]| {
            let opened = seal::open(self.source.keys.row(), &context, sealed);
            opened.map_err(|_| tampered(Table::Credentials, &key))
        };
        if let Some(generation) = self.generation()
            && let Some(Some(sealed)) = cache::get::<Vec<u8>>(generation, Table::Credentials, &key)
        {
            return open(&sealed);
        }
        let sealed = self.raw(Table::Credentials, &key)?.ok_or_else(|| tampered(Table::Credentials, &key))?;
        // Cache only rows that authenticate: a page that was misread once may read correctly the next time.
        let secret = open(&sealed)?;
        if let Some(generation) = self.generation() {
            let bytes = sealed.len();
            cache::put(generation, Table::Credentials, &key, Some(&Arc::new(sealed)), bytes);
        }
        Ok(secret)
    }

    fn row<R: Row>(&self, key: &[u8]) -> Result<Option<Arc<R>>, StorageError> {
        self.cached(R::TABLE, key, |sealed| self.open_row(key, sealed))
    }

    fn all<R: Row>(&self, prefix: &[u8]) -> Result<Vec<R>, StorageError> {
        self.merged(R::TABLE, prefix)?.iter().map(|(key, sealed)| self.open_row(key, sealed)).collect()
    }

    fn cached<T: Send + Sync + 'static>(
        &self,
        table: Table,
        key: &[u8],
        open: impl FnOnce(&[u8]) -> Result<T, StorageError>,
    ) -> Result<Option<Arc<T>>, StorageError> {
        if let Some(generation) = self.generation()
            && let Some(known) = cache::get(generation, table, key)
        {
            return Ok(known);
        }
        let bytes = self.raw(table, key)?;
        let row = bytes.as_deref().map(open).transpose()?.map(Arc::new);
        if let Some(generation) = self.generation() {
            cache::put(generation, table, key, row.as_ref(), bytes.map_or(0, |bytes| bytes.len()));
        }
        Ok(row)
    }

    fn raw(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(overlay) = self.overlay
            && !overlay.is_empty()
            && let Some(written) = overlay.get(&(table, key.to_vec()))
        {
            return Ok(written.clone());
        }
        self.snapshot()?.row(table, key)
    }

    /// Returns the committed rows under a prefix, with the overlay's on top.
    fn merged(&self, table: Table, prefix: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StorageError> {
        let mut rows = BTreeMap::new();
        self.snapshot()?.walk(table, prefix, |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            Ok(true)
        })?;
        let written = self.overlay.into_iter().flat_map(|overlay| overlay.range((table, prefix.to_vec())..));
        for ((_, key), value) in written.take_while(|((of, key), _)| *of == table && key.starts_with(prefix))
        {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows)
    }

    fn open_row<R: Row>(&self, key: &[u8], sealed: &[u8]) -> Result<R, StorageError> {
        let context = Context::row(R::TABLE.number(), self.source.file, key);
        let opened = seal::open(self.source.keys.row(), &context, sealed).ok();
        let plain = opened.ok_or_else(|| tampered(R::TABLE, key))?;
        let newer = |NewerRow { found, known }| StorageError::newer_row(R::TABLE.name(), key, found, known);
        R::read(key, plain.expose()).map_err(newer)?.ok_or_else(|| tampered(R::TABLE, key))
    }

    /// Returns the view's snapshot, opened on first use.
    pub(in crate::storage) fn snapshot(&self) -> Result<&Snapshot, StorageError> {
        let slot = self.shared.unwrap_or(&self.snapshot);
        if let Some(snapshot) = slot.get() {
            return Ok(snapshot);
        }
        let snapshot = self.source.engine.snapshot()?;
        // Cached rows may be older than this snapshot: clear the generation, so that mixed states do not go unnoticed.
        if self.overlay.is_none() && self.generation.get() != Some(self.source.generation()) {
            self.generation.set(None);
        }
        Ok(slot.get_or_init(|| snapshot))
    }
}

fn tampered(table: Table, key: &[u8]) -> StorageError {
    StorageError::tampered_row(table.name(), key)
}
