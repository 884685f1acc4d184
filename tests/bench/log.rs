//! The audit log at size: how fast it is exported, verified, proved and asked what an actor knows.
//!
//! `cargo bench --bench log` takes a million events, about a minute; `-- --events 10000000` another number (600 bytes
//! of disk each, twice); `-- --integrations 100000` stores so many first, for the work-list of rotations; `-- --keep`
//! leaves the files; `BENCH_QUICK=1` takes a few seconds.
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
    domain::{Action, Actor, Event, IntegrationId, RequestId, Secret, Timestamp, TokenId},
    http::{Limits, Listener, Server},
    vault::{
        Admitted, CallerLimits, Context, ExposureQuestion, InitPlan, Proof, SessionLife, Settings, Vault,
    },
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

/// The integrations of the log, each stored by its first event.
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

/// Returns an event of the length of a read's: a machine, an integration, a project.
fn event(number: u64, events: u64) -> Event {
    let integrations = INTEGRATIONS.min(events / 10);
    let integration = number % integrations;
    let reader =
        if number.is_multiple_of(7) { 0 } else { 1 + (integration * 3 + number % 3) % (MACHINES - 1) };
    let (action, reader) = if number < integrations {
        (Action::IntegrationCreate, MACHINES)
    } else {
        (Action::CredentialsRead, reader)
    };
    Event {
        integration: Some(IntegrationId::from_bytes(id(integration))),
        revision: Some(sealroom::domain::Revision::FIRST),
        provider: Some(sealroom::domain::Provider::Github),
        project: Some("acme/app".parse().unwrap()),
        request: Some(RequestId::from_bytes(id(number))),
        peer: Some("127.0.0.1".parse().unwrap()),
        ..Event::new(Clock::system().now(), machine(reader), action)
    }
}

/// The durations of questions about an exposure.
struct Asked {
    /// The first one after an unlock, which builds the index.
    first: Duration,
    /// One about a machine that read a few hundred values.
    usual: Duration,
    /// One about the machine that read them all.
    widest: Duration,
    /// One about all times as a range, which reads every record.
    scan: Duration,
    index_kib: u64,
}

async fn ask(vault: &Vault, context: &Context, caller: &Admitted) -> Asked {
    let before = own_kib("self");
    let timed = async |question: ExposureQuestion| {
        let start = Instant::now();
        let found = vault.exposure(context, caller, &question).await.map_err(drop).unwrap();
        assert!(!found.live.is_empty());
        start.elapsed()
    };
    let of =
        |number| ExposureQuestion { actor: Some(machine(number).to_string()), ..ExposureQuestion::default() };
    let first = timed(of(1)).await;
    let index_kib = own_kib("self").saturating_sub(before);
    let median = async |number| {
        let mut all = Vec::new();
        for _ in 0..20 {
            all.push(timed(of(number)).await);
        }
        all.sort();
        all[all.len() / 2]
    };
    let (usual, widest) = (median(1).await, median(0).await);
    let since = Some(Timestamp::from_millis(0));
    let scan = timed(ExposureQuestion { since, ..of(1) }).await;
    Asked { first, usual, widest, scan, index_kib }
}

/// Returns the memory that a process has of its own, in KiB.
fn own_kib(process: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

async fn fill(vault: &Arc<Vault>, events: u64) {
    const WRITERS: u64 = 1024;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let (vault, share) = (Arc::clone(vault), events / WRITERS + u64::from(n < events % WRITERS));
        writers.spawn(async move {
            for number in 0..share {
                vault.record(event(number * WRITERS + n, events)).await.map_err(drop).unwrap();
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

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let quick = std::env::var_os("BENCH_QUICK").is_some();
    let given = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        Some(args[at + 1].parse::<u64>().expect("a number after the flag"))
    };
    let events: u64 = given("--events").unwrap_or(if quick { 20_000 } else { 1_000_000 });
    let integrations: u64 = given("--integrations").unwrap_or(1_000);
    let mut folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    folder.disable_cleanup(args.iter().any(|arg| arg == "--keep"));
    let data = folder.path().join("bench.redb");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (proof, asked, exported, bytes, due) = runtime.block_on(async {
        let vault = vault(&data).await;
        let context = Context { now: Clock::system().now(), request: None, peer: None };
        let login = vault.login(&context, "owner@example.com", secret("password-example")).await;
        let bearer = String::from_utf8(login.map_err(drop).unwrap().access.expose().to_vec()).unwrap();
        let caller = vault.authenticate(token::parse_bearer(&bearer).unwrap(), &context).unwrap();
        fill(&vault, events).await;
        let mut proofs = Vec::new();
        for n in 0..200 {
            let wanted = Proof::Inclusion { sequence: events / 200 * n, size: events };
            let start = Instant::now();
            vault.prove(&context, &caller, wanted).await.map_err(drop).unwrap();
            proofs.push(start.elapsed());
        }
        proofs.sort();
        let asked = ask(&vault, &context, &caller).await;
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.url().unwrap().trim_start_matches("http://").to_owned();
        let server = Server::new(Arc::clone(&vault), Clock::system(), Limits::STANDARD, false);
        let serving = tokio::spawn(server.run(listener, std::future::pending()));
        let (exported, bytes) = export(&address, &bearer, &folder.path().join("export")).await;
        fs::write(folder.path().join("note"), vault.checkpoint().unwrap()).unwrap();
        fs::write(folder.path().join("key"), vault.verifier_key().unwrap().to_string()).unwrap();
        serving.abort();
        due::fill(&vault, &context, &caller, integrations).await;
        let due = due::measure(&vault, &context, &caller, integrations).await;
        let stop = Event::new(Clock::system().now(), Actor::host("bench"), Action::ServerStop);
        vault.lock(stop).await.map_err(drop).unwrap();
        (proofs[proofs.len() / 2], asked, exported, bytes, due)
    });
    drop(runtime);
    let rate = |took: Duration| events as f64 / took.as_secs_f64();
    let (of_export, export_kib) = verify(folder.path(), &["export", "--key", "key", "--checkpoint", "note"]);
    let (of_file, file_kib) = verify(folder.path(), &["bench.redb", "--key", "key", "--checkpoint", "note"]);
    println!("events                            {events:>9}");
    println!("file                              {:>9.0} MB", fs::metadata(&data).unwrap().len() as f64 / 1e6);
    println!(
        "export                            {:>9.0} events/s, {:.0} MB/s",
        rate(exported),
        bytes as f64 / 1e6 / exported.as_secs_f64()
    );
    println!(
        "audit verify of the export        {:>9.0} events/s, {export_kib} KiB of its own memory",
        rate(of_export)
    );
    println!(
        "audit verify of the file          {:>9.0} events/s, {file_kib} KiB of its own memory",
        rate(of_file)
    );
    println!("an inclusion proof, its event too {:>9.0} µs", proof.as_secs_f64() * 1e6);
    let Asked { first, usual, widest, scan, index_kib } = asked;
    let (millis, ratio) =
        (|took: Duration| took.as_secs_f64() * 1e3, scan.as_secs_f64() / usual.as_secs_f64());
    println!(
        "exposure of a machine             {:>9.2} ms, {ratio:.0} times as fast as a scan",
        millis(usual)
    );
    println!("exposure of the one with the most {:>9.2} ms", millis(widest));
    println!("a scan for the same answer        {:>9.0} ms", millis(scan));
    println!("the first one after an unlock     {:>9.0} ms, an index of {index_kib} KiB", millis(first));
    println!("integrations                      {integrations:>9}");
    println!("due, the first after an unlock    {:>9.1} ms", millis(due.first));
    println!("due                               {:>9.1} ms", millis(due.later));
    println!("a list of a thousand integrations {:>9.1} ms", millis(due.listing));
}
