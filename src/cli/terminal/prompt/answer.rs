//! An answer at the terminal: its maximum length, its echo, and the reasons for its absence.

use std::io;

use crate::cli::error::CliError;

/// Maximum length of an answer.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The visibility of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    Shown,
    Hidden,
}

/// The reason why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Ctrl-C, or a signal.
    #[cfg_attr(not(unix), allow(dead_code, reason = "the console's own way ends the process"))]
    Interrupted,
    /// Several lines that are no armoured key.
    #[cfg_attr(not(unix), allow(dead_code, reason = "a console reads one line"))]
    SeveralLines,
    /// A block of armour has no END.
    #[cfg_attr(not(unix), allow(dead_code, reason = "a console reads one line"))]
    Unfinished,
    /// It exceeds the maximum length.
    TooLong,
    /// The terminal was closed, or refuses.
    Terminal(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Interrupted => Self::failed("interrupted", "nothing was changed; run it again"),
            Failure::SeveralLines => Self::failed(
                "several lines were pasted where one is expected",
                "paste one line, or pass the secret in a file; the pasted text was discarded",
            ),
            Failure::Unfinished => Self::failed(
                "the pasted text has a BEGIN line but no END line",
                "paste all of it, or pass it in a file; the pasted text was discarded",
            ),
            Failure::TooLong => Self::failed(
                "the typed text is longer than 64 KiB",
                "pass it in a file; the typed text was discarded",
            ),
            Failure::Terminal(error) => Self::failed(
                format!("nothing was read from the terminal: {error}"),
                "run it again, at a terminal",
            ),
        }
    }
}
