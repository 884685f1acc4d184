//! The result of one check, and the list of its findings.

use serde::{Deserialize, Serialize};

/// The most findings that one check lists; the rest are counted.
const FINDINGS_MAX: usize = 100;

/// Takes the number of bytes that were read, and returns whether to go on.
pub type Read<'a> = dyn Fn(u64) -> bool + 'a;

/// Passes every archived record to its argument, in order, with its sequence; they are verified.
pub type Archived<'a> = dyn Fn(&mut dyn FnMut(u64, &[u8])) + 'a;

/// The status of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing was found.
    Ok,
    /// It could not run, which is no fault of the file.
    Skipped,
    /// The file is whole, but something deserves attention.
    Warning,
    /// Something is damaged, missing or forged.
    Failed,
}

impl Status {
    /// Returns the word in a report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One check of an examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// The result, in one line.
    pub message: String,
    /// The findings, one line each.
    pub detail: Vec<String>,
}

impl Check {
    /// Returns a check with nothing to list.
    pub fn new(name: &str, status: Status, message: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status, message: message.into(), detail: Vec::new() }
    }

    /// Returns a check that did not run.
    pub fn skipped(name: &str, why: &str) -> Self {
        Self::new(name, Status::Skipped, why)
    }

    /// Returns a check that is `ok` without findings. With one it says that; with several it counts them as `bad`, a
    /// plural, and lists them.
    pub fn of(name: &str, findings: Findings, good: impl Into<String>, status: Status, bad: &str) -> Self {
        if findings.is_empty() {
            return Self::new(name, Status::Ok, good);
        }
        if let [only] = &*findings.lines {
            return Self::new(name, status, only);
        }
        let message = format!("{} {bad}", findings.count);
        Self { detail: findings.into_lines(), ..Self::new(name, status, message) }
    }
}

/// The findings of one check, bounded in number.
#[derive(Debug, Default)]
pub struct Findings {
    lines: Vec<String>,
    count: usize,
}

impl Findings {
    /// Adds a finding.
    pub fn add(&mut self, line: impl Into<String>) {
        self.count += 1;
        if self.lines.len() < FINDINGS_MAX {
            self.lines.push(line.into());
        }
    }

    /// Returns whether nothing was found.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the findings that are listed.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    fn into_lines(mut self) -> Vec<String> {
        if self.count > self.lines.len() {
            self.lines.push(format!("and {} more", self.count - self.lines.len()));
        }
        self.lines
    }
}

impl<T: Into<String>> FromIterator<T> for Findings {
    fn from_iter<I: IntoIterator<Item = T>>(lines: I) -> Self {
        let mut findings = Self::default();
        lines.into_iter().for_each(|line| findings.add(line));
        findings
    }
}
