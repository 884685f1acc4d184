//! Vault files that servers of this host have open, by the local sockets that the kernel lists.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::disk::{beside, resolved};

/// The kernel's list of unix sockets: one line each, with the path at its end.
const SOCKETS: &str = "/proc/net/unix";
/// `__SO_ACCEPTCON` in the column of flags: the socket listens.
const LISTENS: &str = "00010000";
/// Maximum number of files that a hint names.
const NAMED_MAX: usize = 3;

/// Returns the sentence that names the files of running servers, or nothing if none is known; files in `folder` come
/// alone, since a user stands beside the vault in most cases.
pub(super) fn files_told(folder: &Path) -> Option<String> {
    let files = served()?;
    told(&beside_each_other(&files, folder)).or_else(|| told(&files))
}

/// Returns the sentence that names the files of running servers in the folder of a file that is not there.
pub(super) fn neighbours_told(missing: &Path) -> Option<String> {
    let files = served()?;
    told(&beside_each_other(&files, resolved(missing).parent()?))
}

fn served() -> Option<Vec<PathBuf>> {
    // The name of a socket may be any bytes.
    let sockets = fs::read(SOCKETS).ok()?;
    Some(listed(&String::from_utf8_lossy(&sockets), |file| !is_in_open_folder(file) && is_vault(file)))
}

/// Returns whether every user may put files beside it: one of them may wait there for a passphrase.
fn is_in_open_folder(file: &Path) -> bool {
    const WRITABLE_BY_ALL: u32 = 0o002;
    let folder = file.parent().and_then(|folder| fs::metadata(folder).ok());
    folder.is_some_and(|folder| folder.mode() & WRITABLE_BY_ALL != 0)
}

fn beside_each_other(files: &[PathBuf], folder: &Path) -> Vec<PathBuf> {
    files.iter().filter(|file| file.parent() == Some(folder)).cloned().collect()
}

fn told(files: &[PathBuf]) -> Option<String> {
    let shown: Vec<String> = files.iter().take(NAMED_MAX).map(|file| file.display().to_string()).collect();
    match &shown[..] {
        [] => None,
        [one] => {
            let whose = owner_told(Path::new(one));
            Some(format!("a server{whose} has {one} open: pass --data {one}, or set SEALROOM_DATA"))
        }
        _ => {
            let more = if files.len() > NAMED_MAX { ", …" } else { "" };
            Some(format!(
                "pass one of a running server with --data or SEALROOM_DATA: {}{more}",
                shown.join(", ")
            ))
        }
    }
}

/// Names the owner of a file that is another user's, since that user's server gets what is typed for it.
fn owner_told(file: &Path) -> String {
    let owner = fs::metadata(file).map_or(0, |file| file.uid());
    if owner == rustix::process::geteuid().as_raw() { String::new() } else { format!(" of uid {owner}") }
}

/// Returns the files beside which a socket listens, each once.
fn listed(sockets: &str, is_vault: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let file = |line: &str| {
        // Num: RefCount Protocol Flags Type St Inode Path; the inode is padded on its left.
        let mut columns = line.splitn(7, ' ').skip(3);
        let (flags, rest) = (columns.next()?, columns.nth(2)?);
        let path = rest.trim_start().split_once(' ')?.1;
        let file = PathBuf::from(path.strip_suffix(".sock").filter(|path| path.starts_with('/'))?);
        (flags == LISTENS && is_vault(&file)).then_some(file)
    };
    let mut files: Vec<PathBuf> = sockets.lines().filter_map(file).collect();
    files.sort();
    files.dedup();
    files
}

/// Returns whether a vault is there, or may be in a folder that is closed to this user.
fn is_vault(file: &Path) -> bool {
    match fs::metadata(file) {
        Ok(found) => found.is_file() && beside(file, ".lock").exists(),
        Err(error) => {
            error.kind() == io::ErrorKind::PermissionDenied
                && file.extension().is_some_and(|end| end == "redb")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_socket_beside_a_vault_names_it() {
        let sockets = "\
Num       RefCount Protocol Flags    Type St Inode Path
00000000d21b91e1: 00000002 00000000 00010000 0001 01 28081 /srv/vault/team.redb.sock
00000000d21b91e2: 00000002 00000000 00010000 0001 01    82 /srv/a vault/x y.redb.sock
00000000d21b91e3: 00000003 00000000 00000000 0001 03 28083 /srv/vault/connected.redb.sock
00000000d21b91e4: 00000002 00000000 00010000 0001 01 28084 /run/other.sock
00000000d21b91e5: 00000002 00000000 00010000 0001 01 28085 @abstract.redb.sock
00000000d21b91e6: 00000002 00000000 00010000 0001 01 28086 relative.redb.sock
00000000d21b91e7: 00000002 00000000 00010000 0001 01 28087
00000000d21b91e8: 00000002 00000000 00010000 0001 01 28088 /srv/vault/team.redb.sock
";
        let found = listed(sockets, |file| file.extension().is_some());
        assert_eq!(found, ["/srv/a vault/x y.redb", "/srv/vault/team.redb"].map(PathBuf::from));
    }
}
