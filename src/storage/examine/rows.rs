//! The one walk over all rows: opens each, and collects what the other checks compare.

use super::{
    advice::Advice,
    check::{Findings, Read},
    links::Links,
};
use crate::{
    audit::replay::{Facts, Subject, TableRow, Tables, login},
    crypto::{
        digest::StateDigest,
        keys::Keys,
        seal::{self, Context},
    },
    domain::{ApplicationToken, FileId, Integration, Project, SessionRow, User},
    storage::{
        commit::access_sum::WATERMARK,
        error::{StorageError, key_for_display},
        format::{codec::Row, last_access::LastAccess, tables::Table},
        read::snapshot::Snapshot,
    },
};

/// Everything that the walk over the rows finds out.
pub(super) struct Rows<'a> {
    snapshot: &'a Snapshot,
    keys: Option<&'a Keys>,
    file: FileId,
    read: &'a Read<'a>,
    pub(super) digest: StateDigest,
    pub(super) count: u64,
    pub(super) findings: Findings,
    pub(super) links: Links,
    pub(super) tables: Tables,
    pub(super) advice: Advice,
}

impl<'a> Rows<'a> {
    /// Reads every row once, in the order of the tables.
    pub(super) fn of(
        snapshot: &'a Snapshot,
        keys: Option<&'a Keys>,
        file: FileId,
        read: &'a Read<'a>,
    ) -> Self {
        let mut this = Self {
            snapshot,
            keys,
            file,
            read,
            digest: StateDigest::ZERO,
            count: 0,
            findings: Findings::default(),
            links: Links::default(),
            tables: Tables::default(),
            advice: Advice::default(),
        };
        for table in Table::STATE.into_iter().chain([Table::LastAccess]) {
            this.walk(table);
        }
        this
    }

    fn walk(&mut self, table: Table) {
        let snapshot = self.snapshot;
        let walked = snapshot.walk(table, &[], |key, value| {
            self.count += 1;
            if let Some(keys) = self.keys.filter(|_| table.is_state()) {
                self.digest.add(keys.state().row(table.number(), key, value));
            }
            self.row(table, key, value);
            Ok((self.read)((key.len() + value.len()) as u64))
        });
        if let Err(error) = walked {
            self.findings.add(format!("{}: {}", table.name(), cause(&error)));
        }
    }

    fn row(&mut self, table: Table, key: &[u8], value: &[u8]) {
        match table {
            Table::Users => self.user(key, value),
            Table::Sessions => self.session(key, value),
            Table::Projects => self.project(key, value),
            Table::Integrations => self.integration(key, value),
            Table::Tokens => self.token(key, value),
            Table::Credentials => match self.keys {
                Some(keys) => self.links.credential(keys, self.file, key, value),
                None => self.links.unopened_credential(key),
            },
            Table::TokenIds => {
                let leads_to_a_token = self.links.token_id(key, value);
                if let Some(id) = key.try_into().ok().filter(|_| leads_to_a_token) {
                    // The rows of tokens show no id before they are opened.
                    let row = || TableRow { facts: None, label: None };
                    self.tables.rows.entry(Subject::Token(id)).or_insert_with(row);
                }
            }
            Table::Scopes => self.links.scope(key, value),
            Table::LastAccess => self.last_access(key, value),
            Table::Meta => {}
        }
    }

    /// Opens a row; `None` without a key, and for one that does not open.
    fn open<R: Row>(&mut self, key: &[u8], sealed: &[u8]) -> Option<R> {
        let context = Context::row(R::TABLE.number(), self.file, key);
        let opened = seal::open(self.keys?.row(), &context, sealed).ok();
        let read = opened.as_ref().map(|plain| R::read(key, plain.expose()));
        let what = match read {
            Some(Ok(Some(row))) => return Some(row),
            Some(Ok(None)) => "opens, but is not of the known form",
            Some(Err(_)) => "was written by a newer version of sealroom: use that one",
            None => "does not open",
        };
        self.findings.add(format!("{} {}: {what}", R::TABLE.name(), key_for_display(key)));
        None
    }

    fn user(&mut self, key: &[u8], value: &[u8]) {
        let user = self.open::<User>(key, value);
        self.tables.rows.insert(
            Subject::user(key),
            TableRow {
                facts: user.as_ref().map(Facts::of_user),
                label: Some(key_for_display(key).into_boxed_str()),
            },
        );
        if let Some(user) = user {
            self.advice.user(&user);
        }
    }

    fn session(&mut self, key: &[u8], value: &[u8]) {
        let Some(session) = self.open::<SessionRow>(key, value) else { return };
        let name = format!("sessions {} of {}", session.key.session, session.email);
        let claim = login(session.email.as_str(), &session.issued_at.to_string());
        self.tables.logins.insert(claim, name);
    }

    fn project(&mut self, key: &[u8], value: &[u8]) {
        let project = self.open::<Project>(key, value);
        self.tables.rows.insert(
            Subject::project(key),
            TableRow {
                facts: project.as_ref().map(Facts::of_project),
                label: Some(key_for_display(key).into_boxed_str()),
            },
        );
        if let Some(project) = project {
            self.advice.project(&project);
        }
    }

    fn integration(&mut self, key: &[u8], value: &[u8]) {
        let integration = self.open::<Integration>(key, value);
        if let Ok(id) = key.try_into() {
            let facts = integration.as_ref().map(Facts::of_integration);
            self.tables.rows.insert(Subject::Integration(id), TableRow { facts, label: None });
            if integration.is_none() {
                self.links.unopened_integration(id);
            }
        } else {
            self.findings.add(format!("integrations {}: its key is no id", key_for_display(key)));
        }
        if let (Some(integration), Some(keys)) = (integration, self.keys) {
            self.links.integration(keys, &integration);
            // The projects came before the integrations.
            for project in integration.scope.projects() {
                if !self.tables.rows.contains_key(&Subject::project(project.as_str().as_bytes())) {
                    self.advice.unregistered(&integration, project);
                }
            }
            self.advice.integration(&integration);
        }
    }

    fn token(&mut self, key: &[u8], value: &[u8]) {
        match self.open::<ApplicationToken>(key, value) {
            Some(token) => {
                let row = TableRow { facts: Some(Facts::of_token(&token)), label: None };
                self.tables.rows.insert(Subject::Token(*token.id.as_bytes()), row);
                self.links.token(*token.id.as_bytes(), key);
                self.advice.token(&token);
            }
            None => self.links.unopened_token(key),
        }
    }

    fn last_access(&mut self, key: &[u8], value: &[u8]) {
        let Some(access) = self.open::<LastAccess>(key, value) else { return };
        if access.id == WATERMARK {
            self.tables.watermark = access.sequence;
        } else {
            self.tables.accesses.get_or_insert_default().insert(access.id, access.sequence);
            self.advice.accessed(access.id, access.time);
        }
    }
}

/// Returns the cause of an error that says only that the file cannot be read.
pub(super) fn cause(error: &StorageError) -> String {
    match error {
        StorageError::Engine(cause) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}
