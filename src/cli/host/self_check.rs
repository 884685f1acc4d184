//! `sealroom self-check`: what an operator runs on a new host before `init`.

mod folder;
mod host;

use std::path::{Path, PathBuf};

use self::{folder::folder_checks, host::host_checks};
use super::check_report::{Subject, report};
use crate::{
    cli::{error::CliError, terminal::output::Output},
    config::default,
    crypto::{
        known_answers::{KNOWN_ANSWERS, random_source_works},
        may_be_swapped,
    },
    storage::{Check, Status},
};

/// `self-check`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The vault file, which need not exist: its folder is checked.
    #[arg(long, env = "SEALROOM_DATA", default_value = default::DATA, value_name = "FILE")]
    data: PathBuf,
    /// Exit with 1 on a warning too.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let parent = args.data.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let mut checks = primitives();
    checks.extend(host_checks(&args.data));
    checks.extend(folder_checks(folder));
    let subject = Subject {
        kind: "folder",
        name: folder.display().to_string(),
        hint: "each line that begins with `failed` says what to do; run it again before `sealroom init`",
    };
    report(&subject, &checks, args.strict, None, output)
}

/// Computes every known answer, and draws from the random source.
fn primitives() -> Vec<Check> {
    let wrong = "this processor or this build computes wrongly, store nothing with it";
    let mut checks: Vec<Check> = KNOWN_ANSWERS
        .iter()
        .map(|answer| {
            let wrong = format!("another result than {}: {wrong}", answer.source);
            outcome(answer.name, answer.holds(), answer.source, Status::Failed, wrong)
        })
        .collect();
    checks.push(outcome(
        "random source",
        random_source_works(),
        "the system gives random bytes",
        Status::Failed,
        "the system gives none: let this process use getrandom(2) or /dev/urandom",
    ));
    // The known answers made keys of every kind.
    checks.push(outcome(
        "locked memory",
        !may_be_swapped(),
        "the pages of keys stay out of swap",
        Status::Warning,
        "keys may be swapped: raise LimitMEMLOCK= (ulimit -l), or turn swap off",
    ));
    checks
}

fn outcome(name: &str, is_well: bool, good: &str, status: Status, bad: impl Into<String>) -> Check {
    if is_well { Check::new(name, Status::Ok, good) } else { Check::new(name, status, bad) }
}
