//! The cost that `exec` adds to a command, and to output that holds no secret.
//!
//! `cargo bench --bench exec` takes half a minute; `BENCH_QUICK=1` a few seconds.
#![allow(clippy::unwrap_used, clippy::pedantic, clippy::print_stdout, missing_docs, reason = "a benchmark")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Runs of a short command; the median counts.
const RUNS: usize = 31;
/// Size of the plain output, and of a short run.
const OUTPUT_BYTES: [u64; 2] = [512 * 1024 * 1024, 32 * 1024 * 1024];

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn sealroom(folder: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealroom"));
    command.args(args).current_dir(folder).env("SFP_SERVER_URL", url);
    command.env("SFP_SERVER_TOKEN_FILE", "owner.token").stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn secret(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
}

fn timed(mut command: Command) -> Duration {
    let began = Instant::now();
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    began.elapsed()
}

fn median(run: impl Fn() -> Command) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS).map(|_| timed(run())).collect();
    times.sort();
    times[RUNS / 2]
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_sealroom"));
    serve
        .args(["serve", "--dev", "--json", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let mut server = Server(serve.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = said["url"].as_str().unwrap();
    secret(path, "owner.token", said["owner_token"].as_str().unwrap());
    secret(path, "github.json", r#"{"token":"ghp_example0123456789abcdefghijklmnop"}"#);
    timed(sealroom(
        path,
        url,
        &["integration", "add", "github/pat", "--global", "--from-json", "github.json"],
    ));
    let alone = median(|| Command::new("true"));
    let with = median(|| sealroom(path, url, &["exec", "--all", "--", "true"]));
    println!(
        "true alone {:.1} ms, under exec {:.1} ms: {:.1} ms more, a ratio of {:.1}",
        alone.as_secs_f64() * 1e3,
        with.as_secs_f64() * 1e3,
        (with.saturating_sub(alone)).as_secs_f64() * 1e3,
        with.as_secs_f64() / alone.as_secs_f64()
    );
    let is_quick = std::env::var_os("BENCH_QUICK").is_some();
    let size = OUTPUT_BYTES[usize::from(is_quick)];
    let plain = File::create(path.join("plain")).unwrap();
    let mut plain = BufWriter::new(plain);
    let mut written = 0;
    for number in 0_u64.. {
        let line = format!("INFO handled path=/api/v1/things status=200 took=12ms id={number:08}\n");
        plain.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
        if written >= size {
            break;
        }
    }
    plain.into_inner().unwrap();
    let pipe = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", "cat plain | cat"]).current_dir(path);
        shell
    };
    timed(pipe());
    let (piped, masked) =
        (timed(pipe()), timed(sealroom(path, url, &["exec", "--all", "--", "cat", "plain"])));
    let rate = |time: Duration| written as f64 / 1e6 / time.as_secs_f64();
    println!(
        "plain output: {:.0} MB/s through a pipe, {:.0} MB/s under exec: a ratio of {:.2}",
        rate(piped),
        rate(masked),
        rate(masked) / rate(piped)
    );
}
