//! The servers that are measured: the real binary, and a bare hyper server with a constant body.

use std::{convert::Infallible, path::Path};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{load::Target, made::Made, process::Running};

/// A server that runs.
pub struct Server {
    pub running: Running,
    pub target: Target,
}

impl Server {
    /// `sealroom serve` over a made file, with the defaults but for the number of connections, of which one address
    /// gets half, and what one caller reads and writes in a minute: the load comes from one.
    pub fn sealroom(binary: &Path, made: &Made, more: &[&str]) -> Self {
        let mut args = vec!["serve", "--data", made.data.to_str().unwrap()];
        args.extend(["--passphrase-file", made.passphrase.to_str().unwrap()]);
        args.extend(["--listen", "127.0.0.1:0", "--connections-max", "4096", "--log-level", "error"]);
        args.extend(["--disclosures-per-minute-max", "4294967295", "--writes-per-minute-max", "4294967295"]);
        args.extend(more);
        Self::of(Running::start(None, binary.to_str().unwrap(), &args))
    }

    /// A bare server whose answers have so many bytes.
    pub fn bare(answer: usize) -> Self {
        Self::of(Running::own(&["--bare", &answer.saturating_sub(HEAD).to_string()]))
    }

    pub fn of(mut running: Running) -> Self {
        let target = Target::plain(running.address());
        Self { running, target }
    }
}

/// The bytes of hyper's head for a body of three digits' length: status line, content-length, date.
pub const HEAD: usize = 77;

/// A child: answers everything with that many bytes.
pub fn bare(bytes: usize) {
    let body = Bytes::from(vec![b'x'; bytes]);
    serve(async || move |_| std::future::ready(body.clone()));
}

/// Serves on two threads what `answers` says, until it is killed.
pub fn serve<A, F>(answers: impl AsyncFnOnce() -> A)
where
    A: Fn(hyper::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Bytes> + Send,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let answers = answers().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        super::announce(listener.local_addr().unwrap());
        // The main thread must not be a third that serves.
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                socket.set_nodelay(true).unwrap();
                let answers = answers.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = answers(request);
                        async move { Ok::<_, Infallible>(Response::new(Full::new(answer.await))) }
                    });
                    drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        accepting.await.unwrap();
    });
}
