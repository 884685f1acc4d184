//! `sealroom exec`: real programs get credentials, and nothing else does.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{
    binary::{Serving, command, ended, secret_file, stderr},
    pty::Typing,
};

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stage {
    pub folder: tempfile::TempDir,
    pub server: Serving,
}

/// The output of a command, and its exit code.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Stage {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
        let said: Value = serde_json::from_str(&server.said).unwrap();
        secret_file(folder.path(), "owner.token", said["owner_token"].as_str().unwrap(), 0o600);
        secret_file(folder.path(), "app.token", said["application_token"].as_str().unwrap(), 0o600);
        Self { folder, server }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.path(), args);
        command.env("SFP_SERVER_URL", &self.server.url).env("SFP_SERVER_TOKEN_FILE", "owner.token");
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.path()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        self.end(self.command(args))
    }

    pub fn end(&self, mut command: Command) -> Ended {
        let output = ended(command.stdout(Stdio::piped()));
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        Ended { code: output.status.code().unwrap_or(-1), out, err: stderr(&output) }
    }

    /// Stores a credential; returns its id.
    pub fn store(&self, pair: &str, fields: &Value, args: &[&str]) -> String {
        secret_file(self.path(), "new.json", &fields.to_string(), 0o600);
        let made = self.run(
            &[&["integration", "add", pair, "--global", "--from-json", "new.json", "--json"], args].concat(),
        );
        assert_eq!(made.code, 0, "{}", made.err);
        serde_json::from_str::<Value>(&made.out).unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub fn exec(&self, args: &[&str], script: &str) -> Ended {
        self.run(&[&["exec"], args, &["--", "sh", "-c", script]].concat())
    }

    /// Counts disclosures.
    pub fn reads(&self) -> usize {
        let said = self.run(&["audit", "list", "--action", "credentials.read", "--limit", "1000", "--json"]);
        serde_json::from_str::<Value>(&said.out).unwrap().as_array().unwrap().len()
    }
}

/// A value that no other text holds, with what each encoding changes.
const CANARY: &str = "canary/ex+ample\"1&2'é x";

#[test]
fn no_form_of_a_value_is_ever_shown_whatever_prints_it() {
    let stage = Stage::start();
    let key = "-----BEGIN EXAMPLE-----\nQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpBQkNERUZHSElKS0xNTk9QUVJTVFVW\nd3h5eg==\n-----END EXAMPLE-----\n";
    stage.store("custom/api_key", &json!({"value": CANARY}), &["--name", "canary"]);
    stage.store("custom/api_key", &json!({"value": key}), &["--name", "key"]);
    stage.store("custom/api_key", &json!({"url": "postgres://app:pg%40example@db/app"}), &["--name", "db"]);
    let account =
        json!({"type": "service_account", "private_key": "-----BEGIN\nc2VydmljZSBhY2NvdW50\n"}).to_string();
    stage.store("custom/api_key", &json!({"value": account}), &["--name", "account"]);
    let all = ["--all"];
    let same = stage.exec(&all, "test ${#CANARY} -ge 20 && test \"$DB_URL\" && printf %s \"$KEY\" | wc -l");
    assert_eq!((same.code, same.out.trim()), (0, "4"), "{}", same.err);
    for (script, shown) in [
        ("echo \"a $CANARY z\"", "a *** z\n"),
        ("echo \"a $CANARY z\" >&2", ""),
        ("printf '%s' \"$CANARY\" | base64 -w0", "***"),
        ("printf 'user:%s' \"$CANARY\" | base64 -w0", "dXNlcjp***"),
        ("printf 'us:%s!' \"$CANARY\" | base64 -w0", "dXM6***"),
        ("printf '%s' \"$CANARY$CANARY\"", "***"),
        (
            "i=0; while [ $i -lt ${#CANARY} ]; do printf '%s' \"$CANARY\" | cut -z -c$((i+1)) | tr -d '\\0'; i=$((i+1)); done",
            "",
        ),
        ("printf '%s' \"$KEY\"", "***"),
        ("printf '%s' \"$KEY\" | sed 's/^/> /'", "> ***\n> ***\n> ***\n> ***\n"),
        ("printf '%s' \"$KEY\" | base64", "***\n***\n***\n"),
        ("printf '%s' \"$KEY\" | base64 -w64", "***\n***\n***\n"),
        ("echo \"$DB_URL\"; echo pg%40example pg@example", "***\n*** ***\n"),
        ("env | grep CANARY", "CANARY=***\n"),
        ("printf '%b' \"$ACCOUNT\" | grep ':\\|c2'", "{\"private_key\":\"***"),
        ("sh -xc 'true \"$CANARY\"'", ""),
    ] {
        let end = stage.exec(&all, script);
        let said = format!("{}{}", end.out, end.err);
        for part in [
            CANARY,
            "canary/ex",
            "canary%2F",
            "QUJDREVG",
            "pg%40",
            "pg@",
            "Y2FuYXJ5",
            "LS0tLS1CRUdJTi",
            "c2Vydm",
        ] {
            assert!(!said.contains(part), "{script}: {part} in {said}");
        }
        let masks = end.out.replace("******", "***").replace("******", "***");
        assert!(shown.is_empty() || masks.starts_with(shown), "{script}: {masks:?}");
        assert_eq!(end.code, 0, "{script}: {}", end.err);
    }
    if Command::new("python3").arg("-V").output().is_ok() {
        let script = "python3 -c 'import json, os, urllib.parse as u; v = os.environ[\"CANARY\"]; print(json.dumps(v), json.dumps(v, ensure_ascii=False), u.quote(v), u.quote(v, safe=\"\"), u.quote_plus(v), repr([v]))'";
        let end = stage.exec(&all, script);
        assert!(!end.out.contains("ample"), "{}", end.out);
        assert!(end.out.starts_with("\"***\" \"***\" *** *** *** "), "{}", end.out);
    }
}

#[test]
fn a_command_ends_as_it_would_alone() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    secret_file(stage.path(), "plain", "not a program", 0o644);
    let provider = ["--provider", "github"];
    for (script, code) in
        [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        assert_eq!(stage.exec(&provider, script).code, code, "{script}");
    }
    let reads = stage.reads();
    for (words, code, said) in [
        (&["exec", "--all", "--", "no-such-command"][..], 127, "no-such-command cannot be run: not found"),
        (&["exec", "--all", "--", "./none"], 127, "not found"),
        (&["exec", "--all", "--", ""], 127, "not found"),
        (&["exec", "--all", "--", "./plain"], 126, "./plain cannot be run: permission denied"),
        (&["exec", "--all", "--", "/"], 126, "permission denied"),
        (&["exec", "--", "true"], 2, "no credentials selected"),
        (&["exec", "--all"], 2, "CMD"),
    ] {
        let end = stage.run(words);
        assert_eq!(end.code, code, "{words:?}: {}", end.err);
        assert!(end.err.to_lowercase().contains(&said.to_lowercase()), "{words:?}: {}", end.err);
    }
    assert_eq!(stage.reads(), reads, "a command that cannot run costs no disclosure");
}

#[test]
fn a_command_never_starts_without_its_credentials() {
    let stage = Stage::start();
    stage.store("custom/api_key", &json!({"value": "a\u{0}b_example"}), &["--name", "nul"]);
    stage.store("custom/api_key", &json!({"preload": "x_example"}), &["--name", "ld"]);
    stage.store("github/pat", &json!({"token": "one_example"}), &[]);
    stage.store("github/pat", &json!({"token": "two_example"}), &[]);
    let gone = "http://127.0.0.1:1";
    assert_eq!(stage.run(&["token", "create", "ci", "--write-to", "ci.token"]).code, 0);
    assert_eq!(stage.run(&["token", "revoke", "ci", "--yes"]).code, 0);
    for (args, said) in [
        (&["--project", "acme/none"][..], "project 'acme/none' not found"),
        (&["--provider", "jira", "--all"], "no integration found"),
        (&["--provider", "github"], "two values for GITHUB_TOKEN"),
        (&["--name", "nul"], "a NUL in it"),
        (&["--name", "ld"], "LD_PRELOAD, a variable that changes how programs run"),
        (&["--provider", "github", "--env", "X=gitlab.token"], "matches no disclosed field"),
        (&["--all", "--server", gone, "--connect-wait-secs", "0"], "127.0.0.1:1"),
        (&["--all", "--token-file", "none.token"], "none.token"),
        (&["--all", "--token-file", "ci.token"], "ci.token"),
    ] {
        let end = stage.exec(args, "touch started");
        assert_eq!(end.code, 1, "{args:?}: {}", end.err);
        assert!(end.err.contains(said), "{args:?}: {}", end.err);
        assert!(!stage.path().join("started").exists(), "{args:?}");
        assert!(!end.err.contains("_example"), "{}", end.err);
    }
    let given = stage.exec(&["--name", "ld", "--env", "LD_X=ld.preload"], "echo ${#LD_X}");
    assert_eq!((given.code, given.out.as_str()), (0, "9\n"), "{}", given.err);
}

#[test]
fn a_short_or_empty_value_is_passed_on_and_said_not_to_be_masked() {
    let letter = |n: u64| char::from(b'a' + u8::try_from(((n * n * 2_654_435_761) >> 7) % 26).unwrap());
    let long: String = (0..60_000).map(letter).collect();
    let stage = Stage::start();
    stage.store(
        "custom/api_key",
        &json!({"pin": "abc", "none": "", "user": "al", "long": long}),
        &["--name", "s"],
    );
    let end = stage.exec(&["--name", "s"], "echo abc $S_PIN ${#S_LONG} [$S_NONE]; echo $S_LONG");
    assert_eq!((end.code, end.out.as_str()), (0, "abc abc 60000 []\n***\n"), "{}", end.err);
    assert!(end.err.contains("S_PIN is not masked") && !end.err.contains("S_USER"), "{}", end.err);
    assert_eq!(end.err.matches("is not masked").count(), 1, "{}", end.err);
}

/// A command that runs, and the first line that it printed.
fn begun(mut command: Command) -> (Child, std::process::ChildStdout) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut byte = [0];
    while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {}
    (child, out)
}

fn wait(child: &mut Child) -> i32 {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_signal_reaches_the_command_which_decides() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    for (signal, name, code) in [
        (Signal::TERM, "TERM", 7),
        (Signal::INT, "INT", 7),
        (Signal::HUP, "HUP", 7),
        (Signal::USR1, "USR1", 7),
        (Signal::QUIT, "QUIT", 7),
        (Signal::WINCH, "WINCH", 7),
    ] {
        let script =
            format!("trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.05; done");
        let (mut child, mut out) = begun(stage.command(&["exec", "--all", "--", "sh", "-c", &script]));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), wait(&mut child)), (format!("got {name}\n").as_str(), code));
    }
    let (mut child, _out) =
        begun(stage.command(&["exec", "--all", "--", "sh", "-c", "echo ready; exec sleep 60"]));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(wait(&mut child), 143);
    // A signal that was ignored before stays ignored.
    let script = "trap '' HUP; exec \"$0\" exec --all -- sh -c 'kill -HUP $$; echo alive'";
    let mut nohup = stage.command(&[]);
    let mut sh = Command::new("sh");
    sh.args(["-c", script, env!("CARGO_BIN_EXE_sealroom")]).current_dir(stage.path()).env_clear();
    sh.envs(nohup.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    nohup = sh;
    let end = stage.end(nohup);
    assert_eq!((end.code, end.out.as_str()), (0, "alive\n"), "{}", end.err);
}

#[test]
fn a_process_left_behind_never_keeps_the_command_from_ending() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    let began = Instant::now();
    let end = stage.exec(&["--all"], "sleep 60 & echo $GITHUB_TOKEN; echo $! > left");
    assert_eq!((end.code, end.out.as_str()), (0, "***\n"), "{}", end.err);
    assert!(began.elapsed() < PATIENCE);
    let left = fs::read_to_string(stage.path().join("left")).unwrap();
    let pid = Pid::from_raw(left.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// The command writes into a pipe, which takes what the disk behind it does not.
#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_fails_the_command_as_it_would_alone() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |script: &str| {
        let mut command = stage.command(&["exec", "--all", "--", "sh", "-c", script]);
        command.stderr(Stdio::piped());
        command
    };
    for (script, code, said) in [
        ("echo dumped", 1, "the command itself ended with exit code 0"),
        ("echo dumped; exit 3", 3, "could not be written"),
        ("true", 0, ""),
    ] {
        let end = ended(run(script).stdout(full()));
        let err = stderr(&end);
        assert_eq!(end.status.code(), Some(code), "{script}: {err}");
        assert!(err.contains(said) && (said.is_empty() != err.contains("could not be")), "{script}: {err}");
    }
    assert_eq!(ended(run("echo said >&2").stdout(Stdio::null()).stderr(full())).status.code(), Some(0));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = ended(run("echo dumped").stdout(writer));
    assert!(gone.status.success() && !stderr(&gone).contains("could not be"), "{}", stderr(&gone));
}

/// A program that shares the pipe may have made it non-blocking; a full pipe was then taken for a closed one.
#[test]
fn a_slow_reader_of_a_pipe_that_does_not_block_gets_every_line() {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let stage = Stage::start();
    let long = "x".repeat(60_000);
    for name in ["one", "two", "three", "four"] {
        stage.store("custom/api_key", &json!({"value": long}), &["--name", name]);
    }
    let count = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo \"last\"";
    for (args, bytes, last) in [
        (["exec", "--all", "--", "sh", "-c", count].as_slice(), 200_000, "last\n"),
        (&["credentials", "--all", "--format", "env"], 240_000, "x'\n"),
    ] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        fcntl_setfl(&writer, fcntl_getfl(&writer).unwrap() | OFlags::NONBLOCK).unwrap();
        let mut command = stage.command(args);
        let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().unwrap();
        drop(command);
        // The pipe is full before anything is read.
        let filled = Instant::now();
        while rustix::io::ioctl_fionread(&reader).unwrap() < 60_000 {
            assert!(filled.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "{args:?}");
            std::thread::yield_now();
        }
        let mut out = String::new();
        reader.read_to_string(&mut out).unwrap();
        assert_eq!(wait(&mut child), 0, "{args:?}");
        assert!(out.len() > bytes && out.ends_with(last), "{args:?}: {}", out.len());
    }
}

#[test]
fn a_terminal_stays_a_terminal() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && echo is $GITHUB_TOKEN; printf 'name? '; read name; echo hello $name; exit 5";
    let words = ["exec", "--all", "--", "sh", "-c", script];
    let path = [("PATH", "/usr/bin:/bin")];
    let mut typing = Typing::open(stage.path(), &stage.server.url, &words, Some(97), &path);
    typing.wait_for("name? ");
    typing.keys("ghost\n");
    assert_eq!(typing.end(), 5, "{}", typing.screen);
    let screen = typing.screen.replace('\r', "");
    assert!(screen.contains("40 97\nis ***\nname? ghost\nhello ghost\n"), "{screen}");
    // Ctrl-C is the program's own, and so is what it makes of it.
    let script = "trap 'echo stopped; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let words = ["exec", "--all", "--", "sh", "-c", script];
    let mut typing = Typing::open(stage.path(), &stage.server.url, &words, Some(80), &path);
    typing.wait_for("ready");
    typing.keys("\x03");
    assert_eq!(typing.end(), 9, "{}", typing.screen);
    let words = ["exec", "--all", "--", "sh", "-c", "echo $GITHUB_TOKEN | cut -c1-3; kill -SEGV $$"];
    let mut typing = Typing::open(stage.path(), &stage.server.url, &words, Some(80), &path);
    assert_eq!(typing.end(), 139, "{}", typing.screen);
}

#[test]
fn a_size_that_changes_reaches_the_command() {
    use rustix::termios::{Winsize, tcsetwinsize};
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    let script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let words = ["exec", "--all", "--", "sh", "-c", script];
    let path = [("PATH", "/usr/bin:/bin")];
    let mut typing = Typing::open(stage.path(), &stage.server.url, &words, Some(80), &path);
    typing.wait_for("ready");
    let size = Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&typing.slave, size).unwrap();
    // The test's terminal is no session of the command, so that the kernel tells nobody.
    kill_process(Pid::from_child(&typing.child), Signal::WINCH).unwrap();
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(typing.screen.contains("33 99"), "{}", typing.screen);
}
