//! A vault's volume that is not mounted, and one that is mounted read-only: what each command of the host says of it.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use crate::{
    host::self_check::mounted,
    support::binary::{ended, sealroom, stderr, vault},
};

/// The commands of the host that open an existing vault, each with that file.
fn commands(data: &str) -> Vec<Vec<&str>> {
    let with_passphrase = ["--data", data, "--passphrase-file", "pass"];
    let with = |words: &[&'static str]| [words, &with_passphrase].concat();
    vec![
        with(&["serve", "--listen", "127.0.0.1:0"]),
        with(&["recover", "owner"]),
        vec!["slot", "list", "--data", data],
        with(&["compact"]),
        with(&["rekey", "--yes"]),
        with(&["audit", "archive", "--before", "2020-01-01T00:00:00Z", "--to", "old.archive"]),
        with(&["unlock", "--connect-wait-secs", "0"]),
        vec!["lock", "--connect-wait-secs", "0", "--data", data],
        vec!["doctor", data],
        vec!["audit", "verify", data],
    ]
}

fn refused(what: &[&str], output: &Output) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{what:?}: {said}");
    assert!(said.starts_with("error: ") && said.contains("\nhint: "), "{what:?}: {said}");
    said
}

/// `serve` spoke of the volume, and every other command advised `init`, which would make a second vault in the empty
/// folder: hidden once the volume is mounted, with whatever was stored in it.
#[test]
fn no_command_makes_or_advises_a_second_vault_where_a_volume_is_not_mounted_yet() {
    let folder = vault();
    let mount_point = folder.path().join("volume");
    fs::create_dir(&mount_point).unwrap();
    // The mount point itself, a folder of the volume, and a link that leads into it.
    std::os::unix::fs::symlink("volume/vault/v.redb", folder.path().join("link.redb")).unwrap();
    for data in ["volume/v.redb", "volume/vault/v.redb", "link.redb"] {
        for command in commands(data) {
            let said = refused(&command, &sealroom(folder.path(), &command));
            assert!(
                said.contains(data) || said.contains("v.redb.sock"),
                "{command:?} names the file: {said}"
            );
            let hint = said.split("\nhint: ").nth(1).unwrap();
            if let Some(advised) = hint.find("init").or(hint.find("create")) {
                let mount = hint.find("mount").unwrap_or(usize::MAX);
                assert!(mount < advised, "{command:?} advises a new vault first: {hint}");
            }
            assert_eq!(fs::read_dir(&mount_point).unwrap().count(), 0, "{command:?} leaves a file");
        }
    }
}

/// A command on a vault whose volume is read-only, in a namespace of its own.
fn read_only(folder: &Path, args: &[&str]) -> Option<Output> {
    let mount = "--bind data data && mount -o remount,bind,ro data";
    let output = ended(mounted(folder, mount, args)?.stdout(Stdio::piped()));
    if stderr(&output).starts_with("mount: ") {
        eprintln!("not run: this container may not mount: {}", stderr(&output));
        return None;
    }
    Some(output)
}

#[test]
fn a_read_only_volume_is_named_by_what_writes_and_no_obstacle_to_what_reads() {
    let folder = vault();
    let path = folder.path();
    fs::create_dir(path.join("data")).unwrap();
    fs::rename(path.join("v.redb"), path.join("data/v.redb")).unwrap();
    let files = || fs::read_dir(path.join("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let before: (Vec<u8>, Vec<_>) = (fs::read(path.join("data/v.redb")).unwrap(), files());
    let reading = [
        &["audit", "verify", "data/v.redb"][..],
        &["doctor", "data/v.redb", "--passphrase-file", "pass"],
        &["restore", "data/v.redb", "--data", "new.redb", "--passphrase-file", "pass"],
    ];
    for args in reading {
        let Some(output) = read_only(path, args) else { return };
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
    let init =
        ["init", "--data", "data/n.redb", "--owner-email", "ada@example.com", "--passphrase-file", "pass"];
    let writing = commands("data/v.redb").into_iter().filter(|args| {
        // Whatever speaks to a server finds none.
        !["doctor", "unlock", "lock"].contains(&args[0])
            && !args.contains(&"verify")
            && !args.contains(&"list")
    });
    for args in writing.chain([init.to_vec()]) {
        let said = refused(&args, &read_only(path, &args).unwrap());
        assert!(said.contains("hint: remount the volume writable"), "{args:?}: {said}");
    }
    assert!((fs::read(path.join("data/v.redb")).unwrap(), files()) == before, "nothing was written");
    assert!(!path.join("old.archive").exists(), "a refused archive leaves no file");
}
