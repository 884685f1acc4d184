//! Folders that are read-only to the server, as `ProtectSystem=strict` of a unit makes each one that it does not name.

use std::{fs, process::Stdio};

use super::{bad_copies::backed_up, self_check::mounted};
use crate::support::{
    binary::{Serving, ended, stderr, vault},
    log::SERVE,
};

const REMEDY: &str = "name the folder in ReadWritePaths=";

/// The log said "check the folder and its disk", and the disk was well.
#[test]
fn no_read_only_folder_is_blamed_on_its_disk_and_the_server_goes_on() {
    let folder = vault();
    let folder = folder.path();
    assert!(backed_up(folder).stop());
    for name in ["kept", "backups", "archives"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let read_only = |name: &str| format!("-t tmpfs -o ro,mode=700,size=64m none {name}");
    let probe = mounted(folder, &read_only("kept"), &["version"]);
    let Some(mut probe) = probe else { return };
    if !ended(probe.stdout(Stdio::piped())).status.success() {
        eprintln!("not run: this container may not mount");
        return;
    }
    let both = format!("{} && mount {}", read_only("kept"), read_only("backups"));
    let folders = ["--checkpoint-folder", "kept", "--backup-folder", "backups"];
    let mut serve = mounted(folder, &both, &[SERVE, &folders].concat()).unwrap();
    serve.stdin(Stdio::null());
    let mut server = Serving::spawn(serve, folder);
    server.logged("the backup failed");
    server.logged("the checkpoint was not written");
    assert!(server.health().contains("200 OK"), "{}", server.health());
    assert!(server.stop());
    let log = fs::read_to_string(folder.join("server.log")).unwrap();
    for failure in ["the backup failed", "the checkpoint was not written"] {
        let line = log.lines().find(|line| line.contains(failure)).unwrap();
        assert!(line.contains("Read-only file system") && line.contains(REMEDY), "{line}");
    }
    let archive =
        ["audit", "archive", "--data", "v.redb", "--passphrase-file", "pass", "--before", "2100-01-01"];
    let archive = [&archive[..], &["--to", "archives/old.archive"]].concat();
    let refused = ended(mounted(folder, &read_only("archives"), &archive).unwrap().stdout(Stdio::piped()));
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains(REMEDY), "{}", stderr(&refused));
    // Another failure keeps its own remedy.
    let gone = [&archive[..9], &["none/old.archive"]].concat();
    let refused = crate::support::binary::sealroom(folder, &gone);
    assert!(!stderr(&refused).contains(REMEDY), "{}", stderr(&refused));
}
