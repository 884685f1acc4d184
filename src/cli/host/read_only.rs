//! The remedy for a folder that is read-only to the server.

use std::io;

/// `ProtectSystem=strict` of a unit makes every folder read-only that the unit does not name.
const REMEDY: &str = "mount its disk writable; in a unit of systemd with ProtectSystem=, name the folder in ReadWritePaths= \
                      and restart the service";

/// Returns the remedy for a write that failed because the file system is read-only, otherwise `other`.
pub(super) fn remedy(error: &io::Error, other: &'static str) -> &'static str {
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem { REMEDY } else { other }
}
