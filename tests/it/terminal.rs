//! Prompts at a real pseudo-terminal: no echo, Ctrl-C, pastes of several lines, and consent before a loss.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::Value;

use super::binary::{Serving, command, secret_file};

/// How long a word may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command at a terminal of its own; what it prints on stdout goes to a file.
struct Typing {
    child: Child,
    master: File,
    slave: OwnedFd,
    screen: String,
    out: std::path::PathBuf,
}

impl Typing {
    /// With stdout in a file, so that what is asked and what is printed are told apart.
    fn start(folder: &Path, server: &Serving, args: &[&str]) -> Self {
        Self::open(folder, server, args, None, &[])
    }

    /// With all three streams at a terminal of that width.
    fn wide(folder: &Path, server: &Serving, args: &[&str], width: u16, set: &[(&str, &str)]) -> String {
        let mut typing = Self::open(folder, server, args, Some(width), set);
        assert_eq!(typing.end(), 0, "{}", typing.screen);
        typing.screen.replace('\r', "")
    }

    fn open(
        folder: &Path,
        server: &Serving,
        args: &[&str],
        width: Option<u16>,
        set: &[(&str, &str)],
    ) -> Self {
        let (master, slave) = terminal();
        let out = folder.join("stdout");
        let mut command = command(folder, args);
        command.env("SFP_SERVER_URL", &server.url).env("SFP_SERVER_TOKEN_FILE", "owner.token");
        command.env("HOME", folder).env("TERM", "xterm");
        command.stdin(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
        command.env("TZ", "UTC").envs(set.iter().copied()).stdout(Stdio::from(File::create(&out).unwrap()));
        if let Some(width) = width {
            let size = Winsize { ws_row: 40, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&slave, size).unwrap();
            command.stdout(slave.try_clone().unwrap());
        }
        let child = command.spawn().unwrap();
        Self { child, master, slave: slave.into(), screen: String::new(), out }
    }

    /// Reads the screen until this text is on it.
    fn wait_for(&mut self, text: &str) {
        let began = std::time::Instant::now();
        while !self.screen.contains(text) {
            assert!(began.elapsed() < PATIENCE, "{text} is not on the screen: {:?}", self.screen);
            self.read(100);
        }
    }

    /// Takes what is on its way; whether there was anything.
    fn read(&mut self, millis: i64) -> bool {
        let mut waiting = [PollFd::new(&self.master, PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        if poll(&mut waiting, Some(&time)).unwrap() > 0 {
            let mut bytes = [0; 4096];
            let length = self.master.read(&mut bytes).unwrap_or(0);
            self.screen.push_str(&String::from_utf8_lossy(&bytes[..length]));
            return true;
        }
        false
    }

    /// Waits for a prompt and until the keys are its own: what is typed before that, the terminal itself shows.
    fn prompted(&mut self, text: &str) {
        self.wait_for(text);
        let began = std::time::Instant::now();
        while self.echoes() {
            assert!(began.elapsed() < PATIENCE, "the echo stays on at {text}");
            std::thread::yield_now();
        }
    }

    fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.slave)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// The exit code, once it has ended; the terminal must be as it was, and nothing left in it for a shell to read.
    fn end(&mut self) -> i32 {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        while self.read(50) {}
        assert!(self.echoes(), "the terminal is as it was");
        let mut waiting = [PollFd::new(&self.slave, PollFlags::IN)];
        let left = poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
        assert_eq!(left, 0, "nothing is left for the shell");
        code
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }
}

impl Drop for Typing {
    /// A test that failed leaves no command waiting for keys.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Both ends of a new pseudo-terminal.
fn terminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    // Without NOCTTY a test's own process would take the terminal over, where it has none.
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave = rustix::fs::open(&*name, flags, rustix::fs::Mode::empty()).unwrap();
    (master.into(), slave.into())
}

fn stage() -> (tempfile::TempDir, Serving) {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    secret_file(folder.path(), "owner.token", said["owner_token"].as_str().unwrap(), 0o600);
    secret_file(folder.path(), "password", said["owner_password"].as_str().unwrap(), 0o600);
    (folder, server)
}

/// What is stored, as a script sees it.
fn stored(folder: &Path, server: &Serving, args: &[&str]) -> Value {
    let output = command(folder, args)
        .env("SFP_SERVER_URL", &server.url)
        .env("SFP_SERVER_TOKEN_FILE", "owner.token")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

const ALL: &[&str] = &["credentials", "--all", "--json"];

#[test]
fn the_fields_of_a_pair_are_asked_for_and_secret_ones_are_not_shown() {
    let (folder, server) = stage();
    let mut typing =
        Typing::start(folder.path(), &server, &["integration", "add", "jira/basic_auth", "--global"]);
    typing.prompted("base_url: ");
    typing.keys("https://acme.atlassian.nett\x7f\n");
    typing.prompted("username: ");
    typing.keys("bot@acme.com\x1b[D\n");
    typing.prompted("api_token: ");
    typing.keys("tok_exampel\x7f\x7fle\n");
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(typing.screen.contains("https://acme.atlassian.net") && typing.screen.contains("bot@acme.com"));
    assert!(!typing.screen.contains("tok_exam"), "{}", typing.screen);
    assert!(typing.printed().starts_with("stored jira/basic_auth"), "{}", typing.printed());
    let credentials = &stored(folder.path(), &server, ALL)[0]["credentials"];
    assert_eq!(credentials["api_token"], "tok_example");
    assert_eq!(credentials["base_url"], "https://acme.atlassian.net");
    assert_eq!(credentials["username"], "bot@acme.com");
}

#[test]
fn ctrl_c_at_a_prompt_gives_the_echo_back_and_stores_nothing() {
    let (folder, server) = stage();
    let mut typing = Typing::start(folder.path(), &server, &["integration", "add", "github/pat", "--global"]);
    typing.prompted("token: ");
    typing.keys("ghp_exam\x03");
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    assert!(typing.screen.contains("interrupted") && typing.screen.contains("nothing was changed"));
    assert!(!typing.screen.contains("ghp_exam"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
    let mut typing = Typing::start(folder.path(), &server, &["integration", "add", "github/pat", "--global"]);
    typing.prompted("token: ");
    typing.keys("\x04");
    assert_eq!(typing.end(), 1, "{}", typing.screen);
}

#[test]
fn a_paste_of_several_lines_is_neither_shown_nor_stored_nor_left_for_the_shell() {
    let (folder, server) = stage();
    let mut typing = Typing::start(folder.path(), &server, &["integration", "add", "github/pat", "--global"]);
    typing.prompted("token: ");
    typing.keys("ghp_example1\nrm -rf example\nghp_example2\n");
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    assert!(typing.screen.contains("several lines were pasted"), "{}", typing.screen);
    assert!(!typing.screen.contains("ghp_example") && !typing.screen.contains("rm -rf"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
}

#[test]
fn a_private_key_is_pasted_whole() {
    let (folder, server) = stage();
    let mut typing = Typing::start(folder.path(), &server, &["integration", "add", "github/app", "--global"]);
    typing.prompted("app_id: ");
    typing.keys("12345\n");
    typing.prompted("private_key: ");
    let key = "-----BEGIN PRIVATE KEY-----\nZXhhbXBsZQ==\n-----END PRIVATE KEY-----";
    typing.keys(&format!("{key}\n"));
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(!typing.screen.contains("BEGIN") && !typing.screen.contains("ZXhh"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL)[0]["credentials"]["private_key"], key);
}

#[test]
fn a_delete_shows_what_is_lost_and_takes_only_a_yes() {
    let (folder, server) = stage();
    secret_file(folder.path(), "github.json", r#"{"token":"ghp_example"}"#, 0o600);
    let add = [
        "integration",
        "add",
        "github/pat",
        "--global",
        "--name",
        "deploy",
        "--from-json",
        "github.json",
        "--json",
    ];
    stored(folder.path(), &server, &add);
    for (answer, code) in [("n\n", 1), ("\n", 1), ("\x03", 1), ("y\n", 0)] {
        let mut typing = Typing::start(folder.path(), &server, &["integration", "delete", "deploy"]);
        typing.prompted("Delete github/pat? [y/N]: ");
        assert!(
            typing.screen.contains("Lost for good") && typing.screen.contains("deploy"),
            "{}",
            typing.screen
        );
        typing.keys(answer);
        assert_eq!(typing.end(), code, "{answer:?}: {}", typing.screen);
        let left = stored(folder.path(), &server, &["integration", "list", "--json"]);
        assert_eq!(left.as_array().unwrap().len(), usize::from(code == 1), "{answer:?}");
    }
}

#[test]
fn a_login_asks_for_both_and_new_passwords_are_typed_twice() {
    let (folder, server) = stage();
    let password = fs::read_to_string(folder.path().join("password")).unwrap();
    let mut typing = Typing::start(folder.path(), &server, &["login"]);
    typing.prompted("E-mail: ");
    typing.keys("owner@example.com\n");
    typing.prompted("Password: ");
    typing.keys(&format!("{password}\n"));
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(!typing.screen.contains(&password) && typing.printed().contains("logged in to"));
    assert!(typing.screen.contains("it is used instead of this login"), "{}", typing.screen);
    for (again, code) in [("another one example", 1), ("a new one for example", 0)] {
        let mut typing = Typing::start(folder.path(), &server, &["user", "password", "member@example.com"]);
        typing.prompted("New password: ");
        typing.keys("a new one for example\n");
        typing.prompted("New password once more: ");
        typing.keys(&format!("{again}\n"));
        assert_eq!(typing.end(), code, "{}", typing.screen);
        assert!(!typing.screen.contains("for example"), "{}", typing.screen);
    }
}

#[test]
fn an_error_at_a_terminal_has_colours_unless_nobody_wants_them() {
    let (folder, server) = stage();
    let mut typing = Typing::start(folder.path(), &server, &["integration", "show", "none"]);
    assert_eq!(typing.end(), 1);
    typing.wait_for("\x1b[1;31merror:\x1b[0m no integration");
}

#[test]
fn a_table_fits_its_terminal_and_colours_are_a_terminals_own() {
    let (folder, server) = stage();
    secret_file(folder.path(), "github.json", r#"{"token":"ghp_example\u001b[2J"}"#, 0o600);
    let name = "a name that is rather long for a narrow terminal";
    let add = [
        "integration",
        "add",
        "github/pat",
        "--global",
        "--name",
        name,
        "--from-json",
        "github.json",
        "--json",
    ];
    stored(folder.path(), &server, &add);
    let list = ["integration", "list"];
    for width in [60, 100, 200] {
        let screen = Typing::wide(folder.path(), &server, &list, width, &[("NO_COLOR", "1")]);
        let rows = screen.lines().filter(|line| !line.starts_with("not shown: "));
        let widest = rows.map(str::len).max().unwrap();
        assert!(widest <= usize::from(width), "{width}: {screen}");
        assert!(screen.contains("LAST READ"), "what is left out is named: {screen}");
        assert_eq!(screen.contains("not shown: "), width < 200, "{screen}");
        assert!(!screen.contains('\x1b'), "{screen}");
    }
    assert!(Typing::wide(folder.path(), &server, &list, 200, &[]).starts_with("\x1b[1mID"));
    assert!(!Typing::wide(folder.path(), &server, &list, 200, &[("TERM", "dumb")]).contains('\x1b'));
    let shown = Typing::wide(folder.path(), &server, &["credentials", "--all"], 80, &[("NO_COLOR", "1")]);
    assert_eq!(shown.matches("warning: a credential is on this screen").count(), 1, "{shown}");
    assert!(
        !shown.contains("audit-receipt") && !shown.contains('\x1b'),
        "a credential cannot steer it: {shown}"
    );
    let at =
        |zone| Typing::wide(folder.path(), &server, &["integration", "show", name], 200, &[("TZ", zone)]);
    assert!(at("Asia/Tokyo").contains(" JST by") && at("UTC").contains(" UTC by"));
}

/// A `serve` in the background of an interactive shell was stopped by its terminal when it asked for a passphrase, and
/// nothing said so.
#[test]
fn a_server_in_the_background_of_its_shell_starts_locked_and_asks_nothing() {
    let folder = super::binary::vault();
    let script = "sealroom serve --data v.redb --listen 127.0.0.1:0 > out 2> err &\n\
        for i in $(seq 100); do grep -q listening out && break; sleep 0.1; done\n\
        cat out; kill %1; kill -CONT %1; wait %1; echo ended $?";
    let (master, slave) = terminal();
    let binaries = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap();
    let mut shell = std::process::Command::new("setsid");
    shell.args(["--ctty", "--wait", "bash", "--norc", "-ic", script]).current_dir(folder.path());
    shell.env_clear().env("PATH", format!("{}:/usr/bin:/bin", binaries.display())).env("USER", "tester");
    shell.stdin(slave.try_clone().unwrap());
    shell.stdout(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
    let child = shell.spawn().unwrap();
    let out = folder.path().join("out");
    let mut typing = Typing { child, master, slave: slave.into(), screen: String::new(), out };
    typing.wait_for("ended");
    assert!(typing.screen.contains("listening on") && typing.screen.contains("ended 0"), "{}", typing.screen);
    let said = fs::read_to_string(folder.path().join("err")).unwrap();
    assert!(said.contains("locked: run `sealroom unlock"), "{said}");
}
