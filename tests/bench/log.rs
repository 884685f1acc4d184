//! The audit log at size: how fast it is exported, verified and proved.
//!
//! `cargo bench --bench log` takes a million events, about a minute; `-- --events 10000000` another number (600 bytes
//! of disk each, twice); `-- --keep` leaves the files; `BENCH_QUICK=1` takes a few seconds.
#![allow(clippy::unwrap_used, clippy::pedantic, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod event;

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
    domain::{Action, Actor, Event, Secret},
    http::{Limits, Listener, Server},
    vault::{CallerLimits, Context, InitPlan, Proof, SessionLife, Settings, Vault},
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

async fn fill(vault: &Arc<Vault>, events: u64) {
    const WRITERS: u64 = 1024;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let (vault, share) = (Arc::clone(vault), events / WRITERS + u64::from(n < events % WRITERS));
        writers.spawn(async move {
            for _ in 0..share {
                vault.record(event::of_a_read(Clock::system().now())).await.map_err(drop).unwrap();
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
        let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        peak = peak.max(line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0));
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
    let given = args.iter().position(|arg| arg == "--events");
    let given = given.map(|at| args[at + 1].parse().expect("--events takes a number"));
    let events: u64 = given.unwrap_or(if quick { 20_000 } else { 1_000_000 });
    let mut folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    folder.disable_cleanup(args.iter().any(|arg| arg == "--keep"));
    let data = folder.path().join("bench.redb");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (proof, exported, bytes) = runtime.block_on(async {
        let vault = vault(&data).await;
        fill(&vault, events).await;
        let context = Context { now: Clock::system().now(), request: None, peer: None };
        let login = vault.login(&context, "owner@example.com", secret("password-example")).await;
        let bearer = String::from_utf8(login.map_err(drop).unwrap().access.expose().to_vec()).unwrap();
        let caller = vault.authenticate(token::parse_bearer(&bearer).unwrap(), &context).unwrap();
        let mut proofs = Vec::new();
        for n in 0..200 {
            let wanted = Proof::Inclusion { sequence: events / 200 * n, size: events };
            let start = Instant::now();
            vault.prove(&context, &caller, wanted).await.map_err(drop).unwrap();
            proofs.push(start.elapsed());
        }
        proofs.sort();
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.url().unwrap().trim_start_matches("http://").to_owned();
        let server = Server::new(Arc::clone(&vault), Clock::system(), Limits::STANDARD, false);
        let serving = tokio::spawn(server.run(listener, std::future::pending()));
        let (exported, bytes) = export(&address, &bearer, &folder.path().join("export")).await;
        fs::write(folder.path().join("note"), vault.checkpoint().unwrap()).unwrap();
        fs::write(folder.path().join("key"), vault.verifier_key().unwrap().to_string()).unwrap();
        serving.abort();
        let stop = Event::new(Clock::system().now(), Actor::host("bench"), Action::ServerStop);
        vault.lock(stop).await.map_err(drop).unwrap();
        (proofs[proofs.len() / 2], exported, bytes)
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
}
