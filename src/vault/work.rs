//! The arguments of the corridor: the request's context, and the request that a use case decides.

use crate::{
    auth::policy::Permit,
    domain::{Action, Actor, Caller, Event, Peer, RequestId, Timestamp},
    storage::View,
};

/// The time, id and origin of a request.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The time, as the server's clock read it.
    pub now: Timestamp,
    /// The request's id.
    pub request: Option<RequestId>,
    /// The address it came from.
    pub peer: Option<Peer>,
}

impl Context {
    /// Returns an event of this request.
    pub fn event(&self, actor: Actor, action: Action) -> Event {
        Event { request: self.request, peer: self.peer, ..Event::new(self.now, actor, action) }
    }
}

/// A request that the commit thread has admitted, for its use case to decide.
pub(super) struct Request<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) permit: &'a Permit,
    pub(super) context: &'a Context,
    /// True while the generation is still the one in which the caller was admitted.
    pub(super) is_current: bool,
    /// The event of this use case, to be completed.
    pub(super) event: Event,
}

impl Request<'_> {
    pub(super) fn caller(&self) -> &Caller {
        self.permit.caller()
    }
}
