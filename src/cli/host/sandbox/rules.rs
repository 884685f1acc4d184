//! The files that the server opens after its start.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The use of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli::host) enum Access {
    /// Reads a file, or every file below a folder.
    Read,
    /// Removes files and folders from a folder.
    Remove,
    /// Creates, changes and removes files below a folder.
    Write,
}

/// The server's permission to open connections itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::host) enum Outgoing {
    /// It only answers.
    Refused,
    /// It connects to other hosts, and looks up their names.
    Allowed,
}

/// Files of the system that the server reads: free memory and limits, the holder of a lock, the names of users.
const SYSTEM: &[&str] = &[
    "/proc/self",
    "/proc/meminfo",
    "/proc/locks",
    "/sys/fs/cgroup",
    "/etc/passwd",
    "/etc/nsswitch.conf",
    "/dev/urandom",
];
/// Files that a look-up of a host's name reads. The authorities of its certificate are read before.
const NETWORK: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf"];

/// The paths that stay open to the server, each with its use.
#[derive(Debug)]
pub(in crate::cli::host) struct Rules {
    paths: BTreeMap<PathBuf, Access>,
    outgoing: Outgoing,
}

impl Rules {
    /// Begins with the files of the system.
    pub(in crate::cli::host) fn new(outgoing: Outgoing) -> Self {
        let mut this = Self { paths: BTreeMap::new(), outgoing };
        SYSTEM.iter().for_each(|path| this.add(Path::new(path), Access::Read));
        if outgoing == Outgoing::Allowed {
            NETWORK.iter().for_each(|path| this.read(Path::new(path)));
        }
        this
    }

    /// Adds a file that is read again while the server runs. Its folder, and the folder of the file that it links to,
    /// come with it: who renews a certificate puts a new file in place of the old one. The exception is a folder of the
    /// system such as `/etc`, which has the secrets of others.
    pub(in crate::cli::host) fn read(&mut self, file: &Path) {
        let target = std::fs::canonicalize(file);
        for path in [Some(file), target.as_deref().ok()].into_iter().flatten() {
            self.add(path, Access::Read);
            if let Ok(path) = std::path::absolute(path)
                && let Some(folder) = path.parent().filter(|folder| is_own(folder))
            {
                self.add(folder, Access::Read);
            }
        }
    }

    /// Adds a path for one use.
    pub(in crate::cli::host) fn add(&mut self, path: &Path, access: Access) {
        let entry = self.paths.entry(path.to_owned()).or_insert(access);
        *entry = access.max(*entry);
    }

    /// Adds a folder to write to. One that does not exist yet may appear later: then it is the folder above, unless that
    /// is one of the system's, such as `/srv`, or missing too. Returns whether it can be written to.
    pub(in crate::cli::host) fn write(&mut self, folder: &Path) -> bool {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let there = folder.ancestors().take(2).find(|folder| folder.is_dir());
        let there = there.filter(|there| *there == folder || is_own(there));
        there.inspect(|there| self.add(there, Access::Write)).is_some()
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has the parts"))]
    pub(super) fn paths(&self) -> impl Iterator<Item = (&Path, Access)> {
        self.paths.iter().map(|(path, access)| (path.as_path(), *access))
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has the parts"))]
    pub(super) const fn outgoing(&self) -> Outgoing {
        self.outgoing
    }
}

/// Returns whether a folder belongs to one program or user: it is below a folder of the system, and not one itself.
fn is_own(folder: &Path) -> bool {
    folder.components().count() > 2
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn access(rules: &Rules, path: &Path) -> Option<Access> {
        rules.paths.get(path).copied()
    }

    #[test]
    fn a_renewed_file_can_be_read_and_the_rest_of_etc_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let (live, archive) = (folder.path().join("live"), folder.path().join("archive"));
        fs::create_dir(&live).unwrap();
        fs::create_dir(&archive).unwrap();
        fs::write(archive.join("cert1.pem"), "x").unwrap();
        symlink("../archive/cert1.pem", live.join("cert.pem")).unwrap();
        let mut rules = Rules::new(Outgoing::Refused);
        rules.read(&live.join("cert.pem"));
        assert_eq!(access(&rules, &live), Some(Access::Read));
        assert_eq!(access(&rules, &archive.canonicalize().unwrap()), Some(Access::Read));
        rules.read(Path::new("/etc/sealroom.toml"));
        assert_eq!(access(&rules, Path::new("/etc/sealroom.toml")), Some(Access::Read));
        for folder in ["/etc", "/", "", "."] {
            assert_eq!(access(&rules, Path::new(folder)), None, "{folder}");
        }
    }

    #[test]
    fn a_folder_that_is_missing_may_appear_and_never_opens_the_whole_system() {
        let folder = tempfile::tempdir().unwrap();
        let mut rules = Rules::new(Outgoing::Refused);
        rules.write(&folder.path().join("later/still"));
        assert_eq!(access(&rules, folder.path()), None);
        rules.write(&folder.path().join("later"));
        assert_eq!(access(&rules, folder.path()), Some(Access::Write));
        // `/tmp` here: a folder of many.
        rules.write(&folder.path().with_extension("missing"));
        assert_eq!(access(&rules, folder.path().parent().unwrap()), None);
        rules.write(Path::new("/missing/sealroom"));
        assert_eq!(access(&rules, Path::new("/")), None);
        rules.read(folder.path());
        assert_eq!(access(&rules, folder.path()), Some(Access::Write), "the wider use stays");
    }
}
