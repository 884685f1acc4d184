//! The newest record of a vault's log that a user has seen, so that an older copy of the vault is noticed.
//!
//! A disclosure comes with a receipt (contract §9), and its sequence only grows. A smaller one for the same token or user
//! than before means that the server no longer has the records in between.
//!
//! ```text
//! sealroom/seen/ADDRESS/CRC.txt   the sequence in decimal; the checksum is of the token, or of the user's e-mail
//! ```
//!
//! Nothing is kept of an unencrypted server: whoever is on the way can answer anything. A folder that takes no file
//! keeps nothing; a read of credentials never fails for that.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::NamedTempFile;

use super::{Endpoint, session};

/// The newest record that was seen before this command, and its place.
#[derive(Debug)]
pub struct Seen {
    path: PathBuf,
    newest: Option<u64>,
}

/// A log that is shorter than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shorter {
    /// The newest sequence before this command.
    pub before: u64,
    /// The sequence of the new receipt.
    pub now: u64,
}

impl Seen {
    /// Returns the memory of a server for a token's text or a user's address; `None` where nothing is kept.
    pub fn of(server: &Endpoint, who: &[u8]) -> Option<Self> {
        let is_private = match server {
            Endpoint::Unix(_) => true,
            tcp @ Endpoint::Tcp { .. } => tcp.to_string().starts_with("https://"),
        };
        let folder = session::config_folder().ok().filter(|_| is_private)?;
        Some(Self::within(&folder, &server.to_string(), who))
    }

    fn within(folder: &Path, server: &str, who: &[u8]) -> Self {
        let server = utf8_percent_encode(server, NON_ALPHANUMERIC).to_string();
        let path = folder.join("seen").join(server).join(format!("{:08x}.txt", crc32fast::hash(who)));
        let newest = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        Self { path, newest }
    }

    /// Takes in a receipt; returns whether the log is shorter than it was before this command.
    pub fn note(&mut self, receipt: &str) -> Option<Shorter> {
        let now = newest_of(receipt)?;
        let shorter = self.newest.filter(|before| now < *before).map(|before| Shorter { before, now });
        if self.newest != Some(now) {
            // Without a place it is simply not remembered.
            drop(self.keep(now));
        }
        // The pages of one command are compared with each other too.
        self.newest = Some(now);
        shorter
    }

    fn keep(&self, newest: u64) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        session::make_folder(folder)?;
        let mut next = NamedTempFile::new_in(folder)?;
        writeln!(next, "{newest}")?;
        next.persist(&self.path).map(drop).map_err(|error| error.error)
    }
}

/// Returns the newest sequence of a receipt: `41:…,42:…`, or `41-60:…` for many credentials.
fn newest_of(receipt: &str) -> Option<u64> {
    let last = receipt.rsplit(',').next()?.trim();
    let (sequences, _) = last.split_once(':')?;
    sequences.rsplit('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_tells_its_newest_record() {
        for (receipt, newest) in [
            ("41:aGFzaA==", Some(41)),
            ("41:aGFzaA==, 42:aGFzaA==", Some(42)),
            ("41-60:aGFzaA==", Some(60)),
            ("", None),
            ("x:aGFzaA==", None),
            ("41", None),
        ] {
            assert_eq!(newest_of(receipt), newest, "{receipt}");
        }
    }

    #[test]
    fn a_log_that_has_become_shorter_is_noticed_once_and_for_its_own_token_alone() {
        let folder = tempfile::tempdir().unwrap();
        let seen = |who: &[u8]| Seen::within(folder.path(), "https://vault.example.com", who);
        assert_eq!(seen(b"one").note("41:x"), None);
        assert_eq!(seen(b"one").note("57-60:x"), None);
        assert_eq!(seen(b"two").note("3:x"), None, "a token of another vault");
        assert_eq!(seen(b"one").note("42:x"), Some(Shorter { before: 60, now: 42 }));
        assert_eq!(seen(b"one").note("43:x"), None, "from now on this is its log");
        let mut pages = seen(b"one");
        assert_eq!((pages.note("50:x"), pages.note("49:x")), (None, Some(Shorter { before: 50, now: 49 })));
    }

    #[test]
    fn nothing_is_kept_of_an_unencrypted_server_and_nothing_fails_without_a_place() {
        assert!(Seen::of(&"http://127.0.0.1:3029".parse().unwrap(), b"one").is_none());
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut seen = Seen::within(file.path(), "https://vault.example.com", b"one");
        assert_eq!(seen.note("41:x"), None);
    }
}
