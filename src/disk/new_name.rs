//! The name of a new file, which never replaces another file.
//!
//! `renameat2` with `RENAME_NOREPLACE` where the file system has it, else a hard link: FAT, exFAT and many shares have no
//! links, NFS and older kernels not that rename.

use std::{fs, io, path::Path};

use rustix::io::Errno;

/// Gives a file another name, unless a file has it already.
///
/// # Errors
/// `AlreadyExists` if a file has that name; `Unsupported` if the file system has neither way; or the system refuses.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = rename_exclusively(from, to);
    if !renamed.as_ref().is_err_and(is_unsupported) {
        return renamed;
    }
    fs::hard_link(from, to).map_err(|error| if is_unsupported(&error) { no_way() } else { error })?;
    // Best effort: the next run removes the first name as well.
    drop(fs::remove_file(from));
    Ok(())
}

/// Returns whether a file system lacks the call; a sandbox that forbids it says the same.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    let codes = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM];
    error.kind() == io::ErrorKind::Unsupported
        || codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

fn no_way() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "the file system has neither hard links nor a rename that replaces no file",
    )
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_exclusively(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn rename_exclusively(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_never_takes_that_of_another_file_folder_or_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("new"), "new").unwrap();
        fs::write(at("file"), "file").unwrap();
        fs::create_dir(at("folder")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
        for taken in ["file", "folder", "link"] {
            let refused = rename_new(&at("new"), &at(taken)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{taken}");
            assert_eq!(fs::read_to_string(at("new")).unwrap(), "new");
        }
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "file");
        assert!(!at("nowhere").exists());
        rename_new(&at("new"), &at("named")).unwrap();
        assert!(!at("new").exists());
        assert_eq!(fs::read_to_string(at("named")).unwrap(), "new");
    }

    #[test]
    fn a_full_disk_or_a_closed_folder_is_never_taken_for_a_file_system_without_links() {
        for (code, unsupported) in [
            (Errno::PERM, true),
            (Errno::INVAL, true),
            (Errno::NOSYS, true),
            (Errno::OPNOTSUPP, true),
            (Errno::EXIST, false),
            (Errno::ACCESS, false),
            (Errno::NOSPC, false),
            (Errno::ROFS, false),
            (Errno::IO, false),
        ] {
            assert_eq!(is_unsupported(&code.into()), unsupported, "{code}");
        }
    }
}
