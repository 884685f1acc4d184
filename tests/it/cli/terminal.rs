//! Prompts at a real pseudo-terminal: no echo, Ctrl-C, signals, pastes of several lines, and consent before a loss.

use std::{fs, path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{
    binary::{Serving, command, secret_file},
    github::keys,
    pty::{Typing, terminal},
};

pub fn stage() -> (tempfile::TempDir, Serving) {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&server.said).unwrap();
    secret_file(folder.path(), "owner.token", said["owner_token"].as_str().unwrap(), 0o600);
    secret_file(folder.path(), "password", said["owner_password"].as_str().unwrap(), 0o600);
    (folder, server)
}

/// Returns the stored credentials as a script sees them.
pub fn stored(folder: &Path, server: &Serving, args: &[&str]) -> Value {
    let output = command(folder, args)
        .env("SFP_SERVER_URL", &server.url)
        .env("SFP_SERVER_TOKEN_FILE", "owner.token")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// Begins `integration add PAIR --global` at a terminal.
fn adding(folder: &tempfile::TempDir, server: &Serving, pair: &str) -> Typing {
    Typing::start(folder.path(), &server.url, &["integration", "add", pair, "--global"])
}

pub const ALL: &[&str] = &["credentials", "--all", "--json"];

#[test]
fn the_fields_of_a_pair_are_asked_for_and_secret_ones_are_not_shown() {
    let (folder, server) = stage();
    let mut typing = adding(&folder, &server, "jira/basic_auth");
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
fn a_project_that_is_not_there_costs_nobody_a_secret() {
    let (folder, server) = stage();
    let add = ["integration", "add", "github/pat", "--project", "acme/none"];
    let mut typing = Typing::start(folder.path(), &server.url, &add);
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    assert!(!typing.screen.contains("token: ") && typing.screen.contains("not found"), "{}", typing.screen);
}

#[test]
fn no_word_of_a_table_is_broken_in_two() {
    let (folder, server) = stage();
    secret_file(folder.path(), "jira.json", r#"{"base_url":"x","username":"x","api_token":"x"}"#, 0o600);
    let add = [
        "integration",
        "add",
        "jira/basic_auth",
        "--global",
        "--name",
        "jira bot",
        "--from-json",
        "jira.json",
        "--json",
    ];
    stored(folder.path(), &server, &add);
    let url = "https://github.com/acme/an-application-with-a-long-name";
    stored(folder.path(), &server, &["project", "register", "acme/app", url, "--json"]);
    for width in (60..110).step_by(3) {
        for command in ["integration", "token", "user", "project"] {
            let screen =
                Typing::wide(folder.path(), &server.url, &[command, "list"], width, &[("NO_COLOR", "1")]);
            let rows = screen.lines().filter(|line| !line.starts_with("not shown: "));
            let wide = usize::from(width);
            assert!(rows.clone().all(|line| line.len() <= wide), "{width}: {screen}");
            let (heading, whole) = match command {
                "integration" => ("TYPE", "jira/basic_auth"),
                "token" => ("ROLE", "application"),
                "project" => ("URL", url),
                _ => ("EMAIL", "member@example.com"),
            };
            let shown = screen.lines().next().unwrap().contains(heading);
            assert!(!shown || screen.contains(whole), "{width}: {screen}");
        }
    }
}

#[test]
fn ctrl_c_at_a_prompt_gives_the_echo_back_and_stores_nothing() {
    let (folder, server) = stage();
    let mut typing = adding(&folder, &server, "github/pat");
    typing.prompted("token: ");
    typing.keys("ghp_exam\x03");
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    assert!(typing.screen.contains("interrupted") && typing.screen.contains("nothing was changed"));
    assert!(!typing.screen.contains("ghp_exam"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
    let mut typing = adding(&folder, &server, "github/pat");
    typing.prompted("token: ");
    typing.keys("\x04");
    assert_eq!(typing.end(), 1, "{}", typing.screen);
}

/// A command that was killed while it asked left a terminal that showed nothing of what was typed at it.
#[test]
fn a_signal_at_a_prompt_gives_the_echo_back_and_stores_nothing() {
    let (folder, server) = stage();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let mut typing = adding(&folder, &server, "github/pat");
        typing.prompted("token: ");
        typing.keys("ghp_exam");
        kill_process(Pid::from_child(&typing.child), signal).unwrap();
        assert_eq!(typing.end(), 1, "{signal:?}: {}", typing.screen);
        assert!(typing.screen.contains("error:") && typing.screen.contains("hint:"), "{}", typing.screen);
        assert!(
            typing.screen.contains("interrupted") && !typing.screen.contains("ghp_"),
            "{}",
            typing.screen
        );
        assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
    }
}

/// Once somebody was asked the handlers stay: they must not make a command deaf.
#[test]
fn after_a_prompt_a_signal_ends_a_command_as_it_always_did() {
    use std::os::unix::process::ExitStatusExt;
    let (folder, _server) = stage();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let mut typing =
            Typing::start(folder.path(), &url, &["integration", "add", "github/pat", "--global"]);
        typing.prompted("token: ");
        typing.keys("ghp_example\n");
        let (_connection, _) = silent.accept().unwrap();
        kill_process(Pid::from_child(&typing.child), signal).unwrap();
        assert_eq!(typing.end(), -1, "{}", typing.screen);
        assert_eq!(typing.child.wait().unwrap().signal(), Some(signal.as_raw()));
    }
}

#[test]
fn a_new_passphrase_is_typed_twice_and_a_short_one_is_said_to_be_short() {
    let folder = tempfile::tempdir().unwrap();
    let init =
        ["init", "--data", "n.redb", "--owner-email", "ada@example.com", "--weak-kdf", "--kdf-memory", "64"];
    let begin = || {
        let mut typing = Typing::start(folder.path(), "", &init);
        typing.prompted("New passphrase: ");
        typing
    };
    let mut typing = begin();
    kill_process(Pid::from_child(&typing.child), Signal::TERM).unwrap();
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    let mut typing = begin();
    typing.keys("short\n");
    typing.prompted("New passphrase again: ");
    typing.keys("shirt\n");
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != "stdout" && name != "n.redb.lock").collect();
    assert!(left.is_empty(), "nothing half done: {left:?}");
    let mut typing = begin();
    typing.keys("short\n");
    typing.prompted("New passphrase again: ");
    typing.keys("short\n");
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(typing.screen.contains("short passphrase"), "{}", typing.screen);
    assert!(typing.printed().contains("recovery key") && folder.path().join("n.redb").exists());
}

#[test]
fn a_signal_ends_a_server_that_asks_for_its_passphrase_and_one_that_was_told() {
    let folder = crate::support::binary::vault();
    let serve = ["serve", "--data", "v.redb", "--listen", "127.0.0.1:0"];
    let mut typing = Typing::start(folder.path(), "", &serve);
    typing.prompted("Passphrase: ");
    kill_process(Pid::from_child(&typing.child), Signal::TERM).unwrap();
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    let mut typing = Typing::start(folder.path(), "", &serve);
    typing.prompted("Passphrase: ");
    typing.keys(crate::support::binary::PASSPHRASE);
    let began = std::time::Instant::now();
    while !typing.printed().contains("listening on") {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{}", typing.screen);
        typing.read(50);
    }
    kill_process(Pid::from_child(&typing.child), Signal::TERM).unwrap();
    assert_eq!(typing.end(), 0, "it drains and ends well: {}", typing.screen);
}

#[test]
fn a_paste_of_several_lines_is_neither_shown_nor_stored_nor_left_for_the_shell() {
    let (folder, server) = stage();
    let mut typing = adding(&folder, &server, "github/pat");
    typing.prompted("token: ");
    typing.keys("ghp_example1\nrm -rf example\nghp_example2\n");
    assert_eq!(typing.end(), 1, "{}", typing.screen);
    assert!(typing.screen.contains("several lines were pasted"), "{}", typing.screen);
    assert!(!typing.screen.contains("ghp_example") && !typing.screen.contains("rm -rf"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL), Value::Null);
}

#[test]
fn a_private_key_is_pasted_whole() {
    let Some((key, _)) = keys() else { return };
    let (folder, server) = stage();
    let mut typing = adding(&folder, &server, "github/app");
    typing.prompted("app_id: ");
    typing.keys("12345\n");
    typing.prompted("private_key: ");
    typing.keys(key);
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(!typing.screen.contains("BEGIN") && !typing.screen.contains("MII"), "{}", typing.screen);
    assert_eq!(stored(folder.path(), &server, ALL)[0]["credentials"]["private_key"], *key);
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
        let mut typing = Typing::start(folder.path(), &server.url, &["integration", "delete", "deploy"]);
        typing.prompted("Delete github/pat 'deploy'? [y/N]: ");
        assert!(
            typing.screen.contains("This permanently deletes") && typing.screen.contains("deploy"),
            "{}",
            typing.screen
        );
        typing.keys(answer);
        assert_eq!(typing.end(), code, "{answer:?}: {}", typing.screen);
        if answer != "\x03" && code == 1 {
            // No is an answer, not an error.
            let end = typing.screen.split("[y/N]: ").nth(1).unwrap();
            assert!(end.trim().ends_with("nothing was changed"), "{end}");
            assert!(!end.contains("error:") && !end.contains("hint:"), "{end}");
        }
        let left = stored(folder.path(), &server, &["integration", "list", "--json"]);
        assert_eq!(left.as_array().unwrap().len(), usize::from(code == 1), "{answer:?}");
    }
}

#[test]
fn a_login_asks_for_both_and_new_passwords_are_typed_twice() {
    let (folder, server) = stage();
    let password = fs::read_to_string(folder.path().join("password")).unwrap();
    let mut typing = Typing::start(folder.path(), &server.url, &["login"]);
    typing.prompted("E-mail: ");
    typing.keys("owner@example.com\n");
    typing.prompted("Password: ");
    typing.keys(&format!("{password}\n"));
    assert_eq!(typing.end(), 0, "{}", typing.screen);
    assert!(!typing.screen.contains(&password) && typing.printed().contains("logged in to"));
    assert!(typing.screen.contains("takes precedence over this login"), "{}", typing.screen);
    for (again, code) in [("another one example", 1), ("a new one for example", 0)] {
        let mut typing =
            Typing::start(folder.path(), &server.url, &["user", "password", "member@example.com"]);
        typing.prompted("New password: ");
        typing.keys("a new one for example\n");
        typing.prompted("New password again: ");
        typing.keys(&format!("{again}\n"));
        assert_eq!(typing.end(), code, "{}", typing.screen);
        assert!(!typing.screen.contains("for example"), "{}", typing.screen);
    }
}

#[test]
fn an_error_at_a_terminal_has_colours_unless_nobody_wants_them() {
    let (folder, server) = stage();
    let mut typing = Typing::start(folder.path(), &server.url, &["integration", "show", "none"]);
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
        let screen = Typing::wide(folder.path(), &server.url, &list, width, &[("NO_COLOR", "1")]);
        let rows = screen.lines().filter(|line| !line.starts_with("not shown: "));
        let widest = rows.map(str::len).max().unwrap();
        assert!(widest <= usize::from(width), "{width}: {screen}");
        assert!(screen.contains("LAST READ"), "what is left out is named: {screen}");
        assert_eq!(screen.contains("not shown: "), width < 200, "{screen}");
        assert!(!screen.contains('\x1b'), "{screen}");
    }
    assert!(Typing::wide(folder.path(), &server.url, &list, 200, &[]).starts_with("\x1b[1mID"));
    assert!(!Typing::wide(folder.path(), &server.url, &list, 200, &[("TERM", "dumb")]).contains('\x1b'));
    let shown = Typing::wide(folder.path(), &server.url, &["credentials", "--all"], 80, &[("NO_COLOR", "1")]);
    assert_eq!(
        shown.matches("warning: this screen and its scrollback now show a credential").count(),
        1,
        "{shown}"
    );
    assert!(
        !shown.contains("audit-receipt") && !shown.contains('\x1b'),
        "a credential cannot steer it: {shown}"
    );
    let at =
        |zone| Typing::wide(folder.path(), &server.url, &["integration", "show", name], 200, &[("TZ", zone)]);
    assert!(at("Asia/Tokyo").contains(" JST by") && at("UTC").contains(" UTC by"));
}

/// A `serve` in the background of an interactive shell was stopped by its terminal when it asked for a passphrase, and
/// nothing said so.
#[test]
fn a_server_in_the_background_of_its_shell_starts_locked_and_asks_nothing() {
    let folder = crate::support::binary::vault();
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
