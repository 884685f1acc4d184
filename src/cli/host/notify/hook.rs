//! The helper process that runs `[notify] command`.
//!
//! The sandbox forbids the server to start a program, so this binary is started again before the sandbox closes and
//! before a secret is read. The helper never has a key, has no variable of the environment, and ends with the server,
//! since its standard input then ends.
//!
//! ```text
//! server → helper   {"id":"msg_…","body":"<the message>"} and a line feed
//! helper → server   msg_… ok | msg_… <cause>, and a line feed
//! ```

use std::{
    ffi::OsString,
    io::{self, BufRead, Write},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio, exit},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    time::timeout,
};

use super::notice::Message;
use crate::{cli::error::CliError, clock::monotonic};

/// The word that makes this binary a helper; no subcommand, so that no help shows it.
pub(in crate::cli) const HOOK: &str = "--notify-hook";

/// The time for one run of the command.
const RUN_MAX: Duration = Duration::from_secs(5);
/// The time after which the helper itself counts as stuck.
const HELPER_MAX: Duration = Duration::from_secs(8);
/// The interval between two looks at a running command.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The `PATH` of the command's own programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    body: String,
}

/// To and from the helper.
type Pipes = (pipe::Sender, BufReader<pipe::Receiver>);

/// A helper that runs.
pub(in crate::cli::host) struct Hook {
    to: OwnedFd,
    from: OwnedFd,
    pipes: Option<Pipes>,
    /// Set once the helper has ended; the sandbox forbids another one.
    has_ended: bool,
}

impl Hook {
    /// Starts the helper for this command.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(in crate::cli::host) fn start(command: &[String]) -> Result<Self, CliError> {
        let failed = |error: io::Error| {
            CliError::failed(
                format!("[notify] command: no helper process: {error}"),
                "free memory or processes",
            )
        };
        let linked = Path::new("/proc/self/exe");
        let own =
            if linked.exists() { linked.to_owned() } else { std::env::current_exe().map_err(failed)? };
        let mut helper = Command::new(own);
        helper.arg(HOOK).args(command).env_clear().current_dir("/");
        // A group of its own: Ctrl-C is for the server, which ends the helper.
        helper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = helper.spawn().map_err(failed)?;
        let gone = || failed(io::Error::from(io::ErrorKind::BrokenPipe));
        let to = child.stdin.take().ok_or_else(gone)?;
        let from = child.stdout.take().ok_or_else(gone)?;
        Ok(Self { to: to.into(), from: from.into(), pipes: None, has_ended: false })
    }

    /// Returns whether the helper has ended, so that no further attempt can succeed.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Runs the command with the message on its standard input.
    ///
    /// # Errors
    /// The cause: it could not be started, ended with another code than 0, or took longer than 5 seconds.
    pub(super) async fn run(&mut self, message: &Message) -> Result<(), String> {
        let mut has_ended = false;
        let outcome = self.order(message, &mut has_ended).await;
        self.has_ended |= has_ended;
        outcome
    }

    fn pipes(&self) -> io::Result<Pipes> {
        let to = pipe::Sender::from_owned_fd(self.to.try_clone()?)?;
        let from = pipe::Receiver::from_owned_fd(self.from.try_clone()?)?;
        Ok((to, BufReader::new(from)))
    }

    async fn order(&mut self, message: &Message, has_ended: &mut bool) -> Result<(), String> {
        // Too few descriptors for a moment: the helper runs on, and the next attempt may reach it.
        if self.pipes.is_none() {
            let pipes = self.pipes().map_err(|error| format!("no way to the helper process: {error}"))?;
            self.pipes = Some(pipes);
        }
        let mut gone = |error: io::Error| {
            *has_ended = true;
            format!("the helper process has ended, restart the server: {error}")
        };
        let Some((to, from)) = &mut self.pipes else { return Err("no helper process".to_owned()) };
        let order = Order { id: message.id.clone(), body: message.body.clone() };
        let mut line = serde_json::to_string(&order).map_err(|error| error.to_string())?;
        line.push('\n');
        let answer = async {
            to.write_all(line.as_bytes()).await.map_err(&mut gone)?;
            loop {
                let mut said = String::new();
                if from.read_line(&mut said).await.map_err(&mut gone)? == 0 {
                    return Err(gone(io::ErrorKind::UnexpectedEof.into()));
                }
                // The answer to an attempt that was given up may come first.
                match said.trim_end().split_once(' ') {
                    Some((id, "ok")) if id == message.id => return Ok(()),
                    Some((id, cause)) if id == message.id => return Err(cause.to_owned()),
                    _ => {}
                }
            }
        };
        timeout(HELPER_MAX, answer)
            .await
            .unwrap_or_else(|_| Err("the helper process does not answer".to_owned()))
    }
}

/// The command that runs now; the end of the server ends it too.
type Running = Arc<Mutex<Option<Pid>>>;

/// Is the helper: runs the command for each order, until standard input ends.
pub(in crate::cli) fn help_run(words: &[OsString]) -> u8 {
    let (orders, incoming) = mpsc::sync_channel::<Order>(1);
    let running = Running::default();
    let of_reader = Arc::clone(&running);
    let reading = thread::Builder::new().name("orders".to_owned()).spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let Ok(order) = serde_json::from_str(&line) else { continue };
            if orders.send(order).is_err() {
                break;
            }
        }
        // The server is gone, and nobody would end the command.
        end(&of_reader);
        exit(0);
    });
    if reading.is_err() {
        return 1;
    }
    let mut stdout = io::stdout();
    for Order { id, body } in incoming {
        let said = run_once(words, &body, &running).map_or_else(|cause| cause, |()| "ok".to_owned());
        if writeln!(stdout, "{id} {said}").and_then(|()| stdout.flush()).is_err() {
            break;
        }
    }
    0
}

fn run_once(words: &[OsString], body: &str, running: &Running) -> Result<(), String> {
    let (program, arguments) = words.split_first().ok_or("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("it could not be started: {error}"))?;
    *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pid::from_child(&child));
    let stdin = child.stdin.take();
    let body = body.to_owned();
    // A command that reads nothing must not hold the helper.
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(body.as_bytes())));
    let ended = wait(&mut child);
    if ended.is_none() {
        end(running);
        drop(child.wait());
    }
    *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    match ended {
        Some(Ok(status)) if status.success() => Ok(()),
        Some(Ok(status)) => Err(format!("it ended with {status}")),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("it took longer than {} seconds", RUN_MAX.as_secs())),
    }
}

/// Waits for the end of the command; `None` if its time is over.
fn wait(child: &mut Child) -> Option<io::Result<std::process::ExitStatus>> {
    let began = monotonic();
    while monotonic().saturating_sub(began) < RUN_MAX {
        match child.try_wait() {
            Ok(None) => thread::sleep(LOOK_EVERY),
            Ok(Some(status)) => return Some(Ok(status)),
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

/// Kills the command with all that it started.
fn end(running: &Running) {
    if let Some(pid) = *running.lock().unwrap_or_else(PoisonError::into_inner) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}
