//! Closes a connection whose client may still be sending (RFC 9112 §9.6).
//!
//! Closing a socket with unread bytes resets it, and a reset discards the answer in the client's buffer. So the server
//! closes its own half, then reads and drops the rest: bounded in bytes, in time and in the number of connections.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Semaphore,
    time::timeout,
};

/// The most bytes to drain: a thousand times the longest body.
const BYTES_MAX: usize = 64 << 20;
/// A client silent for this long has its answer, or has left.
const QUIET: Duration = Duration::from_secs(2);
/// The size of the read buffer, the only memory of a lingering connection.
const PIECE_BYTES: usize = 16 * 1024;
/// The fraction of connections that may linger, as a divisor; any more lose their answer instead of a slot.
const SHARE: usize = 8;

/// Limits the connections that linger.
pub(super) struct Lingering(Arc<Semaphore>);

impl Lingering {
    /// Creates a limit of an eighth of the connections.
    pub(super) fn new(connections_max: usize) -> Self {
        Self(Arc::new(Semaphore::new((connections_max / SHARE).max(1))))
    }

    /// Closes the server's half, then drains the socket until the client closes its half, falls silent or exceeds a
    /// bound. Does nothing once the limit is reached.
    pub(super) async fn linger<S>(&self, socket: &mut S, within: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Ok(_permit) = self.0.try_acquire() else { return };
        // A timeout needs no handling: the connection closes either way.
        drop(timeout(within, drain(socket)).await);
    }
}

async fn drain<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = BYTES_MAX;
    while left > 0 {
        match timeout(QUIET, socket.read(&mut piece)).await {
            Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
            Ok(Ok(_) | Err(_)) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    /// The server's end lingers while the client sends for ever; how much the client could send.
    async fn sent(within: Duration, pause: Duration) -> usize {
        let (mut server, mut client) = duplex(PIECE_BYTES);
        let sending = async move {
            let mut sent = 0;
            while client.write_all(&[0; 1024]).await.is_ok() {
                sent += 1024;
                tokio::time::sleep(pause).await;
            }
            sent
        };
        let lingering = async {
            Lingering::new(1).linger(&mut server, within).await;
            drop(server);
        };
        tokio::join!(sending, lingering).0
    }

    #[tokio::test(start_paused = true)]
    async fn no_client_keeps_a_connection_past_its_bytes_its_time_or_its_silence() {
        let most = sent(LONG, Duration::ZERO).await;
        assert!((BYTES_MAX..=BYTES_MAX + 2 * PIECE_BYTES).contains(&most), "{most}");
        let start = tokio::time::Instant::now();
        assert!(sent(Duration::from_secs(30), Duration::from_secs(1)).await < 64 * 1024);
        assert!(start.elapsed() <= Duration::from_secs(32), "{:?}", start.elapsed());
        assert_eq!(sent(LONG, QUIET * 2).await, 1024, "silent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_that_lingers_leaves_the_rest_of_the_connections_alone() {
        let lingering = Lingering::new(2 * SHARE);
        let ends: Vec<(DuplexStream, DuplexStream)> = (0..3).map(|_| duplex(64)).collect();
        let (mut servers, clients): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let third = servers.pop().map(|mut server| async move {
            lingering.linger(&mut server, LONG).await;
            lingering
        });
        let start = tokio::time::Instant::now();
        let lingering = third.expect("three were made").await;
        assert_eq!(start.elapsed(), QUIET, "a place was free");
        let [one, two] = servers.as_mut_slice() else { panic!("two are left") };
        let held = lingering.0.try_acquire_many(1).unwrap();
        let start = tokio::time::Instant::now();
        tokio::join!(lingering.linger(one, LONG), lingering.linger(two, LONG));
        assert_eq!(start.elapsed(), QUIET, "one waited, the other went at once");
        drop((held, clients));
    }
}
