//! Tables of requests, byte for byte on a raw socket, and what is asked of every one of them.

use std::time::Duration;

use sealroom::http::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::server::TestServer;

pub const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
pub const PING: &str = "/sfp/api/ping";
pub const TOKENS: &str = "/sfp/api/application-tokens";
const CANARY: &str = "ghp_example_canary";
/// Within this a row is over; far above what a loaded machine needs, far below the limits of the contract.
const BOUND: Duration = Duration::from_secs(5);
/// Between two trickles; far below the limits that they are sent against.
const TRICKLE: Duration = Duration::from_millis(40);

/// The client's behaviour after it has written its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Keeps its side open and reads.
    Reads,
    /// Closes its side and reads.
    HalfCloses,
    /// Sends this every so often for as long as it can, and reads.
    Trickles(&'static [u8]),
    /// Closes the socket without reading.
    HangsUp,
}

pub struct Row {
    name: String,
    bytes: Vec<u8>,
    then: Then,
    want: &'static [u16],
}

pub fn row(name: &str, bytes: impl Into<Vec<u8>>, want: &'static [u16]) -> Row {
    Row { name: name.to_owned(), bytes: bytes.into(), then: Then::Reads, want }
}

/// Rows that are named by what they put in a request's one place: texts with `|` between them.
pub fn each<'a, B: Into<Vec<u8>>>(
    texts: &'a str,
    request: impl Fn(&str) -> B + 'a,
    want: &'static [u16],
) -> impl Iterator<Item = Row> + 'a {
    texts.split('|').map(move |text| row(text, request(text), want))
}

impl Row {
    pub fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

/// A server with a stored canary, and the lists that must not change.
pub struct Stage {
    pub server: TestServer,
    pub id: String,
    before: Vec<String>,
}

impl Stage {
    pub async fn new(limits: Limits) -> Self {
        let server = TestServer::start_with(limits).await;
        server.project("acme/app").await;
        let id = server.github(CANARY, r#""isGlobal":true"#).await;
        // With both tokens in use and the clock standing still, "last used" and "last read" do not change any more.
        assert_eq!(server.send("GET", CREDENTIALS, &server.app, "").await.status, 200);
        let mut this = Self { server, id, before: Vec::new() };
        this.before = this.lists().await;
        this
    }

    async fn lists(&self) -> Vec<String> {
        let mut lists = Vec::new();
        for path in ["/sfp/api/integrations", "/sfp/api/projects", "/sfp/api/application-tokens"] {
            let list = self.server.send("GET", path, &self.server.owner, "").await;
            assert_eq!(list.status, 200);
            lists.push(list.body);
        }
        lists
    }

    /// A GET that would be answered, by a caller who may read the canary, but for what the row breaks.
    pub fn get(&self, path: &str, headers: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}{headers}Connection: close\r\n\r\n", self.app())
    }

    pub fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let json = "Content-Type: application/json\r\n";
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{}{json}{headers}\r\n{body}", self.owner())
    }

    pub fn app(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.server.app)
    }

    pub fn owner(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.server.owner)
    }

    /// Whole and valid: what a smuggler would hide in a body. Its answer would show the canary.
    pub fn smuggled(&self) -> String {
        self.get(CREDENTIALS, "")
    }

    /// Sends all rows at once. Beside its own statuses it is asked of each row that it ends in time, with no 500 and no
    /// secret, and of them all that the lists stay as they were and the server is healthy.
    pub async fn run(&self, rows: impl IntoIterator<Item = Row>) {
        let mut running = Vec::new();
        for row in rows {
            let address = self.server.address.clone();
            running.push(tokio::spawn(async move {
                let bytes = timeout(BOUND, exchange(&address, &row.bytes, row.then)).await;
                (row, bytes)
            }));
        }
        let mut wrong = Vec::new();
        for one in running {
            let (row, bytes) = one.await.unwrap();
            let Ok(bytes) = bytes else {
                wrong.push(format!("{}: nothing within {BOUND:?}", row.name));
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            let got = statuses(&bytes).unwrap_or_else(|| panic!("{}: no HTTP: {text}", row.name));
            if got != row.want {
                wrong.push(format!("{}: {got:?} where {:?} is wanted", row.name, row.want));
            }
            let secret = [CANARY, &self.server.app, &self.server.owner].iter().any(|one| text.contains(one));
            if secret || got.contains(&500) {
                wrong.push(format!("{}: {text}", row.name));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(self.lists().await, self.before);
        assert_eq!(self.server.send("GET", "/health", "", "").await.status, 200);
    }
}

/// Everything that the server sends until it closes.
async fn exchange(address: &str, bytes: &[u8], then: Then) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut got = Vec::new();
    // A server that refuses closes while the client still writes: neither half's error is the row's.
    let writing = async {
        drop(writer.write_all(bytes).await);
        if then == Then::HalfCloses {
            drop(writer.shutdown().await);
        }
        if let Then::Trickles(bytes) = then {
            while writer.write_all(bytes).await.is_ok() {
                sleep(TRICKLE).await;
            }
        }
    };
    if then == Then::HangsUp {
        writing.await;
        return got;
    }
    let reading = async { drop(reader.read_to_end(&mut got).await) };
    tokio::join!(writing, reading);
    got
}

/// The status of each answer, in order; `None` where anything else stands between them.
fn statuses(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = str::from_utf8(&bytes[..end]).ok()?.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(Some(0), |length| length.parse().ok())?;
        statuses.push(head.strip_prefix("http/1.")?.get(2..5)?.parse().ok()?);
        bytes = bytes.get(end + length..)?;
    }
    Some(statuses)
}
