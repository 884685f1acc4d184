//! Read access to a secret's file: its owner, and a group of this process if root or this process's user owns the file.
//! One rule for keys, passphrases, passwords and tokens.
//!
//! Debian keeps TLS keys as `root:ssl-cert 0640`, and certbot's hooks and Kubernetes' `fsGroup` do likewise: the
//! service reads through its group what it must not be able to change.

use std::{
    fs::{File, Metadata},
    path::Path,
};

use crate::cli::{error::CliError, terminal::output::Output};

/// Elsewhere a file has no mode; its folder's access rights protect it.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on unix")]
pub(super) fn check(_: &Path, _: &File, _: &Metadata, _: &Output) -> Result<(), CliError> {
    Ok(())
}

/// Refuses a file that others can read; warns if the mode cannot be changed, as with a container's secrets.
#[cfg(unix)]
pub(super) fn check(path: &Path, file: &File, metadata: &Metadata, output: &Output) -> Result<(), CliError> {
    use unix::{Owned, Process};

    let (owned, process) = (Owned::of(metadata), Process::own());
    let Some(exposure) = owned.exposure(&process) else { return Ok(()) };
    let shown = path.display();
    let mount = rustix::fs::fstatvfs(file)
        .map_err(|error| CliError::failed(format!("{shown}: {error}"), "check the path and its mode"))?;
    if mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        output.warning(&format!("{shown} {exposure}; accepted, since its mount is read-only"));
        return Ok(());
    }
    Err(CliError::failed(
        format!("{shown} {exposure} (mode {:04o})", owned.mode),
        owned.remedy(&process, &shown.to_string()),
    ))
}

#[cfg(unix)]
mod unix {
    use std::{
        fmt,
        fs::Metadata,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    /// The user and groups that this process reads as.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct Process {
        pub(super) user: u32,
        pub(super) group: u32,
        pub(super) supplementary: Vec<u32>,
    }

    impl Process {
        pub(super) fn own() -> Self {
            use rustix::process::{getegid, geteuid, getgroups};
            let supplementary = getgroups().unwrap_or_default();
            Self {
                user: geteuid().as_raw(),
                group: getegid().as_raw(),
                supplementary: supplementary.into_iter().map(rustix::process::Gid::as_raw).collect(),
            }
        }

        fn has(&self, group: u32) -> bool {
            self.group == group || self.supplementary.contains(&group)
        }
    }

    /// Owner, group and mode of a file.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Owned {
        pub(super) user: u32,
        pub(super) group: u32,
        pub(super) mode: u32,
    }

    /// The exposure of a file, worded so that `FILE exposure` is a sentence.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Exposure {
        /// Any user of the host has access.
        World,
        /// A group that this process is not in.
        ForeignGroup(u32),
        /// The group of a file of another user, who decides its members.
        ForeignOwner(u32),
        /// Its group has more than read access.
        GroupWrites,
    }

    impl fmt::Display for Exposure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::World => f.write_str("can be read by others"),
                Self::ForeignGroup(group) => {
                    write!(f, "can be read by the group {group}, which this process is not in")
                }
                Self::ForeignOwner(user) => {
                    write!(
                        f,
                        "can be read by its group, and the user {user} owns it, neither root nor this process"
                    )
                }
                Self::GroupWrites => f.write_str("can be changed or run by its group"),
            }
        }
    }

    impl Owned {
        pub(super) fn of(metadata: &Metadata) -> Self {
            let mode = metadata.permissions().mode() & 0o7777;
            Self { user: metadata.uid(), group: metadata.gid(), mode }
        }

        pub(super) fn exposure(self, process: &Process) -> Option<Exposure> {
            if self.mode & 0o007 != 0 {
                Some(Exposure::World)
            } else if self.mode & 0o070 == 0 {
                None
            } else if self.mode & 0o030 != 0 {
                Some(Exposure::GroupWrites)
            } else if self.user != 0 && self.user != process.user {
                Some(Exposure::ForeignOwner(self.user))
            } else if process.has(self.group) {
                None
            } else {
                Some(Exposure::ForeignGroup(self.group))
            }
        }

        /// Returns the remedy that makes the file acceptable and keeps it readable to this process.
        pub(super) fn remedy(self, process: &Process, shown: &str) -> String {
            let is_own = self.user == process.user && (process.user != 0 || process.has(self.group));
            if is_own {
                return format!("chmod 600 {shown}");
            }
            if process.user != 0 {
                return format!("as root: chown root:{} {shown} && chmod 640 {shown}", process.group);
            }
            // A service may read it as its owner or through its group; `chmod 600` of root's file would end the latter.
            format!(
                "run this as the user of the service that reads it, or, where none does: chmod 600 {shown}"
            )
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const SERVICE: u32 = 990;
        const SSL_CERT: u32 = 115;

        fn service() -> Process {
            Process { user: SERVICE, group: SERVICE, supplementary: vec![SSL_CERT] }
        }

        #[test]
        fn a_group_reads_only_what_root_or_the_service_owns_and_only_its_own_group() {
            let root = Process { user: 0, group: 0, supplementary: Vec::new() };
            for (process, user, group, mode, exposure) in [
                (service(), 0, SSL_CERT, 0o640, None),
                (service(), 0, SSL_CERT, 0o440, None),
                (service(), 0, SERVICE, 0o640, None),
                (service(), SERVICE, SSL_CERT, 0o640, None),
                (service(), SERVICE, 0, 0o600, None),
                (service(), SERVICE, 0, 0o400, None),
                (service(), 0, 0, 0o640, Some(Exposure::ForeignGroup(0))),
                (service(), SERVICE, 100, 0o640, Some(Exposure::ForeignGroup(100))),
                (service(), 1000, SSL_CERT, 0o640, Some(Exposure::ForeignOwner(1000))),
                (service(), 0, SSL_CERT, 0o660, Some(Exposure::GroupWrites)),
                (service(), 0, SSL_CERT, 0o650, Some(Exposure::GroupWrites)),
                (service(), SERVICE, SSL_CERT, 0o620, Some(Exposure::GroupWrites)),
                (service(), 0, SSL_CERT, 0o644, Some(Exposure::World)),
                (service(), SERVICE, SERVICE, 0o604, Some(Exposure::World)),
                (service(), SERVICE, SERVICE, 0o602, Some(Exposure::World)),
                (service(), SERVICE, SERVICE, 0o601, Some(Exposure::World)),
                (root.clone(), 0, 0, 0o640, None),
                (root.clone(), 1000, 1000, 0o600, None),
                (root, 0, SSL_CERT, 0o640, Some(Exposure::ForeignGroup(SSL_CERT))),
            ] {
                let owned = Owned { user, group, mode };
                assert_eq!(owned.exposure(&process), exposure, "{owned:?} {process:?}");
            }
        }

        /// `chmod 600` on a file of root's locks out the service that reads it through its group.
        #[test]
        fn no_remedy_locks_the_reader_out() {
            for (user, group, mode) in
                [(0, SSL_CERT, 0o644), (0, 0, 0o640), (1000, 1000, 0o644), (1000, SSL_CERT, 0o640)]
            {
                let remedy = Owned { user, group, mode }.remedy(&service(), "key.pem");
                assert_eq!(remedy, "as root: chown root:990 key.pem && chmod 640 key.pem");
                let after = Owned { user: 0, group: SERVICE, mode: 0o640 };
                assert_eq!(after.exposure(&service()), None);
            }
            let own = Owned { user: SERVICE, group: SERVICE, mode: 0o644 };
            assert_eq!(own.remedy(&service(), "key.pem"), "chmod 600 key.pem");
            let root = Process { user: 0, group: 0, supplementary: Vec::new() };
            let of_service = Owned { user: 0, group: SSL_CERT, mode: 0o640 };
            assert!(of_service.remedy(&root, "key.pem").starts_with("run this as the user of the service"));
            let of_root = Owned { user: 0, group: 0, mode: 0o644 };
            assert_eq!(of_root.remedy(&root, "key.pem"), "chmod 600 key.pem");
        }
    }
}
