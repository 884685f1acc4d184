//! The fuzz targets: each takes any bytes, and panics if the code under it breaks a promise.
//!
//! A target asserts more than the absence of a panic: a reader that takes an input must write it back as it was, a
//! verifier must not believe what was not signed, and no error may repeat its input. For the last, inputs hold
//! [`MARK`], which no valid name contains, and every error text is searched for it.
//!
//! libFuzzer drives the targets by coverage (`tests/fuzz/run`). [`replay`] runs the committed corpora, and a fixed number
//! of mutations of them, as ordinary tests.

#![allow(
    clippy::unwrap_used,
    clippy::pedantic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "tests; libFuzzer does not replay"
)]

mod config;
mod dotenv;
mod file;
mod import;
mod json;
mod model;
mod note;
mod project;
mod proof;
mod record;
#[cfg(test)]
mod replay;
mod request;
#[path = "../../lab/rng.rs"]
#[cfg(test)]
mod rng;
mod router;
mod row;
mod token;
mod vaults;

use std::fmt::Display;

/// A fuzz target.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is also that of its corpus.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
}

/// Every target, the cheapest first.
pub const TARGETS: &[Target] = &[
    Target { name: "token", run: token::run },
    Target { name: "project", run: project::run },
    Target { name: "router", run: router::run },
    Target { name: "row", run: row::run },
    Target { name: "json", run: json::run },
    Target { name: "config", run: config::run },
    Target { name: "dotenv", run: dotenv::run },
    Target { name: "import", run: import::run },
    Target { name: "record", run: record::run },
    Target { name: "note", run: note::run },
    Target { name: "proof", run: proof::run },
    Target { name: "request", run: request::run },
    Target { name: "file", run: file::run },
    Target { name: "model", run: model::run },
];

/// Returns the target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// A text that no name, project or parameter may contain, so that no error has a reason to repeat it.
pub const MARK: &str = "zq%!canary";

/// Asserts that an error text does not repeat its input.
fn assert_silent(error: impl Display) {
    let text = error.to_string();
    assert!(!text.contains(MARK), "the error repeats its input: {text}");
}

/// Bytes that a target takes its choices from; zeros once they are used up.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        bytes.fill_with(|| self.byte());
        u64::from_le_bytes(bytes)
    }

    /// One of `0..n`.
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
