//! A vault that has grown: seconds, bytes and peak memory of everything that an operator does with the whole file.
//!
//! `cargo bench --bench growth` makes 100,000 integrations and 1,000,000 events, under ten minutes and 3 GB of disk;
//! `-- --integrations N --events N` other numbers; `-- --keep` leaves the files; `BENCH_QUICK=1` takes seconds. It fails
//! if a command takes more than 64 MB beyond the memory of the server itself, and at full size if the rate of audited
//! reads during a backup is below 0.8 of the rate without.
#![allow(clippy::unwrap_used, clippy::pedantic, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod event;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, exit},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use sealroom::{
    api,
    auth::token,
    clock::{self, Clock},
    crypto::kdf::KdfParams,
    disk::NewFile,
    domain::{Action, Actor, Event, Role, Secret},
    vault::{Admitted, CallerLimits, Context, InitPlan, SessionLife, Settings, Vault},
};
use tokio::task::JoinSet;

/// The memory in MB that a command may take beyond that of the server.
const BEYOND_MB: f64 = 64.0;
/// The lowest ratio of the rates with and without a backup.
const RATIO_MIN: f64 = 0.8;
/// The tasks that fill the vault; their commits share syncs.
const WRITERS: u64 = 1024;
/// The connections of the load, each with one request under way.
const READERS: usize = 8;
const PASSPHRASE: &str = "passphrase-example";
const PASSWORD: &str = "password-example";

#[derive(Debug, Parser)]
struct Args {
    #[arg(long)]
    integrations: Option<u64>,
    #[arg(long)]
    events: Option<u64>,
    /// Leaves the files.
    #[arg(long)]
    keep: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn now() -> Context {
    Context { now: Clock::system().now(), request: None, peer: None }
}

/// Makes a vault with so many integrations and events; returns tokens of an application and an operator.
async fn fill(data: &Path, integrations: u64, events: u64) -> [String; 2] {
    let plan = InitPlan {
        owner: "owner@example.com".parse().unwrap(),
        password: secret(PASSWORD),
        passphrase: secret(PASSPHRASE),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("bench"),
        now: now().now,
    };
    let new = NewFile::begin(data).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan).unwrap();
    let file = new.publish().unwrap();
    let settings = Settings {
        queue_max: 8192,
        sessions: SessionLife::ENDLESS,
        password_kdf: KdfParams::LIGHT,
        disk_low_bytes: 0,
        callers: CallerLimits::NONE,
        ..Settings::new(Actor::host("bench"), clock::monotonic)
    };
    let vault = Arc::new(Vault::open(file.medium(), settings).unwrap());
    vault.unlock(secret(PASSPHRASE), Actor::host("bench"), now().now, None).await.unwrap();
    let login = vault.login(&now(), "owner@example.com", secret(PASSWORD)).await.map_err(drop).unwrap();
    let text = String::from_utf8(login.access.expose().to_vec()).unwrap();
    let owner = vault.authenticate(token::parse_bearer(&text).unwrap(), &now()).map_err(drop).unwrap();
    let mut tokens = Vec::new();
    for role in [Role::Application, Role::Operator] {
        let body = format!(r#"{{"name":"{role}","role":"{role}","expiresIn":30}}"#);
        let (_, text) = vault.create_token(&now(), &owner, parse(&body)).await.map_err(drop).unwrap();
        tokens.push(String::from_utf8(text.expose().to_vec()).unwrap());
    }
    // Each connection of the load reads one credential of a project of its own.
    for n in 0..READERS {
        let project = format!(r#"{{"identifier":"acme/p{n}","remoteUrl":"https://github.com/acme/p{n}"}}"#);
        vault.create_project(&now(), &owner, parse(&project)).await.map_err(drop).unwrap();
        let one = format!(
            r#"{{"provider":"github","authType":"pat","projects":["acme/p{n}"],"credentials":{{"token":"ghp_example"}}}}"#
        );
        vault.create_integration(&now(), &owner, parse(&one)).await.map_err(drop).unwrap();
    }
    share(integrations, |n| integration(Arc::clone(&vault), owner.clone(), n)).await;
    let size = vault.checkpoint().unwrap().lines().nth(1).unwrap().parse::<u64>().unwrap();
    let record = |vault: Arc<Vault>| async move {
        vault.record(event::of_a_read(now().now)).await.map_err(drop).unwrap()
    };
    share(events.saturating_sub(size), |_| record(Arc::clone(&vault))).await;
    let stop = Event::new(now().now, Actor::host("bench"), Action::ServerStop);
    vault.lock(stop).await.map_err(drop).unwrap();
    tokens.try_into().unwrap()
}

fn parse<T: api::requests::Request>(text: &str) -> T {
    api::parse(text.as_bytes()).map_err(|error| error.message).unwrap()
}

/// Runs a task for each number, as many side by side as there are writers.
async fn share<F: Future<Output = ()> + Send + 'static>(count: u64, work: impl Fn(u64) -> F) {
    let mut running = JoinSet::new();
    for n in 0..count {
        if running.len() as u64 >= WRITERS {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(work(n));
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

async fn integration(vault: Arc<Vault>, owner: Admitted, number: u64) {
    let body = format!(
        r#"{{"provider":"custom","authType":"api_key","name":"key-{number}","isGlobal":true,"credentials":{{"value":"example-{number}-{}"}}}}"#,
        "x".repeat(40)
    );
    vault.create_integration(&now(), &owner, parse(&body)).await.map_err(drop).unwrap();
}

/// Returns the most memory that a process ever had, in MB; 0 once it has ended.
fn peak_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    kib * 1024.0 / 1e6
}

fn size_mb(path: &Path) -> f64 {
    fs::metadata(path).map_or(0.0, |found| found.len() as f64 / 1e6)
}

struct Bench {
    folder: PathBuf,
    /// The peak of a server that has done nothing but read, in MB.
    own_mb: f64,
    is_over: bool,
}

impl Bench {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealroom"));
        command.current_dir(&self.folder).args(args).stdin(Stdio::null());
        command.env_clear().env("USER", "bench").env("HOME", &self.folder);
        command
    }

    fn report(&mut self, what: &str, took: Duration, mb: f64, peak: f64) {
        let beyond = peak - self.own_mb;
        self.is_over |= beyond > BEYOND_MB;
        println!("{what:<24}{:>8.1} s {mb:>8.0} MB {peak:>8.0} MB {beyond:>8.0} MB", took.as_secs_f64());
    }

    /// Runs a command to its end, and reports its cost and the size of the file that it made.
    fn run(&mut self, what: &str, args: &[&str], made: &str) {
        let start = Instant::now();
        // A new recovery key is shown to a reader, not to a null device.
        let shown = fs::File::create(self.folder.join("shown")).unwrap();
        let mut child = self.command(args).stdout(shown).stderr(Stdio::piped()).spawn().unwrap();
        let mut peak: f64 = 0.0;
        let status = loop {
            peak = peak.max(peak_mb(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        // `doctor` has advice about a vault of one owner and no schedule.
        assert!(status.success(), "{args:?}: {said}");
        self.report(what, start.elapsed(), size_mb(&self.folder.join(made)), peak);
    }

    /// Returns the number that follows a text in what the last command said.
    fn number_after(&self, text: &str) -> f64 {
        let shown = fs::read_to_string(self.folder.join("shown")).unwrap();
        let rest = shown.split(text).nth(1).unwrap().split(|c: char| !c.is_ascii_digit());
        rest.into_iter().next().unwrap().parse().unwrap()
    }

    /// Starts a server; returns it, its address, and how long the start took.
    fn serve(&self) -> (Child, String, Duration) {
        let start = Instant::now();
        let args =
            ["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
        let log = fs::File::create(self.folder.join("server.log")).unwrap();
        let mut command = self.command(&args);
        command.args(["--disclosures-per-minute-max", "4294967295", "--writes-per-minute-max", "4294967295"]);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).expect("a server that listens");
        (child, value["url"].as_str().unwrap().trim_start_matches("http://").to_owned(), start.elapsed())
    }
}

/// Audited reads over kept connections until they are stopped; each counts once it is answered.
fn load(
    address: &str,
    bearer: &str,
    stop: &Arc<AtomicBool>,
    count: &Arc<AtomicU64>,
) -> Vec<thread::JoinHandle<()>> {
    let reader = |n: usize| {
        let (address, stop, count) = (address.to_owned(), Arc::clone(stop), Arc::clone(count));
        let request = format!(
            "GET /sfp/api/integrations/credentials?provider=github&project=acme/p{n} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\r\n"
        );
        thread::spawn(move || {
            let mut socket = TcpStream::connect(address).unwrap();
            let (mut answer, mut at) = (vec![0; 64 << 10], 0);
            while !stop.load(Ordering::Relaxed) {
                socket.write_all(request.as_bytes()).unwrap();
                at = 0;
                while !is_whole(&answer[..at]) {
                    let read = socket.read(&mut answer[at..]).unwrap();
                    assert!(read > 0, "a connection that ends");
                    at += read;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            assert!(
                at == 0 || answer.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&answer[..at])
            );
        })
    };
    (0..READERS).map(reader).collect()
}

/// Returns whether an answer with a `Content-Length` is complete.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    answer.len() >= head + 4 + length.unwrap_or(0)
}

/// Fetches a backup as a client on another host does: neither its disk nor its own verification takes part.
fn fetch(address: &str, bearer: &str) {
    let mut socket = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /sfp/api/backup HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let (mut piece, mut bytes, mut expected) = (vec![0; 1 << 20], 0, None);
    loop {
        let read = socket.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        let piece = &piece[..read];
        let end =
            if expected.is_none() { piece.windows(4).position(|four| four == b"\r\n\r\n") } else { None };
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&piece[..end]).to_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            expected =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            bytes = read - end - 4;
        } else {
            bytes += read;
        }
    }
    assert_eq!(Some(bytes), expected, "a whole backup");
}

/// The rates of audited reads without a backup and during one, in turns; and the cost of the first backup.
fn under_load(bench: &mut Bench, rounds: usize, tokens: &[String; 2]) -> f64 {
    let (mut server, address, started) = bench.serve();
    bench.own_mb = peak_mb(server.id());
    let own = bench.own_mb;
    bench.report("start of the server", started, size_mb(&bench.folder.join("v.redb")), own);
    fs::write(bench.folder.join("token"), &tokens[1]).unwrap();
    fs::set_permissions(bench.folder.join("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("http://{address}");
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers = load(&address, &tokens[0], &stop, &count);
    let window = |of: &mut dyn FnMut()| {
        let (start, before) = (Instant::now(), count.load(Ordering::Relaxed));
        of();
        let took = start.elapsed();
        ((count.load(Ordering::Relaxed) - before) as f64 / took.as_secs_f64(), took)
    };
    thread::sleep(Duration::from_millis(500));
    // The server's own memory includes that of requests.
    bench.own_mb = peak_mb(server.id());
    let (mut ratios, mut took) = (Vec::new(), Duration::ZERO);
    for _ in 0..rounds {
        let (during, lasted) = window(&mut || fetch(&address, &tokens[1]));
        took = lasted;
        let (without, _) =
            window(&mut || thread::sleep(lasted.clamp(Duration::from_secs(1), Duration::from_secs(20))));
        println!("  reads/s: {during:.0} during a backup, {without:.0} without");
        ratios.push(during / without);
    }
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let peak = peak_mb(server.id());
    bench.report("backup, under load", took, 0.0, peak);
    let start = Instant::now();
    let done =
        bench.command(&["backup", "kept.redb", "--server", &url, "--token-file", "token"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let peak = peak_mb(server.id());
    bench.report("backup", start.elapsed(), size_mb(&bench.folder.join("kept.redb")), peak);
    drop(server.kill());
    drop(server.wait());
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn main() {
    let args = Args::parse();
    let quick = std::env::var_os("BENCH_QUICK").is_some();
    let (integrations, events) = if quick { (1_000, 10_000) } else { (100_000, 1_000_000) };
    let (integrations, events) = (args.integrations.unwrap_or(integrations), args.events.unwrap_or(events));
    let mut folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    folder.disable_cleanup(args.keep);
    fs::write(folder.path().join("pass"), PASSPHRASE).unwrap();
    fs::set_permissions(folder.path().join("pass"), fs::Permissions::from_mode(0o600)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let start = Instant::now();
    let tokens = runtime.block_on(fill(&folder.path().join("v.redb"), integrations, events));
    drop(runtime);
    println!("{integrations} integrations, {events} events, made in {:.0} s", start.elapsed().as_secs_f64());
    println!("{:<24}{:>10} {:>11} {:>11} {:>11}", "", "time", "file", "peak", "beyond");
    let mut bench = Bench { folder: folder.path().to_owned(), own_mb: 0.0, is_over: false };
    let ratio = under_load(&mut bench, if quick { 1 } else { 3 }, &tokens);
    let file = ["--data", "v.redb", "--passphrase-file", "pass"];
    let with = |args: &[&'static str]| [args, &file].concat();
    let (mut server, _, started) = bench.serve();
    let peak = peak_mb(server.id());
    bench.report("start after kill -9", started, size_mb(&bench.folder.join("v.redb")), peak);
    drop(server.kill());
    drop(server.wait());
    bench.run("audit verify", &["audit", "verify", "v.redb"], "v.redb");
    bench.run("doctor", &["doctor", "kept.redb", "--passphrase-file", "pass"], "kept.redb");
    bench.run("compact", &with(&["compact"]), "v.redb");
    let whole = size_mb(&bench.folder.join("v.redb"));
    bench.run("rekey", &with(&["rekey", "--yes", "--recovery-key-file", "paper"]), "v.redb");
    bench.run(
        "slot change, compact",
        &with(&["slot", "change", "--same", "--weak-kdf", "--kdf-memory", "64", "--kdf-passes", "1"]),
        "v.redb",
    );
    bench.run(
        "archive of all events",
        &with(&["audit", "archive", "--before", "2100-01-01", "--to", "old.archive"]),
        "old.archive",
    );
    let archived = bench.number_after("sequences 0 to ");
    bench.run("compact after it", &with(&["compact"]), "v.redb");
    let without = size_mb(&bench.folder.join("v.redb"));
    bench.run("restore", &with(&["restore", "kept.redb", "--force"]), "v.redb");
    let (of_events, of_rows) = ((whole - without) * 1e6, without * 1e6);
    println!(
        "an event has {:.0} bytes, an integration {:.0}",
        of_events / archived,
        of_rows / integrations as f64
    );
    let took = start.elapsed().as_secs();
    println!("reads during a backup: {ratio:.2} of the rate without (median); {took} s in all");
    if bench.is_over || (!quick && ratio < RATIO_MIN) {
        println!("FAILED: more than {BEYOND_MB} MB beyond the server's own, or a ratio below {RATIO_MIN}");
        // `exit` drops nothing.
        drop(folder);
        exit(1);
    }
}
