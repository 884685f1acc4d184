//! Jobs: a decision, and the channel for its answer.

use tokio::sync::oneshot;

use super::{
    changes::Changes,
    in_flight::{Drain, InFlightGuard},
};
use crate::{
    domain::{ApplicationToken, Event},
    storage::{error::StorageError, read::view::View},
};

/// The effect of an answer on answers in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// None.
    Plain,
    /// The answer discloses: it holds a [`InFlightGuard`].
    Discloses,
    /// The answer revokes access: it carries a [`Drain`].
    Revokes,
}

/// A call that the commit thread makes once a decision is durable, and never otherwise. It must not wait.
pub(super) type Announcement = Box<dyn FnOnce() + Send>;

/// A decision: its answer, the rows to change and the events to record.
///
/// The fields are private, and only [`Decision::changing`] takes changes: no change comes without an event.
pub struct Decision<T> {
    value: T,
    changes: Changes,
    events: Vec<Event>,
    effect: Effect,
    announcement: Option<Announcement>,
}

impl<T> Decision<T> {
    /// Records events and changes nothing.
    pub const fn recording(value: T, events: Vec<Event>) -> Self {
        Self { value, changes: Changes::none(), events, effect: Effect::Plain, announcement: None }
    }

    /// Changes rows and records the event.
    pub fn changing(value: T, changes: Changes, event: Event) -> Self {
        Self { changes, ..Self::recording(value, vec![event]) }
    }

    /// Records further events beside the change's own.
    #[must_use]
    pub fn also(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.events.extend(events);
        self
    }

    /// Writes the row of the token that asked, beside the decision's own changes. Without an event it stays as it is.
    #[must_use]
    pub fn marking(mut self, token: ApplicationToken) -> Self {
        if !self.events.is_empty() {
            self.changes.token(token);
        }
        self
    }

    /// Discloses credentials, with one event for each.
    pub const fn disclosing(value: T, events: Vec<Event>) -> Self {
        Self { value, changes: Changes::none(), events, effect: Effect::Discloses, announcement: None }
    }

    /// Revokes access: the answer waits until no earlier disclosure is in flight.
    #[must_use]
    pub fn revoking(self) -> Self {
        Self { effect: Effect::Revokes, ..self }
    }

    /// Makes that call once the events are durable: after a commit that failed never, after one in doubt as soon as the
    /// file shows that it was written.
    #[must_use]
    pub fn announcing(self, announcement: impl FnOnce() + Send + 'static) -> Self {
        Self { announcement: Some(Box::new(announcement)), ..self }
    }

    /// Returns whether the decision revokes access.
    pub fn revokes(&self) -> bool {
        self.effect == Effect::Revokes
    }

    /// Returns whether the decision discloses credentials.
    pub fn discloses(&self) -> bool {
        self.effect == Effect::Discloses
    }

    /// Returns the events that the decision records.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Returns the number of events and of bytes in rows that the decision writes.
    pub fn writes(&self) -> (usize, usize) {
        (self.events.len(), self.changes.bytes())
    }

    fn split(self) -> (T, Decision<()>) {
        let Self { value, changes, events, effect, announcement } = self;
        (value, Decision { value: (), changes, events, effect, announcement })
    }
}

impl Decision<()> {
    pub(super) fn into_parts(self) -> (Changes, Vec<Event>, Effect, Option<Announcement>) {
        (self.changes, self.events, self.effect, self.announcement)
    }
}

/// A refusal: only its events are written.
pub struct Refusal<E> {
    /// The reason.
    pub error: E,
    /// The events to record.
    pub events: Vec<Event>,
}

/// A decision, or a refusal.
pub type Verdict<T, E> = Result<Decision<T>, Refusal<E>>;

/// The position of an event in the log: sequence and leaf hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The event's sequence.
    pub sequence: u64,
    /// Its leaf hash.
    pub leaf_hash: [u8; 32],
}

/// An answer whose changes and events are durable.
#[derive(Debug)]
pub struct Committed<T> {
    /// The answer.
    pub value: T,
    /// The receipts of its events, in order.
    pub receipts: Vec<Receipt>,
    /// Guard to hold until the answer's bytes are with the connection.
    pub disclosed: Option<InFlightGuard>,
    /// Drain to wait for before answering.
    pub drain: Option<Drain>,
}

/// The error of a job without an answer.
#[derive(Debug, thiserror::Error)]
pub enum JobError<E> {
    /// The decision refused.
    #[error("refused")]
    Refused(E),
    /// The queue is full.
    #[error("the queue is full")]
    Overloaded,
    /// The commit failed or is in doubt: nothing is disclosed.
    #[error("the audit log cannot be written")]
    Unavailable,
    /// A row that the decision needs cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The decision panicked; nothing of it was written.
    #[error("the decision failed")]
    Panicked,
    /// The writer has stopped.
    #[error("the vault is locked")]
    Stopped,
}

/// The outcome of one job.
pub(in crate::storage) enum JobOutcome {
    Committed { receipts: Vec<Receipt>, disclosed: Option<InFlightGuard>, drain: Option<Drain> },
    Unavailable,
    Panicked,
    Failed(StorageError),
}

/// A job with its types erased.
pub(in crate::storage) trait Job: Send {
    fn decide(&mut self, view: &View<'_>) -> Decision<()>;
    fn answer(self: Box<Self>, outcome: JobOutcome);
}

type Reply<T, E> = oneshot::Sender<Result<Committed<T>, JobError<E>>>;

pub(in crate::storage) struct TypedJob<T, E, F> {
    decide: Option<F>,
    result: Option<Result<T, E>>,
    reply: Reply<T, E>,
}

impl<T, E, F> TypedJob<T, E, F> {
    pub(in crate::storage) const fn new(decide: F, reply: Reply<T, E>) -> Self {
        Self { decide: Some(decide), result: None, reply }
    }
}

impl<T, E, F> Job for TypedJob<T, E, F>
where
    T: Send,
    E: Send,
    F: FnOnce(&View<'_>) -> Verdict<T, E> + Send,
{
    fn decide(&mut self, view: &View<'_>) -> Decision<()> {
        let Some(decide) = self.decide.take() else { return Decision::recording((), Vec::new()) };
        match decide(view) {
            Ok(decision) => {
                let (value, decision) = decision.split();
                self.result = Some(Ok(value));
                decision
            }
            Err(Refusal { error, events }) => {
                self.result = Some(Err(error));
                Decision::recording((), events)
            }
        }
    }

    fn answer(self: Box<Self>, outcome: JobOutcome) {
        let answer = match (outcome, self.result) {
            (JobOutcome::Committed { receipts, disclosed, drain }, Some(Ok(value))) => {
                Ok(Committed { value, receipts, disclosed, drain })
            }
            (JobOutcome::Committed { .. }, Some(Err(error))) => Err(JobError::Refused(error)),
            (JobOutcome::Committed { .. } | JobOutcome::Panicked, _) => Err(JobError::Panicked),
            (JobOutcome::Unavailable, _) => Err(JobError::Unavailable),
            (JobOutcome::Failed(error), _) => Err(JobError::Storage(error)),
        };
        // If the client hung up, the answer is wiped here.
        drop(self.reply.send(answer));
    }
}
