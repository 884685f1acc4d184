//! One file, one process, whatever the file is called.
//!
//! A server once locked `FILE.lock` beside the path as it was typed, and the engine's own lock requests ended in our
//! backends: a symlink was enough to start a second server, and a handful of logins later the file was no vault.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError};
use sealroom::disk::{DataFile, FileError, Locking, NewFile};

use crate::{
    host::disks::{run, verified},
    support::binary::{Serving, command, sealroom, stderr, vault},
};

fn serve(data: &str) -> Vec<&str> {
    vec!["serve", "--data", data, "--passphrase-file", "pass", "--listen", "127.0.0.1:0"]
}

/// A mount that ends with this.
struct Mounted(PathBuf);

impl Mounted {
    fn bind(from: &Path, to: &Path) -> Option<Self> {
        let there = run("mount", &["--bind", &from.display().to_string(), &to.display().to_string()]);
        if !there {
            eprintln!("skipped: a folder cannot be mounted here");
        }
        there.then(|| Self(to.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0.display().to_string()]);
    }
}

#[test]
fn no_other_name_of_a_served_file_lets_a_second_server_in() {
    let folder = vault();
    let at = |name: &str| folder.path().join(name);
    let mut server = Serving::start(folder.path(), &serve("v.redb"));
    let holder = format!("in use by process {}", server.child.id());
    for name in ["elsewhere", "mounted", "linked"] {
        fs::create_dir(at(name)).unwrap();
    }
    symlink("v.redb", at("symlink.redb")).unwrap();
    symlink("symlink.redb", at("twice.redb")).unwrap();
    symlink("../v.redb", at("elsewhere/symlink.redb")).unwrap();
    symlink(".", at("folder")).unwrap();
    fs::hard_link(at("v.redb"), at("hard.redb")).unwrap();
    fs::hard_link(at("v.redb"), at("linked/v.redb")).unwrap();
    fs::write(at("file.redb"), "").unwrap();
    let folder_mounted = Mounted::bind(folder.path(), &at("mounted"));
    let file_mounted = Mounted::bind(&at("v.redb"), &at("file.redb"));
    let mut names = vec![
        "v.redb",
        "./v.redb",
        "symlink.redb",
        "twice.redb",
        "elsewhere/symlink.redb",
        "folder/v.redb",
        "hard.redb",
        "linked/v.redb",
    ];
    names.extend(folder_mounted.as_ref().map(|_| "mounted/v.redb"));
    names.extend(file_mounted.as_ref().map(|_| "file.redb"));
    for name in &names {
        let second = sealroom(folder.path(), &serve(name));
        assert_eq!(second.status.code(), Some(1), "{name}");
        assert!(stderr(&second).contains(&holder), "{name}: {}", stderr(&second));
        let verified = sealroom(folder.path(), &["audit", "verify", name]);
        let said = stderr(&verified);
        assert!(verified.status.success() || said.contains(&holder), "{name}: {said}");
    }
    // The damage that a clean-up script, or a copy of the folder, does to the file that names the holder.
    for side in ["removed", "anew", "planted"] {
        fs::remove_file(at("v.redb.lock")).unwrap();
        match side {
            "anew" => fs::write(at("v.redb.lock"), "1\n").unwrap(),
            "planted" => symlink("owner", at("v.redb.lock")).unwrap(),
            _ => drop(fs::remove_file(at("v.redb.sock"))),
        }
        let owner = fs::read(at("owner")).unwrap();
        let second = sealroom(folder.path(), &serve("v.redb"));
        assert!(stderr(&second).contains(&holder), "{side}: {}", stderr(&second));
        assert_eq!(fs::read(at("owner")).unwrap(), owner, "what a planted link leads to is not written");
        if side == "planted" {
            fs::remove_file(at("v.redb.lock")).unwrap();
        } else if !at("v.redb.lock").exists() {
            fs::write(at("v.redb.lock"), "").unwrap();
        }
    }
    drop((folder_mounted, file_mounted));
    assert!(server.stop());
    fs::remove_file(at("hard.redb")).unwrap();
    fs::remove_file(at("linked/v.redb")).unwrap();
    verified(folder.path());
}

#[test]
fn no_program_on_the_same_engine_opens_a_served_file() {
    let folder = vault();
    let data = folder.path().join("v.redb");
    let mut server = Serving::start(folder.path(), &serve("v.redb"));
    assert!(matches!(Database::open(&data), Err(DatabaseError::DatabaseAlreadyOpen)));
    assert!(server.stop());
    let held = Database::open(&data).unwrap();
    let refused = sealroom(folder.path(), &serve("v.redb"));
    let holder = format!("in use by process {}", std::process::id());
    assert!(stderr(&refused).contains(&holder), "{}", stderr(&refused));
    drop(held);
}

#[test]
fn another_user_who_may_write_the_file_starts_no_second_server() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can start a server as somebody else");
        return;
    }
    let folder = vault();
    let open_to_all =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open_to_all(folder.path(), 0o770);
    open_to_all(&folder.path().join("v.redb"), 0o660);
    let mut server = Serving::start(folder.path(), &serve("v.redb"));
    let second = command(folder.path(), &serve("v.redb")).uid(65_534).gid(0).output().unwrap();
    assert!(stderr(&second).contains("in use by process"), "{}", stderr(&second));
    assert!(server.stop());
}

#[test]
fn a_file_with_two_names_is_not_served_and_a_killed_init_leaves_no_second_one() {
    let folder = vault();
    let at = |name: &str| folder.path().join(name);
    fs::hard_link(at("v.redb"), at("backup.redb")).unwrap();
    let refused = sealroom(folder.path(), &serve("v.redb"));
    let said = stderr(&refused);
    assert!(said.contains("2 names (hard links)") && said.contains("a hard link is not a backup"), "{said}");
    fs::remove_file(at("backup.redb")).unwrap();
    // The state after a kill between the two last steps of `init`.
    fs::hard_link(at("v.redb"), at(".v.redb.sealroom-new")).unwrap();
    let mut server = Serving::start(folder.path(), &serve("v.redb"));
    assert!(!at(".v.redb.sealroom-new").exists());
    assert!(server.stop());
}

#[test]
fn two_that_make_one_file_never_publish_each_others_half() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("v.redb");
    let first = NewFile::begin(&data).unwrap();
    first.medium().set_len(4096).unwrap();
    first.medium().write(0, b"first").unwrap();
    assert!(matches!(NewFile::begin(&data), Err(FileError::InUse { .. })));
    fs::remove_file(folder.path().join("v.redb.lock")).unwrap();
    assert!(matches!(NewFile::begin(&data), Err(FileError::InUse { .. })));
    let first = first.publish().unwrap();
    assert!(fs::read(&data).unwrap().starts_with(b"first"));
    assert!(matches!(NewFile::begin(&data), Err(FileError::Exists(_))));
    assert!(matches!(DataFile::open(&data, Locking::Required), Err(FileError::InUse { .. })));
    drop(first);
    drop(DataFile::open(&data, Locking::Required).unwrap());
}

/// A vault may be called as the side file of another one.
#[test]
fn the_side_file_never_takes_the_place_of_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("v.redb.lock"), "a vault of its own\n").unwrap();
    let made = NewFile::begin(&at("v.redb")).unwrap().publish().unwrap();
    drop(made);
    assert_eq!(fs::read_to_string(at("v.redb.lock")).unwrap(), "a vault of its own\n");
    fs::remove_file(at("v.redb.lock")).unwrap();
    let made = DataFile::open(&at("v.redb"), Locking::Required).unwrap();
    assert_eq!(fs::read_to_string(at("v.redb.lock")).unwrap(), format!("{}\n", std::process::id()));
    drop(made);
    assert!(!at("v.redb.lock").exists(), "and it goes with its process");
}

#[test]
fn a_file_that_is_replaced_is_locked_before_during_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other) = (folder.path().join("v.redb"), folder.path().join("next.redb"));
    let old = NewFile::begin(&data).unwrap().publish().unwrap();
    let new = NewFile::begin(&other).unwrap().publish().unwrap();
    let is_held = || {
        matches!(DataFile::open(&data, Locking::Required), Err(FileError::InUse { .. }))
            && matches!(DataFile::open_read_only(&data), Err(FileError::InUse { .. }))
    };
    assert!(is_held());
    fs::rename(&other, &data).unwrap();
    assert!(is_held());
    assert!(old.check().unwrap_err().to_string().contains("another file has taken the place of"));
    drop(old);
    assert!(is_held());
    drop(new);
    assert!(!is_held());
}

#[test]
fn whoever_looks_at_a_file_keeps_servers_out_and_no_other_reader() {
    let folder = vault();
    let data = folder.path().join("v.redb");
    let reader = DataFile::open_read_only(&data).unwrap();
    let second = DataFile::open_read_only(&data).unwrap();
    let refused = sealroom(folder.path(), &serve("v.redb"));
    assert!(stderr(&refused).contains("in use by process"), "{}", stderr(&refused));
    drop((reader, second));
    assert!(Serving::start(folder.path(), &serve("v.redb")).stop());
}

/// A start that must fail once derived the key and recorded its unlocking before it tried the port.
#[test]
fn a_start_that_must_fail_writes_nothing_and_leaves_nothing() {
    let folder = vault();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let before = fs::read(folder.path().join("v.redb")).unwrap();
    fs::write(folder.path().join("not-a-socket"), "").unwrap();
    let bad: [&[&str]; 4] = [
        &["--data", "v.redb", "--listen", &port],
        &["--data", "v.redb", "--listen", "unix:not-a-socket"],
        &["--data", "v.redb", "--tls-cert", "none", "--tls-key", "none"],
        &[
            "--data",
            "v.redb",
            "--listen",
            "192.0.2.1:1",
            "--behind-tls-proxy",
            "--trusted-proxies",
            "192.0.2.2",
        ],
    ];
    for args in bad {
        let refused = sealroom(folder.path(), &[&["serve", "--passphrase-file", "pass"], args].concat());
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {}", stderr(&refused));
        assert_eq!(fs::read(folder.path().join("v.redb")).unwrap(), before, "{args:?}");
    }
    for data in ["none.redb", "folder", "nowhere/v.redb"] {
        drop(fs::create_dir(folder.path().join("folder")));
        let refused = sealroom(folder.path(), &serve(data));
        assert!(
            stderr(&refused).contains(data) && !stderr(&refused).contains(".lock"),
            "{}",
            stderr(&refused)
        );
        assert!(!folder.path().join(format!("{data}.lock")).exists(), "{data}");
    }
}
