//! The container's files, and the server as the first process of a container: signals, exit codes, its own health check.

use std::{fs, path::Path, process::Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    binary::{PASSPHRASE, Serving, sealroom, secret_file, stderr, vault},
    tls::{certificate, has},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/container");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(name)).unwrap()
}

/// The instructions of the Containerfile, in order, each with its arguments.
fn instructions() -> Vec<(String, String)> {
    let text = read("Containerfile");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned())).unwrap()
        })
        .collect()
}

/// The arguments of the one instruction of that name.
fn instruction(name: &str) -> String {
    let mut found = instructions().into_iter().filter(|(other, _)| other == name);
    let (_, arguments) = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "{name} twice");
    arguments
}

/// The words of an instruction that calls a program itself, without a shell.
fn words(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text} asks for a shell"))
}

/// The variables that the image sets, then those that the compose file adds.
fn variables() -> Vec<(String, String)> {
    let image = instruction("ENV");
    let image = image.split(' ').map(|pair| pair.split_once('=').unwrap());
    let compose = read("compose.yaml");
    let block = compose.split("    environment:\n").nth(1).unwrap();
    let added = block.lines().map_while(|line| line.strip_prefix("      ")?.split_once(": "));
    image.chain(added).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_image_holds_the_binary_and_a_volume_and_no_shell() {
    assert_eq!(instruction("FROM"), "scratch");
    assert_eq!(instruction("USER"), "65532:65532");
    assert_eq!(instruction("VOLUME"), "/data");
    assert_eq!(instruction("STOPSIGNAL"), "SIGTERM");
    assert_eq!(words(&instruction("ENTRYPOINT")), ["/usr/bin/sealroom"]);
    assert_eq!(words(&instruction("CMD")), ["serve"]);
    // Nothing is fetched and nothing runs while the image is made.
    assert!(instructions().iter().all(|(name, _)| !["RUN", "ADD", "ARG", "SHELL"].contains(&name.as_str())));
    let compose = read("compose.yaml");
    for line in ["read_only: true", "user: \"65532:65532\"", "cap_drop: [ALL]"] {
        assert!(compose.contains(line), "{line}");
    }
    let version = format!("image: sealroom:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(compose.contains(&version), "the compose file asks for another version");
}

#[test]
fn the_variables_and_the_health_check_of_the_image_are_those_of_the_program() {
    if !has("openssl") {
        return;
    }
    let folder = vault();
    certificate(folder.path(), "tls");
    fs::copy(folder.path().join("tls.crt"), folder.path().join("ca.pem")).unwrap();
    secret_file(folder.path(), "passphrase", PASSPHRASE, 0o400);
    let here = |value: &str| {
        let value = value.replace("/run/secrets/", "").replace("/data/vault.redb", "v.redb");
        value.replace("0.0.0.0:8443", "127.0.0.1:0")
    };
    let mut serve = crate::support::binary::command(folder.path(), &["serve", "--strict-env"]);
    for (name, value) in variables() {
        // The client's are read by the health check.
        if !["SFP_SERVER_URL", "SEALROOM_CA_FILE"].contains(&name.as_str()) {
            serve.env(name, here(&value));
        }
    }
    let mut server = Serving::spawn(serve, folder.path());
    assert!(server.url.starts_with("https://"), "{}", server.said);

    let check = instruction("HEALTHCHECK");
    let (flags, command) = check.split_once("CMD ").unwrap();
    assert!(flags.contains("--start-period="), "{flags}");
    let command = words(command);
    assert_eq!(command[0], "/usr/bin/sealroom");
    let url = server.url.clone();
    let healthy = || {
        let args: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        let mut probe = crate::support::binary::command(folder.path(), &args);
        probe.env("SFP_SERVER_URL", &url).env("SEALROOM_CA_FILE", "ca.pem").env("HOME", folder.path());
        probe.output().unwrap().status.code()
    };
    assert_eq!(healthy(), Some(0));
    let locked = sealroom(folder.path(), &["lock", "--data", "v.redb"]);
    assert!(locked.status.success(), "{}", stderr(&locked));
    assert_eq!(healthy(), Some(0), "a restart would not unlock it");
    assert!(server.stop());
    assert_eq!(healthy(), Some(1));
}

/// Runs the binary as the first process of a namespace of its own, to which the kernel delivers no signal that the
/// process has not asked for.
fn first(folder: &Path, args: &[&str]) -> Option<Command> {
    let spaces = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    let probe = Command::new("unshare").args(spaces).arg("true").output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("skipped: this host lets nobody make a namespace of processes");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(spaces).arg(env!("CARGO_BIN_EXE_sealroom")).args(args);
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.stdin(std::process::Stdio::null());
    Some(command)
}

/// The process that `unshare` started, by the host's number.
fn inner(server: &Serving) -> Pid {
    let outer = server.child.id();
    let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let pid: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let inside = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    assert_eq!(inside.split_whitespace().last(), Some("1"), "{inside}");
    Pid::from_raw(pid).unwrap()
}

#[test]
fn the_first_process_of_a_container_ends_at_a_stop_and_says_how_it_ended() {
    let folder = vault();
    let serve = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    for signal in [Signal::TERM, Signal::INT] {
        let Some(command) = first(folder.path(), &serve) else { return };
        let mut server = Serving::spawn(command, folder.path());
        let pid = inner(&server);
        // Neither a reload nor a signal without a handler ends it.
        kill_process(pid, Signal::HUP).unwrap();
        kill_process(pid, Signal::USR1).unwrap();
        assert!(server.health().contains("200 OK"));
        kill_process(pid, signal).unwrap();
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal:?}");
    }
    let missing = ["serve", "--data", "missing.redb", "--passphrase-file", "pass"];
    let wrong = ["serve", "--no-such-flag"];
    let probe = ["health", "--live", "--server", "http://127.0.0.1:1"];
    for (args, code) in [(&missing[..], 1), (&wrong, 2), (&probe, 1)] {
        let ended = first(folder.path(), args).unwrap().output().unwrap();
        assert_eq!(ended.status.code(), Some(code), "{args:?}: {}", stderr(&ended));
        assert!(stderr(&ended).starts_with("error: "), "{args:?}: {}", stderr(&ended));
    }
}
