//! A backup that was cut short: by a full disk, a broken download, or a stick that was pulled out.

use std::{fs, path::Path};

use crate::support::binary::{Serving, sealroom, secret_file, stderr, vault};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];

/// A vault with a backup in `kept.redb`.
fn backed_up() -> tempfile::TempDir {
    let folder = vault();
    let path = folder.path();
    let mut server = Serving::start(path, SERVE);
    let password = fs::read_to_string(path.join("owner")).unwrap();
    let body = serde_json::json!({ "email": "ada@example.com", "password": password }).to_string();
    let login =
        crate::lab::kills::request(server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap();
    secret_file(path, "token", login.2["access_token"].as_str().unwrap(), 0o600);
    let made = sealroom(path, &["backup", "kept.redb", "--server", &server.url, "--token-file", "token"]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert!(server.stop());
    folder
}

/// Every command that takes a backup refuses this one in one clear line, and writes nothing.
fn refused(folder: &Path, length: usize) {
    let cut = fs::read(folder.join("cut.redb")).unwrap();
    let with = ["--passphrase-file", "pass"];
    for args in [
        &["restore", "cut.redb", "--data", "new.redb"][..],
        &["restore", "cut.redb", "--data", "v.redb", "--force"],
        &["doctor", "cut.redb"],
        &["serve", "--data", "cut.redb", "--listen", "127.0.0.1:0"],
        &["compact", "--data", "cut.redb"],
    ] {
        let output = sealroom(folder, &[args, &with].concat());
        let said = format!("{}{}", stderr(&output), String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(1), "{args:?} of {length} bytes: {said}");
        assert!(!said.contains("panicked"), "{args:?} of {length} bytes: {said}");
        let clear = [
            "is damaged",
            "pages are inconsistent",
            "not a sealroom vault",
            "incomplete",
            "truncated",
            "empty",
            "shorter",
        ];
        assert!(clear.iter().any(|clear| said.contains(clear)), "{args:?} of {length} bytes: {said}");
    }
    assert!(!folder.join("new.redb").exists(), "{length} bytes");
    assert_eq!(
        fs::read(folder.join("cut.redb")).unwrap(),
        cut,
        "{length} bytes: a refused file stays as it is"
    );
}

#[test]
fn a_backup_cut_at_any_page_is_refused_in_words_and_never_taken_for_a_whole_one() {
    let folder = backed_up();
    let folder = folder.path();
    let (whole, vault) =
        (fs::read(folder.join("kept.redb")).unwrap(), fs::read(folder.join("v.redb")).unwrap());
    let pages = (0..whole.len()).step_by(4096);
    // And within a page: its first byte, a sector, all but the last byte.
    for length in pages.chain([1, 320, 512, 4097, whole.len() / 2 + 512, whole.len() - 1]) {
        fs::write(folder.join("cut.redb"), &whole[..length]).unwrap();
        refused(folder, length);
        if length > 0 {
            // Not the vault's damage: the copy broke off.
            let cut = ["restore", "cut.redb", "--data", "new.redb", "--passphrase-file", "pass"];
            let said = stderr(&sealroom(folder, &cut));
            let told = format!("the file is truncated: it has {length} of at least ");
            assert!(said.contains(&told) && said.contains("copy it again"), "{said}");
        }
    }
    assert_eq!(fs::read(folder.join("v.redb")).unwrap(), vault, "the vault itself was never replaced");
    let restored = ["restore", "kept.redb", "--data", "v.redb", "--force", "--passphrase-file", "pass"];
    assert!(sealroom(folder, &restored).status.success(), "the whole one is taken");
}

/// As a download that was resumed at the wrong place, or a disk that lost the end of a file: the length is right.
#[test]
fn a_backup_whose_end_is_zeros_is_refused_unless_nothing_was_there() {
    let folder = backed_up();
    let folder = folder.path();
    let whole = fs::read(folder.join("kept.redb")).unwrap();
    for from in (0..whole.len()).step_by(4096 * 3) {
        let mut zeroed = whole.clone();
        zeroed[from..].fill(0);
        fs::write(folder.join("cut.redb"), &zeroed).unwrap();
        if zeroed != whole {
            refused(folder, from);
        }
    }
}

/// A file opens on every machine: its header states pages of 4 KiB, whatever the system's pages are, in little-endian
/// bytes, and the engine refuses any other (redb, `docs/design.md`, "Database header").
#[test]
fn a_backup_has_the_page_size_and_byte_order_of_the_format_and_not_of_its_machine() {
    let folder = backed_up();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.redb");
    for file in [folder.path().join("kept.redb"), folder.path().join("v.redb"), fixture] {
        let bytes = fs::read(&file).unwrap();
        assert_eq!(bytes[12..16], 4096_u32.to_le_bytes(), "{}", file.display());
        assert_eq!(bytes.len() % 4096, 0, "{}", file.display());
    }
    let mut other = fs::read(folder.path().join("kept.redb")).unwrap();
    other[12..16].copy_from_slice(&16384_u32.to_le_bytes());
    fs::write(folder.path().join("cut.redb"), &other).unwrap();
    refused(folder.path(), 0);
}
