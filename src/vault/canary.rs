//! Canaries: credentials that nobody has a reason to read. A read of one is answered as any other, and raises an alarm.
//!
//! The event of the read says so, a counter counts it, and a notice goes to the host: into a bounded queue, so that
//! the commit thread never waits for a log or a network.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::{
    domain::{Actor, Detail, DetailKey, Event, Integration, IntegrationId, Peer, RequestId, Revision},
    stats::Counter,
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
    /// Raises an alarm for each event of a canary's disclosure. Never waits.
    pub(super) fn raise(&self, events: &[Event]) {
        for event in events.iter().filter(|event| is_alarm(event)) {
            self.reads.add(1);
            if let Some(integration) = event.integration {
                let (actor, peer, request) = (event.actor.clone(), event.peer, event.request);
                // A queue that is full, or that no host reads, must not stop the commit thread.
                drop(self.sender.try_send(CanaryRead { integration, actor, peer, request }));
            }
        }
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

fn is_alarm(event: &Event) -> bool {
    event.detail.entries().iter().any(|(key, _)| *key == DetailKey::Alarm)
}
