//! The real binary, run as its users run it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The time limit of a command.
const PATIENCE: Duration = Duration::from_secs(120);

pub const PASSPHRASE: &str = "correct horse battery staple example\n";

/// An application token as a server may have made it: all its random bytes are zero.
pub const TOKEN: &str = "sfp_app_00000000000000000000000000000000000000000001H2UfE";

/// Runs a command to its end; one that has none fails its test.
pub fn sealroom(folder: &Path, args: &[&str]) -> Output {
    ended(command(folder, args).stdout(Stdio::piped()))
}

/// Runs a command whose standard output is set already.
pub fn ended(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (ended, end) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let is_late = end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if is_late {
            let _ = kill_process(pid, Signal::KILL);
        }
        is_late
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    assert!(!watchdog.join().unwrap(), "{command:?} does not end: {}", stderr(&output));
    output
}

pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealroom"));
    command.current_dir(folder).args(args).env_clear().env("USER", "tester");
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn secret_file(folder: &Path, name: &str, text: &str, mode: u32) {
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
}

pub const INIT: &[&str] = &[
    "init",
    "--json",
    "--data",
    "v.redb",
    "--owner-email",
    "ada@example.com",
    "--passphrase-file",
    "pass",
    "--weak-kdf",
    "--kdf-memory",
    "64",
    "--kdf-passes",
    "1",
];

/// Serves the vault with its checkpoint folder.
pub const SERVE_KEPT: &[&str] = &[
    "serve",
    "--json",
    "--data",
    "v.redb",
    "--listen",
    "127.0.0.1:0",
    "--passphrase-file",
    "pass",
    "--checkpoint-folder",
    "kept",
];

/// Starts a temporary server in a folder, with what it says in the files named beside its keys; returns its words too.
pub fn dev(folder: &Path, files: &[(&str, &str)]) -> (Serving, Value) {
    let server = Serving::start(folder, &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    for (file, key) in files {
        secret_file(folder, file, said[key].as_str().unwrap(), 0o600);
    }
    (server, said)
}

pub fn vault() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    let made = sealroom(folder.path(), INIT);
    assert!(made.status.success(), "{}", stderr(&made));
    let keys: Value = serde_json::from_slice(&made.stdout).unwrap();
    for key in ["data", "owner_email", "owner_password", "recovery_key", "audit_key"] {
        assert!(keys[key].is_string(), "{key}");
    }
    fs::write(folder.path().join("owner"), keys["owner_password"].as_str().unwrap()).unwrap();
    folder
}

/// A running server; its first line of output says where.
pub struct Serving {
    pub child: Child,
    pub url: String,
    /// The line itself.
    pub said: String,
    log: PathBuf,
}

impl Serving {
    pub fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = command(folder, args);
        command.stdin(Stdio::null());
        Self::spawn(command, folder)
    }

    /// A server that was made ready to start, with its log in that folder.
    pub fn spawn(mut command: Command, folder: &Path) -> Self {
        let log = folder.join("server.log");
        let mut child =
            command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let json = serde_json::from_str::<Value>(&line)
            .ok()
            .and_then(|json| json["url"].as_str().map(str::to_owned));
        let plain = line.trim().strip_prefix("listening on ").unwrap_or_default();
        Self { child, url: json.unwrap_or_else(|| plain.to_owned()), said: line, log }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.url.split("://").nth(1).unwrap_or_default()
    }

    /// The first line of the log that has this text, once it is there.
    pub fn logged(&self, text: &str) -> String {
        for _ in 0..500 {
            let log = fs::read_to_string(&self.log).unwrap();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{text} is not in the log: {}", fs::read_to_string(&self.log).unwrap());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn health(&self) -> String {
        self.get("/health")
    }

    /// The whole response to a request without a token.
    pub fn get(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    pub fn stop(&mut self) -> bool {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
