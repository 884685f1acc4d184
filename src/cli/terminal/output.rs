//! The output of a command: the only module that prints.
#![allow(clippy::print_stderr, reason = "this is where the command line prints")]

use std::io::{self, IsTerminal};

use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    once::{self, Discard, Lost},
    patient::write_whole,
    visible::{on_one_line, visible},
};
use crate::cli::error::CliError;

/// The output format: lines for people, or one JSON value.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Output {
    json: bool,
}

/// The state of the output's reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Reader {
    Listens,
    /// It closed its end, as `head` does.
    Gone,
}

#[cfg(feature = "client")]
impl Reader {
    /// Returns that the reader has gone, if either says so.
    pub(in crate::cli) const fn and(self, earlier: Self) -> Self {
        match earlier {
            Self::Listens => self,
            Self::Gone => Self::Gone,
        }
    }
}

impl Output {
    pub(in crate::cli) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Returns whether the output is JSON.
    pub(in crate::cli) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a command's result: `lines` for people, `value` for machines.
    ///
    /// # Errors
    /// It could not be written; a reader that has gone away is no error.
    pub(in crate::cli) fn result<T: Serialize + ?Sized>(
        self,
        lines: &str,
        value: &T,
    ) -> Result<(), CliError> {
        let text = self
            .text(lines, value)
            .map_err(|error| CliError::failed(format!("no JSON: {error}"), "report this bug"))?;
        self.bytes(text.as_bytes())
    }

    /// Prints a secret that cannot be shown again; returns once its reader has it, or still can; `what` names it.
    ///
    /// # Errors
    /// It could not be written, its reader has gone away, or the output is a null device: the caller undoes the
    /// operation.
    pub(in crate::cli) fn once<T: Serialize + ?Sized>(
        self,
        what: &'static str,
        lines: &str,
        value: &T,
    ) -> Result<(), Lost> {
        self.write_once(what, lines, value, Discard::Refused)
    }

    /// Prints a result as [`Output::once`] does; `discard` decides about a null device.
    ///
    /// # Errors
    /// It could not be written, or its reader has gone away: the caller undoes the operation.
    pub(in crate::cli) fn write_once<T: Serialize + ?Sized>(
        self,
        what: &'static str,
        lines: &str,
        value: &T,
        discard: Discard,
    ) -> Result<(), Lost> {
        let mut stdout = io::stdout().lock();
        let text = self.text(lines, value).map_err(io::Error::other);
        text.and_then(|text| {
            once::check(&stdout, discard)?;
            write_whole(&mut stdout, text.as_bytes())?;
            once::settle(&stdout)
        })
        .map_err(|error| Lost::new(what, &error))
    }

    fn text<T: Serialize + ?Sized>(
        self,
        lines: &str,
        value: &T,
    ) -> Result<Zeroizing<String>, serde_json::Error> {
        let text = if self.json { serde_json::to_string(value)? } else { lines.trim_end().to_owned() };
        Ok(Zeroizing::new(text + "\n"))
    }

    /// Prints a result unchanged.
    #[allow(clippy::unused_self, reason = "the caller must hold the output")]
    pub(in crate::cli) fn bytes(self, bytes: &[u8]) -> Result<(), CliError> {
        print(bytes, "the command succeeded; check where stdout is redirected").map(drop)
    }

    /// Prints one piece of a streamed result: once the reader has gone, there is no reason to fetch more.
    #[cfg(feature = "client")]
    #[allow(clippy::unused_self, reason = "the caller must hold the output")]
    pub(in crate::cli) fn piece(self, bytes: &[u8]) -> Result<Reader, CliError> {
        print(bytes, "what was printed is cut short; check where stdout is redirected")
    }

    /// Makes the `eval` of a failed command's output fail too; without any output it would succeed.
    #[cfg(feature = "client")]
    pub(in crate::cli) fn fail_eval(self) {
        drop(self.bytes(b"false\n"));
    }

    /// Prints a warning, which stops nothing.
    #[allow(clippy::unused_self, reason = "the caller must hold the output")]
    pub(in crate::cli) fn warning(self, text: &str) {
        say(&format!("{} {}", coloured("33", "warning:"), visible(text)));
    }

    /// Prints a line for people, besides the result.
    #[allow(clippy::unused_self, reason = "the caller must hold the output")]
    pub(in crate::cli) fn note(self, text: &str) {
        say(&visible(text));
    }

    /// Prints what a person at a terminal may want to do next. A script's log stays without it.
    #[cfg(feature = "client")]
    pub(in crate::cli) fn next_step(self, text: &str) {
        if !self.json && io::stderr().is_terminal() {
            self.note(text);
        }
    }

    pub(in crate::cli) fn error(self, error: &CliError) {
        if self.json {
            let mut object = json!({ "error": error.message, "hint": error.hint });
            if let Some(code) = &error.code {
                object["code"] = json!(code);
            }
            say(&object.to_string());
        } else if error.hint.is_empty() {
            self.note(&error.message);
        } else {
            say(&format!("{} {}", coloured("1;31", "error:"), on_one_line(&error.message)));
            say(&format!("{} {}", coloured("36", "hint:"), on_one_line(&error.hint)));
        }
    }
}

/// Returns whether a stream may have colours: it is a terminal, and no variable disables them (no-color.org).
pub(in crate::cli) fn has_colours(stream: &impl IsTerminal) -> bool {
    let unset = |name| std::env::var_os(name).is_none_or(|value| value.is_empty());
    stream.is_terminal() && unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn coloured(code: &str, text: &str) -> String {
    if has_colours(&io::stderr()) { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Prints a line on stderr; a failure of that has no reader either.
fn say(line: &str) {
    drop(write_whole(&mut io::stderr().lock(), format!("{line}\n").as_bytes()));
}

/// Prints bytes as they are; `hint` is for a failure other than a reader that has left.
fn print(bytes: &[u8], hint: &str) -> Result<Reader, CliError> {
    let mut stdout = io::stdout().lock();
    match write_whole(&mut stdout, bytes) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CliError::failed(format!("the output cannot be written: {error}"), hint)),
    }
}
