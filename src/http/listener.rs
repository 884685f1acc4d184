//! Listeners: a TCP address, plain or with TLS, or a Unix socket file.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::tls::Tls;
use crate::domain::Peer;

/// The pause after a failed `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that the kernel queues until they are accepted; std's listener queues 128.
const BACKLOG: i32 = 1024;

/// A bound listener.
#[derive(Debug)]
pub enum Listener {
    /// A TCP address without TLS.
    Tcp(TcpListener),
    /// A TCP address with TLS.
    Tls(TcpListener, Arc<Tls>),
    /// A Unix socket file, removed on drop.
    Unix(UnixListener, SocketFile),
}

/// A bound socket that no runtime drives yet: before threads start, or one that this process inherited.
#[derive(Debug)]
pub enum Bound {
    /// A TCP address.
    Tcp(std::net::TcpListener),
    /// A Unix socket file.
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

impl Bound {
    /// Binds an address.
    ///
    /// # Errors
    /// The address is in use, or not an address of this host.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self::Tcp(listener))
    }

    /// Binds a socket file with mode 0600; a stale one is replaced.
    ///
    /// # Errors
    /// A process listens there, or the folder is not writable.
    pub fn unix(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Remove only a stale socket, never another file.
        if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is not a socket"));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Between a bind and a chmod anybody could connect: the file is made with its mode.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = std::os::unix::net::UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = listener?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self::Unix(listener, SocketFile::at(path)))
    }

    /// Adopts a listening Unix socket that this process inherited; its file is never removed.
    ///
    /// # Errors
    /// The socket does not report its address.
    pub fn passed_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
        Ok(Self::Unix(listener, SocketFile { path, id: None }))
    }

    /// Listens in the runtime that calls this, over TLS if a certificate is given; a Unix socket has none.
    ///
    /// # Errors
    /// The runtime rejects the socket.
    pub fn listen(self, tls: Option<Arc<Tls>>) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                Ok(match tls {
                    Some(tls) => Listener::Tls(listener, tls),
                    None => Listener::Tcp(listener),
                })
            }
            Self::Unix(listener, file) => {
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix(UnixListener::from_std(listener)?, file))
            }
        }
    }
}

/// The path of a socket; the file is removed on drop unless another process has replaced it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), id: id_of(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.id.is_some() && id_of(&self.path) == self.id {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn id_of(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// An accepted connection, before any handshake.
pub(super) enum Socket {
    Tcp(TcpStream),
    Tls(TcpStream, Arc<Tls>),
    Unix(UnixStream),
}

impl Listener {
    /// Binds an address in the runtime that calls this.
    ///
    /// # Errors
    /// The address is in use, or not an address of this host.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Returns the server's URL as a client writes it.
    ///
    /// # Errors
    /// The socket has no address.
    pub fn url(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(format!("http://{}", listener.local_addr()?)),
            Self::Tls(listener, _) => Ok(format!("https://{}", listener.local_addr()?)),
            Self::Unix(_, file) => Ok(format!("unix:{}", file.path.display())),
        }
    }

    /// Returns whether only this host can connect.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => {
                listener.local_addr().is_ok_and(|address| address.ip().is_loopback())
            }
            Self::Unix(..) => true,
        }
    }

    /// Returns whether the listener is a loopback address.
    pub(super) fn is_loopback(&self) -> bool {
        !matches!(self, Self::Unix(..)) && self.is_local()
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, Peer)> {
        let tcp = async |listener: &TcpListener| {
            let (socket, address) = listener.accept().await?;
            // Fails only if the client has already left, which the first read reports.
            drop(socket.set_nodelay(true));
            io::Result::Ok((socket, Peer::Ip(address.ip())))
        };
        match self {
            Self::Tcp(listener) => tcp(listener).await.map(|(socket, peer)| (Socket::Tcp(socket), peer)),
            Self::Tls(listener, tls) => {
                tcp(listener).await.map(|(socket, peer)| (Socket::Tls(socket, Arc::clone(tls)), peer))
            }
            Self::Unix(listener, _) => Ok((Socket::Unix(listener.accept().await?.0), Peer::Unix)),
        }
    }
}

/// Pauses after a failed `accept`, unless the client caused the failure. Without descriptors or memory, an immediate
/// retry would loop at full speed.
pub async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
