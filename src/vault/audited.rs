//! The corridor of every audited use case: authenticate, authorize, decide, record, commit, wait.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
};

use super::{
    access::{self, Admitted},
    canary::Alarms,
    credentials::Measure,
    error::Error,
    refusal_counts::Tally,
    roll,
    state::{Open, Vault},
    work::{Context, Request},
};
use crate::{
    auth::policy::{Rules, Verb},
    domain::{Bearer, Event, Outcome, RequestId},
    storage::{Committed, Decision, Refusal, Verdict, View},
};

impl Vault {
    /// Runs a use case through the corridor for an admitted caller.
    pub(super) fn act<'v, T, F>(
        &'v self,
        context: &Context,
        caller: &Admitted,
        verb: Verb,
        work: F,
    ) -> impl Future<Output = Result<Committed<T>, Error>> + Send + use<'v, T, F>
    where
        T: Send + 'static,
        F: FnOnce(Request<'_>) -> Result<Decision<T>, Error> + Send + 'static,
    {
        self.walk(context, caller.bearer(), Some(caller.clone()), verb, work)
    }

    /// Records a refusal that was decided outside the corridor, and returns the error to answer with.
    pub(super) async fn refuse(&self, context: &Context, bearer: Bearer, verb: Verb, error: Error) -> Error {
        match self.walk::<Infallible, _>(context, bearer, None, verb, |_| Err(error)).await {
            Err(error) => error,
            Ok(committed) => match committed.value {},
        }
    }

    /// Queues the use case; the future waits for it, and for the disclosures that it revokes.
    fn walk<'v, T, F>(
        &'v self,
        context: &Context,
        bearer: Bearer,
        admitted: Option<Admitted>,
        verb: Verb,
        work: F,
    ) -> impl Future<Output = Result<Committed<T>, Error>> + Send + use<'v, T, F>
    where
        T: Send + 'static,
        F: FnOnce(Request<'_>) -> Result<Decision<T>, Error> + Send + 'static,
    {
        let admission = Admission {
            context: *context,
            bearer,
            admitted,
            verb,
            rules: self.rules(),
            tally: Arc::clone(&self.tally),
            disk_low: self.is_disk_low(),
            measure: self.measure(),
            alarms: Arc::clone(&self.alarms),
        };
        let queued =
            self.opened().map(|open| open.decide(context.request, move |view| admission.decide(view, work)));
        async move { self.settle(queued?.await?).await }
    }

    /// Waits until no disclosure is in flight that the decision revokes.
    pub(super) async fn settle<T>(&self, mut committed: Committed<T>) -> Result<Committed<T>, Error> {
        if let Some(drain) = committed.drain.take() {
            drain.wait(|epoch| self.close_through(epoch)).await;
        }
        Ok(committed)
    }
}

impl Open {
    /// Decides in the commit thread, unless the vault was locked first; logs there why a decision fails.
    pub(super) fn decide<T, F>(
        &self,
        request: Option<RequestId>,
        decide: F,
    ) -> impl Future<Output = Result<Committed<T>, Error>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Verdict<T, Error> + Send + 'static,
    {
        let locked = Arc::clone(&self.locked);
        let decide = move |view: &View<'_>| {
            if locked.load(Ordering::Acquire) {
                return Err(silent(Error::Locked));
            }
            decide(view).map_err(|refusal| Refusal { error: refusal.error.into_logged(request), ..refusal })
        };
        let queued = self.writer.submit(decide);
        async move { queued.await.map_err(Error::from) }
    }

    /// Records events that change nothing and that no caller requested.
    pub(super) async fn record(&self, events: Vec<Event>) -> Result<(), Error> {
        self.decide(None, |_| Ok(Decision::recording((), events))).await.map(drop)
    }
}

/// A request in the commit thread, without its use case.
struct Admission {
    context: Context,
    bearer: Bearer,
    admitted: Option<Admitted>,
    verb: Verb,
    rules: Rules,
    tally: Arc<Tally>,
    disk_low: bool,
    measure: Measure,
    alarms: Arc<Alarms>,
}

impl Admission {
    /// Admits the caller again if the state has changed since, and runs the use case.
    fn decide<T>(
        mut self,
        view: &View<'_>,
        work: impl FnOnce(Request<'_>) -> Result<Decision<T>, Error>,
    ) -> Verdict<T, Error> {
        let current = self.admitted.take().filter(|admitted| admitted.is_current(view));
        let is_current = current.is_some();
        let admitted = match current {
            Some(admitted) => admitted,
            None => access::authenticate(view, self.bearer, self.context.now).map_err(silent)?,
        };
        let event = || self.context.event(admitted.caller().actor(), self.verb.action());
        let permit = match admitted.permit(self.verb, &self.rules) {
            Ok(permit) => permit,
            Err(denied) => return Err(self.refusal(denied.into(), event())),
        };
        let context = &self.context;
        let request = Request { view, permit: &permit, context, is_current, event: event() };
        match work(request) {
            Ok(decision) if self.disk_low && !decision.revokes() => Err(silent(Error::DiskLow)),
            Ok(decision) => {
                let actor = admitted.caller().actor();
                self.measure.write(&actor, &decision, context.now, &self.tally).map_err(silent)?;
                let decision = if decision.discloses() { self.alarms.watch(decision) } else { decision };
                if admitted.is_first_use() {
                    return roll::first_use(view, self.bearer, decision, context.now).map_err(silent);
                }
                Ok(decision)
            }
            Err(error) => Err(self.refusal(error, event())),
        }
    }

    /// Returns a refusal with the event that the contract demands for it, if any.
    fn refusal(&self, error: Error, mut event: Event) -> Refusal<Error> {
        let outcome = match &error {
            Error::Denied(_) | Error::WrongPassword | Error::WrongOtp => Some(Outcome::Denied),
            Error::NothingMatches { .. } | Error::NotMinted(_) | Error::Tampered(_) => Some(Outcome::Failed),
            // Without this event a token could probe project names unnoticed.
            Error::ProjectNotFound(_)
                if matches!(self.verb, Verb::ReadCredentials | Verb::RepositoryToken) =>
            {
                Some(Outcome::Failed)
            }
            _ => None,
        };
        if let Error::NothingMatches { provider, project } = &error {
            (event.provider, event.project) = (*provider, project.clone());
        }
        if let Error::ProjectNotFound(project) = &error {
            event.project = Some(project.clone());
        }
        if let Error::NotMinted(unminted) = &error {
            event = unminted.event(event);
        }
        let outcome = outcome.filter(|_| self.tally.count_refusal(&event.actor));
        Refusal { error, events: outcome.map(|outcome| Event { outcome, ..event }).into_iter().collect() }
    }
}

/// Returns a refusal without an event: requests without a valid token never grow the file.
pub(super) const fn silent(error: Error) -> Refusal<Error> {
    Refusal { error, events: Vec::new() }
}
