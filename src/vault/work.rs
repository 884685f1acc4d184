//! What passes through the corridor: the request's context, a use case's work, and what it decides.

use crate::{
    auth::policy::Permit,
    domain::{Action, Actor, Caller, Event, Peer, RequestId, Timestamp},
    storage::{Changes, Effect, View},
};

/// What a use case knows of the request: when, which, from where.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The time, as the server's clock read it.
    pub now: Timestamp,
    /// The request's id.
    pub request: Option<RequestId>,
    /// Where it came from.
    pub peer: Option<Peer>,
}

impl Context {
    /// An event of this request.
    pub fn event(&self, actor: Actor, action: Action) -> Event {
        Event { request: self.request, peer: self.peer, ..Event::new(self.now, actor, action) }
    }
}

/// What a use case wants done.
pub(super) struct Done<T> {
    pub(super) value: T,
    pub(super) changes: Changes,
    pub(super) events: Vec<Event>,
    pub(super) effect: Effect,
}

impl<T> Done<T> {
    pub(super) fn plain(value: T, changes: Changes, event: Event) -> Self {
        Self { value, changes, events: vec![event], effect: Effect::Plain }
    }

    pub(super) fn taking_away(value: T, changes: Changes, event: Event) -> Self {
        Self { effect: Effect::TakesAway, ..Self::plain(value, changes, event) }
    }
}

/// What a use case works with, once it is let in.
pub(super) struct Work<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) permit: &'a Permit<'a>,
    pub(super) caller: &'a Caller,
    pub(super) context: &'a Context,
    /// Whether this is the very state for which the caller was known.
    pub(super) is_known: bool,
    /// The event of this use case, to be completed.
    pub(super) event: Event,
}
