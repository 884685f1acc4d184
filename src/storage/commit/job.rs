//! Jobs: a decision, what it wants written, and whoever waits for the answer.

use tokio::sync::oneshot;

use super::{
    changes::Changes,
    in_flight::{Disclosed, Quiet},
};
use crate::{
    domain::Event,
    storage::{error::StorageError, read::view::View},
};

/// What an answer means for answers under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Plain,
    /// It discloses: it holds a [`Disclosed`].
    Discloses,
    /// It takes access away: it carries a [`Quiet`].
    TakesAway,
}

/// A decision that was made.
pub struct Ruling<T> {
    /// The answer.
    pub value: T,
    /// What to write.
    pub changes: Changes,
    /// What to record; never empty beside changes.
    pub events: Vec<Event>,
    /// What it means for answers under way.
    pub effect: Effect,
}

/// A refusal: nothing is written but its events.
pub struct Refusal<E> {
    /// Why.
    pub error: E,
    /// What to record.
    pub events: Vec<Event>,
}

/// What a decision comes to.
pub type Verdict<T, E> = Result<Ruling<T>, Refusal<E>>;

/// The place of an event in the log: sequence and leaf hash.
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
    /// Where its events stand, in their order.
    pub receipts: Vec<Receipt>,
    /// To hold until the answer's bytes are with the connection.
    pub disclosed: Option<Disclosed>,
    /// To wait for before answering.
    pub quiet: Option<Quiet>,
}

/// Why a job has no answer of its own.
#[derive(Debug, thiserror::Error)]
pub enum JobError<E> {
    /// The decision said no.
    #[error("refused")]
    Refused(E),
    /// The queue is full.
    #[error("the queue is full")]
    Overloaded,
    /// The commit failed, or nobody can tell: nothing is disclosed.
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

/// What the writer needs of a decision.
pub(in crate::storage) struct Wishes {
    pub(in crate::storage) changes: Changes,
    pub(in crate::storage) events: Vec<Event>,
    pub(in crate::storage) effect: Effect,
}

/// What the commit made of it.
pub(in crate::storage) enum Fate {
    Committed { receipts: Vec<Receipt>, disclosed: Option<Disclosed>, quiet: Option<Quiet> },
    Unavailable,
    Panicked,
    Failed(StorageError),
}

/// A job with its types erased.
pub(in crate::storage) trait Job: Send {
    fn decide(&mut self, view: &View<'_>) -> Wishes;
    fn answer(self: Box<Self>, fate: Fate);
}

type Reply<T, E> = oneshot::Sender<Result<Committed<T>, JobError<E>>>;

pub(in crate::storage) struct TypedJob<T, E, F> {
    decide: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: Reply<T, E>,
}

impl<T, E, F> TypedJob<T, E, F> {
    pub(in crate::storage) const fn new(decide: F, reply: Reply<T, E>) -> Self {
        Self { decide: Some(decide), outcome: None, reply }
    }
}

impl<T, E, F> Job for TypedJob<T, E, F>
where
    T: Send,
    E: Send,
    F: FnOnce(&View<'_>) -> Verdict<T, E> + Send,
{
    fn decide(&mut self, view: &View<'_>) -> Wishes {
        let nothing = Wishes { changes: Changes::none(), events: Vec::new(), effect: Effect::Plain };
        let Some(decide) = self.decide.take() else { return nothing };
        match decide(view) {
            Ok(Ruling { value, changes, events, effect }) => {
                self.outcome = Some(Ok(value));
                Wishes { changes, events, effect }
            }
            Err(Refusal { error, events }) => {
                self.outcome = Some(Err(error));
                Wishes { events, ..nothing }
            }
        }
    }

    fn answer(self: Box<Self>, fate: Fate) {
        let answer = match (fate, self.outcome) {
            (Fate::Committed { receipts, disclosed, quiet }, Some(Ok(value))) => {
                Ok(Committed { value, receipts, disclosed, quiet })
            }
            (Fate::Committed { .. }, Some(Err(error))) => Err(JobError::Refused(error)),
            (Fate::Committed { .. } | Fate::Panicked, _) => Err(JobError::Panicked),
            (Fate::Unavailable, _) => Err(JobError::Unavailable),
            (Fate::Failed(error), _) => Err(JobError::Storage(error)),
        };
        // Whoever hung up gets nothing, and what it would have got is wiped here.
        drop(self.reply.send(answer));
    }
}
