//! The real binary under load, killed repeatedly, also in the middle of `init`.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;

use super::{driver::Broken, rng::Rng};

const CLIENTS: usize = 3;
/// The most credentials that one client keeps at a time.
const KEPT: usize = 6;
const PASSWORD: &str = "password-of-the-owner";

/// The counts of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub cycles: u64,
    /// Kills of `init`, and the number of them that left no vault.
    pub inits: u64,
    pub without_vault: u64,
    /// Acknowledged changes, and disclosed credentials.
    pub changes: u64,
    pub disclosed: u64,
    /// Changes in flight at a kill.
    pub doubts: u64,
}

/// A server of one vault that is killed repeatedly.
pub struct Killed {
    binary: PathBuf,
    folder: PathBuf,
    owner: String,
    /// The clients' knowledge: the value of each credential by id; `None` for a deleted one.
    known: BTreeMap<String, Option<String>>,
    /// Changes in flight at the last kill: the other possible value of a credential by id; no id for one being created.
    doubts: Vec<(Option<String>, Option<String>)>,
    named: usize,
    pub tally: Tally,
}

pub fn ran(command: &mut Command) -> Result<String, Broken> {
    let done = command.stdin(Stdio::null()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.success() { Ok(said) } else { Err(format!("{command:?}: {}: {said}", done.status)) }
}

/// Sends one request on a connection of its own; returns `None` if the server no longer answers.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    bearer: &str,
    body: &str,
) -> Option<(u16, String, Value)> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let content = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n{content}Content-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    // An answer truncated by a kill is no answer.
    if length.parse::<usize>().ok()? != body.len() {
        return None;
    }
    Some((status, head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null)))
}

impl Killed {
    pub fn new(binary: &Path, folder: &Path) -> Result<Self, Broken> {
        let this = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            owner: String::new(),
            known: BTreeMap::new(),
            doubts: Vec::new(),
            named: 0,
            tally: Tally::default(),
        };
        for (name, text) in [("pass", "a passphrase of the laboratory\n"), ("owner", PASSWORD)] {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(folder.join("receipts"), "").unwrap();
        ran(&mut this.init("v.redb"))?;
        Ok(this)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(args).env_clear().env("USER", "lab");
        command
    }

    fn init(&self, data: &str) -> Command {
        self.command(&[
            "init",
            "--json",
            "--data",
            data,
            "--owner-email",
            "owner@example.com",
            "--owner-password-file",
            "owner",
            "--passphrase-file",
            "pass",
            "--weak-kdf",
            "--kdf-memory",
            "64",
            "--kdf-passes",
            "1",
        ])
    }

    fn serve(&self, data: &str) -> Result<(Child, String), Broken> {
        let mut command = self.command(&[
            "serve",
            "--json",
            "--data",
            data,
            "--passphrase-file",
            "pass",
            "--listen",
            "127.0.0.1:0",
        ]);
        let log = fs::File::create(self.folder.join("server.log")).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = serde_json::from_str::<Value>(&line)
            .ok()
            .and_then(|json| json["url"].as_str().map(str::to_owned));
        let Some(url) = url else {
            drop(child.kill());
            drop(child.wait());
            let log = fs::read_to_string(self.folder.join("server.log")).unwrap();
            return Err(format!("it does not start after a kill: {log}"));
        };
        Ok((child, url.trim_start_matches("http://").to_owned()))
    }

    /// Starts, checks the content, loads, kills, and has the file verified with all receipts.
    pub fn cycle(&mut self, rng: &mut Rng) -> Result<(), Broken> {
        self.tally.cycles += 1;
        if self.tally.cycles.is_multiple_of(8) {
            self.kill_init(rng)?;
        }
        let (mut child, address) = self.serve("v.redb")?;
        let looked = self.look(&address);
        let clients: Vec<Client> = (0..CLIENTS).map(|number| self.client(number, &address, rng)).collect();
        let done = Arc::new(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for client in clients {
                let done = Arc::clone(&done);
                scope.spawn(move || {
                    let told = client.load();
                    done.lock().unwrap().push(told);
                });
            }
            std::thread::sleep(Duration::from_micros(2_000 + rng.below(60_000) as u64));
            drop(child.kill());
            drop(child.wait());
        });
        looked?;
        let mut receipts = String::new();
        for told in done.lock().unwrap().drain(..) {
            self.tally.changes += told.changes.len() as u64;
            self.known.extend(told.changes);
            self.tally.doubts += told.doubt.is_some() as u64;
            self.doubts.extend(told.doubt);
            for line in told.receipts {
                self.tally.disclosed += 1;
                receipts.push_str(&line);
                receipts.push('\n');
            }
        }
        let mut file = fs::OpenOptions::new().append(true).open(self.folder.join("receipts")).unwrap();
        file.write_all(receipts.as_bytes()).unwrap();
        ran(&mut self.command(&["audit", "verify", "v.redb", "--receipts", "receipts"])).map(drop)
    }

    fn client(&mut self, number: usize, address: &str, rng: &mut Rng) -> Client {
        self.named += 1_000_000;
        let (address, owner, named) = (address.to_owned(), self.owner.clone(), self.named);
        let mine = self.known.iter().filter_map(|(id, value)| Some((id.clone(), value.clone()?)));
        let mine = mine.enumerate().filter(|(n, _)| n % CLIENTS == number).map(|(_, one)| one).collect();
        Client { address, owner, named, mine, rng: Rng::new(&[rng.next()]), told: Told::default() }
    }

    /// Checks that every acknowledged change is there; a change in flight may have gone either way.
    fn look(&mut self, address: &str) -> Result<(), Broken> {
        let login = format!(r#"{{"email":"owner@example.com","password":"{PASSWORD}"}}"#);
        let log_in = || request(address, "POST", "/sfp/api/auth/login", "", &login);
        if self.owner.is_empty() || self.tally.cycles.is_multiple_of(100) {
            let (status, _, json) = log_in().ok_or("no answer to a login")?;
            let token = json["access_token"].as_str().or(json["accessToken"].as_str());
            self.owner = token.ok_or(format!("a login: {status} {json}"))?.to_owned();
        }
        let (status, head, json) =
            request(address, "GET", "/sfp/api/integrations/credentials", &self.owner, "")
                .ok_or("no answer to a read")?;
        let mut found = BTreeMap::new();
        match status {
            200 => {
                for item in json.as_array().unwrap() {
                    let id = item["integration_id"].as_str().unwrap().to_owned();
                    found.insert(id, item["credentials"]["token"].as_str().unwrap().to_owned());
                }
            }
            404 => {}
            _ => return Err(format!("a read after a kill: {status} {head} {json}")),
        }
        for (id, value) in &self.known {
            let is = found.get(id);
            let is_open =
                self.doubts.iter().any(|(of, other)| of.as_ref() == Some(id) && other.as_ref() == is);
            if is != value.as_ref() && !is_open {
                return Err(format!(
                    "{id} is {is:?}, and {value:?} was acknowledged; open: {:?}",
                    self.doubts
                ));
            }
        }
        for (id, value) in &found {
            let was_made =
                self.doubts.iter().any(|(of, other)| of.is_none() && other.as_ref() == Some(value));
            if !self.known.contains_key(id) && !was_made {
                return Err(format!("{id} with {value} is there, which nobody made"));
            }
        }
        self.known = found.into_iter().map(|(id, value)| (id, Some(value))).collect();
        self.doubts.clear();
        Ok(())
    }

    /// Kills `init` at a random moment: either there is no vault and the next `init` creates it, or there is one that
    /// serves.
    fn kill_init(&mut self, rng: &mut Rng) -> Result<(), Broken> {
        self.tally.inits += 1;
        let data = format!("init{}.redb", self.tally.inits);
        let mut child = self
            .init(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(rng.below(60_000) as u64));
        drop(child.kill());
        drop(child.wait());
        if !self.folder.join(&data).exists() {
            self.tally.without_vault += 1;
            ran(&mut self.init(&data))?;
        }
        ran(&mut self.command(&["audit", "verify", &data]))?;
        let (mut child, address) = self.serve(&data)?;
        let health = request(&address, "GET", "/health", "", "");
        drop(child.kill());
        drop(child.wait());
        fs::remove_file(self.folder.join(&data)).unwrap();
        match health {
            Some((200, ..)) => Ok(()),
            other => Err(format!("a vault after a killed init: {other:?}")),
        }
    }
}

/// The answers that a client received until the kill.
#[derive(Default)]
struct Told {
    changes: BTreeMap<String, Option<String>>,
    doubt: Option<(Option<String>, Option<String>)>,
    receipts: Vec<String>,
}

/// A client that changes and reads, one request after the other, until the server no longer answers.
struct Client {
    address: String,
    owner: String,
    named: usize,
    mine: Vec<(String, String)>,
    rng: Rng,
    told: Told,
}

impl Client {
    fn load(mut self) -> Told {
        while self.step().is_some() {}
        self.told
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String, Value)> {
        request(&self.address, method, path, &self.owner, body)
    }

    fn step(&mut self) -> Option<()> {
        self.named += 1;
        let value = format!("value{}", self.named);
        let at = self.rng.below(self.mine.len());
        match self.rng.below(4) {
            0 if self.mine.len() >= KEPT => {
                let (id, _) = self.mine.swap_remove(at);
                self.told.doubt = Some((Some(id.clone()), None));
                let (status, ..) = self.ask("DELETE", &format!("/sfp/api/integrations/{id}"), "")?;
                assert!(matches!(status, 200 | 204), "a delete: {status}");
                self.told.changes.insert(id, None);
            }
            0 | 1 if self.mine.len() < KEPT => {
                self.told.doubt = Some((None, Some(value.clone())));
                let body = format!(
                    r#"{{"provider":"github","authType":"pat","credentials":{{"token":"{value}"}},"isGlobal":true}}"#
                );
                let (status, _, json) = self.ask("POST", "/sfp/api/integrations", &body)?;
                assert_eq!(status, 201, "{json}");
                let id = json["id"].as_str().unwrap().to_owned();
                self.told.changes.insert(id.clone(), Some(value.clone()));
                self.mine.push((id, value));
            }
            0..=2 if !self.mine.is_empty() => {
                let id = self.mine[at].0.clone();
                self.told.doubt = Some((Some(id.clone()), Some(value.clone())));
                let body = format!(r#"{{"credentials":{{"token":"{value}"}}}}"#);
                let (status, _, json) =
                    self.ask("PUT", &format!("/sfp/api/integrations/{id}/credentials"), &body)?;
                assert_eq!(status, 200, "{json}");
                self.told.changes.insert(id, Some(value));
            }
            _ => {
                let (status, head, json) = self.ask("GET", "/sfp/api/integrations/credentials", "")?;
                assert!(matches!(status, 200 | 404), "{status} {json}");
                let line = head.lines().find(|line| line.starts_with("audit-receipt: "));
                self.told.receipts.extend(line.map(str::to_owned));
            }
        }
        self.told.doubt = None;
        Some(())
    }
}
