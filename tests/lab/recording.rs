//! A recorded run of the model on a working disk: its calls, and every state that it went through.

use std::{collections::HashMap, sync::Arc};

use sealroom::{
    audit::checkpoint,
    crypto::keys::{MasterKey, SlotKind, VaultKey},
    storage::Store,
};

use super::{
    content::{Content, Shown},
    disk::Disk,
    driver::{Broken, Driver, PASSPHRASE, fresh, secret},
    journal::{Op, settle},
    rng::Rng,
};

/// A recorded run.
pub struct Recording {
    pub base: Arc<Vec<u8>>,
    pub ops: Vec<Op>,
    /// The size of the log by the text of its checkpoint, for every state of the run.
    pub states: HashMap<String, u64>,
    pub key: VaultKey,
    pub shown: Vec<Shown>,
    pub history: Vec<(u64, Content)>,
    /// Texts of tokens, by name.
    pub tokens: Vec<(String, String)>,
}

impl Recording {
    /// Runs the model with a seed and records the run.
    pub async fn make(seed: u64, steps: usize) -> Result<Self, Broken> {
        let base = fresh();
        let disk = Disk::new(Arc::clone(&base));
        let mut driver = Driver::new(disk.clone(), Rng::new(&[seed, 1]), true);
        driver.run(steps).await?;
        let tokens = driver.known.tokens.iter().map(|(name, (_, text))| (name.clone(), text.clone()));
        let tokens = tokens.collect();
        let (shown, history) = (driver.shown, driver.history);
        let (key, ops) = (vault_key(&base), disk.take_journal());
        let mut this = Self { base, ops, states: HashMap::new(), key, shown, history, tokens };
        this.states = this.find_states()?;
        Ok(this)
    }

    /// Opens the file after each sync, and reads its checkpoint.
    fn find_states(&self) -> Result<HashMap<String, u64>, Broken> {
        let (mut image, mut pending, mut states) = (self.base.to_vec(), Vec::new(), HashMap::new());
        for op in &self.ops {
            settle(&mut image, &mut pending, op);
            if matches!(op, Op::Sync) {
                let disk = Disk::new(Arc::new(image.clone()));
                let store = Store::open(disk.medium(), 1 << 20).map_err(|error| format!("{error:?}"))?;
                let note = store.checkpoint().map_err(|error| error.to_string())?;
                let size = checkpoint::read_unsigned(&note).map_err(|error| error.to_string())?.size;
                states.insert(note, size);
            }
        }
        Ok(states)
    }

    /// Returns the number of calls to the disk.
    pub fn calls(&self) -> usize {
        self.ops.iter().filter(|op| op.is_call()).count()
    }
}

/// Returns the vault key that the passphrase unwraps, so that later openings need not derive it again.
fn vault_key(base: &Arc<Vec<u8>>) -> VaultKey {
    let store = Store::open(Disk::new(Arc::clone(base)).medium(), 1 << 20).unwrap();
    let slots = store.slots().unwrap();
    let slot = slots.iter().find(|slot| slot.header.kind == SlotKind::Passphrase).unwrap();
    let master = MasterKey::derive(&secret(PASSPHRASE), &slot.header.salt, slot.header.params).unwrap();
    master.unwrap(&slot.header, &slot.wrapped).map_err(drop).unwrap()
}
