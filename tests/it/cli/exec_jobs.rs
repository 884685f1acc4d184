//! `sealroom exec` as a job: stops, new values, what it leaves behind.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use super::exec::Stage;
use crate::support::{binary::secret_file, pty::Typing};

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A value that nothing else holds.
const CANARY: &str = "canary-example-9f3a71";

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} does not happen");
        std::thread::yield_now();
    }
}

#[test]
fn a_command_that_is_stopped_at_its_terminal_goes_on_where_it_was() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": CANARY}), &[]);
    secret_file(
        stage.path(),
        "job",
        "echo begun $GITHUB_TOKEN; read line; echo got $line $GITHUB_TOKEN; exit 6\n",
        0o600,
    );
    let shell = Command::new("bash").arg("--version").output();
    if shell.is_err() {
        eprintln!("skipped: bash is needed");
        return;
    }
    // A shell with job control at a terminal of its own, as a user has it.
    let (master, slave) = crate::support::pty::terminal();
    let mut bash = Command::new("setsid");
    bash.args(["-c", "bash", "--norc", "--noediting", "-i"]).current_dir(stage.path()).env_clear();
    bash.env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", stage.path())
        .env("PS1", "shell> ")
        .env("TERM", "dumb");
    bash.env("SFP_SERVER_URL", &stage.server.url).env("SFP_SERVER_TOKEN_FILE", "owner.token");
    bash.env("SEALROOM", env!("CARGO_BIN_EXE_sealroom"));
    bash.stdin(slave.try_clone().unwrap()).stdout(Stdio::from(slave.try_clone().unwrap()));
    let child = bash.stderr(slave.try_clone().unwrap()).spawn().unwrap();
    let mut typing =
        Typing { child, master, slave: slave.into(), screen: String::new(), out: stage.path().join("out") };
    typing.wait_for("shell> ");
    typing.keys("$SEALROOM exec --all -- sh job\n");
    typing.wait_for("begun ***");
    typing.keys("\x1a");
    typing.wait_for("Stopped");
    typing.keys("echo between; fg\n");
    typing.wait_for("between\r\n");
    typing.keys("hello\n");
    // Keys that are typed before the end are the command's.
    wait_for("the prompt", || {
        typing.read(10);
        typing.screen.split("got hello ***").nth(1).is_some_and(|rest| rest.contains("shell> "))
    });
    typing.keys("echo code $?; exit 0\n");
    typing.wait_for("code 6");
    wait_for("the end of the shell", || {
        typing.read(10);
        typing.child.try_wait().unwrap().is_some()
    });
    assert!(!typing.screen.contains(CANARY), "{}", typing.screen);
}

#[test]
fn a_rotated_value_reaches_a_watched_command_and_neither_value_is_shown() {
    let stage = Stage::start();
    let id = stage.store("github/pat", &json!({"token": "first_example"}), &[]);
    let rotate = |value: &str| {
        secret_file(stage.path(), "next.json", &json!({"token": value}).to_string(), 0o600);
        let end = stage.run(&["integration", "rotate", &id, "--from-json", "next.json"]);
        assert_eq!(end.code, 0, "{}", end.err);
    };
    let script = "trap 'exit 3' TERM; echo now $GITHUB_TOKEN first_example; echo ${#GITHUB_TOKEN} >> seen; while :; do sleep 0.05; done";
    let seen = || fs::read_to_string(stage.path().join("seen")).unwrap_or_default();
    let mut command = stage.command(&["exec", "--all", "--watch", "--every", "1", "--", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first run", || seen() == "13\n");
    rotate("second_example_");
    wait_for("the restart", || seen() == "13\n15\n");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), out.as_str()),
        (Some(3), "now *** ***\nnow *** ***\n"),
        "{err}"
    );
    assert!(err.contains("a credential changed: restarting"), "{err}");
    // SIGHUP instead: the command decides.
    fs::remove_file(stage.path().join("seen")).unwrap();
    let script = "trap 'echo hup $GITHUB_TOKEN; cat next.json; cat next.json >&2; exit 4' HUP; echo begun >> seen; while :; do sleep 0.05; done";
    let words = ["exec", "--all", "--watch", "--every", "1", "--on-change", "HUP", "--", "sh", "-c", script];
    let child = stage.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the run", || seen() == "begun\n");
    rotate("third_example");
    let output = child.wait_with_output().unwrap();
    // A value that came after the start is masked as soon as the command can know it; the one before it still is.
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), out.as_str()), (Some(4), "hup ***\n{\"token\":\"***\"}"));
    assert!(err.contains("{\"token\":\"***\"}") && !err.contains("third_example"), "{err}");
}

/// A value that changed while the old run was still ending was dropped: the next run began with the one before it, and
/// kept it until the next change.
#[test]
fn a_value_rotated_during_a_restart_is_the_one_that_the_next_run_has() {
    let stage = Stage::start();
    let id = stage.store("github/pat", &json!({"token": "first_example"}), &[]);
    let rotate = |value: &str| {
        secret_file(stage.path(), "next.json", &json!({"token": value}).to_string(), 0o600);
        let end = stage.run(&["integration", "rotate", &id, "--from-json", "next.json"]);
        assert_eq!(end.code, 0, "{}", end.err);
    };
    let script = "trap 'echo > stopping; while [ ! -e go ]; do sleep 0.05; done; cat next.json; exit 5' TERM; \
                  echo ${#GITHUB_TOKEN} $GITHUB_TOKEN >> seen; while :; do sleep 0.05; done";
    let seen = || fs::read_to_string(stage.path().join("seen")).unwrap_or_default();
    let mut command = stage.command(&["exec", "--all", "--watch", "--every", "1", "--", "sh", "-c", script]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first run", || seen() == "13 first_example\n");
    rotate("second_example_");
    wait_for("the end of the first run", || stage.path().join("stopping").exists());
    rotate("third_example____");
    // By the second read, what the first one found has been passed on.
    let reads = stage.reads();
    wait_for("two reads", || stage.reads() >= reads + 2);
    fs::write(stage.path().join("go"), "").unwrap();
    wait_for("the second run", || seen().lines().count() == 2);
    assert_eq!(seen(), "13 first_example\n17 third_example____\n");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(5), "{err}");
    assert!(out.contains("***") && !out.contains("third") && !out.contains("second"), "{out}");
}

fn files(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(fs::read(entry.path()).unwrap_or_default());
        }
    }
}

#[test]
fn no_value_is_ever_in_a_process_list_a_file_or_a_core_of_exec() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": CANARY}), &[]);
    fs::remove_file(stage.path().join("new.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = stage.command(&["exec", "--all", "--", "sh", "-c", "echo begun; read line"]);
    command.env("TMPDIR", folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut byte = [0];
    let out = child.stdout.as_mut().unwrap();
    while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {}
    let pid = child.id();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!line.windows(CANARY.len()).any(|at| at == CANARY.as_bytes()), "{:?}", entry.path());
    }
    let mut found = Vec::new();
    files(stage.path(), &mut found);
    files(folder.path(), &mut found);
    assert!(
        found.len() > 2
            && !found.iter().any(|text| text.windows(CANARY.len()).any(|at| at == CANARY.as_bytes()))
    );
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    assert!(!environment.windows(CANARY.len()).any(|at| at == CANARY.as_bytes()), "exec's own environment");
    // Linux writes no core of it, and gives its memory to root alone.
    if cfg!(target_os = "linux") && !rustix::process::getuid().is_root() {
        assert!(fs::File::open(format!("/proc/{pid}/mem")).is_err());
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(fs::metadata(format!("/proc/{pid}/mem")).unwrap().uid(), 0, "its memory is root's");
    }
    drop(child.stdin.take());
    drop(child.wait());
}
