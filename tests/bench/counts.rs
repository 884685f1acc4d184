//! Counts the instructions and the allocations of one read, one create and the check of one record, and compares them
//! with a file.
//!
//! `cargo bench --bench counts` runs this program under callgrind and dhat, and fails if a count of instructions is more
//! than a tenth above the one in `tests/bench/counts.txt`, or an allocation is added; `-- --bless` writes that file
//! anew. Time would not do: it is another one on every machine, and on this one in an hour. Instructions are alike on
//! every x86-64 processor, for valgrind shows a program a processor of its own (AES-NI, AVX2 and no SHA-NI, whatever
//! the host can do beyond), and so the paths that SHA-256, AES and `memcpy` choose for themselves are always the same.
//! What remains is the C library and the compiler, hence the tolerance. Without valgrind, AVX2 or x86-64 it says so in
//! one line and judges nothing.
//!
//! `canary` is a read of a canary: its instructions and allocations are held against those of `read`, too. `read64` and
//! `read256` are reads that meet in batches, as over so many connections: one goes to the disk, the others queue behind
//! it and share the next commit.
//!
//! Each work is counted with few and with many repetitions, and the difference divided: what comes once, from the
//! loader to the key derivation, falls out. The file is one in memory, so no system call of the disk is in it.
#![allow(clippy::unwrap_used, clippy::pedantic, clippy::print_stdout, missing_docs, reason = "a benchmark")]

use std::{
    fs, io,
    process::{Command, exit},
    sync::{Arc, Condvar, Mutex},
};

use clap::{Parser, ValueEnum};
use indicatif::ProgressBar;
use redb::{StorageBackend, backends::InMemoryBackend};
use sealroom::{
    api::{self, requests::CreateToken},
    audit::{tree::leaf_hash, verify::Verifier},
    auth::token,
    clock,
    crypto::kdf::KdfParams,
    disk::Medium,
    domain::{AccessScope, Actor, Role, Secret, Timestamp},
    vault::{CallerLimits, Context, CredentialQuery, InitPlan, SessionLife, Settings, Vault},
};

/// The share by which a count of instructions may exceed the file's.
const TOLERANCE: f64 = 0.10;
/// The number by which a count of allocations may: how jobs meet in a batch moves it by a fraction.
const ALLOCATIONS_TOLERANCE: u64 = 1;
/// The share by which a read of a canary may exceed another one: 4.7 % in an unoptimized build. Its record is 12 bytes
/// longer, and its alarm is made beside it.
const CANARY_TOLERANCE: f64 = 0.08;
/// The allocations that it may take more: those of the record's detail and of the alarm.
const CANARY_ALLOCATIONS: u64 = 24;
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/counts.txt");
const PASSPHRASE: &[u8] = b"passphrase-example";
const PASSWORD: &[u8] = b"password-example";
/// 2026-11-25.
const NOW: Timestamp = Timestamp::from_millis(1_795_600_000_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    Read,
    Canary,
    Read64,
    Read256,
    Create,
    Verify,
}

impl Work {
    const ALL: [Self; 6] =
        [Self::Read, Self::Canary, Self::Read64, Self::Read256, Self::Create, Self::Verify];

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Canary => "canary",
            Self::Read64 => "read64",
            Self::Read256 => "read256",
            Self::Create => "create",
            Self::Verify => "verify",
        }
    }

    /// Few and many repetitions.
    const fn repetitions(self) -> [u64; 2] {
        match self {
            Self::Read | Self::Canary | Self::Create => [20, 220],
            Self::Read64 | Self::Read256 => [256, 2_816],
            Self::Verify => [100, 2_100],
        }
    }

    /// The number of reads that are under way together.
    const fn at_once(self) -> u64 {
        match self {
            Self::Read64 => 64,
            Self::Read256 => 256,
            Self::Read | Self::Canary | Self::Create | Self::Verify => 1,
        }
    }
}

#[derive(Debug, Parser)]
struct Args {
    /// Write down what is counted.
    #[arg(long)]
    bless: bool,
    #[arg(long, hide = true)]
    bench: bool,
    /// The child that is counted.
    #[arg(long, hide = true, requires = "times")]
    work: Option<Work>,
    #[arg(long, hide = true)]
    times: Option<u64>,
}

fn main() {
    let args = Args::parse();
    if let (Some(work), Some(times)) = (args.work, args.times) {
        return run(work, times);
    }
    if let Some(why) = unfit() {
        return println!("instructions are not counted: {why}");
    }
    let bar = ProgressBar::new(Work::ALL.len() as u64).with_message("valgrind");
    let mut counts = Vec::new();
    for work in Work::ALL {
        counts.push((work, [each(work, instructions), each(work, allocations)]));
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.bless {
        let line = |(work, [instructions, allocations]): &(Work, [u64; 2])| {
            format!("{} {instructions} {allocations}\n", work.name())
        };
        fs::write(BASELINE, counts.iter().map(line).collect::<String>()).unwrap();
    }
    if !judge(&counts, &fs::read_to_string(BASELINE).unwrap()) {
        println!(
            "more than {:.0} % of instructions or {ALLOCATIONS_TOLERANCE} allocation above: see callgrind_annotate \
             and dhat, or --bless it",
            TOLERANCE * 100.0
        );
        exit(1);
    }
}

/// The reason why nothing can be counted here.
fn unfit() -> Option<&'static str> {
    if cfg!(not(target_arch = "x86_64")) {
        return Some("what is written down is of x86-64");
    }
    // Without it valgrind shows an older processor too.
    if !fs::read_to_string("/proc/cpuinfo").unwrap_or_default().contains(" avx2 ") {
        return Some("the processor has no AVX2");
    }
    Command::new("valgrind").arg("--version").output().is_err().then_some("valgrind is not installed")
}

/// Prints them beside the file's; returns whether all are within the tolerance.
fn judge(counts: &[(Work, [u64; 2])], baseline: &str) -> bool {
    let mut good = true;
    println!("one      instructions   in the file            allocations  in the file");
    for (work, [instructions, allocations]) in counts {
        let line = baseline.lines().find_map(|line| line.strip_prefix(work.name())?.strip_prefix(' '));
        let line = line.unwrap_or_else(|| panic!("{BASELINE} has no `{}`", work.name()));
        let written: Vec<u64> = line.split_whitespace().map(|count| count.parse().unwrap()).collect();
        let change = *instructions as f64 / written[0] as f64 - 1.0;
        println!(
            "{:<8} {instructions:>12} {:>13} {:>+8.1} % {allocations:>12} {:>12}",
            work.name(),
            written[0],
            change * 100.0,
            written[1],
        );
        good &= change <= TOLERANCE && *allocations <= written[1] + ALLOCATIONS_TOLERANCE;
    }
    let of = |wanted| counts.iter().find(|(work, _)| *work == wanted).map(|(_, counts)| *counts).unwrap();
    let ([read, blocks], [canary, of_canary]) = (of(Work::Read), of(Work::Canary));
    let share = canary as f64 / read as f64 - 1.0;
    println!("a canary beside another read: {:+.2} % of instructions", share * 100.0);
    good && share <= CANARY_TOLERANCE && of_canary <= blocks + CANARY_ALLOCATIONS
}

/// The count of one.
fn each(work: Work, count: fn(Work, u64) -> u64) -> u64 {
    let [few, many] = work.repetitions();
    (count(work, many).saturating_sub(count(work, few)) + (many - few) / 2) / (many - few)
}

fn instructions(work: Work, times: u64) -> u64 {
    let said = valgrind(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], work, times);
    let count = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.unwrap_or_else(|| panic!("callgrind tells no count: {said}"))
}

fn allocations(work: Work, times: u64) -> u64 {
    let said = valgrind(&["--tool=dhat", "--dhat-out-file=/dev/null"], work, times);
    let count = said.lines().find_map(|line| {
        let blocks = line.split_once("Total:")?.1.split_once(" in ")?.1;
        blocks.split_whitespace().next()?.replace(',', "").parse().ok()
    });
    count.unwrap_or_else(|| panic!("dhat tells no count: {said}"))
}

fn valgrind(tool: &[&str], work: Work, times: u64) -> String {
    let mut command = Command::new("valgrind");
    command.args(tool).arg(std::env::current_exe().unwrap());
    command.args(["--work", work.name(), "--times", &times.to_string()]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn run(work: Work, times: u64) {
    if work == Work::Verify {
        return verify(times);
    }
    // One thread beside the commit thread, so that nothing depends on which of two wakes first.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let gate = Arc::new(Gate::default());
        let vault = vault(gate.clone()).await;
        let context = Context { now: NOW, request: None, peer: Some("127.0.0.1".parse().unwrap()) };
        let login = vault.login(&context, "owner@example.com", Secret::new(PASSWORD.to_vec())).await;
        let owner = String::from_utf8(login.map_err(drop).unwrap().access.expose().to_vec()).unwrap();
        let github = r#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"isGlobal":true}"#;
        let flag = if work == Work::Canary { r#","canary":true}"# } else { "}" };
        create(&vault, &context, &owner, &format!("{}{flag}", &github[..github.len() - 1])).await;
        if work == Work::Create {
            // A project for each, so that the last has no more neighbours than the first.
            for n in 0..Work::Create.repetitions()[1] {
                project(&vault, &context, &owner, n).await;
            }
            for n in 0..times {
                let body = format!(
                    r#"{{"provider":"custom","name":"service {n}","authType":"api_key","credentials":{{"token":"example"}},"projects":["acme/app-{n}"]}}"#
                );
                create(&vault, &context, &owner, &body).await;
            }
            return;
        }
        let reader: Arc<str> = application(&vault, &context, &owner).await.into();
        if matches!(work, Work::Read | Work::Canary) {
            for _ in 0..times {
                read(&vault, &context, &reader).await;
            }
            return;
        }
        for _ in 0..times / work.at_once() {
            gate.shut(true);
            let reads: Vec<_> = (0..work.at_once())
                .map(|_| {
                    let (vault, reader) = (Arc::clone(&vault), Arc::clone(&reader));
                    tokio::spawn(async move { read(&vault, &context, &reader).await })
                })
                .collect();
            // Each task runs up to its wait for the commit.
            tokio::task::yield_now().await;
            gate.shut(false);
            for read in reads {
                read.await.unwrap();
            }
        }
    });
}

async fn read(vault: &Vault, context: &Context, reader: &str) {
    let caller = vault.authenticate(token::parse_bearer(reader).unwrap(), context).unwrap();
    let read = vault.read_credentials(context, &caller, CredentialQuery::default()).await;
    drop(read.map_err(drop).unwrap());
}

/// A file in memory whose syncs wait while the gate is shut.
#[derive(Debug, Default)]
struct Gate {
    file: InMemoryBackend,
    is_shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn shut(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap() = is_shut;
        self.opened.notify_all();
    }
}

impl StorageBackend for Gate {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.opened.wait_while(self.is_shut.lock().unwrap(), |is_shut| *is_shut).unwrap());
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }
}

async fn vault(medium: Medium) -> Arc<Vault> {
    let plan = InitPlan {
        owner: "owner@example.com".parse().unwrap(),
        password: Secret::new(PASSWORD.to_vec()),
        passphrase: Secret::new(PASSPHRASE.to_vec()),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("bench"),
        now: NOW,
    };
    let settings = Settings {
        queue_max: 1024,
        sessions: SessionLife::ENDLESS,
        password_kdf: KdfParams::LIGHT,
        disk_low_bytes: 0,
        callers: CallerLimits::NONE,
        ..Settings::new(Actor::host("bench"), clock::monotonic)
    };
    Vault::create(Arc::clone(&medium), 1 << 20, &plan).unwrap();
    let vault = Arc::new(Vault::open(medium, settings).unwrap());
    vault.unlock(Secret::new(PASSPHRASE.to_vec()), Actor::host("bench"), NOW, None).await.unwrap();
    vault
}

async fn create(vault: &Vault, context: &Context, owner: &str, body: &str) {
    let caller = vault.authenticate(token::parse_bearer(owner).unwrap(), context).unwrap();
    let request = api::parse(body.as_bytes()).map_err(drop).unwrap();
    vault.create_integration(context, &caller, request).await.map_err(drop).unwrap();
}

async fn project(vault: &Vault, context: &Context, owner: &str, n: u64) {
    let caller = vault.authenticate(token::parse_bearer(owner).unwrap(), context).unwrap();
    let body = format!(r#"{{"identifier":"acme/app-{n}","remoteUrl":"https://github.com/acme/app-{n}"}}"#);
    let request = api::parse(body.as_bytes()).map_err(drop).unwrap();
    vault.create_project(context, &caller, request).await.map_err(drop).unwrap();
}

async fn application(vault: &Vault, context: &Context, owner: &str) -> String {
    let caller = vault.authenticate(token::parse_bearer(owner).unwrap(), context).unwrap();
    let request = CreateToken {
        name: "bench".parse().unwrap(),
        expires_in_days: 30,
        role: Role::Application,
        scope: AccessScope::default(),
    };
    let (_, text) = vault.create_token(context, &caller, request).await.map_err(drop).unwrap();
    String::from_utf8(text.expose().to_vec()).unwrap()
}

/// Records as they stand in an export, each with its form, its leaf and its place in the tree.
fn verify(times: u64) {
    let mut verifier = Verifier::new(Vec::new(), Vec::new());
    for sequence in 0..times {
        let record = format!(
            r#"{{"v":1,"sequence":{sequence},"time":"2026-11-25T09:46:40.000Z","actor":"app:0192f0c1-7b3c-7def-8000-0123456789ab","action":"credentials.read","outcome":"allowed","integrationId":"0192f0c1-7b3c-7def-8000-0123456789ab","revision":1,"provider":"github","project":"acme/app","requestId":"0192f0c1-7b3c-7def-8000-0123456789ab","peer":"127.0.0.1","detail":{{}}}}"#
        );
        verifier.push(record.as_bytes(), leaf_hash(record.as_bytes())).unwrap();
    }
    assert_eq!(verifier.finish().unwrap().count, times);
}
