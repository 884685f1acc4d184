//! A webhook over TLS, and a command, that keep what they are sent.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;

use super::tls::{certificate, has};

/// A request that a webhook got.
#[derive(Debug, Clone)]
pub struct Posted {
    pub head: String,
    pub body: String,
}

impl Posted {
    pub fn header(&self, name: &str) -> String {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("{name}: {}", self.head)).split_once(':').unwrap().1.trim().to_owned()
    }
}

/// A running webhook; its certificate is `hook.crt` in the folder.
pub struct Hooked {
    pub host: String,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Hooked {
    /// Starts a webhook that answers with this status, or never with 0. `None` without openssl.
    pub fn start(folder: &Path, status: u16) -> Option<Self> {
        if !has("openssl") {
            return None;
        }
        certificate(folder, "hook");
        let read = |ending: &str| fs::read(folder.join(format!("hook.{ending}"))).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(&read("crt")).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(&read("key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let record = Arc::clone(&posted);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, record) = (Arc::clone(&config), Arc::clone(&record));
                std::thread::spawn(move || {
                    let stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    let mut stream = BufReader::new(stream);
                    let Some(posted) = read_post(&mut stream) else { return };
                    record.lock().unwrap().push(posted);
                    if status == 0 {
                        // Until the other side gives up.
                        let _ = stream.read(&mut [0]);
                        return;
                    }
                    let answer = format!(
                        "HTTP/1.1 {status} X\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
                    );
                    let _ = stream.get_mut().write_all(answer.as_bytes());
                    let _ = stream.read(&mut [0]);
                });
            }
        });
        Some(Self { host, posted })
    }

    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    /// Waits for a message of that kind.
    pub fn of_kind(&self, kind: &str) -> Posted {
        let is_it = |posted: &Posted| posted.body.contains(&format!(r#""type":"{kind}""#));
        until(kind, || self.posted().into_iter().find(is_it))
    }
}

fn read_post(stream: &mut impl BufRead) -> Option<Posted> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Posted { head, body: String::from_utf8(body).unwrap() })
}

/// A command that keeps each message, its environment and the helper's process; `more` is run at its end.
pub fn command(folder: &Path, more: &str) -> PathBuf {
    let (path, kept) = (folder.join("notice"), folder.join("kept"));
    fs::create_dir(&kept).unwrap();
    let kept = kept.display();
    let text = format!(
        "#!/bin/sh\nenv > {kept}/env\necho $PPID > {kept}/helper\necho $$ > {kept}/own\ncat > {kept}/new.$$ && mv {kept}/new.$$ {kept}/notice.$$\n{more}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// Waits for a message of that kind to the command.
pub fn kept(folder: &Path, kind: &str) -> Value {
    until(kind, || {
        let entries = fs::read_dir(folder.join("kept")).unwrap().flatten();
        let notices = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("notice."));
        let texts = notices.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        texts
            .filter_map(|text| serde_json::from_str::<Value>(&text).ok())
            .find(|notice| notice["type"] == kind)
    })
}

/// Looks until there is something, for a minute.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} did not come");
}
