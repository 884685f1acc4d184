//! Integrations: one stored credential, its metadata and the revisions that are kept.

use super::{Actor, AuthType, IntegrationId, Json, Name, ProjectId, Provider, Timestamp, UserId};

/// Counts the changes of one integration's credential, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision of a new integration.
    pub const FIRST: Self = Self(1);

    /// The revision of that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The revision that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// For whom a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every project that has none of its own.
    Global,
    /// These projects; never empty.
    Projects(Vec<ProjectId>),
}

impl Scope {
    /// Returns whether the credential is scoped to this very project.
    pub fn names(&self, project: &ProjectId) -> bool {
        match self {
            Self::Global => false,
            Self::Projects(projects) => projects.contains(project),
        }
    }

    /// The projects named; none where it is global.
    pub fn projects(&self) -> &[ProjectId] {
        match self {
            Self::Global => &[],
            Self::Projects(projects) => projects,
        }
    }

    /// Returns whether the two reach one project by the same rule: both global, or one project named by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Global, Self::Global) => true,
            (Self::Projects(projects), other) => projects.iter().any(|project| other.names(project)),
            (Self::Global, Self::Projects(_)) => false,
        }
    }
}

/// A revision whose sealed credential is still in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRevision {
    /// The revision.
    pub revision: Revision,
    /// The time at which its credential ends at the provider.
    pub expires_at: Option<Timestamp>,
    /// The time at which its value was first stored, also of one that a rollback brought back. `None` for the first
    /// revision, and for one that an earlier version stored.
    pub stored_at: Option<Timestamp>,
}

/// An integration without its credential.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Its name in every other call.
    pub id: IntegrationId,
    /// The service, as it was spelt.
    pub provider: Provider,
    /// The way the credential authenticates.
    pub auth_type: AuthType,
    /// A label; always there for `custom`.
    pub name: Option<Name>,
    /// For whom it is.
    pub scope: Scope,
    /// Provider options, as given.
    pub config: Option<Json>,
    /// The current revision first, then the older ones kept, newest first; never empty.
    pub kept: Vec<KeptRevision>,
    /// The time at which it was stored.
    pub created_at: Timestamp,
    /// The actor who stored it.
    pub created_by: Actor,
    /// The user's id, where a user did: a later user of the same e-mail is another.
    pub creator: Option<UserId>,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// True if nobody has a reason to read it, so that each read raises an alarm.
    pub is_canary: bool,
    /// Raised by each write.
    pub version: u64,
}

impl Integration {
    /// The number of revisions kept: the current and four older ones.
    pub const KEPT_MAX: usize = 5;

    /// The revision that a read discloses.
    pub fn revision(&self) -> Revision {
        self.current().revision
    }

    /// The time at which the current credential ends at the provider.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.current().expires_at
    }

    /// The time at which the current value was first stored: a rollback makes no value younger. Of one that an earlier
    /// version rotated, the row has only the time of its last change: the latest possible one.
    pub fn unchanged_since(&self) -> Timestamp {
        self.stored_at(self.current()).unwrap_or(self.updated_at)
    }

    /// The time at which the value of a kept revision was first stored; `None` for one that an earlier version stored.
    pub fn stored_at(&self, kept: KeptRevision) -> Option<Timestamp> {
        let first = (kept.revision == Revision::FIRST).then_some(self.created_at);
        kept.stored_at.or(first)
    }

    /// Notes the time of a rotation by an earlier version, before another change moves the only trace of it.
    pub fn keep_rotation(&mut self) {
        if self.revision() != Revision::FIRST {
            self.kept[0].stored_at = Some(self.unchanged_since());
        }
    }

    /// The kept revision of that number.
    pub fn kept(&self, revision: Revision) -> Option<KeptRevision> {
        self.kept.iter().copied().find(|kept| kept.revision == revision)
    }

    /// The key by which a read groups credentials: the service, and for `custom` its name too.
    pub fn group(&self) -> (Provider, Option<&Name>) {
        let name = if self.provider == Provider::Custom { self.name.as_ref() } else { None };
        (self.provider.service(), name)
    }

    fn current(&self) -> KeptRevision {
        *self.kept.first().expect("an integration always keeps its current revision")
    }
}
