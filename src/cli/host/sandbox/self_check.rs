//! A check of the sandbox from inside: enters it, and tries what a server has no business with.

use std::{
    collections::BTreeMap,
    error::Error,
    ffi::OsString,
    fs::{self, File},
    net::{TcpListener, TcpStream},
    os::unix::{net::UnixStream, process::CommandExt},
    path::Path,
    process::Command,
    thread,
};

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getppid, getrlimit, set_dumpable_behavior, setrlimit,
    test_kill_process,
};

use super::{
    enter::Sandbox,
    rules::{Outgoing, Rules},
};
use crate::cli::{error::CliError, terminal::output::Output};

/// The first word of the command, which is for tests and in no help.
pub(in crate::cli) const SANDBOX_CHECK: &str = "__sandbox-check";

type Tried = Result<(), Box<dyn Error>>;

/// Enters the sandbox of a vault in `folder`, and prints for each attempt its error, or null if it succeeded.
pub(in crate::cli) fn check_sandbox(words: &[OsString], output: &Output) -> Result<(), CliError> {
    let [folder] = words else { return Err(CliError::usage("one folder", "this command is for tests")) };
    let folder = Path::new(folder);
    let mut rules = Rules::new(Outgoing::Refused);
    rules.write(folder);
    let sandbox = Sandbox::enter(&rules);
    let attempts =
        attempts(folder).into_iter().map(|(name, tried)| (name, tried.err().map(|error| error.to_string())));
    let attempts: BTreeMap<_, _> = attempts.collect();
    let value = serde_json::json!({ "holds": sandbox.holds, "lacks": sandbox.lacks, "attempts": attempts });
    output.result(&value.to_string(), &value)
}

fn attempts(folder: &Path) -> Vec<(&'static str, Tried)> {
    let own = "/proc/self/exe";
    let outside = folder.with_extension("outside");
    let moved = folder.with_extension("moved");
    let in_a_thread = thread::spawn(|| read(Path::new("/")).map_err(|error| error.to_string()));
    vec![
        ("allowed: write in the folder", fs::write(folder.join("inside"), "x").map_err(Into::into)),
        ("allowed: read in the folder", read_file(&folder.join("inside"))),
        ("allowed: read the free memory", read_file(Path::new("/proc/meminfo"))),
        ("execute in place", Err(Command::new(own).arg("--version").exec().into())),
        ("start a program", Command::new(own).arg("--version").status().map(drop).map_err(Into::into)),
        ("read the passwords of the system", read_file(Path::new("/etc/shadow"))),
        ("read the program", read_file(Path::new(own))),
        ("list the root folder", read(Path::new("/"))),
        ("list the root folder in a thread", joined(in_a_thread)),
        ("write outside of the folder", fs::write(&outside, "x").map_err(Into::into)),
        ("move out of the folder", fs::rename(folder.join("inside"), moved).map_err(Into::into)),
        ("read another process", read_file(Path::new("/proc/1/environ"))),
        ("connect", TcpStream::connect("127.0.0.1:9").map(drop).map_err(Into::into)),
        ("listen", TcpListener::bind("127.0.0.1:0").map(drop).map_err(Into::into)),
        ("connect to a local socket", UnixStream::connect("/run/none").map(drop).map_err(Into::into)),
        ("signal another process", signal()),
        ("become dumpable", set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(Into::into)),
        ("leave cores again", leave_cores()),
    ]
}

fn read_file(path: &Path) -> Tried {
    File::open(path)?;
    Ok(())
}

fn read(folder: &Path) -> Tried {
    fs::read_dir(folder)?;
    Ok(())
}

fn joined(thread: thread::JoinHandle<Result<(), String>>) -> Tried {
    thread.join().map_err(|_| "it panicked")?.map_err(Into::into)
}

fn signal() -> Tried {
    test_kill_process(getppid().ok_or("there is none")?)?;
    Ok(())
}

fn leave_cores() -> Tried {
    setrlimit(Resource::Core, Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) })?;
    match getrlimit(Resource::Core).current {
        Some(0) => Err("the limit is still 0".into()),
        _ => Ok(()),
    }
}
