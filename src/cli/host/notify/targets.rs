//! Targets of notices: a webhook, and a command.

use std::sync::Arc;

use super::{hook::Hook, notice::Message};
use crate::outgoing::{Outgoing, Webhook};

/// The targets that the settings name.
#[derive(Default)]
pub(in crate::cli::host) struct Targets {
    pub(in crate::cli::host) webhook: Option<(Arc<Outgoing>, Webhook)>,
    pub(in crate::cli::host) hook: Option<Hook>,
}

/// One target.
pub(super) enum Target {
    Webhook(Arc<Outgoing>, Webhook),
    Hook(Hook),
}

impl Targets {
    pub(super) fn into_list(self) -> Vec<Target> {
        let webhook = self.webhook.map(|(outgoing, webhook)| Target::Webhook(outgoing, webhook));
        webhook.into_iter().chain(self.hook.map(Target::Hook)).collect()
    }
}

impl Target {
    /// Returns its name for a log: the host, or that it is the command.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Webhook(_, webhook) => webhook.host(),
            Self::Hook(_) => "the command".to_owned(),
        }
    }

    /// Returns whether no further attempt can succeed.
    pub(super) const fn is_gone(&self) -> bool {
        match self {
            Self::Webhook(..) => false,
            Self::Hook(hook) => hook.has_ended(),
        }
    }

    /// Makes one attempt, of some seconds at most.
    ///
    /// # Errors
    /// The cause, without a word of an answer or of the command's output.
    pub(super) async fn send(&mut self, message: &Message) -> Result<(), String> {
        match self {
            Self::Webhook(outgoing, webhook) => {
                let sent = outgoing.notify(webhook, &message.id, message.seconds, &message.body);
                sent.await.map_err(|failure| failure.to_string())
            }
            Self::Hook(hook) => hook.run(message).await,
        }
    }
}
