//! The modes of the sockets, as the kernel sees the calls that make them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::support::binary::{Serving, command, vault};

/// Serves under a tracer with a umask that takes nothing away; returns the calls, `None` if nothing traces them here.
fn traced(folder: &Path, args: &[&str], sockets: &[&str]) -> Option<Vec<String>> {
    Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let own = command(folder, args);
    let mut wide = Command::new("sh");
    wide.args(["-c", r#"umask 0; exec "$@""#, "sh", "strace", "-D", "-f", "-qq", "-o", "calls", "-e"]);
    wide.arg("trace=umask,bind,chmod,fchmod,fchmodat,listen,exit_group").args(["-e", "signal=none"]);
    wide.arg(own.get_program()).args(own.get_args()).current_dir(folder).env("USER", "tester");
    wide.env("HOME", folder).stdin(Stdio::null());
    let mut server = Serving::spawn(wide, folder);
    if server.said.is_empty() {
        return None;
    }
    for socket in sockets {
        let mode = fs::metadata(folder.join(socket)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{socket}");
    }
    assert!(server.stop());
    // The tracer is a process of its own, and ends after the server.
    for _ in 0..1_000 {
        let calls = fs::read_to_string(folder.join("calls")).unwrap_or_default();
        if calls.contains("exit_group(") {
            return Some(calls.lines().map(str::to_owned).collect());
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("the tracer wrote no end");
}

/// Between a bind and a chmod anybody on the host could connect, and a connection that is made stays.
#[test]
fn no_socket_is_open_to_other_users_for_a_moment() {
    let (vault, other) = (vault(), tempfile::tempdir().unwrap());
    let serve =
        ["serve", "--json", "--data", "v.redb", "--listen", "unix:s.sock", "--passphrase-file", "pass"];
    let dev = ["serve", "--dev", "--json", "--listen", "unix:dev.sock"];
    for (folder, args, own) in [
        (vault.path(), &serve[..], &["s.sock", "v.redb.sock"][..]),
        // Again, where the socket of a killed server is in the way.
        (vault.path(), &serve[..], &["s.sock", "v.redb.sock"][..]),
        (other.path(), &dev[..], &["dev.sock"][..]),
    ] {
        let Some(calls) = traced(folder, args, own) else {
            println!("no strace, or it may not trace here: the modes of sockets are not checked");
            return;
        };
        for name in own {
            let bound = |line: &String| {
                line.contains("bind(") && line.contains("AF_UNIX") && line.contains(&format!("{name}\""))
            };
            let at = calls.iter().position(bound).unwrap_or_else(|| panic!("{name}: {calls:#?}"));
            let process = calls[at].split_whitespace().next().unwrap();
            let mut before = calls[..at].iter().rev().filter(|line| line.starts_with(process));
            let umask = before.find(|line| line.contains("umask(")).map_or("", String::as_str);
            assert!(umask.contains("umask(0177)"), "{name} is made for everybody: {:#?}", &calls[..=at]);
        }
        drop(std::os::unix::net::UnixListener::bind(folder.join("s.sock")).unwrap());
    }
}
