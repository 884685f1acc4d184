//! Recovery of an owner's password at the host. There is no caller: the passphrase that unlocked the vault is the
//! proof.

use std::sync::Arc;

use super::{
    audited::silent,
    error::{Error, RecoverError},
    state::Vault,
};
use crate::{
    domain::{DetailKey, Email, Event, Role, Secret, User},
    storage::{Changes, Decision, View},
};

impl Vault {
    /// Finds the owner to recover: the one named or, without a name, the only enabled one.
    ///
    /// # Errors
    /// The vault is locked, or no single enabled owner matches.
    pub fn owner_to_recover(&self, email: Option<&Email>) -> Result<Arc<User>, RecoverError> {
        let open = self.opened()?;
        let users = open.writer.fresh_view().users().map_err(Error::from)?;
        let owners = || users.iter().filter(|user| user.role == Role::Owner && !user.disabled);
        let mut meant = owners().filter(|user| email.is_none_or(|email| *email == user.email));
        if let (Some(owner), None) = (meant.next(), meant.next()) {
            return Ok(Arc::new(owner.clone()));
        }
        Err(RecoverError::NoSingleOwner { owners: owners().map(|user| user.email.clone()).collect() })
    }

    /// Sets an owner's password, removes the second factor, ends the owner's sessions, and records `event`. Returns
    /// whether there was a second factor.
    ///
    /// # Errors
    /// The password breaks the rule, the owner no longer exists or is disabled, or the commit fails.
    pub async fn recover_owner(&self, email: Email, password: Secret, event: Event) -> Result<bool, Error> {
        let password = self.new_password(&email, password).await?;
        let decide = move |view: &View<'_>| {
            let found = view.user(&email).map_err(|error| silent(error.into()))?;
            let found = found.filter(|user| user.role == Role::Owner && !user.disabled);
            let owner = found.ok_or_else(|| silent(Error::UserNotFound))?;
            let had_factor = owner.factor.is_some();
            let detail = event.detail.clone().text(DetailKey::Email, &owner.email);
            let detail = if had_factor { detail.truth(DetailKey::Otp, false) } else { detail };
            let event = Event { detail, ..event };
            let mut changes = Changes::none();
            changes.user(User { password, factor: None, epoch: owner.epoch + 1, ..(*owner).clone() });
            Ok(Decision::changing(had_factor, changes, event).revoking())
        };
        let committed = self.opened()?.decide(None, decide).await?;
        Ok(self.settle(committed).await?.value)
    }
}
