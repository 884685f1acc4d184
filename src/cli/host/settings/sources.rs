//! The source of each setting, and the checks that name it.

use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use crate::cli::{
    error::CliError,
    paths,
    source::{Given, Source},
};

/// The source of each setting. Of the defaults, messages name only the vault file's, since that file may be missing.
pub(super) struct Sources {
    pub(super) given: Given,
    pub(super) file: Option<PathBuf>,
    pub(super) data: Source,
}

impl Sources {
    pub(super) fn of(&self, id: &str, key: &'static str) -> Source {
        self.given.source(id, key, self.file.as_deref())
    }

    /// Returns the source of a setting outside of all tables.
    pub(super) fn of_top(&self, key: &'static str) -> Source {
        self.of(key, key)
    }
}

/// Checks that a value is within these bounds.
pub(super) fn bounded<N: PartialOrd + Display>(
    source: &Source,
    set: N,
    bounds: RangeInclusive<N>,
) -> Result<N, CliError> {
    if bounds.contains(&set) {
        return Ok(set);
    }
    let what = if set < *bounds.start() {
        format!("{set} must be at least {}", bounds.start())
    } else {
        format!("{set} must be at most {}", bounds.end())
    };
    Err(source.refuse(what, "omit it for the default"))
}

pub(super) fn size(source: &Source, set: u32, bounds: RangeInclusive<u32>) -> Result<usize, CliError> {
    let size = bounded(source, set, bounds)?;
    usize::try_from(size).map_err(|_| source.refuse("too large for this host", "omit it for the default"))
}

pub(super) fn check_path(path: Option<&Path>, source: &Source) -> Result<(), CliError> {
    path.map_or(Ok(()), |path| paths::check(path, source))
}
