//! The audit log at size: how fast it is exported, verified, proved and asked what an actor knows.
//!
//! `cargo bench --bench log` takes a million events, about a minute; `-- --events 10000000` another number (600 bytes
//! of disk each, twice); `-- --integrations 100000` stores so many first, a tenth of the events by default and 100,000
//! at most; `-- --insight` leaves out the export, its verification and the proofs; `-- --keep` leaves the files;
//! `BENCH_QUICK=1` takes a few seconds.
#![allow(
    clippy::unwrap_used,
    clippy::pedantic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark"
)]

#[path = "log/due.rs"]
mod due;
#[path = "log/exposure.rs"]
mod exposure;
#[path = "log/reads.rs"]
mod reads;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sealroom::{
    auth::token,
    clock::{self, Clock},
    crypto::kdf::KdfParams,
    disk::NewFile,
    domain::{Action, Actor, Event, IntegrationId, RequestId, Secret, TokenId},
    http::{Limits, Listener, Server},
    vault::{Admitted, CallerLimits, Context, InitPlan, Proof, SessionLife, Settings, Vault},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

async fn vault(data: &Path) -> Arc<Vault> {
    let settings = Settings {
        queue_max: 8192,
        sessions: SessionLife::ENDLESS,
        password_kdf: KdfParams::LIGHT,
        disk_low_bytes: 0,
        callers: CallerLimits::NONE,
        ..Settings::new(Actor::host("bench"), clock::monotonic)
    };
    let plan = InitPlan {
        owner: "owner@example.com".parse().unwrap(),
        password: secret("password-example"),
        passphrase: secret("passphrase-example"),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("bench"),
        now: Clock::system().now(),
    };
    let new = NewFile::begin(data).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan).unwrap();
    let file = new.publish().unwrap();
    let vault = Arc::new(Vault::open(file.medium(), settings).unwrap());
    let now = Clock::system().now();
    vault.unlock(secret("passphrase-example"), Actor::host("bench"), now, None).await.unwrap();
    vault
}

/// The most integrations, unless a flag says otherwise.
const INTEGRATIONS: u64 = 100_000;
/// The machines that read them: the first reads all, each of the others a few hundred.
const MACHINES: u64 = 1_000;

/// Returns an id that ends in that number.
fn id(number: u64) -> [u8; 16] {
    (0x0192_f0c1_7b3c_7def_8000_0123_4567_0000_u128 + u128::from(number)).to_be_bytes()
}

fn machine(number: u64) -> Actor {
    Actor::App(TokenId::from_bytes(id(number)))
}

/// Returns the event of a read: a machine, an integration, a project.
fn event(number: u64, integrations: &[IntegrationId]) -> Event {
    let at = number % integrations.len() as u64;
    let reader = if number.is_multiple_of(7) { 0 } else { 1 + (at * 3 + number % 3) % (MACHINES - 1) };
    Event {
        integration: Some(integrations[usize::try_from(at).unwrap()]),
        revision: Some(sealroom::domain::Revision::FIRST),
        provider: Some(sealroom::domain::Provider::Custom),
        project: Some("acme/app".parse().unwrap()),
        request: Some(RequestId::from_bytes(id(number))),
        peer: Some("127.0.0.1".parse().unwrap()),
        ..Event::new(Clock::system().now(), machine(reader), Action::CredentialsRead)
    }
}

/// Returns the memory that a process has of its own, in KiB.
fn own_kib(process: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

async fn fill(vault: &Arc<Vault>, events: u64, integrations: Vec<IntegrationId>) {
    const WRITERS: u64 = 1024;
    let (mut writers, integrations) = (tokio::task::JoinSet::new(), Arc::new(integrations));
    for n in 0..WRITERS {
        let (vault, integrations) = (Arc::clone(vault), Arc::clone(&integrations));
        let share = events / WRITERS + u64::from(n < events % WRITERS);
        writers.spawn(async move {
            for number in 0..share {
                vault.record(event(number * WRITERS + n, &integrations)).await.map_err(drop).unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}

/// Fetches the whole export over a socket; what it takes and where it is put.
async fn export(address: &str, bearer: &str, to: &Path) -> (Duration, u64) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /sfp/api/audit/export HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    );
    let start = Instant::now();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut file = std::io::BufWriter::new(fs::File::create(to).unwrap());
    let (mut buffer, mut head, mut body) = (Vec::with_capacity(1 << 20), true, 0);
    loop {
        buffer.clear();
        if socket.read_buf(&mut buffer).await.unwrap() == 0 {
            break;
        }
        let from = if head { buffer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4 } else { 0 };
        head = false;
        body += (buffer.len() - from) as u64;
        std::io::Write::write_all(&mut file, &buffer[from..]).unwrap();
    }
    (start.elapsed(), body)
}

/// Runs `audit verify`; what it takes, and the most memory that it ever had, in KiB.
fn verify(folder: &Path, args: &[&str]) -> (Duration, u64) {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealroom"))
        .current_dir(folder)
        .args(["audit", "verify"])
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(own_kib(&child.id().to_string()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success());
    (start.elapsed(), peak)
}

/// The times of what a log is read for by others: its export and a proof.
struct Read {
    exported: Duration,
    bytes: u64,
    proof: Duration,
}

async fn read(
    vault: &Arc<Vault>,
    context: &Context,
    (bearer, caller): (&str, &Admitted),
    folder: &Path,
) -> Read {
    let events = vault.gauges(context.now).open.unwrap().log_size;
    let mut proofs = Vec::new();
    for n in 0..200 {
        let wanted = Proof::Inclusion { sequence: events / 200 * n, size: events };
        let start = Instant::now();
        vault.prove(context, caller, wanted).await.map_err(drop).unwrap();
        proofs.push(start.elapsed());
    }
    proofs.sort();
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.url().unwrap().trim_start_matches("http://").to_owned();
    let server = Server::new(Arc::clone(vault), Clock::system(), Limits::STANDARD, false);
    let serving = tokio::spawn(server.run(listener, std::future::pending()));
    let (exported, bytes) = export(&address, bearer, &folder.join("export")).await;
    fs::write(folder.join("note"), vault.checkpoint().unwrap()).unwrap();
    fs::write(folder.join("key"), vault.verifier_key().unwrap().to_string()).unwrap();
    serving.abort();
    Read { exported, bytes, proof: proofs[proofs.len() / 2] }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let quick = std::env::var_os("BENCH_QUICK").is_some();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let given = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        Some(args[at + 1].parse::<u64>().expect("a number after the flag"))
    };
    let events: u64 = given("--events").unwrap_or(if quick { 20_000 } else { 1_000_000 });
    let integrations: u64 = given("--integrations").unwrap_or_else(|| INTEGRATIONS.min(events / 10));
    let mut folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    folder.disable_cleanup(has("--keep"));
    let data = folder.path().join("bench.redb");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let read = runtime.block_on(async {
        let vault = vault(&data).await;
        let context = Context { now: Clock::system().now(), request: None, peer: None };
        let login = vault.login(&context, "owner@example.com", secret("password-example")).await;
        let bearer = String::from_utf8(login.map_err(drop).unwrap().access.expose().to_vec()).unwrap();
        let caller = vault.authenticate(token::parse_bearer(&bearer).unwrap(), &context).unwrap();
        let start = Instant::now();
        let stored = due::fill(&vault, &context, &caller, integrations).await;
        fill(&vault, events, stored).await;
        // Each figure is printed once it is known: a run of many events may be stopped.
        println!("events                            {events:>9}");
        println!("integrations                      {integrations:>9}");
        println!("filled in                         {:>9.0} s", start.elapsed().as_secs_f64());
        show_asked(&exposure::ask(&vault, &context, &caller).await);
        let read = match has("--insight") {
            true => None,
            false => Some(read(&vault, &context, (&bearer, &caller), folder.path()).await),
        };
        show_due(&due::measure(&vault, &context, &caller, integrations).await);
        show_cost(&reads::cost(&vault, &context, &caller, if quick { 5_000 } else { 100_000 }).await);
        let stop = Event::new(Clock::system().now(), Actor::host("bench"), Action::ServerStop);
        vault.lock(stop).await.map_err(drop).unwrap();
        read
    });
    drop(runtime);
    println!("file                              {:>9.0} MB", fs::metadata(&data).unwrap().len() as f64 / 1e6);
    if let Some(read) = read {
        show_read(&read, events, folder.path());
    }
}

fn show_read(read: &Read, events: u64, folder: &Path) {
    let rate = |took: Duration| events as f64 / took.as_secs_f64();
    let (of_export, export_kib) = verify(folder, &["export", "--key", "key", "--checkpoint", "note"]);
    let (of_file, file_kib) = verify(folder, &["bench.redb", "--key", "key", "--checkpoint", "note"]);
    let megabytes = read.bytes as f64 / 1e6 / read.exported.as_secs_f64();
    println!("export                            {:>9.0} events/s, {megabytes:.0} MB/s", rate(read.exported));
    println!(
        "audit verify of the export        {:>9.0} events/s, {export_kib} KiB of its own memory",
        rate(of_export)
    );
    println!(
        "audit verify of the file          {:>9.0} events/s, {file_kib} KiB of its own memory",
        rate(of_file)
    );
    println!("an inclusion proof, its event too {:>9.0} µs", read.proof.as_secs_f64() * 1e6);
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn beside(whole: Duration, part: Duration) -> f64 {
    whole.as_secs_f64() / part.as_secs_f64()
}

fn show_asked(asked: &exposure::Asked) {
    for (who, (took, values)) in [
        ("exposure of a machine            ", asked.usual),
        ("exposure of the one with the most", asked.widest),
        ("exposure of an integration       ", asked.integration),
    ] {
        let ratio = beside(asked.scan, took);
        println!("{who} {:>9.2} ms, {values} values, {ratio:.0} times as fast as a scan", millis(took));
    }
    println!("a scan for the first of these     {:>9.0} ms", millis(asked.scan));
    println!(
        "the first question of all         {:>9.0} ms, an index of {} KiB",
        millis(asked.first),
        asked.index_kib
    );
}

fn show_due(due: &due::Measured) {
    println!("due, the first after an unlock    {:>9.1} ms", millis(due.first));
    let ratio = beside(due.all, due.later);
    println!(
        "due                               {:>9.1} ms, {ratio:.0} times as fast as a list of all integrations",
        millis(due.later)
    );
    println!("a list of a thousand integrations {:>9.1} ms", millis(due.listing));
    println!("a list of all integrations        {:>9.0} ms", millis(due.all));
}

fn show_cost(cost: &reads::Cost) {
    println!(
        "processor time of a read          {:>9.2} µs, {:.2} µs with the index: {:+.1} %",
        cost.without,
        cost.with,
        (cost.with / cost.without - 1.0) * 100.0
    );
}
