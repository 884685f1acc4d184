//! What a command says: the only place that prints.
#![allow(clippy::print_stderr, reason = "this is where the command line prints")]

use std::io::{self, Write};

use serde_json::{Value, json};

use super::error::CliError;

/// Human lines, or one JSON value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether machines read along.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// A command's result: `lines` for people, `value` for machines. A reader that has gone away is no error.
    pub(super) fn result(&self, lines: &str, value: &Value) {
        let text = if self.json { value.to_string() } else { lines.trim_end().to_owned() };
        let mut stdout = io::stdout().lock();
        drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
    }

    /// Something to know, which stops nothing.
    #[allow(clippy::unused_self, reason = "whoever prints has been given the output")]
    pub(super) fn warning(self, text: &str) {
        eprintln!("warning: {text}");
    }

    pub(super) fn error(self, error: &CliError) {
        if self.json {
            eprintln!("{}", json!({ "error": error.message, "hint": error.hint }));
        } else {
            eprintln!("error: {}", error.message);
            eprintln!("hint: {}", error.hint);
        }
    }
}
