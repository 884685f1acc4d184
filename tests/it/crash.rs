//! Power cuts and failing disks: nothing acknowledged is lost, nothing is half there, no disclosure lacks its event.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use sealroom::{
    api::{
        self,
        requests::{CreateIntegration, CreateProject, RotateCredentials},
    },
    audit::{checkpoint, tree},
    auth::token,
    domain::{Actor, Caller, IntegrationId, Timestamp},
    storage::{Medium, Receipt},
    vault::{CredentialQuery, Error, EventQuery, Vault},
};

use super::server::{OWNER, PASSPHRASE, PASSWORD, START, context, plan, secret, settings};

/// What a power cut leaves of the writes that were not synced.
#[derive(Debug, Clone, Copy)]
enum Unsynced {
    Lost,
    Kept,
    /// Every second one, and the last of those cut in half.
    Torn,
}

/// What happens at the n-th sync, or the n-th write.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// The power goes: nothing works any more.
    Cut(usize, Unsynced),
    /// The sync fails once; what it should have synced is there or not.
    FailOnce(usize, Unsynced),
    /// The n-th write fails once; half of it is there, as the disk left it.
    FailWriteOnce(usize),
}

#[derive(Debug)]
struct State {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    syncs: usize,
    writes: usize,
    fault: Fault,
    dead: bool,
}

#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn new(image: Vec<u8>, fault: Fault) -> Self {
        let state = State {
            durable: image.clone(),
            current: image,
            pending: Vec::new(),
            syncs: 0,
            writes: 0,
            fault,
            dead: false,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn image(&self) -> Vec<u8> {
        self.0.lock().unwrap().durable.clone()
    }

    fn syncs(&self) -> usize {
        self.0.lock().unwrap().syncs
    }

    fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("no power")) } else { Ok(()) }
    }

    fn settle(&mut self, unsynced: Unsynced) {
        let pending = std::mem::take(&mut self.pending);
        let mut image = self.durable.clone();
        image.resize(self.current.len().max(image.len()), 0);
        let count = pending.len();
        for (n, (at, data)) in pending.into_iter().enumerate() {
            let keep = match unsynced {
                Unsynced::Lost => 0,
                Unsynced::Kept => data.len(),
                Unsynced::Torn if n % 2 == 1 => 0,
                Unsynced::Torn if n + 2 >= count => data.len() / 2,
                Unsynced::Torn => data.len(),
            };
            image[at..at + keep].copy_from_slice(&data[..keep]);
        }
        (self.durable, self.current) = (image.clone(), image);
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let state = self.0.lock().unwrap();
        state.alive()?;
        Ok(state.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        state.alive()?;
        let at = offset as usize;
        let there = state.current.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(there);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.alive()?;
        state.current.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.alive()?;
        state.syncs += 1;
        match state.fault {
            Fault::Cut(at, unsynced) if at == state.syncs => {
                state.settle(unsynced);
                state.dead = true;
                return Err(io::Error::other("the power went"));
            }
            Fault::FailOnce(at, unsynced) if at == state.syncs => {
                state.settle(unsynced);
                return Err(io::Error::other("the sync failed"));
            }
            Fault::None | Fault::Cut(..) | Fault::FailOnce(..) | Fault::FailWriteOnce(..) => {}
        }
        state.durable = state.current.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.alive()?;
        state.writes += 1;
        let fails = matches!(state.fault, Fault::FailWriteOnce(n) if n == state.writes);
        let (at, there) = (offset as usize, if fails { &data[..data.len() / 2] } else { data });
        state.current[at..at + there.len()].copy_from_slice(there);
        state.pending.push((at, there.to_vec()));
        if fails { Err(io::Error::other("the write failed")) } else { Ok(()) }
    }
}

/// What the run knows to be true, and the one change whose outcome is in doubt.
#[derive(Default)]
struct Model {
    values: BTreeMap<IntegrationId, String>,
    doubts: Vec<(IntegrationId, Option<String>)>,
    receipts: Vec<Receipt>,
}

impl Model {
    fn settle(&mut self, id: IntegrationId, value: Option<String>, result: Result<(), Error>) {
        match result {
            Ok(()) => {
                match value {
                    Some(value) => self.values.insert(id, value),
                    None => self.values.remove(&id),
                };
                self.doubts.retain(|(doubted, _)| *doubted != id);
            }
            Err(Error::AuditUnavailable | Error::Locked) => self.doubts.push((id, value)),
            Err(error) => panic!("neither done nor in doubt: {error}"),
        }
    }
}

fn parse<T: api::requests::Request>(text: &str) -> T {
    api::parse(text.as_bytes()).map_err(|error| error.message).unwrap()
}

async fn owner(vault: &Vault) -> Option<Caller> {
    let now = context(Timestamp::from_millis(START));
    let login = vault.login(&now, OWNER, secret(PASSWORD)).await.ok()?;
    let bearer = token::parse_bearer(std::str::from_utf8(login.access.expose()).unwrap()).unwrap();
    vault.authenticate(bearer, &now).ok()
}

async fn open(medium: Medium) -> Result<Vault, String> {
    let vault = Vault::open(medium, settings()).map_err(|error| format!("{error:?}"))?;
    let now = Timestamp::from_millis(START);
    vault
        .unlock(secret(PASSPHRASE), Actor::host("test"), now, None)
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok(vault)
}

/// A mixed run; goes on after a failure, as clients do.
async fn run(disk: &Disk) -> Model {
    let mut model = Model::default();
    let Ok(vault) = open(Arc::new(disk.clone())).await else { return model };
    let Some(caller) = owner(&vault).await else { return model };
    let project =
        parse::<CreateProject>(r#"{"identifier":"acme/app","remoteUrl":"https://github.com/acme/app"}"#);
    for n in 0..4 {
        let now = context(Timestamp::from_millis(START + n));
        let body = format!(
            r#"{{"provider":"github","authType":"pat","credentials":{{"token":"v{n}"}},"isGlobal":true}}"#
        );
        let created = vault.create_integration(&now, &caller, parse::<CreateIntegration>(&body)).await;
        let id = match created {
            Ok((integration, _)) => integration.id,
            Err(_) => continue,
        };
        model.settle(id, Some(format!("v{n}")), Ok(()));
        if let Ok(read) = vault.read_credentials(&now, &caller, CredentialQuery::default()).await {
            assert_eq!(read.items.len(), read.receipts.len());
            model.receipts.extend(&read.receipts);
        }
        let body = format!(r#"{{"credentials":{{"token":"w{n}"}}}}"#);
        let rotated =
            vault.rotate_credentials(&now, &caller, id, None, parse::<RotateCredentials>(&body)).await;
        model.settle(id, Some(format!("w{n}")), rotated.map(drop));
        if n == 1 {
            model.settle(id, None, vault.delete_integration(&now, &caller, id).await);
        }
    }
    drop(vault.create_project(&context(Timestamp::from_millis(START)), &caller, project).await);
    model
}

/// Opens what the fault left, and holds it against the model.
async fn check(disk: &Disk, model: &Model, what: &str) {
    let vault = open(Arc::new(Disk::new(disk.image(), Fault::None)))
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let now = context(Timestamp::from_millis(START));
    let caller = owner(&vault).await.unwrap();
    let read = vault.read_credentials(&now, &caller, CredentialQuery::default()).await;
    let found: BTreeMap<IntegrationId, String> = match read {
        Ok(read) => read
            .items
            .iter()
            .map(|(one, secret)| (one.id, String::from_utf8(secret.expose().to_vec()).unwrap()))
            .collect(),
        Err(Error::NothingMatches { .. }) => BTreeMap::new(),
        Err(error) => panic!("{what}: {error}"),
    };
    let token = |value: &String| format!(r#"{{"token":"{value}"}}"#);
    for (id, value) in &model.values {
        let found = found.get(id);
        let doubted =
            model.doubts.iter().any(|(of, value)| of == id && value.as_ref().map(token).as_ref() == found);
        assert!(doubted || found == Some(&token(value)), "{what}: {id} is {found:?}, not {value}");
    }
    let (events, _) = vault
        .read_events(&now, &caller, &EventQuery { limit: 1_000, ..EventQuery::default() })
        .await
        .map_err(drop)
        .unwrap();
    let note = vault.read_checkpoint(&now, &caller).await.map_err(drop).unwrap();
    let (records, hashes): (Vec<_>, Vec<_>) = events.iter().rev().map(|event| split(event)).unzip();
    for receipt in &model.receipts {
        let hash = hashes.get(receipt.sequence as usize);
        assert_eq!(hash, Some(&receipt.leaf_hash), "{what}: a disclosure without its event");
    }
    let key = vault.verifier_key().unwrap();
    let signed = checkpoint::open(&note, &[key]).unwrap();
    let mut frontier = tree::Frontier::EMPTY;
    for (n, record) in records.iter().enumerate() {
        assert!(record.starts_with(&format!("{{\"v\":1,\"sequence\":{n},")), "{what}: {record}");
        frontier.push(tree::leaf_hash(record.as_bytes()));
    }
    // The checkpoint's own read is one record later than the list shows.
    assert_eq!(signed.size, frontier.size() + 1, "{what}");
}

/// A record and its leaf hash, from the API's form.
fn split(event: &str) -> (String, [u8; 32]) {
    let (record, _) = event.split_once(",\"leafHash\"").unwrap();
    let record = format!("{record}}}");
    let hash = tree::leaf_hash(record.as_bytes());
    (record, hash)
}

fn fresh() -> Vec<u8> {
    let disk = Disk::new(Vec::new(), Fault::None);
    Vault::create(Arc::new(disk.clone()), 1 << 20, &plan()).unwrap();
    disk.image()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_sync_loses_nothing_acknowledged() {
    let image = fresh();
    let whole = Disk::new(image.clone(), Fault::None);
    let model = run(&whole).await;
    assert_eq!((model.values.len(), model.doubts.len()), (3, 0));
    check(&whole, &model, "no fault").await;
    let mut points = 0;
    for at in 1..=whole.syncs() {
        for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Torn] {
            let disk = Disk::new(image.clone(), Fault::Cut(at, unsynced));
            let model = run(&disk).await;
            check(&disk, &model, &format!("cut at sync {at}, {unsynced:?}")).await;
            points += 1;
        }
    }
    assert!(points > 60, "{points} points are too few to say anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_leaves_a_doubt_that_is_settled_at_once() {
    let image = fresh();
    let whole = Disk::new(image.clone(), Fault::None);
    run(&whole).await;
    let mut went_on = 0;
    for at in 1..=whole.syncs() {
        for unsynced in [Unsynced::Lost, Unsynced::Kept] {
            let disk = Disk::new(image.clone(), Fault::FailOnce(at, unsynced));
            let model = run(&disk).await;
            went_on += usize::from(!model.values.is_empty());
            check(&disk, &model, &format!("sync {at} fails, {unsynced:?}")).await;
        }
    }
    assert!(went_on > whole.syncs(), "the process lives on and serves after a failed sync: {went_on}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_leaves_a_doubt_that_is_settled_at_once() {
    let image = fresh();
    let whole = Disk::new(image.clone(), Fault::None);
    run(&whole).await;
    let (mut went_on, mut hit) = (0, 0);
    for at in 1..=whole.writes() {
        let disk = Disk::new(image.clone(), Fault::FailWriteOnce(at));
        let model = run(&disk).await;
        hit += usize::from(disk.writes() >= at);
        went_on += usize::from(!model.values.is_empty());
        check(&disk, &model, &format!("write {at} fails")).await;
    }
    assert!(hit > 60, "{hit} failing writes are too few to say anything");
    assert!(went_on > hit / 2, "the process lives on and serves after a failed write: {went_on} of {hit}");
}
