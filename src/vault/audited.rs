//! The corridor that every audited use case walks: authenticate, authorize, work, record, commit, wait.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    access,
    error::Error,
    refusal_counts::Tally,
    state::{Open, Vault},
    work::{Context, Done, Work},
};
use crate::{
    auth::policy::{self, Rules, Verb},
    domain::{Bearer, Caller, Event, Outcome},
    storage::{Committed, Effect, Generation, Refusal, Ruling, Verdict, View},
};

/// A caller as authentication found it at one moment on one state of the rows: on that state nothing else can come
/// out again.
pub(super) struct Known {
    pub(super) generation: Generation,
    pub(super) caller: Caller,
}

impl Vault {
    /// Walks the corridor for a caller.
    pub(super) async fn act<T, F>(
        &self,
        context: &Context,
        bearer: Bearer,
        verb: Verb,
        work: F,
    ) -> Result<Committed<T>, Error>
    where
        T: Send + 'static,
        F: FnOnce(Work<'_>) -> Result<Done<T>, Error> + Send + 'static,
    {
        self.act_known(context, bearer, None, verb, work).await
    }

    /// Walks the corridor for a caller that may be known already.
    pub(super) async fn act_known<T, F>(
        &self,
        context: &Context,
        bearer: Bearer,
        known: Option<Known>,
        verb: Verb,
        work: F,
    ) -> Result<Committed<T>, Error>
    where
        T: Send + 'static,
        F: FnOnce(Work<'_>) -> Result<Done<T>, Error> + Send + 'static,
    {
        let open = self.opened()?;
        let gate = self.gate(&open, verb);
        let context = *context;
        let committed = open
            .writer
            .submit(move |view| {
                if gate.locked.load(Ordering::Acquire) {
                    return Err(silent(Error::Locked));
                }
                let known = known.filter(|known| view.generation() == Some(known.generation));
                let is_known = known.is_some();
                let caller = match known {
                    Some(known) => known.caller,
                    None => access::authenticate(view, bearer, context.now).map_err(silent)?,
                };
                gate.decide(view, &context, &caller, is_known, work)
            })
            .await
            .map_err(Error::from)?;
        drop(open);
        self.settle(committed).await
    }

    /// Records a refusal that was decided outside the corridor, and returns the error to answer with.
    pub(super) async fn refuse(&self, context: &Context, bearer: Bearer, verb: Verb, error: Error) -> Error {
        match self.act::<Infallible, _>(context, bearer, verb, |_| Err(error)).await {
            Err(error) => error,
            Ok(committed) => match committed.value {},
        }
    }

    fn gate(&self, open: &Open, verb: Verb) -> Gate {
        Gate {
            verb,
            rules: self.rules(),
            locked: Arc::clone(&open.locked),
            tally: Arc::clone(&self.tally),
            disk_low: self.is_disk_low(),
        }
    }

    /// Waits for what the answer has to wait for.
    pub(super) async fn settle<T>(&self, mut committed: Committed<T>) -> Result<Committed<T>, Error> {
        if let Some(quiet) = committed.quiet.take() {
            quiet.wait(|epoch| self.call_in(epoch)).await;
        }
        Ok(committed)
    }
}

/// What stands between a caller and its work in the commit thread.
struct Gate {
    verb: Verb,
    rules: Rules,
    locked: Arc<AtomicBool>,
    tally: Arc<Tally>,
    disk_low: bool,
}

impl Gate {
    fn decide<T>(
        &self,
        view: &View<'_>,
        context: &Context,
        caller: &Caller,
        is_known: bool,
        work: impl FnOnce(Work<'_>) -> Result<Done<T>, Error>,
    ) -> Verdict<T, Error> {
        let event = context.event(caller.actor(), self.verb.action());
        let permit = match policy::authorize(caller, self.verb, &self.rules) {
            Ok(permit) => permit,
            Err(denied) => return Err(self.refusal(denied.into(), event)),
        };
        let asked = Work { view, permit: &permit, caller, context, is_known, event: event.clone() };
        match work(asked) {
            Ok(done) if self.disk_low && done.effect != Effect::TakesAway => Err(silent(Error::DiskLow)),
            Ok(Done { value, changes, events, effect }) => Ok(Ruling { value, changes, events, effect }),
            Err(error) => Err(self.refusal(error, event)),
        }
    }

    /// A refusal with the event that the contract wants of it, if any.
    fn refusal(&self, error: Error, mut event: Event) -> Refusal<Error> {
        let outcome = match &error {
            Error::Denied(_) | Error::WrongPassword => Some(Outcome::Denied),
            Error::NothingMatches { .. } => Some(Outcome::Failed),
            // Or a token could try out project names unseen.
            Error::ProjectNotFound(_) if self.verb == Verb::ReadCredentials => Some(Outcome::Failed),
            Error::Tampered(_) => Some(Outcome::Failed),
            _ => None,
        };
        if let Error::NothingMatches { provider, project } = &error {
            (event.provider, event.project) = (*provider, project.clone());
        }
        if let Error::ProjectNotFound(project) = &error {
            event.project = Some(project.clone());
        }
        let outcome = outcome.filter(|_| self.tally.refused(&event.actor));
        Refusal { error, events: outcome.map(|outcome| Event { outcome, ..event }).into_iter().collect() }
    }
}

/// Nothing of it is recorded: requests without a valid token never grow the file.
pub(super) fn silent(error: Error) -> Refusal<Error> {
    Refusal { error, events: Vec::new() }
}
