//! Questions to a person at a terminal: the answers of secrets are not shown, and the terminal is left as it was found.
//!
//! On unix a key press arrives by itself, Ctrl-C too, and a signal ends the question first, so that nothing can end the
//! process while the echo is off and nothing that was pasted is left for the shell to run.

use std::io::{self, IsTerminal, Write};

#[cfg(unix)]
mod signals;

use super::error::CliError;
use crate::domain::Secret;

#[cfg(all(unix, feature = "server"))]
pub(super) use signals::are_handled;

/// No answer is longer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Whether a secret is typed once or, where a mistake cannot be mended, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Once,
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "only a new passphrase is typed twice"))]
    Twice,
}

/// What is seen of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Echo {
    Shown,
    Hidden,
}

/// Whether anybody can be asked. A command in the background of its shell would be stopped by the terminal instead.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && terminal::is_ours()
}

/// Asks for a secret.
///
/// # Errors
/// It was interrupted, or several lines came where a secret has one.
pub(super) fn secret(what: &str, asking: Asking) -> Result<Secret, CliError> {
    let first = ask(&format!("{what}: "), Echo::Hidden)?;
    if asking == Asking::Twice {
        let again = ask(&format!("{what} once more: "), Echo::Hidden)?;
        if first.expose() != again.expose() {
            return Err(CliError::failed("the two do not match", "try again"));
        }
    }
    Ok(first)
}

/// Asks for what may be seen.
#[cfg(feature = "client")]
pub(super) fn text(what: &str) -> Result<String, CliError> {
    let typed = ask(&format!("{what}: "), Echo::Shown)?;
    Ok(String::from_utf8_lossy(typed.expose()).trim().to_owned())
}

/// Asks before something is lost; anything but a yes is a no.
#[cfg(feature = "client")]
pub(super) fn confirm(question: &str) -> Result<bool, CliError> {
    let typed = text(&format!("{question} [y/N]"))?;
    Ok(matches!(typed.to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn ask(question: &str, echo: Echo) -> Result<Secret, CliError> {
    let mut stderr = io::stderr();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::Interrupted => CliError::failed("interrupted", "nothing was changed; run it again"),
        io::ErrorKind::InvalidData => CliError::failed(
            "several lines were pasted where one is expected",
            "paste one line, or give the secret in a file; what was pasted is forgotten",
        ),
        _ => CliError::failed(format!("nothing was typed: {error}"), "run it again, at a terminal"),
    };
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(failed)?;
    terminal::read(echo).map(Secret::new).map_err(failed)
}

#[cfg(unix)]
mod terminal {
    use std::io::{self, Write};

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        process::getpgrp,
        termios::{
            LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
            tcgetpgrp, tcsetattr,
        },
    };
    use zeroize::Zeroizing;

    use super::{ANSWER_BYTES_MAX, Echo, signals::Question};

    /// A paste arrives in pieces; its next is there within this time.
    const PASTE_GAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 30_000_000 };

    /// A terminal that gives each key by itself, until this is dropped.
    struct Raw {
        before: Termios,
    }

    impl Raw {
        fn enter() -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            raw.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
            raw.special_codes[SpecialCodeIndex::VMIN] = 1;
            raw.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
            Ok(Self { before })
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }

    /// Whether this process is in its terminal's foreground; a terminal without a session has none.
    pub(super) fn is_ours() -> bool {
        tcgetpgrp(io::stdin()).map_or(true, |foreground| foreground == getpgrp())
    }

    pub(super) fn read(echo: Echo) -> io::Result<Vec<u8>> {
        // Dropped in the other order: signals wait until the terminal is as it was.
        let question = Question::begin()?;
        let raw = Raw::enter()?;
        // Whole from the start, so that no half-typed copy is left behind by a growing buffer.
        let mut typed = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
        let outcome = read_keys(echo, &question, &mut typed);
        drop(raw);
        // A terminal that hung up shows nothing; what came of the question counts.
        let shown = show("\n");
        if question.was_interrupted() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        outcome.and(shown).map(|()| typed.to_vec())
    }

    fn read_keys(echo: Echo, question: &Question, typed: &mut Vec<u8>) -> io::Result<()> {
        loop {
            match key(question)? {
                b'\n' | b'\r' => {
                    if echo == Echo::Hidden && typed.starts_with(b"-----BEGIN ") {
                        // A private key is several lines by nature; it ends where its armour does.
                        let last = typed.rsplit(|byte| *byte == b'\n').next();
                        if last.is_some_and(|line| line.starts_with(b"-----END ")) {
                            return Ok(());
                        }
                        typed.push(b'\n');
                    } else if echo == Echo::Shown || !is_more_coming()? {
                        return Ok(());
                    } else {
                        tcflush(io::stdin(), QueueSelector::IFlush)?;
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
                0x03 => {
                    tcflush(io::stdin(), QueueSelector::IFlush)?;
                    return Err(io::ErrorKind::Interrupted.into());
                }
                0x04 if typed.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                0x08 | 0x7f => erase(echo, typed)?,
                0x15 => {
                    while !typed.is_empty() {
                        erase(echo, typed)?;
                    }
                }
                0x1b => skip_sequence(question)?,
                control if control < 0x20 && control != b'\t' => {}
                byte if typed.len() < ANSWER_BYTES_MAX => {
                    typed.push(byte);
                    if echo == Echo::Shown {
                        io::stderr().write_all(&[byte])?;
                    }
                }
                _ => {}
            }
        }
    }

    fn key(question: &Question) -> io::Result<u8> {
        let stdin = io::stdin();
        let mut byte = [0];
        loop {
            let mut waiting =
                [PollFd::new(question.signals(), PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut waiting, None) {
                Ok(_) if waiting[0].revents().is_empty() => break,
                Ok(_) => {
                    tcflush(io::stdin(), QueueSelector::IFlush)?;
                    return Err(io::ErrorKind::Interrupted.into());
                }
                // The signal's byte is in the pipe by now.
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match rustix::io::read(io::stdin(), &mut byte)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(byte[0]),
        }
    }

    fn is_more_coming() -> io::Result<bool> {
        let stdin = io::stdin();
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut waiting, Some(&PASTE_GAP)) {
            Ok(ready) => Ok(ready > 0),
            // The next key finds the signal.
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes one character back, all its bytes.
    fn erase(echo: Echo, typed: &mut Vec<u8>) -> io::Result<()> {
        let before = typed.len();
        while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
        if echo == Echo::Shown && typed.len() < before { show("\x08 \x08") } else { Ok(()) }
    }

    /// An arrow key or the like: ESC, a bracket or O, and all up to a letter or tilde.
    fn skip_sequence(question: &Question) -> io::Result<()> {
        if is_more_coming()? && matches!(key(question)?, b'[' | b'O') {
            while !(0x40..=0x7e).contains(&key(question)?) {}
        }
        Ok(())
    }

    fn show(text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }
}

#[cfg(not(unix))]
mod terminal {
    use std::io;

    use super::{ANSWER_BYTES_MAX, Echo};

    pub(super) const fn is_ours() -> bool {
        true
    }

    pub(super) fn read(echo: Echo) -> io::Result<Vec<u8>> {
        let mut typed = match echo {
            Echo::Hidden => rpassword::read_password()?,
            Echo::Shown => {
                let mut line = String::new();
                io::stdin().read_line(&mut line)?;
                line
            }
        };
        typed.truncate(typed.trim_end_matches(['\r', '\n']).len().min(ANSWER_BYTES_MAX));
        Ok(typed.into_bytes())
    }
}
