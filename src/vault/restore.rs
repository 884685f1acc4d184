//! The restore of a backup: what was taken away after it stays away, every session ends, and the log gets a new key.
//! There is no caller: the passphrase that unlocked the copy is the proof.

mod scopes;

use std::collections::{BTreeMap, BTreeSet};

use self::scopes::{LaterScope, Rescoped, counted, later_scopes};
use super::{
    audited::silent,
    error::Error,
    narrowing::{token_detail, user_detail},
    state::Vault,
};
use crate::{
    audit::taken_away::{Projects, RolledTo, TakenAway, UserState},
    crypto::otp,
    domain::{
        Action, Actor, Detail, DetailKey, Email, Event, Integration, ProjectId, Role, Scope, SecondFactor,
        Timestamp, TokenId, User,
    },
    storage::{Changes, Decision, StorageError, View},
};

/// A restore.
pub struct RestorePlan {
    /// The losses that the records after the backup state; `None` if nothing shows them, or all of it is to live again.
    pub later: Option<TakenAway>,
    /// The number of records that the backup lacks, if known.
    pub behind: Option<u64>,
    /// The actor of the events.
    pub actor: Actor,
    /// The time of the events.
    pub now: Timestamp,
}

/// The outcome of a restore.
#[derive(Debug, Default, Clone)]
pub struct Restored {
    /// Everything that was taken away again, a line each.
    pub applied: Vec<String>,
    /// Everything that has to be taken away by hand, a line each.
    pub by_hand: Vec<String>,
    /// The enabled users of the restored vault.
    pub users: Vec<String>,
    /// The tokens that let their holders in, by name and id.
    pub tokens: Vec<String>,
}

impl Vault {
    /// Makes the unlocked copy of a backup the vault's file, in one commit with one event for each thing taken away.
    ///
    /// # Errors
    /// The vault is locked, a row cannot be read, or the commit fails.
    pub async fn restore(&self, plan: RestorePlan) -> Result<Restored, Error> {
        let decide = move |view: &View<'_>| {
            let mut work = Work::new(view, &plan).map_err(|error| silent(error.into()))?;
            if let Some(later) = &plan.later {
                work.take_away(view, later).map_err(|error| silent(error.into()))?;
            }
            Ok(work.decided(&plan))
        };
        let committed = self.opened()?.decide(None, decide).await?;
        Ok(self.settle(committed).await?.value)
    }
}

/// A restore under construction.
struct Work<'a> {
    plan: &'a RestorePlan,
    changes: Changes,
    users: BTreeMap<Email, User>,
    events: Vec<Event>,
    outcome: Restored,
}

impl<'a> Work<'a> {
    fn new(view: &View<'_>, plan: &'a RestorePlan) -> Result<Self, StorageError> {
        let users = view.users()?.into_iter().map(|user| (user.email.clone(), user)).collect();
        let (changes, events) = (Changes::none(), Vec::new());
        let mut work = Self { plan, changes, users, events, outcome: Restored::default() };
        for token in
            view.tokens()?.iter().filter(|token| token.revoked_at.is_none() && plan.now < token.expires_at)
        {
            let is_taken = plan.later.as_ref().is_some_and(|later| {
                let rolled = later.rolled_tokens.get(&token.id);
                later.tokens.contains(&token.id) || rolled.is_some_and(|rolled| rolled.ends <= plan.now)
            });
            if !is_taken {
                work.outcome.tokens.push(format!("{} ({}, {})", token.name, token.role, token.id));
            }
        }
        Ok(work)
    }

    fn take_away(&mut self, view: &View<'_>, later: &TakenAway) -> Result<(), StorageError> {
        for id in &later.tokens {
            let Some(token) = view.token_by_id(*id)?.filter(|token| token.revoked_at.is_none()) else {
                continue;
            };
            let mut token = (*token).clone();
            token.revoked_at = Some(self.plan.now);
            let detail = token_detail(&token);
            self.outcome.applied.push(format!("token {} ({id}) revoked", token.name));
            self.event(Action::TokenRevoke, |event| Event {
                detail: event.detail.clone().join(detail),
                ..event
            });
            self.changes.token(token);
        }
        // A roll is an update too, so that its token is among these.
        for (id, projects) in later.narrowed_tokens.iter().filter(|(id, _)| !later.tokens.contains(*id)) {
            self.lessen_token(view, *id, projects, later.rolled_tokens.get(id))?;
        }
        for email in &later.removed_users {
            self.remove_user(email);
        }
        for (email, state) in &later.users {
            self.narrow_user(email, state);
        }
        for (email, numbers) in &later.codes {
            self.use_up_codes(email, numbers);
        }
        let used = self.integrations(view, later)?;
        for project in &later.projects {
            if view.project(project)?.is_none() {
                continue;
            }
            if used.contains(project) {
                self.outcome
                    .by_hand
                    .push(format!("project {project} was deleted, and integrations are scoped to it"));
                continue;
            }
            self.changes.remove_project(project);
            self.outcome.applied.push(format!("project {project} deleted"));
            let project = Some(project.clone());
            self.event(Action::ProjectDelete, |event| Event { project, ..event });
        }
        for email in later.passwords.iter().filter(|email| self.users.contains_key(*email)) {
            self.outcome
                .by_hand
                .push(format!("the password of {email} was changed: the earlier one holds again"));
        }
        for email in later.factors.iter().filter(|email| self.users.contains_key(*email)) {
            let told = format!(
                "the second factor of {email} was set, changed or removed: the earlier state holds again"
            );
            self.outcome.by_hand.push(told);
        }
        if later.slots > 0 {
            let told = "the key slots were changed: the earlier ones open the file again";
            self.outcome.by_hand.push(told.to_owned());
        }
        if later.unnamed > 0 {
            let told = format!(
                "events that name what they took away only by a hash: {}; look at the list",
                later.unnamed
            );
            self.outcome.by_hand.push(told);
        }
        Ok(())
    }

    /// Narrows a token, and ends it when its roll said.
    fn lessen_token(
        &mut self,
        view: &View<'_>,
        id: TokenId,
        projects: &Projects,
        rolled: Option<&RolledTo>,
    ) -> Result<(), StorageError> {
        let found = view.token_by_id(id)?.filter(|token| token.revoked_at.is_none());
        let Some(mut token) = found.map(|token| (*token).clone()) else { return Ok(()) };
        let only = match projects {
            Projects::All => None,
            Projects::Only(projects) => Some(&projects[..]),
            Projects::Unknown => Some(&[][..]),
        };
        let is_wider = |only: &&[ProjectId]| {
            !token.scope.projects.iter().flatten().all(|project| only.contains(project))
        };
        let mut told = Vec::new();
        if let Some(only) = only.filter(is_wider) {
            told.push(format!("narrowed to {}", counted(only.len())));
            token.scope.projects = Some(only.to_vec());
        }
        let mut end = Detail::NONE;
        if let Some(rolled) = rolled.filter(|rolled| rolled.ends < token.expires_at) {
            token.expires_at = rolled.ends;
            told.push(format!("ends at {}", rolled.ends));
            end = end.text(DetailKey::ExpiresAt, rolled.ends);
            let successor = rolled.successor.map(|next| view.token_by_id(next)).transpose()?;
            if successor.is_some_and(|row| row.is_none()) {
                let told = "was rolled, and its successor is lost: create another one";
                self.outcome.by_hand.push(format!("token {} ({id}) {told}", token.name));
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let detail = token_detail(&token).join(end);
        self.outcome.applied.push(format!("token {} ({id}) {}", token.name, told.join(", ")));
        self.event(Action::TokenUpdate, |event| Event { detail: event.detail.clone().join(detail), ..event });
        self.changes.token(token);
        Ok(())
    }

    /// Removes a user, unless no enabled owner would be left, who alone can set things right.
    fn remove_user(&mut self, email: &Email) {
        let Some(user) = self.users.remove(email) else { return };
        if !self.users.values().any(is_owner) {
            self.outcome.by_hand.push(format!("{email} was removed, and is the only owner of the backup"));
            self.users.insert(email.clone(), user);
            return;
        }
        self.changes.remove_user(email);
        self.outcome.applied.push(format!("user {email} removed"));
        let detail = Detail::NONE.text(DetailKey::Email, email).text(DetailKey::Role, user.role);
        self.event(Action::UserDelete, |event| Event { detail: event.detail.clone().join(detail), ..event });
    }

    fn narrow_user(&mut self, email: &Email, state: &UserState) {
        let Some(before) = self.users.get(email).cloned() else { return };
        let mut after = before.clone();
        let mut what = Vec::new();
        if state.disabled && !before.disabled {
            after.disabled = true;
            what.push("disabled".to_owned());
        }
        if before.role == Role::Owner && state.role != Role::Owner {
            after.role = state.role;
            what.push(match state.projects {
                Projects::All if before.scope.projects.is_none() => {
                    format!("made a {}, with all projects", state.role)
                }
                Projects::All | Projects::Only(_) | Projects::Unknown => format!("made a {}", state.role),
            });
        }
        if after.role != Role::Owner {
            let only = match &state.projects {
                Projects::All => None,
                Projects::Only(projects) => Some(projects.clone()),
                Projects::Unknown => Some(Vec::new()),
            };
            let narrower = only.filter(|only| match &before.scope.projects {
                None => true,
                Some(before) => before.iter().any(|project| !only.contains(project)),
            });
            if let Some(only) = narrower {
                what.push(format!("narrowed to {}", counted(only.len())));
                after.scope.projects = Some(only);
            }
        }
        if what.is_empty() {
            return;
        }
        if is_owner(&before) && !is_owner(&after) {
            let others = self.users.values().filter(|user| user.email != *email).any(is_owner);
            if !others {
                let told = format!("{email} was {}, and is the only owner of the backup", what.join(", "));
                self.outcome.by_hand.push(told);
                return;
            }
        }
        self.outcome.applied.push(format!("user {email} {}", what.join(", ")));
        let detail = user_detail(&after);
        self.users.insert(email.clone(), after);
        self.event(Action::UserUpdate, |event| Event { detail: event.detail.clone().join(detail), ..event });
    }

    /// Takes the one-time codes out that were used after the backup; no event, since each login has its own.
    fn use_up_codes(&mut self, email: &Email, numbers: &BTreeSet<u8>) {
        let Some(factor) = self.users.get_mut(email).and_then(|user| user.factor.as_mut()) else { return };
        let before = factor.codes.len();
        factor.codes.retain(|code| !numbers.contains(&code.number));
        let used = before - factor.codes.len();
        if used > 0 {
            self.outcome
                .applied
                .push(format!("{used} one-time code{} of {email} used up", if used == 1 { "" } else { "s" }));
        }
    }

    /// Deletes and narrows integrations; returns those of the projects to delete that others are still scoped to.
    fn integrations(
        &mut self,
        view: &View<'_>,
        later: &TakenAway,
    ) -> Result<BTreeSet<ProjectId>, StorageError> {
        let (mut used, scopes) = (BTreeSet::new(), later_scopes(view, &later.scopes)?);
        view.each_integration(|integration| {
            let id = integration.id;
            if later.integrations.contains(&id) {
                self.changes.remove_integration(integration);
                self.outcome.applied.push(format!("integration {} deleted", named(integration)));
                self.event(Action::IntegrationDelete, |event| about(event, integration));
                return;
            }
            if later.rotated.contains(&id) {
                let told = format!(
                    "the credential of {} was replaced: the backup holds the earlier one, revision {}",
                    named(integration),
                    integration.revision().number()
                );
                self.outcome.by_hand.push(told);
            }
            let scope = self.scope(integration, scopes.get(&id));
            used.extend(later.projects.iter().filter(|project| is_of(&scope, project)).cloned());
        })?;
        Ok(used)
    }

    /// Sets a later scope again if it takes projects away; returns the scope that holds.
    fn scope(&mut self, before: &Integration, later: Option<&LaterScope>) -> Scope {
        let Some(later) = later else { return before.scope.clone() };
        let Rescoped { to, told } = later.judge(&before.scope);
        let name = named(before);
        self.outcome.by_hand.extend(told.map(|told| format!("{name} {told}")));
        let Some(projects) = to else { return before.scope.clone() };
        self.outcome.applied.push(format!("integration {name} scoped to {}", counted(projects.len())));
        let detail = Detail::NONE.list(DetailKey::Projects, &projects);
        let scope = Scope::Projects(projects);
        let mut after = before.clone();
        after.keep_rotation();
        (after.scope, after.updated_at) = (scope.clone(), self.plan.now);
        self.changes.integration(Some(before), after);
        self.event(Action::IntegrationUpdate, |event| {
            let event = about(event, before);
            Event { detail: event.detail.clone().join(detail), ..event }
        });
        scope
    }

    fn event(&mut self, action: Action, complete: impl FnOnce(Event) -> Event) {
        let detail = Detail::NONE.text(DetailKey::Reason, "restore");
        let event = Event::new(self.plan.now, self.plan.actor.clone(), action);
        self.events.push(complete(Event { detail, ..event }));
    }

    /// Ends every session, hands the log over to a new key, and records the restore before all else.
    fn decided(mut self, plan: &RestorePlan) -> Decision<Restored> {
        for user in self.users.into_values() {
            if !user.disabled {
                self.outcome.users.push(format!("{} ({})", user.email, user.role));
            }
            // No code that was used since the backup is used again.
            let newest = otp::newest_step(plan.now);
            let factor =
                user.factor.map(|factor| SecondFactor { used_step: factor.used_step.max(newest), ..factor });
            self.changes.user(User { epoch: user.epoch + 1, factor, ..user });
        }
        self.changes.new_log_key();
        self.changes.adopt_copy();
        let reason = match (&plan.later, plan.behind) {
            (Some(_), _) => "removals_applied",
            (None, Some(_)) => "removals_revived",
            (None, None) => "removals_unknown",
        };
        let detail = Detail::NONE.text(DetailKey::Reason, reason);
        let detail = match plan.behind {
            Some(behind) => detail.number(DetailKey::Count, behind),
            None => detail,
        };
        let event = Event { detail, ..Event::new(plan.now, plan.actor.clone(), Action::VaultRestore) };
        Decision::changing(self.outcome, self.changes, event).also(self.events).revoking()
    }
}

/// Returns whether a scope names the project itself.
fn is_of(scope: &Scope, project: &ProjectId) -> bool {
    !scope.projects().is_empty() && scope.names(project)
}

fn is_owner(user: &User) -> bool {
    user.role == Role::Owner && !user.disabled
}

fn named(integration: &Integration) -> String {
    let name = integration.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}{name} ({})", integration.provider, integration.id)
}

fn about(event: Event, integration: &Integration) -> Event {
    Event {
        integration: Some(integration.id),
        revision: Some(integration.revision()),
        provider: Some(integration.provider),
        ..event
    }
}
