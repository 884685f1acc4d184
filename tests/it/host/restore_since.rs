//! Sources of the revocations after a backup: the replaced file, exports and archives, each believed as far as something
//! proves it.

use std::{fs, path::Path, process::Output};

use sealroom::audit::tree::leaf_hash;

use super::restore::Worst;
use crate::{
    lab::kills::request,
    support::{
        binary::{SERVE_KEPT as SERVE, Serving, sealroom, stderr},
        memory_disk::{AUDIT, edit},
    },
};

/// The worst day on a log of more than 256 records, with an export that reaches beyond the checkpoint in `early`.
fn long() -> Worst {
    let worst = Worst::new();
    worst.take_away();
    let folder = worst.path();
    fs::create_dir(folder.join("early")).unwrap();
    for entry in fs::read_dir(folder.join("kept")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join("early").join(path.file_name().unwrap())).unwrap();
    }
    let mut server = Serving::start(folder, SERVE);
    for _ in 0..300 {
        let path = "/sfp/api/audit?limit=1";
        assert_eq!(request(server.address(), "GET", path, &worst.session, "").unwrap().0, 200);
    }
    let args = ["audit", "export", "--server", &server.url, "--token-file", "bearer"];
    let export = sealroom(folder, &args);
    assert!(export.status.success(), "{}", stderr(&export));
    fs::write(folder.join("export"), export.stdout).unwrap();
    assert!(server.stop());
    worst
}

const FORCE: &[&str] = &["backup.redb", "--force", "--checkpoint-folder", "kept"];
const LOST: &[&str] = &["backup.redb", "--checkpoint-folder", "early"];

fn lines(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("export")).unwrap().lines().map(|line| format!("{line}\n")).collect()
}

fn failed(done: &Output, said: &str) {
    assert_eq!(done.status.code(), Some(1), "{said}: {}", stderr(done));
    assert!(stderr(done).contains(said) && stderr(done).contains("hint"), "{said}: {}", stderr(done));
}

/// Replaces the revocation in the replaced file by another record, with the hash beside it, below a stored hash that
/// stays: a root that is made of stored hashes is still the signed one.
fn hide_revocation(folder: &Path) {
    let image = fs::read(folder.join("v.redb")).unwrap();
    let at = lines(folder).iter().position(|line| line.contains(r#""action":"token.revoke""#)).unwrap();
    assert!(at < 256);
    let forged = edit(&image, |txn| {
        let mut audit = txn.open_table(AUDIT).unwrap();
        let row = redb::ReadableTable::get(&audit, at as u64).unwrap().unwrap().value().to_vec();
        let text = String::from_utf8_lossy(&row[..row.len() - 8]).replace("token.revoke", "token.create");
        let row = [text.as_bytes(), &leaf_hash(text.as_bytes())[..8]].concat();
        drop(audit.insert(at as u64, row.as_slice()).unwrap());
    });
    fs::write(folder.join("v.redb"), forged).unwrap();
}

#[test]
fn a_record_that_was_changed_below_a_stored_hash_cannot_hide_a_revocation() {
    let worst = long();
    hide_revocation(worst.path());
    let unforced = worst.restore(&["backup.redb"]);
    let said = stderr(&unforced);
    assert!(said.contains("do not make their stored hash") && said.contains("lives again"), "{said}");
    worst.restored(&[FORCE, &["--since", "export"]].concat());
    worst.check(true);
}

#[test]
fn archives_exports_and_the_file_show_together_what_each_alone_lacks() {
    let worst = long();
    let folder = worst.path();
    let old = folder.join("old.archive");
    let archive =
        ["audit", "archive", "--before", "2100-01-01", "--data", "v.redb", "--passphrase-file", "pass"];
    let done = sealroom(folder, &[&archive[..], &["--to", "old.archive"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    // The file alone does not know what its archived records revoked, and says so.
    let unforced = stderr(&worst.restore(&["backup.redb"]));
    assert!(
        unforced.contains("are archived: what they revoked") && unforced.contains("--since"),
        "{unforced}"
    );
    worst.restored(&[FORCE, &["--since", "old.archive"]].concat());
    worst.check(true);
    // Without the file: an export of what came after the archive, and the archive, in any order.
    let lost = long();
    let done = sealroom(lost.path(), &[&archive[..], &["--to", "old.archive"]].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    fs::write(lost.path().join("late"), lines(lost.path())[256..].concat()).unwrap();
    fs::remove_file(lost.path().join("v.redb")).unwrap();
    let sources = ["--since", "late", "--since", "old.archive", "--checkpoint-folder", "kept"];
    lost.restored(&[&["backup.redb"][..], &sources].concat());
    lost.check(true);
    fs::write(folder.join("late"), lines(folder)[256..].concat()).unwrap();
    let before = fs::read(folder.join("v.redb")).unwrap();
    failed(&worst.restore(&[FORCE, &["--since", "late"]].concat()), "is missing");
    let foreign = long();
    sealroom(foreign.path(), &[&archive[..], &["--to", "old.archive"]].concat());
    fs::copy(foreign.path().join("old.archive"), folder.join("foreign")).unwrap();
    failed(&worst.restore(&[FORCE, &["--since", "foreign"]].concat()), "no known key signed");
    let text = fs::read_to_string(&old).unwrap();
    fs::write(folder.join("cut"), &text[..text.len() - 100]).unwrap();
    failed(&worst.restore(&[FORCE, &["--since", "cut"]].concat()), "is missing or damaged");
    fs::write(folder.join("changed"), text.replacen("token.revoke", "token.create", 1)).unwrap();
    failed(&worst.restore(&[FORCE, &["--since", "changed"]].concat()), "its checkpoint signs");
    assert!(fs::read(folder.join("v.redb")).unwrap() == before);
}

#[test]
fn an_export_that_a_checkpoint_contradicts_is_refused_and_one_that_none_proves_is_said_to_be_so() {
    let worst = long();
    let folder = worst.path();
    fs::rename(folder.join("v.redb"), folder.join("lost.redb")).unwrap();
    let all = lines(folder);
    // A forged export: the revocation became something else.
    let forged = all.concat().replacen("token.revoke", "token.create", 1);
    fs::write(folder.join("forged"), forged).unwrap();
    failed(&worst.restore(&[LOST, &["--since", "forged"]].concat()), "are not those that");
    assert!(!folder.join("v.redb").exists());
    // Two sources that differ where they overlap.
    failed(&worst.restore(&["backup.redb", "--since", "export", "--since", "forged"]), "of another history");
    // Nothing proves it without the folder, and beyond the folder's checkpoint.
    let unproven = worst.restore(&["backup.redb", "--since", "forged"]);
    assert!(stderr(&unproven).contains("no checkpoint proves the records of"), "{}", stderr(&unproven));
    fs::remove_file(folder.join("v.redb")).unwrap();
    let done = worst.restore(&[LOST, &["--since", "export"]].concat());
    assert!(stderr(&done).contains("no checkpoint proves the records after the"), "{}", stderr(&done));
    assert!(String::from_utf8_lossy(&done.stdout).contains("token ci"), "{}", stderr(&done));
    // An export that ends before the newest checkpoint of the folder.
    fs::remove_file(folder.join("v.redb")).unwrap();
    let short = worst.restore(&["backup.redb", "--since", "export", "--checkpoint-folder", "kept"]);
    assert!(stderr(&short).contains("export that reaches further"), "{}", stderr(&short));
    worst.check(true);
}
