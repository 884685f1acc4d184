//! A host without a network: neither the server nor a command of the host needs one.

use std::{fs, process::Command};

use crate::support::binary::{Serving, ended, sealroom, secret_file, stderr, vault};

/// Runs the program of the arguments that follow in a network namespace that has no interface up, not even loopback.
fn apart() -> Option<Command> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--net"]);
    let mut probe = Command::new("unshare");
    if !probe
        .args(["--user", "--map-root-user", "--net", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("skipped: this host lets nobody make a network namespace");
        return None;
    }
    Some(unshare)
}

#[test]
fn a_server_without_a_network_stores_and_discloses_as_any_other() {
    let folder = vault();
    let Some(mut serve) = apart() else { return };
    serve.current_dir(folder.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    serve.arg(env!("CARGO_BIN_EXE_sealroom"));
    serve.args(["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "unix:api.sock"]);
    let mut server = Serving::spawn(serve, folder.path());
    // The interfaces that the server sees: loopback, which is down, and no other.
    let interfaces = fs::read_to_string(format!("/proc/{}/net/dev", server.child.id())).unwrap();
    assert_eq!(interfaces.lines().filter(|line| line.contains(": ")).count(), 1, "{interfaces}");

    let run = |args: &[&str]| {
        let mut command = crate::support::binary::command(folder.path(), args);
        let output = ended(command.env("HOME", folder.path()).stdout(std::process::Stdio::piped()));
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    secret_file(
        folder.path(),
        "owner.password",
        &fs::read_to_string(folder.path().join("owner")).unwrap(),
        0o600,
    );
    secret_file(folder.path(), "pat.json", r#"{"token":"ghp_example0000000000000000000000000000"}"#, 0o600);
    let login = ["login", "--email", "ada@example.com", "--password-file", "owner.password"];
    run(&[&login[..], &["--server", "unix:api.sock"]].concat());
    run(&["integration", "add", "github/pat", "--global", "--from-json", "pat.json"]);
    assert_eq!(
        run(&["credentials", "--all", "--provider", "github", "--field", "token"]),
        "ghp_example0000000000000000000000000000"
    );
    run(&["backup", "copy.redb"]);
    assert!(server.stop());

    let verified = sealroom(folder.path(), &["audit", "verify", "copy.redb"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}
