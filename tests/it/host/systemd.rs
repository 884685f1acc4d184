//! systemd's ways with the real binary, by sockets made by hand where no systemd runs.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::support::binary::{Serving, command, stderr, vault};

const SERVE: &[&str] = &["serve", "--data", "v.redb", "--passphrase-file", "pass"];

/// Returns the notifications to the service manager within some seconds.
fn told(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

fn manager(folder: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// A server with that socket as its first passed descriptor.
fn activated(folder: &Path, socket: OwnedFd, args: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    let script = r#"exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" "$@""#;
    shell.args(["-c", script, env!("CARGO_BIN_EXE_sealroom")]).args(args);
    shell.current_dir(folder).env_clear().stdin(Stdio::from(socket));
    shell
}

#[test]
fn a_service_is_ready_once_it_answers_and_says_how_it_goes_on() {
    let folder = vault();
    let manager = manager(folder.path());
    let mut start = command(folder.path(), &[SERVE, &["--listen", "127.0.0.1:0"]].concat());
    start.env("NOTIFY_SOCKET", folder.path().join("notify")).stdin(Stdio::null());
    let mut server = Serving::spawn(start, folder.path());
    assert_eq!(told(&manager).trim_end(), "READY=1");
    assert!(server.health().contains("200 OK"));
    server.signal(Signal::HUP);
    assert!(told(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(told(&manager).trim_end(), "READY=1");
    assert!(server.stop());
    assert_eq!(told(&manager).trim_end(), "STOPPING=1");
}

#[test]
fn a_service_that_is_watched_gives_signs_of_life() {
    let folder = vault();
    let manager = manager(folder.path());
    let mut start = command(folder.path(), &[SERVE, &["--listen", "127.0.0.1:0"]].concat());
    start.env("NOTIFY_SOCKET", folder.path().join("notify")).env("WATCHDOG_USEC", "30000");
    let mut server = Serving::spawn(start, folder.path());
    assert_eq!(told(&manager).trim_end(), "READY=1");
    for _ in 0..3 {
        assert_eq!(told(&manager).trim_end(), "WATCHDOG=1");
    }
    assert!(server.stop());
}

#[test]
fn a_service_that_cannot_start_is_never_ready() {
    let folder = vault();
    let manager = manager(folder.path());
    manager.set_nonblocking(true).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let mut start = command(folder.path(), &[SERVE, &["--listen", &listen]].concat());
    let failed = start.env("NOTIFY_SOCKET", folder.path().join("notify")).output().unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(manager.recv(&mut [0; 16]).is_err(), "nothing was told");
}

#[test]
fn the_socket_that_is_passed_is_the_one_that_is_served() {
    let folder = vault();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // A client that came before the server is answered by it.
    let mut early = TcpStream::connect(address).unwrap();
    let mut server = Serving::spawn(activated(folder.path(), socket.into(), SERVE), folder.path());
    assert_eq!(server.url, format!("http://{address}"));
    std::io::Write::write_all(
        &mut early,
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    assert!(server.stop());
}

#[test]
fn a_passed_unix_socket_is_served_and_its_file_stays() {
    let folder = vault();
    let path = folder.path().join("passed.sock");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut server = Serving::spawn(activated(folder.path(), socket.into(), SERVE), folder.path());
    assert!(server.said.contains("listening on unix:"), "{}", server.said);
    assert!(server.stop());
    assert!(path.exists());
}

/// The rules for `--listen` hold for what is passed too.
#[test]
fn a_passed_socket_of_the_network_is_not_served_without_tls() {
    let folder = vault();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let refused = activated(folder.path(), socket.into(), SERVE).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--behind-tls-proxy"), "{}", stderr(&refused));
    let stream = UnixDatagram::unbound().unwrap();
    let refused = activated(folder.path(), stream.into(), SERVE).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("the socket of LISTEN_FDS"), "{}", stderr(&refused));
}

/// The error named a missing file, and its remedy was the mode of a file that systemd makes.
#[test]
fn a_unit_without_a_credential_names_the_line_that_it_lacks() {
    let folder = vault();
    fs::create_dir(folder.path().join("credentials")).unwrap();
    let home = folder.path().join("credentials");
    let said = |args: &[&str], set: bool| {
        let mut start = command(folder.path(), &[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        if set {
            start.env("CREDENTIALS_DIRECTORY", &home);
        }
        let failed = start.stdin(Stdio::null()).output().unwrap();
        assert_eq!(failed.status.code(), Some(1));
        stderr(&failed)
    };
    let at = |name: &str| home.join(name).display().to_string();
    let (pass, cert, key) = (at("passphrase"), at("tls.crt"), at("tls.key"));
    for (args, name) in [
        (&["--data", "v.redb", "--passphrase-file", &pass][..], "passphrase"),
        (&["--data", "v.redb", "--tls-cert", &cert, "--tls-key", &key], "tls.crt"),
        (
            &["--data", "v.redb", "--passphrase-file", "/run/credentials/sealroom.service/passphrase"],
            "passphrase",
        ),
    ] {
        let text = said(args, true);
        assert!(
            text.contains(&format!("hint: the unit passes no such credential: add LoadCredential={name}:")),
            "{text}"
        );
    }
    let elsewhere = said(&["--data", "v.redb", "--passphrase-file", &pass], false);
    assert!(elsewhere.contains("hint: check the path and its mode"), "{elsewhere}");
    // A volume that is not mounted yet: `init` there would make a second vault.
    fs::create_dir(folder.path().join("volume")).unwrap();
    let missing = said(&["--data", "volume/v.redb", "--passphrase-file", "pass"], true);
    assert!(
        missing.contains("volume/v.redb does not exist") && missing.contains("mount that first"),
        "{missing}"
    );
}
