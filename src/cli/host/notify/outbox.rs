//! The outbox of one target: a bounded queue, a few attempts with growing pauses, and a line in the log where all fail.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use super::{notice::Message, targets::Target};
use crate::vault::Vault;

/// The most messages that wait for a target; a further one is dropped.
const WAITING_MAX: usize = 64;
/// The pauses before the attempts.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(30), Duration::from_mins(2)];

/// The entry of a target's queue.
pub(super) struct Outbox(mpsc::Sender<Arc<Message>>);

impl Outbox {
    /// Creates a queue; its other end goes to [`deliver`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Arc<Message>>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Queues a message. Never waits.
    pub(super) fn put(&self, message: &Arc<Message>, vault: &Vault) {
        if self.0.try_send(Arc::clone(message)).is_err() {
            vault.count_notice(false);
            tracing::error!(kind = message.kind, "a notice was dropped: too many wait for its target");
        }
    }
}

/// Delivers what comes, one message after the other, for as long as it is polled.
pub(super) async fn deliver(mut queue: mpsc::Receiver<Arc<Message>>, mut target: Target, vault: &Vault) {
    while let Some(message) = queue.recv().await {
        let mut outcome = Ok(());
        for pause in PAUSES {
            sleep(pause).await;
            outcome = target.send(&message).await;
            match &outcome {
                Ok(()) => break,
                Err(_) if target.is_gone() => break,
                Err(cause) => tracing::debug!(cause, kind = message.kind, "a notice is tried again"),
            }
        }
        vault.count_notice(outcome.is_ok());
        if let Err(cause) = outcome {
            let to = target.name();
            tracing::error!(cause, kind = message.kind, to, "a notice could not be delivered");
        }
    }
    std::future::pending::<()>().await;
}
