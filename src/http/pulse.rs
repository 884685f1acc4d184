//! The pulse of a server: whether it still accepts connections and its threads still run tasks.

use tokio::sync::{Notify, watch};

/// Carries a question to the accept loop and the answer back.
pub(super) struct Pulse {
    asked: Notify,
    answers: watch::Sender<u64>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { asked: Notify::new(), answers: watch::Sender::new(0) }
    }

    /// Waits for a question.
    pub(super) async fn question(&self) {
        self.asked.notified().await;
    }

    /// Answers every question so far.
    pub(super) fn answer(&self) {
        self.answers.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Asks, and waits for an answer.
    pub(super) async fn ask(&self) {
        let mut answers = self.answers.subscribe();
        self.asked.notify_one();
        // The sender is here: an error is impossible.
        drop(answers.changed().await);
    }
}
