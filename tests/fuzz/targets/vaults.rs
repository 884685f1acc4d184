//! Vaults in memory for the targets that need one.

use std::sync::Arc;

use redb::{Database, StorageBackend, TableDefinition, WriteTransaction, backends::InMemoryBackend};
use tokio::runtime::Runtime;

use crate::{
    auth::token,
    clock,
    crypto::kdf::KdfParams,
    disk::Medium,
    domain::{Actor, Secret, Timestamp},
    vault::{Admitted, CallerLimits, Context, InitPlan, Settings, Vault},
};

pub type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

const OWNER: &str = "owner@example.com";
pub const PASSWORD: &str = "password-example";
const PASSPHRASE: &str = "correct horse battery staple example";
/// 2026-11-24T10:00:00Z.
pub const START: u64 = 1_795_514_400_000;
/// A vault file of the tests, with two credentials.
pub const COMMITTED: &[u8] = include_bytes!("../../fixtures/format-1-rows-2.redb");

pub fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

pub fn context(millis: u64) -> Context {
    Context { now: Timestamp::from_millis(millis), request: None, peer: None }
}

pub fn settings() -> Settings {
    Settings {
        cache_bytes: 1 << 20,
        password_kdf: KdfParams::LIGHT,
        callers: CallerLimits::NONE,
        ..Settings::new(Actor::host("fuzz"), clock::monotonic)
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub fn backend(image: &[u8]) -> InMemoryBackend {
    let backend = InMemoryBackend::new();
    backend.set_len(image.len() as u64).unwrap();
    backend.write(0, image).unwrap();
    backend
}

/// The file of a new vault.
pub fn fresh() -> Vec<u8> {
    let medium = Arc::new(Shared(InMemoryBackend::new()));
    let plan = InitPlan {
        owner: OWNER.parse().unwrap(),
        password: secret(PASSWORD),
        passphrase: secret(PASSPHRASE),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("fuzz"),
        now: Timestamp::from_millis(START),
    };
    let handle: Medium = Arc::clone(&medium) as Medium;
    Vault::create(handle, 1 << 20, &plan).unwrap();
    medium.image()
}

/// A committed vault, locked.
pub fn committed() -> Vault {
    Vault::open(Arc::new(backend(COMMITTED)), settings()).unwrap()
}

/// Opens and unlocks a file; `None` if it is refused.
pub async fn unlocked(image: &[u8]) -> Option<Vault> {
    let vault = Vault::open(Arc::new(backend(image)), settings()).ok()?;
    unlock(&vault, START).await.map(|()| vault)
}

/// Unlocks one of these vaults.
pub async fn unlock(vault: &Vault, now: u64) -> Option<()> {
    let now = Timestamp::from_millis(now);
    vault.unlock(secret(PASSPHRASE), Actor::host("fuzz"), now, None).await.ok()
}

/// Logs the owner of these vaults in.
pub async fn owner(vault: &Vault) -> Option<(Admitted, String)> {
    login(vault, OWNER, START).await
}

pub async fn login(vault: &Vault, email: &str, now: u64) -> Option<(Admitted, String)> {
    let login = vault.login(&context(now), email, secret(PASSWORD)).await.ok()?;
    let text = login.access.expose_text().expect("a token is ASCII").to_owned();
    let bearer = token::parse_bearer(&text).expect("a token reads");
    let admitted = vault.authenticate(bearer, &context(now)).ok()?;
    Some((admitted, text))
}

/// Edits a closed file as an attacker would who knows the engine but not the key.
pub fn edit(image: &[u8], change: impl FnOnce(&WriteTransaction)) -> Vec<u8> {
    let medium = Arc::new(Shared(backend(image)));
    let database = Database::builder().create_with_backend(Handle(Arc::clone(&medium))).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
    drop(database);
    medium.image()
}

/// A medium whose bytes can be read afterwards.
#[derive(Debug)]
struct Shared(InMemoryBackend);

impl Shared {
    fn image(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.0.len().unwrap() as usize];
        self.0.read(0, &mut bytes).unwrap();
        bytes
    }
}

#[derive(Debug)]
struct Handle(Arc<Shared>);

macro_rules! forward {
    ($own:ty, $self:ident => $inner:expr) => {
        impl StorageBackend for $own {
            fn len(&$self) -> std::io::Result<u64> {
                $inner.len()
            }
            fn read(&$self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
                $inner.read(offset, out)
            }
            fn set_len(&$self, len: u64) -> std::io::Result<()> {
                $inner.set_len(len)
            }
            fn sync_data(&$self) -> std::io::Result<()> {
                $inner.sync_data()
            }
            fn write(&$self, offset: u64, data: &[u8]) -> std::io::Result<()> {
                $inner.write(offset, data)
            }
        }
    };
}
forward!(Shared, self => self.0);
forward!(Handle, self => self.0);
