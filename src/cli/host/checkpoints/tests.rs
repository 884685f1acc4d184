//! The folder beside an unlock: whatever comes between the two, an accepted copy is accepted once and settled.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::{
    clock::monotonic,
    disk::{DataFile, Locking},
    domain::{Action, Actor, Event, Secret, Timestamp},
    vault::Settings,
};

const PASSPHRASE: &str = "correct horse battery staple example";
const NOW: Timestamp = Timestamp::from_millis(1_798_106_400_000);

fn open(path: &Path) -> Arc<Vault> {
    let file = DataFile::open(path, Locking::Required).unwrap();
    let settings = Settings { accepts_rollback: true, ..Settings::new(Actor::host("test"), monotonic) };
    Arc::new(Vault::open(file.medium(), settings).unwrap())
}

async fn unlock(vault: &Vault) {
    let secret = Secret::new(PASSPHRASE.as_bytes().to_vec());
    vault.unlock(secret, Actor::host("test"), NOW, None).await.unwrap();
}

async fn lock(vault: &Vault) {
    let event = Event::new(NOW, Actor::host("test"), Action::VaultLock);
    vault.lock(event).await.map_err(drop).unwrap();
}

/// Unlocks and locks the file, and leaves its checkpoint in the folder.
async fn served(path: &Path, plan: &CheckpointPlan) {
    let vault = open(path);
    unlock(&vault).await;
    lock(&vault).await;
    write_now(plan, &vault).await;
    assert!(!vault.is_checkpoint_lost());
}

/// A look at the folder that began before an unlock, and was reported after it, left the accepted copy a stranger's: the
/// checkpoint was called lost, and the next unlock accepted the copy once more, with another log key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_copy_is_settled_once_whatever_look_at_the_folder_is_under_way() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.redb");
    fs::copy(fixture, at("today")).unwrap();
    fs::create_dir(at("kept")).unwrap();
    let plan = CheckpointPlan { folder: at("kept"), every: Duration::from_hours(1) };
    served(&at("today"), &plan).await;
    fs::copy(at("today"), at("yesterday")).unwrap();
    served(&at("today"), &plan).await;
    for round in 0..30 {
        let folder = at(&format!("kept-{round}"));
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(at("kept")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        let (path, plan) = (at(&format!("copy-{round}")), CheckpointPlan { folder, every: plan.every });
        fs::copy(at("yesterday"), &path).unwrap();
        let vault = open(&path);
        find_rollback(Some(&plan), &vault).await;
        assert!(vault.is_checkpoint_lost(), "the folder knows more");
        let is_settled = Arc::new(AtomicBool::new(false));
        let writing = {
            let (plan, vault, is_settled) = (plan.clone(), Arc::clone(&vault), Arc::clone(&is_settled));
            tokio::spawn(async move {
                while !is_settled.load(Ordering::SeqCst) {
                    write_now(&plan, &vault).await;
                }
            })
        };
        unlock(&vault).await;
        assert!(settle_accepted(Some(&plan), &vault).await);
        is_settled.store(true, Ordering::SeqCst);
        writing.await.unwrap();
        assert!(!vault.is_checkpoint_lost() && !vault.is_log_flawed(), "round {round}");
        lock(&vault).await;
        unlock(&vault).await;
        assert_eq!(vault.handovers().unwrap().len(), 1, "round {round}: it is accepted once");
        lock(&vault).await;
    }
}
