//! Servers as processes of their own: started, measured, killed, and never left behind.
//!
//! Each runs under a keeper, this program again, which ends it as soon as its own standard input does: also when the
//! benchmark is killed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio, exit},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

/// The user that a server which refuses root is run as.
#[derive(Debug, Clone, Copy)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// The keeper: `[USER:GROUP@]PROGRAM ARGS`; tells the process id, then the program speaks.
pub fn keep(command: &[String]) {
    let (user, program) = match command[0].split_once('@') {
        Some((user, program)) => (user.split_once(':'), program),
        None => (None, command[0].as_str()),
    };
    let mut running = Command::new(program);
    // Through a pipe of its own, or the program might speak before its id is told.
    running.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some((uid, gid)) = user {
        running.uid(uid.parse().unwrap()).gid(gid.parse().unwrap());
    }
    let mut child = running.spawn().unwrap();
    println!("{}", child.id());
    let mut said = child.stdout.take().unwrap();
    thread::spawn(move || drop(std::io::copy(&mut said, &mut std::io::stdout())));
    let pid = Pid::from_child(&child);
    thread::spawn(move || {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = kill_process(pid, Signal::KILL);
    });
    let status = child.wait().unwrap();
    exit(if status.success() { 0 } else { 1 });
}

/// A program under its keeper.
pub struct Running {
    keeper: Child,
    /// The keeper's reason to go on.
    stdin: Option<ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
    pub pid: u32,
    pub started: Instant,
}

impl Running {
    pub fn start(user: Option<User>, program: &str, args: &[&str]) -> Self {
        let program = match user {
            Some(User { uid, gid }) => format!("{uid}:{gid}@{program}"),
            None => program.to_owned(),
        };
        let mut keeper = Command::new(std::env::current_exe().unwrap())
            .arg("--keep")
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, mut stdout) = (keeper.stdin.take(), BufReader::new(keeper.stdout.take().unwrap()));
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let started = Instant::now();
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("the keeper says {line:?}"));
        Self { keeper, stdin, stdout, pid, started }
    }

    /// This program again, as another child.
    pub fn own(args: &[&str]) -> Self {
        Self::start(None, std::env::current_exe().unwrap().to_str().unwrap(), args)
    }

    /// The address of the line that a server tells when it listens.
    pub fn address(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let address = line.split_once("://").unwrap_or_else(|| panic!("no server: it says {line:?}")).1;
        address.trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned()
    }

    /// Returns its resident memory in MB; 0 after the program has ended.
    pub fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
        kib * 1024.0 / 1e6
    }

    /// `kill -9`, and the wait for it.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Runs a program to its end as that user.
pub fn run(user: Option<User>, program: &str, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).current_dir("/");
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    let done = command.output().map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("{program}: {}", said.lines().last().unwrap_or("no reason given")))
}
