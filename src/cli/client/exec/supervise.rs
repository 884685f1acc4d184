//! The time from the program's start to its end: signals, stops, and new values.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use zeroize::Zeroizing;

use super::{
    child::{Keys, Running, pass_keys},
    ending,
    mask::{Mask, Needles},
    signals::{Arrived, catch},
};
use crate::{
    cli::{
        client::credentials::Variable,
        error::CliError,
        secrets::cause,
        terminal::{output::Output, raw::Raw},
    },
    clock,
};

/// The time limit for a program to end before a restart kills it.
const RESTART_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a stop of this process's job may take to have an effect.
const STOP_DELAY: Duration = Duration::from_millis(50);

/// The reaction to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnChange {
    Restart,
    Hup,
}

/// An event of the time that the program runs.
pub(super) enum Happened {
    Signal(Arrived),
    /// A value was rotated: these are the variables now.
    Changed(Vec<Variable>),
}

impl From<Arrived> for Happened {
    fn from(arrived: Arrived) -> Self {
        Self::Signal(arrived)
    }
}

/// A supervised program.
pub(super) struct Supervised {
    pub(super) words: Vec<OsString>,
    pub(super) on_change: OnChange,
    pub(super) output: Output,
    /// Texts beside the values that are masked too.
    pub(super) masked: Vec<Zeroizing<String>>,
}

/// The state of the program.
struct Program {
    running: Running,
    raw: Option<Raw>,
    keys: Keys,
    has_keys: bool,
}

/// The consequence of an event.
enum Next {
    Wait,
    Ended(u8),
}

impl Supervised {
    /// Returns where events come from, with the signals of this process among them.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(super) fn events() -> Result<(Sender<Happened>, Receiver<Happened>), CliError> {
        let (to, from) = mpsc::channel();
        // With a terminal of its own, the program is not stopped by the user's, and this process only after it.
        let except = io::stdout().is_terminal().then_some(SIGTSTP);
        catch(to.clone(), except).map_err(|error| {
            CliError::failed(format!("no signals: {error}"), "the command was not started")
        })?;
        Ok((to, from))
    }

    /// Runs the program to its end, and returns its exit code.
    ///
    /// # Errors
    /// It did not start.
    pub(super) fn run(&self, variables: Vec<Variable>, events: &Receiver<Happened>) -> Result<u8, CliError> {
        let keys: Keys = Arc::new(Mutex::new(None));
        // Output of any run may hold the values of an earlier one, and those that follow them.
        let mut seen = Vec::new();
        let mask = Arc::new(Mask::new(self.learn(&variables, &mut seen)));
        let running = self.start(&variables, &mask, &keys)?;
        drop(variables);
        let mut program = Program { running, raw: None, keys, has_keys: false };
        program.take_terminal();
        loop {
            let Ok(happened) = events.recv() else { return Ok(1) };
            match happened {
                Happened::Signal(arrived) => {
                    if let Next::Ended(code) = program.arrived(arrived) {
                        return self.ended(code, program.running);
                    }
                }
                Happened::Changed(variables) if self.on_change == OnChange::Hup => {
                    // The program reads the new values by itself, at the latest when it gets the signal.
                    mask.set(self.learn(&variables, &mut seen));
                    program.say("exec: a credential changed: sending SIGHUP", self.output);
                    program.take_terminal();
                    program.running.signal(SIGHUP);
                }
                Happened::Changed(mut variables) => {
                    let mut learn = |variables: &[Variable]| mask.set(self.learn(variables, &mut seen));
                    learn(&variables);
                    program.say("exec: a credential changed: restarting", self.output);
                    if let Some(code) = program.stop(events, &mut variables, learn) {
                        return self.ended(code, program.running);
                    }
                    let next = self.start(&variables, &mask, &program.keys)?;
                    let earlier = std::mem::replace(&mut program.running, next);
                    if let Err(error) = earlier.drain() {
                        self.output.warning(&lost(&error));
                    }
                    program.take_terminal();
                }
            }
        }
    }

    /// Shows the rest of the output, and returns the program's exit code. Alone, the program would have failed where its
    /// output cannot be written; a truncated dump on a full disk must not pass for a whole one.
    fn ended(&self, code: u8, running: Running) -> Result<u8, CliError> {
        match running.drain() {
            Ok(()) => Ok(code),
            Err(error) if code == 0 => Err(CliError::failed(
                lost(&error),
                "the command itself ended with exit code 0: check where its output goes, and run it again",
            )),
            Err(error) => {
                self.output.warning(&lost(&error));
                Ok(code)
            }
        }
    }

    /// Adds the values to those that were seen, and returns what is to be masked now.
    fn learn(&self, variables: &[Variable], seen: &mut Vec<Zeroizing<String>>) -> Needles {
        for one in variables.iter().filter(|one| one.is_secret()) {
            if !seen.contains(&one.value) {
                seen.push(one.value.clone());
            }
        }
        Needles::new(seen.iter().chain(&self.masked).map(|text| text.as_str()))
    }

    fn start(&self, variables: &[Variable], mask: &Arc<Mask>, keys: &Keys) -> Result<Running, CliError> {
        Running::start(&self.words, variables, mask, keys)
            .map_err(|error| ending::unstarted(&self.words[0].to_string_lossy(), &error))
    }
}

fn lost(error: &io::Error) -> String {
    format!("a part of the command's output could not be written: {}", cause(error))
}

impl Program {
    /// Prints a line on a terminal that begins lines at their start.
    fn say(&mut self, text: &str, output: Output) {
        self.raw = None;
        output.note(text);
    }

    fn take_terminal(&mut self) {
        if self.running.has_terminal() && self.raw.is_none() {
            self.raw = Raw::enter();
            if self.raw.is_some() && !self.has_keys {
                pass_keys(Arc::clone(&self.keys));
                self.has_keys = true;
            }
        }
    }

    fn arrived(&mut self, Arrived { signal, is_shared }: Arrived) -> Next {
        // A program with a terminal of its own is not among those that the user's terminal sends to.
        let is_news = !is_shared || self.running.has_terminal();
        match signal {
            SIGCHLD => {
                while let Some(status) = self.running.changed() {
                    if let Some(code) = ending::code(status) {
                        self.raw = None;
                        return Next::Ended(code);
                    }
                    if self.running.has_terminal() && status.stopped() {
                        self.suspend();
                    } else if status.stopping_signal() == Some(SIGTSTP) {
                        // This process is of the program's job: it stops when the program does, and not before.
                        let _ = kill_process(getpid(), Signal::STOP);
                    }
                }
            }
            SIGWINCH if self.running.has_terminal() => self.running.resize(),
            SIGCONT => self.resume(),
            signal if is_news => self.running.signal(signal),
            _ => {}
        }
        Next::Wait
    }

    /// Stops this process's job, as the program has stopped, until the shell continues it. Where no shell could, the
    /// kernel ignores the signal, and the program goes on.
    fn suspend(&mut self) {
        self.raw = None;
        let _ = kill_current_process_group(Signal::TSTP);
        // The stop takes effect on another thread, maybe a moment later.
        thread::sleep(STOP_DELAY);
        self.resume();
    }

    fn resume(&mut self) {
        // The shell has set the terminal's modes meanwhile.
        self.raw = None;
        self.take_terminal();
        self.running.resize();
        self.running.signal(SIGCONT);
    }

    /// Ends the program before a restart; returns its exit code if it was to end anyway. What changes meanwhile is
    /// learnt at once and replaces `newest`, with which the program starts again.
    fn stop(
        &mut self,
        events: &Receiver<Happened>,
        newest: &mut Vec<Variable>,
        mut learn: impl FnMut(&[Variable]),
    ) -> Option<u8> {
        self.running.signal(SIGTERM);
        let mut is_final = false;
        // No event extends it: a window that is resized or a value that changes every few seconds delays no kill.
        let mut end = clock::monotonic() + RESTART_TIMEOUT;
        loop {
            match events.recv_timeout(end.saturating_sub(clock::monotonic())) {
                Ok(Happened::Signal(arrived)) => {
                    is_final |= matches!(arrived.signal, SIGINT | SIGTERM | SIGQUIT | SIGHUP);
                    if let Next::Ended(code) = self.arrived(arrived) {
                        return is_final.then_some(code);
                    }
                }
                Ok(Happened::Changed(variables)) => {
                    learn(&variables);
                    *newest = variables;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.running.kill();
                    end = clock::monotonic() + RESTART_TIMEOUT;
                }
                Err(RecvTimeoutError::Disconnected) => return Some(1),
            }
        }
    }
}
