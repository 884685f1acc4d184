//! A repository's token (contract §8): a stored one, or one that a stored GitHub App mints for that repository alone.
//!
//! The call to the provider comes between two decisions. The first one chooses the App; the second, in the commit
//! thread, chooses again and records before the token leaves. A change in between, also of the caller's rights, counts.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use super::{
    access::Admitted,
    canary,
    credentials::{CredentialQuery, find},
    error::{Error, InternalError},
    minted::{MintKey, Minted, NoToken, Slot},
    not_minted::{MissingRepository, NotMinted},
    state::Vault,
    work::{Context, Request},
};
use crate::{
    api::{responses::TokenKind, stored},
    auth::policy::{Permit, Verb},
    domain::{
        Action, AuthType, Detail, DetailKey, Event, Integration, ProjectId, Provider, Secret, Timestamp,
    },
    outgoing::{App, AppConfig, Disabled, MintError, Repository, SignedApp},
    storage::{self, Decision, Receipt, View},
};

/// The most attempts while the chosen integration keeps changing.
const TRIES_MAX: usize = 3;

/// A disclosed token; hold `disclosed` until the bytes are with the connection.
pub struct RepositoryToken {
    token: Token,
    /// Its receipt, in a list of one.
    pub receipts: Vec<Receipt>,
    /// The guard of the disclosure.
    pub disclosed: Option<storage::InFlightGuard>,
}

enum Token {
    Stored(Secret, Option<Timestamp>),
    Minted(Arc<Minted>),
}

impl RepositoryToken {
    /// The token itself.
    pub fn secret(&self) -> &Secret {
        match &self.token {
            Token::Stored(secret, _) => secret,
            Token::Minted(minted) => &minted.token,
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> TokenKind {
        match &self.token {
            Token::Stored(..) => TokenKind::Pat,
            Token::Minted(_) => TokenKind::Installation,
        }
    }

    /// The time at which it ends at the provider, if that is known.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match &self.token {
            Token::Stored(_, end) => *end,
            Token::Minted(minted) => Some(minted.expires_at),
        }
    }
}

/// The reason why a slot stays empty.
enum Unfilled {
    /// The App is no longer the one that was chosen, or no longer the caller's.
    Moved,
    Failed(Error),
}

impl Vault {
    /// Returns a token for a repository, after its event is durable.
    ///
    /// # Errors
    /// The policy forbids it, there is no token for it, the provider gives none, or the event cannot be written.
    pub async fn repository_token(
        self: &Arc<Self>,
        context: &Context,
        caller: &Admitted,
        project: &ProjectId,
    ) -> Result<RepositoryToken, Error> {
        self.measure_one(caller, context.now)?;
        for _ in 0..TRIES_MAX {
            let minted = match self.chosen_app(context, caller, project)? {
                None => None,
                Some(app) => match self.minted(context, caller, &app, project).await? {
                    None => continue,
                    minted => minted,
                },
            };
            let found = self.disclose_token(context, caller, project, minted).await;
            if let Some(token) = found.map_err(missing)? {
                return Ok(token);
            }
        }
        Err(Error::Overloaded)
    }

    /// Returns the App that the newest state chooses. If it chooses something else or refuses, the commit thread
    /// decides.
    fn chosen_app(
        &self,
        context: &Context,
        caller: &Admitted,
        project: &ProjectId,
    ) -> Result<Option<Arc<Integration>>, Error> {
        let open = self.opened()?;
        let view = open.writer.fresh_view();
        let Ok(permit) = self.admit_again(&view, caller, context.now, Verb::RepositoryToken) else {
            return Ok(None);
        };
        let chosen = choose(&view, &permit, project).ok();
        Ok(chosen.filter(|chosen| chosen.auth_type == AuthType::App && !self.is_disk_low()))
    }

    /// Returns the App's token, from the cache or newly minted; `None` if the App changed meanwhile.
    async fn minted(
        self: &Arc<Self>,
        context: &Context,
        caller: &Admitted,
        app: &Integration,
        project: &ProjectId,
    ) -> Result<Option<(MintKey, Arc<Minted>)>, Error> {
        let outgoing = self.settings().outgoing.as_ref().ok_or(Disabled::Off)?;
        let options = AppConfig::read(app.config.as_ref());
        if options.as_ref().is_ok_and(|options| !outgoing.allows(options.base())) {
            return Err(Disabled::HostNotListed.into());
        }
        let key = MintKey::new(app, project);
        // Only the slot is held while the provider is asked: the open vault must not be, since a lock waits for it.
        let (slot, locked) = self.opened()?.minted.slot(&key, context.now);
        let filled = match slot.get() {
            Some(found) => Ok(found.clone()),
            None => self.fill(context, caller, &key, slot, locked).await,
        };
        let found = match filled {
            Ok(found) => found,
            Err(Unfilled::Moved) => return Ok(None),
            Err(Unfilled::Failed(error)) => return Err(error),
        };
        match found {
            Ok(minted) => Ok(Some((key, minted))),
            Err(NoToken { error: MintError::Disabled(disabled), .. }) => Err(disabled.into()),
            Err(failed) => {
                let wait = failed.until.since(context.now);
                let (integration, revision, project) = (app.id, app.revision(), project.clone());
                let unminted = NotMinted { integration, revision, project, error: failed.error, wait };
                let error = Error::NotMinted(Box::new(unminted));
                Err(missing(self.refuse(context, caller.bearer(), Verb::RepositoryToken, error).await))
            }
        }
    }

    /// Fills the slot, unless another caller does so meanwhile, or the vault is locked.
    ///
    /// On a task of its own, which a client that leaves does not end: asking and leaving, again and again, would be a way
    /// to use up what the provider allows the App.
    async fn fill(
        self: &Arc<Self>,
        context: &Context,
        caller: &Admitted,
        key: &MintKey,
        slot: Arc<Slot>,
        mut locked: watch::Receiver<()>,
    ) -> Result<Result<Arc<Minted>, NoToken>, Unfilled> {
        // A client that waits here may leave: one task is enough for each slot.
        let turn = Arc::clone(&slot.turn).lock_owned().await;
        if let Some(found) = slot.get() {
            return Ok(found.clone());
        }
        let (vault, context, caller, key) = (Arc::clone(self), *context, caller.clone(), key.clone());
        let filling = tokio::spawn(async move {
            let _turn = turn;
            let asked = tokio::select! {
                biased;
                _ = locked.changed() => Err(Unfilled::Failed(Error::Locked)),
                asked = vault.mint(&context, &caller, &key) => asked,
            };
            asked.map(|found| slot.fill(found))
        });
        filling.await.unwrap_or_else(|_| Err(Unfilled::Failed(InternalError::TaskPanicked.into())))
    }

    /// Asks the provider for a token.
    async fn mint(
        &self,
        context: &Context,
        caller: &Admitted,
        key: &MintKey,
    ) -> Result<Result<Arc<Minted>, NoToken>, Unfilled> {
        let outgoing = self.settings().outgoing.as_ref();
        let outgoing = outgoing.ok_or_else(|| Unfilled::Failed(Disabled::Off.into()))?;
        let shares = {
            let open = self.opened().map_err(Unfilled::Failed)?;
            if let Some(paused) = open.minted.paused(key, context.now) {
                return Ok(Err(paused));
            }
            open.minted.shares(caller.caller().actor(), key)
        };
        let signed = match self.signed_app(context, caller, key) {
            Ok(signed) => signed.ok_or(Unfilled::Moved)?,
            Err(error) => {
                let actor = caller.caller().actor();
                let error = self.note(context, actor, Action::CredentialsMint, error).await;
                return Err(Unfilled::Failed(error));
            }
        };
        let (started, mut host) = ((self.settings().monotonic)(), None);
        let asked = match (signed, Repository::of(&key.project)) {
            (Ok(app), Some(repository)) => {
                host = Some(app.base().to_string());
                outgoing.mint(&app, &repository, &shares).await
            }
            (Ok(_), None) => Err(MintError::NotInstalled),
            (Err(error), _) => Err(error),
        };
        self.mints.observe(&asked, (self.settings().monotonic)().saturating_sub(started));
        Ok(match asked {
            Ok(token) => Ok(Arc::new(Minted::new(token, context.now))),
            Err(error) => {
                let request = context.request.map(tracing::field::display);
                let integration = tracing::field::display(key.integration);
                tracing::warn!(request, integration, host, cause = %error, "no token was minted");
                let failed = NoToken::new(error, context.now);
                if let Ok(open) = self.opened() {
                    open.minted.pause(key, failed);
                }
                Err(failed)
            }
        })
    }

    /// Opens the App's key and signs with it; `None` if the state no longer chooses that App for that caller.
    fn signed_app(
        &self,
        context: &Context,
        caller: &Admitted,
        key: &MintKey,
    ) -> Result<Option<Result<SignedApp, MintError>>, Error> {
        let open = self.opened()?;
        let view = open.writer.fresh_view();
        let Ok(permit) = self.admit_again(&view, caller, context.now, Verb::RepositoryToken) else {
            return Ok(None);
        };
        let chosen = choose(&view, &permit, &key.project).ok().filter(|chosen| key.is_of(chosen));
        let Some(chosen) = chosen else { return Ok(None) };
        let credentials = view.open_credential(&permit.disclose(&chosen)?)?;
        let app = App::read(&credentials, chosen.config.as_ref()).map_err(MintError::from);
        Ok(Some(app.and_then(|app| Ok(app.sign(context.now)?))))
    }

    /// Decides and records; `None` if the newest state chooses an App whose token is not at hand.
    async fn disclose_token(
        &self,
        context: &Context,
        caller: &Admitted,
        project: &ProjectId,
        minted: Option<(MintKey, Arc<Minted>)>,
    ) -> Result<Option<RepositoryToken>, Error> {
        let first = Arc::new(AtomicBool::new(false));
        let (project, decided, kept) = (project.clone(), Arc::clone(&first), minted.clone());
        let work = move |work: Request<'_>| decide(work, &project, minted, &decided);
        let committed = self.act(context, caller, Verb::RepositoryToken, work).await;
        if let (Err(_), Some((_, minted)), true) = (&committed, &kept, first.load(Ordering::Acquire)) {
            // The log may lack the minting: the next disclosure is recorded as one.
            minted.is_recorded.store(false, Ordering::Release);
        }
        let committed = committed?;
        if committed.value.is_some() && !first.load(Ordering::Acquire) && kept.is_some() {
            self.mints.reused.add(1);
        }
        let (receipts, disclosed) = (committed.receipts, committed.disclosed);
        Ok(committed.value.map(|token| RepositoryToken { token, receipts, disclosed }))
    }
}

/// Chooses the integration of a project: an App before a token, then the newest.
fn choose(view: &View<'_>, permit: &Permit, project: &ProjectId) -> Result<Arc<Integration>, Error> {
    let (provider, project) = (Some(Provider::Github), Some(project.clone()));
    let query = CredentialQuery { provider, project, ..CredentialQuery::default() };
    let found = find(view, permit, &query)?;
    let of = |wanted: AuthType| found.iter().find(|one| one.auth_type == wanted).cloned();
    of(AuthType::App).or_else(|| of(AuthType::Pat)).ok_or_else(|| query.nothing())
}

fn decide(
    work: Request<'_>,
    project: &ProjectId,
    minted: Option<(MintKey, Arc<Minted>)>,
    is_first: &AtomicBool,
) -> Result<Decision<Option<Token>>, Error> {
    let chosen = choose(work.view, work.permit, project)?;
    let proof = work.permit.disclose(&chosen)?;
    let event = canary::disclosure(work.event, &chosen, chosen.revision());
    let event = Event { project: Some(project.clone()), ..event };
    if chosen.auth_type != AuthType::App {
        let token = stored::field(&work.view.open_credential(&proof)?, "token");
        let mut token = token.filter(|token| !token.is_empty()).ok_or_else(|| Error::NothingMatches {
            provider: Some(Provider::Github),
            project: Some(project.clone()),
        })?;
        let token = Secret::from(std::mem::take(&mut *token));
        return Ok(Decision::disclosing(Some(Token::Stored(token, chosen.expires_at())), vec![event]));
    }
    let Some((_, minted)) = minted.filter(|(key, _)| key.is_of(&chosen)) else {
        return Ok(Decision::recording(None, Vec::new()));
    };
    let was_recorded = minted.is_recorded.swap(true, Ordering::AcqRel);
    is_first.store(!was_recorded, Ordering::Release);
    let action = if was_recorded { Action::CredentialsRead } else { Action::CredentialsMint };
    // The provider's own log names the token by that hash.
    let detail = Detail::NONE
        .text(DetailKey::HashedToken, &minted.hashed)
        .text(DetailKey::ExpiresAt, minted.expires_at);
    Ok(Decision::disclosing(Some(Token::Minted(minted)), vec![Event { action, detail, ..event }]))
}

/// Gives every reason for which there is nothing the answer that the contract fixes.
fn missing(error: Error) -> Error {
    match error {
        Error::ProjectNotFound(_) => MissingRepository::Project.into(),
        Error::NothingMatches { .. } => MissingRepository::Integration.into(),
        Error::NotMinted(unminted) if unminted.error == MintError::NotInstalled => {
            MissingRepository::Installation.into()
        }
        error => error,
    }
}
