//! Canaries: credentials that nobody has a reason to read. A read of one is answered as any other, and raises an alarm.
//!
//! The event of the read says so. Once that event is durable, and before the answer leaves, a counter counts the read
//! and a notice goes to the host: into a bounded queue, so that the commit thread never waits for a log or a network.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::{
    domain::{Actor, Detail, DetailKey, Event, Integration, IntegrationId, Peer, RequestId, Revision},
    stats::Counter,
    storage::Decision,
};

/// The most alarms that wait for the host. One that finds no place is counted, and stands in the log.
const WAITING_MAX: usize = 1_024;

/// A read of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryRead {
    /// The canary.
    pub integration: IntegrationId,
    /// The reader.
    pub actor: Actor,
    /// Its address.
    pub peer: Option<Peer>,
    /// The request.
    pub request: Option<RequestId>,
}

impl CanaryRead {
    /// Returns the read, if the event is one.
    fn of(event: &Event) -> Option<Self> {
        let is_alarm = event.detail.entries().iter().any(|(key, _)| *key == DetailKey::Alarm);
        let integration = event.integration.filter(|_| is_alarm)?;
        let (actor, peer, request) = (event.actor.clone(), event.peer, event.request);
        Some(Self { integration, actor, peer, request })
    }
}

/// The alarms of a vault: their count, and the queue to the host.
pub(super) struct Alarms {
    reads: Counter,
    sender: mpsc::Sender<CanaryRead>,
    receiver: Mutex<Option<mpsc::Receiver<CanaryRead>>>,
}

impl Default for Alarms {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Self { reads: Counter::new(), sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Alarms {
    /// Returns the disclosure, which raises an alarm for each event of a canary's read once they are durable: what was
    /// not recorded was not read.
    pub(super) fn watch<T>(self: &Arc<Self>, disclosure: Decision<T>) -> Decision<T> {
        let reads: Vec<CanaryRead> = disclosure.events().iter().filter_map(CanaryRead::of).collect();
        if reads.is_empty() {
            return disclosure;
        }
        let alarms = Arc::clone(self);
        disclosure.announcing(move || reads.into_iter().for_each(|read| alarms.raise(read)))
    }

    /// Raises an alarm. Never waits.
    fn raise(&self, read: CanaryRead) {
        self.reads.add(1);
        // A queue that is full, or that no host reads, must not stop the commit thread.
        drop(self.sender.try_send(read));
    }

    /// Returns the number of reads.
    pub(super) fn reads(&self) -> u64 {
        self.reads.read()
    }

    /// Returns the queue, once.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<CanaryRead>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Completes the event of a credential's disclosure; every disclosure makes its event here.
pub(super) fn disclosure(event: Event, of: &Integration, revision: Revision) -> Event {
    let alarm = of.is_canary.then(|| Detail::NONE.truth(DetailKey::Alarm, true));
    Event {
        integration: Some(of.id),
        revision: Some(revision),
        provider: Some(of.provider),
        detail: alarm.unwrap_or_default(),
        ..event
    }
}
