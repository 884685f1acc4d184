//! A command that is interrupted while it writes a file: no part of the file stays behind.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::binary::{TOKEN, command, secret_file};

/// A server that begins each answer, never ends it, and lives as long as the test; returns its address.
fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut held = Vec::new();
        for mut client in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = client.read(&mut request).unwrap_or(0);
            let names = [b"/credentials", b"/application"];
            let is_json = request[..read].windows(12).any(|part| names.iter().any(|name| *name == part));
            let (kind, part) =
                if is_json { ("application/json", "[ ") } else { ("application/octet-stream", "{}\n") };
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 1000000\r\n\r\n{part}");
            drop(client.write_all(head.as_bytes()));
            held.push(client);
        }
    });
    url
}

fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

/// Starts the command and waits until its file is under construction.
fn writing(folder: &Path, args: &[&str], under_nohup: bool) -> Child {
    let mut command = command(folder, args);
    if under_nohup {
        let line = command.get_args().map(|arg| format!("'{}'", arg.to_str().unwrap())).collect::<Vec<_>>();
        let line = format!("trap '' HUP; exec '{}' {}", env!("CARGO_BIN_EXE_sealroom"), line.join(" "));
        command = std::process::Command::new("sh");
        command.current_dir(folder).env_clear().args(["-c", &line]);
    }
    command.env("HOME", folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    while hidden(folder).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "{args:?} ended");
        thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn no_part_of_a_file_is_left_by_a_signal_whichever_it_is_and_whatever_was_being_written() {
    let url = endless();
    for args in [
        ["backup", "copy.redb"].as_slice(),
        &["audit", "export", "--output", "log"],
        &["export", "--all", "--output", "all.json"],
        &["credentials", "--all", "--format", "json", "--output", "values"],
        &["token", "create", "ci", "--write-to", "token-of-ci"],
    ] {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            secret_file(folder, "token", TOKEN, 0o600);
            let args = [args, &["--server", &url, "--token-file", "token"]].concat();
            let mut child = writing(folder, &args, false);
            kill_process(Pid::from_child(&child), signal).unwrap();
            let ended = child.wait().unwrap();
            assert_eq!(ended.signal(), Some(signal.as_raw()), "{args:?}: it dies of the signal");
            assert_eq!(hidden(folder), Vec::<String>::new(), "{args:?} {signal:?}");
            assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "{args:?}: only the token");
        }
    }
}

#[test]
fn a_command_under_nohup_is_not_ended_by_a_hang_up() {
    let (url, folder) = (endless(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    secret_file(folder, "token", TOKEN, 0o600);
    let mut child =
        writing(folder, &["backup", "copy.redb", "--server", &url, "--token-file", "token"], true);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    // A signal that is ignored leaves nothing to wait for; the next one shows that the process was there to take it.
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    assert_eq!(hidden(folder), Vec::<String>::new());
}
