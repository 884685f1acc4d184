//! `sealroom exec`: a program with credentials in its environment, and a mask over its output.
//!
//! ```text
//! find the program → read the credentials → name them → run it ─ stdout, stderr → mask → ours
//!                                                            └ its end: our exit code
//! ```
//!
//! Nothing is written to a disk. The values are in the program's environment and, as long as it runs, in the mask.

mod child;
mod ending;
mod forms;
mod mask;
mod memory;
mod monitor;
mod pump;
mod reading;
mod signals;
mod supervise;
mod watch;

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use rustix::fs::{Access, access};

use super::{
    credentials::{Assignment, Variable},
    remote::ServerArgs,
    selection::Selection,
    token_source::tokens_of_environment,
};
use crate::cli::{error::CliError, terminal::output::Output};
use reading::{PREVENTED, Reading};
use supervise::{OnChange, Supervised};

pub(in crate::cli) use monitor::{PROGRAM_WORD as PROGRAM, WORD as MONITOR, become_program, run as monitor};

/// Examples in the help.
pub(super) const EXAMPLES: &str = "\
Secret values become *** in the command's output, in raw, URL-encoded, base64 and JSON form, line by line; values \
of fewer than 4 bytes do not. The command's exit code is returned: 128+n for signal n, 127 if it is not found, 126 if \
it cannot be executed, and 1 if there is no credential: then it was not started.

Examples:
  sealroom exec --project acme/app -- ./deploy.sh
  sealroom exec --project acme/app --provider github --env GH_TOKEN=github.token -- gh pr list
  sealroom exec --project acme/app --watch --on-change HUP -- ./server";
/// Search path where PATH is not set, as the C library has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// `exec`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Name a field yourself, such as `GH_TOKEN=github.token`; ID.FIELD selects too, and NAME.FIELD for `custom`.
    #[arg(long, value_name = "NAME=SELECTOR")]
    env: Vec<Assignment>,
    /// Read the credentials again from time to time, and act when one has changed.
    #[arg(long)]
    watch: bool,
    /// Reaction to a change: restart the command with the new values, or send it SIGHUP.
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        default_value = "restart",
        requires = "watch",
        value_name = "ACTION"
    )]
    on_change: OnChange,
    /// Seconds between two reads, which bound the delay; each read is a recorded disclosure.
    #[arg(long, default_value_t = 60, requires = "watch", value_name = "SECS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    #[command(flatten)]
    server: ServerArgs,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the command, and returns its exit code.
pub(super) fn run(args: Args, output: Output) -> Result<ExitCode, CliError> {
    if !args.selection.is_given() {
        return Err(CliError::usage(
            "no credentials selected",
            "pass --project PROJECT, --provider PROVIDER or --name NAME, or --all for every one",
        ));
    }
    // Before anything is disclosed for it.
    find(&args.command[0])?;
    let has_projects = args.selection.has_projects();
    let filter = args.selection.into_filter();
    let reading = Reading { server: args.server, filter, env: args.env, has_projects };
    let variables = reading.read_first(output)?;
    check(&variables, output)?;
    memory::leave_no_core();
    let (to, events) = Supervised::events()?;
    if args.watch {
        let known = variables.iter().map(Variable::copied).collect();
        watch::begin(reading, known, Duration::from_secs(args.every), to, output);
    }
    let masked = tokens_of_environment();
    let supervised = Supervised { words: args.command, on_change: args.on_change, output, masked };
    supervised.run(variables, &events).map(ExitCode::from)
}

/// Refuses a value that no environment holds, and says which values are too short for a mask.
fn check(variables: &[Variable], output: Output) -> Result<(), CliError> {
    for variable in variables {
        if variable.value.contains('\0') {
            return Err(CliError::failed(
                format!("an environment cannot carry {}: it has a NUL in it", variable.origin()),
                format!("{PREVENTED}; read the value with `sealroom credentials --field`"),
            ));
        }
    }
    let secret = variables.iter().filter(|variable| variable.is_secret());
    secret.filter_map(Variable::unmaskable).for_each(|reason| output.warning(&reason));
    Ok(())
}

/// Fails if there is no such program.
fn find(program: &OsStr) -> Result<(), CliError> {
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let places: Vec<PathBuf> = if program.as_encoded_bytes().contains(&b'/') {
        vec![PathBuf::from(program)]
    } else {
        env::split_paths(&path).map(|folder| folder.join(program)).collect()
    };
    let is_program = |place: &&PathBuf| place.is_file() && access(place.as_path(), Access::EXEC_OK).is_ok();
    if !program.is_empty() && places.iter().any(|place| is_program(&place)) {
        return Ok(());
    }
    let kind = if !program.is_empty() && places.iter().any(|place| Path::new(place).exists()) {
        io::ErrorKind::PermissionDenied
    } else {
        io::ErrorKind::NotFound
    };
    Err(ending::unstarted(&program.to_string_lossy(), &kind.into()))
}
