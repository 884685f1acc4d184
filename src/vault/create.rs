//! Creation of a vault: its keys, its two slots and its owner.

use super::{slot_changes::check_passphrase, state::Vault};
use crate::{
    audit::checkpoint::VerifierKey,
    auth::{
        password::{self, PasswordError},
        spelling,
    },
    crypto::{
        kdf::{KdfFailed, KdfParams},
        keys::{MasterKey, SlotHeader, SlotKind, VaultKey},
        random::{self, RandomError},
        recovery::RecoveryKey,
    },
    disk::Medium,
    domain::{
        AccessScope, Action, Actor, Detail, DetailKey, Email, Event, FileId, Invalid, Role, Secret,
        Timestamp, User, UserId,
    },
    storage::{CreateError, NewVault, Slot, StorageError, Store},
};

/// The ingredients of a new vault.
pub struct InitPlan {
    /// The first owner.
    pub owner: Email,
    /// The owner's password.
    pub password: Secret,
    /// The passphrase of the first slot.
    pub passphrase: Secret,
    /// The cost of the passphrase's key derivation.
    pub kdf: KdfParams,
    /// The cost of password hashes.
    pub password_kdf: KdfParams,
    /// The actor of the first event.
    pub actor: Actor,
    /// The time of the first event.
    pub now: Timestamp,
}

/// Secrets and keys that only the creator of a vault sees.
pub struct Created {
    /// The printed recovery key.
    pub recovery_key: Secret,
    /// The log's verifier key.
    pub audit_key: VerifierKey,
}

/// An error of [`Vault::create`].
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is no memory for the key derivation.
    #[error("there is not enough memory for the key derivation")]
    Memory(#[from] KdfFailed),
    /// The operating system gives no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The passphrase or the owner's password breaks its rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The disk refuses.
    #[error("the vault file cannot be written")]
    Disk(#[source] CreateError),
}

impl From<PasswordError> for InitError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Invalid(invalid) => invalid.into(),
            PasswordError::Random(random) => random.into(),
            PasswordError::Kdf(failed) => failed.into(),
        }
    }
}

impl From<CreateError> for InitError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Storage(StorageError::Random) => Self::Random(RandomError),
            CreateError::Storage(_) | CreateError::Commit(_) | CreateError::First => Self::Disk(error),
        }
    }
}

impl From<StorageError> for InitError {
    fn from(error: StorageError) -> Self {
        CreateError::from(error).into()
    }
}

impl Vault {
    /// Creates a vault on an empty medium. Stores the passphrase and the password in NFC.
    ///
    /// # Errors
    /// A secret breaks its rule, the medium refuses, or there is no memory or randomness.
    pub fn create(medium: Medium, cache_bytes: usize, plan: &InitPlan) -> Result<Created, InitError> {
        check_passphrase(&plan.passphrase)?;
        password::check_new(&plan.password, &plan.owner)?;
        let file = FileId::new(plan.now, random::bytes()?);
        let vault_key = VaultKey::generate()?;
        let recovery = RecoveryKey::generate()?;
        let slot = |id, kind, secret: &Secret| -> Result<Slot, InitError> {
            let salt = random::bytes()?;
            let header = SlotHeader { id, kind, params: plan.kdf, salt };
            let wrapped = MasterKey::derive(secret, &salt, plan.kdf)?.wrap(&header, &vault_key)?;
            Ok(Slot { header, wrapped })
        };
        let slots = vec![
            slot(1, SlotKind::Passphrase, &spelling::stored(&plan.passphrase))?,
            slot(2, SlotKind::Recovery, &recovery.to_secret())?,
        ];
        let owner = User {
            id: UserId::new(plan.now, random::bytes()?),
            email: plan.owner.clone(),
            first_name: None,
            last_name: None,
            role: Role::Owner,
            scope: AccessScope::default(),
            disabled: false,
            password: password::hash(&plan.password, plan.password_kdf)?,
            factor: None,
            epoch: 0,
            created_at: plan.now,
            last_login_at: None,
            version: 0,
        };
        let detail = Detail::NONE
            .text(DetailKey::Email, &plan.owner)
            .text(DetailKey::Version, env!("CARGO_PKG_VERSION"));
        let event = Event { detail, ..Event::new(plan.now, plan.actor.clone(), Action::VaultInit) };
        let new = NewVault { file, vault_key: &vault_key, slots, owner, event };
        let store = Store::create(medium, cache_bytes, new)?;
        Ok(Created { recovery_key: recovery.to_text(), audit_key: store.verifier_key()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::CommitError;

    /// `init` without memory blamed the random source and the disk's free space.
    #[test]
    fn no_cause_of_a_vault_that_was_not_made_passes_for_another() {
        let told = |error: InitError| error.to_string();
        let memory = told(PasswordError::Kdf(KdfFailed).into());
        assert!(memory.contains("memory") && told(KdfFailed.into()) == memory);
        for random in [
            told(RandomError.into()),
            told(PasswordError::Random(RandomError).into()),
            told(StorageError::Random.into()),
            told(CreateError::Storage(StorageError::Random).into()),
        ] {
            assert!(random.contains("random bytes"), "{random}");
        }
        let invalid = Invalid { what: "password", rule: "longer" };
        assert_eq!(told(PasswordError::Invalid(invalid).into()), "password must be longer");
        for disk in [CreateError::First, CreateError::Commit(CommitError::HeadMoved)] {
            assert!(told(disk.into()).contains("cannot be written"));
        }
    }
}
