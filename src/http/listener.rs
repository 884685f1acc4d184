//! Where the server listens: an address, plain or with TLS, or a socket file.

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

/// That pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen.
#[derive(Debug)]
pub enum Listener {
    /// An address, in the clear.
    Tcp(TcpListener),
    /// An address, with TLS.
    Tls(TcpListener, Arc<Tls>),
    /// A socket file, removed at the end.
    Unix(UnixListener, SocketFile),
}

/// The name of a socket; removed with this, unless it is another's by then.
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

/// A connection before anything is spoken on it.
pub(super) enum Socket {
    Tcp(TcpStream),
    Tls(TcpStream, Arc<Tls>),
    Unix(UnixStream),
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// It is taken, or not ours.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Binds an address, to speak TLS there.
    ///
    /// # Errors
    /// It is taken, or not ours.
    pub async fn tls(address: SocketAddr, tls: Arc<Tls>) -> io::Result<Self> {
        TcpListener::bind(address).await.map(|listener| Self::Tls(listener, tls))
    }

    /// Binds a socket file, mode 0600; one that nobody answers any more is replaced.
    ///
    /// # Errors
    /// Somebody answers there, or the folder refuses.
    pub fn unix(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Only what a server left behind is in the way: anything else at that path is somebody's.
        if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self::Unix(listener, SocketFile::at(path)))
    }

    /// Takes a listening socket that this process was started with.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn passed_tcp(listener: std::net::TcpListener, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(match tls {
            Some(tls) => Self::Tls(listener, tls),
            None => Self::Tcp(listener),
        })
    }

    /// Takes a listening unix socket that this process was started with; its file stays.
    ///
    /// # Errors
    /// The runtime does not take it.
    pub fn passed_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let path = listener.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
        Ok(Self::Unix(UnixListener::from_std(listener)?, SocketFile { path, id: None }))
    }

    /// The URL of the server, as a client would write it.
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

    /// Whether only this host can come in here.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => {
                listener.local_addr().is_ok_and(|address| address.ip().is_loopback())
            }
            Self::Unix(..) => true,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, Peer)> {
        let tcp = async |listener: &TcpListener| {
            let (socket, address) = listener.accept().await?;
            // A client that is gone already is no fault of the listener's: the first read finds out.
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

/// Gives way after a connection that could not be accepted: where the host is out of descriptors or memory, looping at
/// once would burn a core. What one client brought about must not make the next one wait.
pub async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
