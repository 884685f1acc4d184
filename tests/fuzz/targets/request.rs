//! Bytes of a connection: what a server makes of them, from the request head to the last byte of its answers.
//!
//! `{owner}` and `{app}` in the input stand for tokens of this run. Every answer must be HTTP, and an error's must not
//! repeat the request. Only the owner's requests can change anything, and the server is replaced now and then.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Runtime;

use super::{
    MARK,
    vaults::{self, START},
};
use crate::{
    api::requests::CreateToken,
    clock::Clock,
    domain::{AccessScope, Role, Timestamp},
    http::{Edge, Limits, Server, probe},
};

/// Requests after which the server is replaced, so that an input has its outcome from itself.
const USES_MAX: usize = 500;

static SERVED: Mutex<Option<Served>> = Mutex::new(None);

struct Served {
    runtime: Runtime,
    server: Arc<Server>,
    clock: Clock,
    owner: String,
    app: String,
    uses: usize,
}

impl Served {
    fn start() -> Self {
        let runtime = vaults::runtime();
        let (vault, owner, app) = runtime.block_on(async {
            let vault = vaults::unlocked(&vaults::fresh()).await.expect("a new vault unlocks");
            let (admitted, owner) = vaults::owner(&vault).await.expect("the owner logs in");
            let name = "app".parse().unwrap();
            let request = CreateToken {
                name,
                expires_in_days: 3650,
                role: Role::Application,
                scope: AccessScope::default(),
            };
            let created = vault.create_token(&vaults::context(START), &admitted, request).await;
            let (_, app) = created.map_err(drop).expect("a token is made");
            (vault, owner, app.expose_text().unwrap().to_owned())
        });
        let clock = Clock::manual(Timestamp::from_millis(START));
        let edge = Edge { host_names: vec!["vault.example.com".parse().unwrap()], ..Edge::default() };
        let server = Server::new(Arc::new(vault), clock.clone(), Limits::STANDARD, edge);
        Self { runtime, server, clock, owner, app, uses: 0 }
    }

    fn answer(&mut self, input: &[u8]) -> Vec<u8> {
        self.uses += 1;
        // A second for each, so that no budget of a minute decides.
        self.clock.set(Timestamp::from_millis(START + self.uses as u64 * 1_000));
        let input = replaced(&replaced(input, b"{owner}", &self.owner), b"{app}", &self.app);
        self.runtime.block_on(probe::exchange(&self.server, &input))
    }
}

pub fn run(input: &[u8]) {
    let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    if served.as_ref().is_none_or(|served| served.uses >= USES_MAX) {
        *served = Some(Served::start());
    }
    judge(&served.as_mut().expect("it was started").answer(input));
}

fn replaced(text: &[u8], from: &[u8], to: &str) -> Vec<u8> {
    let mut whole = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|part| part == from) {
        whole.extend_from_slice(&rest[..at]);
        whole.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    whole.extend_from_slice(rest);
    whole
}

/// Walks the answers of a connection.
fn judge(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        // The connection may break off within an answer, never begin one that is none.
        assert!(bytes.starts_with(&b"HTTP/1."[..bytes.len().min(7)]), "{}", bytes.escape_ascii());
        let Some(end) = end else { return };
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is ASCII");
        let status: u16 = head[9..12].parse().expect("a status");
        assert!((200..600).contains(&status), "{head}");
        let field = |name: &str| {
            let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
            lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let length = field("content-length").map_or(0, |text| text.parse().expect("a length"));
        let rest = &bytes[end + 4..];
        let body = &rest[..rest.len().min(length)];
        if status >= 400 {
            let mark = MARK.as_bytes();
            let whole = [head.as_bytes(), body].concat();
            assert!(!whole.windows(mark.len()).any(|part| part == mark), "an error repeats its request");
            assert_ne!(status, 500, "{}", body.escape_ascii());
        }
        if field("transfer-encoding").is_some() || field("x-request-id").is_none() {
            // A stream, or hyper's own answer, which is the last.
            return;
        }
        // An answer to HEAD has the length of a body that it does not have.
        let is_head = rest.starts_with(b"HTTP/1.") && length > 0;
        bytes = if is_head { rest } else { &rest[body.len()..] };
    }
}
