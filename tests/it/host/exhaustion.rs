//! The host runs out of descriptors, threads or memory: the real binary refuses, lives on and recovers.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::{
    lab::kills::request,
    support::binary::{INIT, PASSPHRASE, Serving, command, sealroom, secret_file, stderr},
};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
const LOGIN: &str = r#"{"email":"ada@example.com","password":"password-of-the-owner"}"#;
pub const SERVE: &[&str] =
    &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];

pub fn vault() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    secret_file(folder.path(), "owner", "password-of-the-owner", 0o600);
    let made = sealroom(folder.path(), &[INIT, &["--owner-password-file", "owner"]].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    folder
}

fn log_in(serving: &Serving) -> Option<(u16, Value)> {
    let (status, _, json) = request(serving.address(), "POST", "/sfp/api/auth/login", "", LOGIN)?;
    Some((status, json))
}

/// An owner's token, with something to read.
pub fn stocked(serving: &Serving) -> String {
    let (status, json) = log_in(serving).unwrap();
    assert_eq!(status, 200, "{json}");
    let owner = json["access_token"].as_str().unwrap().to_owned();
    let body = r#"{"provider":"npm","authType":"pat","credentials":{"token":"one"},"isGlobal":true}"#;
    let made = request(serving.address(), "POST", "/sfp/api/integrations", &owner, body).unwrap();
    assert_eq!(made.0, 201, "{}", made.2);
    owner
}

fn reads(serving: &Serving, owner: &str) -> u16 {
    request(serving.address(), "GET", CREDENTIALS, owner, "").map_or(0, |(status, ..)| status)
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sets a limit of the running server; gives the old one back when it is dropped.
pub struct Squeezed<'a>(&'a Serving, Resource, Rlimit);

impl<'a> Squeezed<'a> {
    pub fn to(serving: &'a Serving, resource: Resource, current: u64) -> Self {
        let pid = Some(Pid::from_child(&serving.child));
        let old = rustix::process::getrlimit(resource);
        let new = Rlimit { current: Some(current), maximum: old.maximum };
        Self(serving, resource, prlimit(pid, resource, new).unwrap())
    }
}

impl Drop for Squeezed<'_> {
    fn drop(&mut self) {
        prlimit(Some(Pid::from_child(&self.0.child)), self.1, self.2).unwrap();
    }
}

fn proc_count(serving: &Serving, what: &str) -> u64 {
    fs::read_dir(format!("/proc/{}/{what}", serving.child.id())).unwrap().count() as u64
}

fn data_bytes(serving: &Serving) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn without_descriptors_it_keeps_those_who_are_in_and_takes_others_when_there_are_some_again() {
    let folder = vault();
    let mut serving = Serving::start(folder.path(), SERVE);
    let owner = stocked(&serving);
    let mut inside = TcpStream::connect(serving.address()).unwrap();
    inside.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut ask = || {
        write!(
            inside,
            "GET {CREDENTIALS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {owner}\r\n\r\n"
        )
        .unwrap();
        let mut text = [0; 4096];
        let length = inside.read(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).contains("200 OK")
    };
    assert!(ask());
    let squeezed = Squeezed::to(&serving, Resource::Nofile, proc_count(&serving, "fd") + 3);
    let crowd: Vec<_> = (0..40).map(|_| TcpStream::connect(serving.address()).unwrap()).collect();
    // The first clients take the descriptors that are left.
    let _line = serving.logged("a connection could not be accepted");
    assert!(ask() && ask(), "who is in is served");
    drop(crowd);
    eventually("the crowd has gone, and nobody gets in", || reads(&serving, &owner) == 200);
    drop(squeezed);
    assert_eq!(reads(&serving, &owner), 200);
    assert!(serving.stop());
}

#[test]
fn without_memory_for_a_password_a_login_is_a_503_and_reads_go_on() {
    let folder = vault();
    let mut serving = Serving::start(folder.path(), SERVE);
    let owner = stocked(&serving);
    // The memory of that login stays with its process: one that has had none is told apart.
    assert!(serving.stop());
    let mut command = command(folder.path(), SERVE);
    // Without it the allocator reserves more than the limit below leaves, once and for all.
    command.env("MIMALLOC_ARENA_RESERVE", "0");
    let mut serving = Serving::spawn(command, folder.path());
    // A password takes 19 MiB.
    let squeezed = Squeezed::to(&serving, Resource::Data, data_bytes(&serving) + (8 << 20));
    let (status, json) = log_in(&serving).unwrap();
    assert_eq!((status, &json["code"]), (503, &"overloaded".into()));
    assert_eq!(reads(&serving, &owner), 200);
    drop(squeezed);
    assert_eq!(log_in(&serving).unwrap().0, 200, "and the refused one was no wrong password");
    assert!(serving.stop());
}

/// The limit does not hold for root: the server runs as somebody else.
#[test]
fn without_threads_it_answers_with_those_that_it_has_and_recovers() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::getuid().is_root() || Command::new("prlimit").output().is_err() {
        return eprintln!("skipped: only root can run a server as somebody whose threads are counted apart");
    }
    let folder = vault();
    let everything = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    for path in everything.chain([folder.path().to_owned()]) {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut serving = start_as(folder.path(), NOBODY);
    let owner = stocked(&serving);
    let limit = |threads: &str| {
        let pid = serving.child.id().to_string();
        // Without privileges over others: a limit is changed by whom it is for.
        let mut command = Command::new("prlimit");
        command
            .args(["--pid", &pid, &format!("--nproc={threads}:")])
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/");
        command.status().is_ok_and(|status| status.success())
    };
    assert!(limit("1"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Nothing hangs: an answer, or a connection that is closed.
                let answer = log_in(&serving).map(|(status, _)| status);
                assert!(matches!(answer, None | Some(200 | 503)), "{answer:?}");
                let read = reads(&serving, &owner);
                assert!(matches!(read, 0 | 200 | 503), "{read}");
            });
        }
    });
    assert!(limit("1000"));
    eventually("there are threads again, and it does not recover", || {
        reads(&serving, &owner) == 200 && log_in(&serving).is_some_and(|(status, _)| status == 200)
    });
    assert!(serving.stop());
}

fn start_as(folder: &Path, user: u32) -> Serving {
    // The binary lies where others may not look.
    let copy = folder.join("sealroom");
    fs::copy(env!("CARGO_BIN_EXE_sealroom"), &copy).unwrap();
    let mut server = Command::new(copy);
    let like = command(folder, SERVE);
    server.args(like.get_args()).current_dir(folder).env_clear().env("USER", "nobody");
    server.uid(user).gid(user).stdin(Stdio::null());
    Serving::spawn(server, folder)
}
