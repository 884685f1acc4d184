//! File systems that lack a call by which a new file gets its name: FAT and many shares have no hard links, NFS and older
//! kernels no rename that replaces no file.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{
    binary::{INIT, PASSPHRASE, command, ended, sealroom, secret_file, stderr},
    tls::has,
};

const LINKS: &str = "?link,linkat";
const RENAME: &str = "renameat2";

/// Runs the binary on a file system on which those calls fail with that error.
fn lacking(folder: &Path, lacks: &[(&str, &str)], args: &[&str]) -> Output {
    let own = command(folder, args);
    let mut strace = Command::new("strace");
    strace.current_dir(folder).env("USER", "tester").env("HOME", folder);
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
    let calls: Vec<&str> = lacks.iter().map(|(calls, _)| *calls).collect();
    strace.args(["-e", &format!("trace={}", calls.join(","))]);
    for (calls, error) in lacks {
        strace.args(["-e", &format!("inject={calls}:error={error}")]);
    }
    ended(strace.arg(own.get_program()).args(own.get_args()).stdout(Stdio::piped()))
}

fn is_traceable() -> bool {
    let traced = has("strace") && {
        let probe = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
        probe.is_ok_and(|probe| probe.status.success())
    };
    if !traced {
        eprintln!("not run: no strace, or it may not trace here");
    }
    traced
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// `init` had shown the keys, and then failed on the link: so did a backup, after the whole copy.
#[test]
fn no_vault_and_no_copy_fails_at_its_last_step_for_want_of_one_call() {
    if !is_traceable() {
        return;
    }
    for lacks in [
        (LINKS, "EPERM"),
        (LINKS, "EOPNOTSUPP"),
        (LINKS, "ENOSYS"),
        (RENAME, "EINVAL"),
        (RENAME, "ENOSYS"),
        (RENAME, "EPERM"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        secret_file(folder, "pass", PASSPHRASE, 0o600);
        let checked = lacking(folder, &[lacks], &["self-check", "--data", "v.redb"]);
        let report = String::from_utf8(checked.stdout.clone()).unwrap();
        assert!(
            report.contains("a new file gets its name and replaces no other file"),
            "{lacks:?}: {report}"
        );
        let made = lacking(folder, &[lacks], INIT);
        assert!(made.status.success(), "{lacks:?}: {}", stderr(&made));
        assert_eq!(names(folder), ["pass", "v.redb"], "{lacks:?}");
        // A copy under a new name, and one in the place of a vault that stays beside it.
        let with = ["--passphrase-file", "pass", "--data"];
        fs::copy(folder.join("v.redb"), folder.join("copy.redb")).unwrap();
        let new = [&["restore", "copy.redb"], &with[..], &["new.redb"]].concat();
        let restored = lacking(folder, &[lacks], &new);
        assert!(restored.status.success(), "{lacks:?}: {}", stderr(&restored));
        let again = lacking(folder, &[lacks], &new);
        assert!(!again.status.success(), "{lacks:?}: it replaces a file");
        let over = [&["restore", "copy.redb", "--force"], &with[..], &["v.redb"]].concat();
        let replaced = lacking(folder, &[lacks], &over);
        assert!(replaced.status.success(), "{lacks:?}: {}", stderr(&replaced));
        let aside: Vec<String> =
            names(folder).into_iter().filter(|name| name.starts_with("v.redb.replaced-")).collect();
        assert_eq!((names(folder).len(), aside.len()), (5, 1), "{lacks:?}: {:?}", names(folder));
        for file in ["v.redb", "new.redb", &aside[0]] {
            let examined = sealroom(folder, &["doctor", file, "--passphrase-file", "pass"]);
            assert!(examined.status.success(), "{lacks:?}: {file}: {}", stderr(&examined));
        }
    }
}

#[test]
fn a_file_system_without_either_call_is_named_before_init_and_gets_no_half_vault() {
    if !is_traceable() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret_file(folder, "pass", PASSPHRASE, 0o600);
    let neither = [(LINKS, "EPERM"), (RENAME, "EINVAL")];
    let checked = lacking(folder, &neither, &["self-check", "--data", "v.redb"]);
    let report = String::from_utf8(checked.stdout.clone()).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{report}");
    let line =
        report.lines().find(|line| line.starts_with("failed   names")).unwrap_or_else(|| panic!("{report}"));
    assert!(line.contains("neither hard links nor") && line.contains("another file system"), "{line}");
    let refused = lacking(folder, &neither, INIT);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("neither hard links nor") && said.contains("another file system"), "{said}");
    assert!(said.contains("open nothing"), "{said}");
    assert_eq!(names(folder), ["pass"]);
}
