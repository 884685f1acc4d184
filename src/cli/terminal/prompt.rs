//! Prompts at a terminal: secret answers are not echoed, and the terminal's state is restored.
//!
//! On unix each key press arrives separately, Ctrl-C too, and a signal ends the prompt first. So nothing can end the
//! process while the echo is off, and no pasted text is left for the shell to run.

use std::io::{self, IsTerminal, Write};

mod answer;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod terminal;

use self::answer::{Echo, Failure};
use crate::{cli::error::CliError, domain::Secret};

#[cfg(all(unix, feature = "server"))]
pub(in crate::cli) use signals::are_handled;
#[cfg(unix)]
pub(in crate::cli) use signals::is_asking;

/// The number of times that a secret is typed: once or, where a mistake cannot be corrected, twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Asking {
    Once,
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "only a new passphrase is typed twice"))]
    Twice,
}

/// Returns whether a prompt is possible. The terminal would stop a command in the background of its shell.
pub(in crate::cli) fn is_possible() -> bool {
    io::stdin().is_terminal() && terminal::is_ours()
}

/// Asks for a secret.
///
/// # Errors
/// It was interrupted, is not UTF-8, or has several lines that are no armoured key.
pub(in crate::cli) fn secret(what: &str, asking: Asking) -> Result<Secret, CliError> {
    let first = ask(&format!("{what}: "), Echo::Hidden)?;
    if asking == Asking::Twice {
        let again = ask(&format!("{what} again: "), Echo::Hidden)?;
        if first.expose() != again.expose() {
            return Err(CliError::failed("the two entries do not match", "try again"));
        }
    }
    Ok(first)
}

/// Asks for an answer that is echoed.
pub(in crate::cli) fn text(what: &str) -> Result<String, CliError> {
    let typed = ask(&format!("{what}: "), Echo::Shown)?;
    Ok(typed.expose_text().unwrap_or_default().trim().to_owned())
}

/// Asks for confirmation before a loss; any answer except a yes is a no.
pub(in crate::cli) fn confirm(question: &str) -> Result<bool, CliError> {
    let typed = text(&format!("{question} [y/N]"))?;
    Ok(matches!(typed.to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn ask(question: &str, echo: Echo) -> Result<Secret, CliError> {
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(Failure::from)?;
    let answer = Secret::new(terminal::read(echo)?);
    if answer.expose_text().is_none() {
        return Err(CliError::failed(
            "the typed text is not UTF-8",
            "set the terminal's encoding to UTF-8, or pass the secret in a file",
        ));
    }
    Ok(answer)
}

#[cfg(not(unix))]
mod terminal {
    use std::io;

    use super::answer::{ANSWER_BYTES_MAX, Echo, Failure};

    pub(in crate::cli) const fn is_ours() -> bool {
        true
    }

    pub(in crate::cli) fn read(echo: Echo) -> Result<Vec<u8>, Failure> {
        let mut typed = match echo {
            Echo::Hidden => rpassword::read_password()?,
            Echo::Shown => {
                let mut line = String::new();
                io::stdin().read_line(&mut line)?;
                line
            }
        };
        typed.truncate(typed.trim_end_matches(['\r', '\n']).len());
        if typed.len() > ANSWER_BYTES_MAX { Err(Failure::TooLong) } else { Ok(typed.into_bytes()) }
    }
}
