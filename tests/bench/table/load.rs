//! The load: so many keep-alive connections, each with one request under way at a time.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

/// The script of one connection: it gets the next request after the last answer.
pub trait Script: Send + 'static {
    /// The next request, and none where all is asked. `answer` is empty before the first.
    fn next(&mut self, answer: &[u8]) -> Option<&[u8]>;
}

/// The same request for ever.
#[derive(Clone)]
pub struct Repeat(pub Arc<[u8]>);

impl Script for Repeat {
    fn next(&mut self, _: &[u8]) -> Option<&[u8]> {
        Some(&self.0)
    }
}

/// A server to ask.
#[derive(Clone)]
pub struct Target {
    pub address: String,
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    pub fn plain(address: String) -> Self {
        Self { address, tls: None }
    }
}

/// The result of one sample of load.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub rate: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
}

impl Sample {
    pub fn of(mut nanos: Vec<u64>, elapsed: Duration) -> Self {
        nanos.sort_unstable();
        let at = |per_mille: usize| {
            let index = (nanos.len() * per_mille / 1000).min(nanos.len().saturating_sub(1));
            Duration::from_nanos(nanos.get(index).copied().unwrap_or(0))
        };
        Self { rate: nanos.len() as f64 / elapsed.as_secs_f64(), p50: at(500), p99: at(990), p999: at(999) }
    }
}

/// For how long is asked, and for how long of it nothing counts yet: a first answer costs more than those after it.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub warm: Duration,
    pub time: Duration,
}

impl Span {
    /// That time after a quarter of it.
    pub fn warmed(time: Duration) -> Self {
        Self { warm: time / 4, time }
    }

    /// That time from the first request on.
    pub fn whole(time: Duration) -> Self {
        Self { warm: Duration::ZERO, time }
    }
}

/// Connects all of them, then lets them ask for that long, or until each has asked all that it has.
pub async fn drive<S: Script>(target: &Target, scripts: Vec<S>, span: Span) -> (Sample, Vec<S>) {
    let ready = Arc::new(Barrier::new(scripts.len() + 1));
    let mut clients = JoinSet::new();
    for script in scripts {
        let (target, ready) = (target.clone(), Arc::clone(&ready));
        clients.spawn(async move { client(target, script, &ready, span).await });
    }
    ready.wait().await;
    let begin = Instant::now() + span.warm;
    let (mut nanos, mut scripts) = (Vec::new(), Vec::new());
    while let Some(done) = clients.join_next().await {
        let (times, script) = done.unwrap();
        nanos.extend(times);
        scripts.push(script);
    }
    (Sample::of(nanos, begin.elapsed()), scripts)
}

/// The same request over so many connections.
pub async fn repeat(target: &Target, request: &[u8], connections: usize, time: Duration) -> Sample {
    drive(target, vec![Repeat(request.into()); connections], Span::warmed(time)).await.0
}

async fn client<S: Script>(target: Target, script: S, ready: &Barrier, span: Span) -> (Vec<u64>, S) {
    let socket = TcpStream::connect(&target.address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let Some(tls) = target.tls else { return ask(socket, script, ready, span).await };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    ask(TlsConnector::from(tls).connect(name, socket).await.unwrap(), script, ready, span).await
}

async fn ask<T, S>(mut socket: T, mut script: S, ready: &Barrier, span: Span) -> (Vec<u64>, S)
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Script,
{
    ready.wait().await;
    let (mut buffer, mut times) = (Vec::with_capacity(4096), Vec::new());
    let mut before = Instant::now();
    let begin = before + span.warm;
    let end = begin + span.time;
    while before < end {
        let Some(request) = script.next(&buffer) else { break };
        exchange(&mut socket, request, &mut buffer).await.unwrap();
        let now = Instant::now();
        if now > begin {
            times.push((now - before).as_nanos() as u64);
        }
        before = now;
    }
    // The script still gets the last answer.
    script.next(&buffer);
    (times, script)
}

/// One request, and its answer in `buffer`.
pub async fn exchange<T>(socket: &mut T, request: &[u8], buffer: &mut Vec<u8>) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    socket.write_all(request).await?;
    buffer.clear();
    loop {
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = find(buffer, b"\r\n\r\n") else { continue };
        let good = buffer.starts_with(b"HTTP/1.1 20");
        assert!(good, "{}", String::from_utf8_lossy(&buffer[..buffer.len().min(600)]));
        if buffer.len() >= head + 4 + content_length(&buffer[..head]) {
            return Ok(());
        }
    }
}

/// One request on a connection of its own.
pub async fn once(address: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    exchange(&mut TcpStream::connect(address).await?, request, &mut buffer).await?;
    Ok(buffer)
}

/// hyper writes the name in lower case, Go's server in capitals.
fn content_length(head: &[u8]) -> usize {
    let names: [&[u8]; 2] = [b"content-length: ", b"Content-Length: "];
    let after = |name: &[u8]| find(head, name).map(|at| &head[at + name.len()..]);
    let digits = names.into_iter().find_map(after).unwrap_or_default();
    digits.iter().take_while(|c| c.is_ascii_digit()).fold(0, |sum, c| sum * 10 + usize::from(c - b'0'))
}

pub fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
