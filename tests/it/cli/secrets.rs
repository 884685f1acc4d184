//! Secrets on their way in: what a file, a variable or a request holds beside them, and what is no secret at all.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    binary::{INIT, PASSPHRASE, Serving, TOKEN, command, sealroom, secret_file, stderr, vault},
    fake::{Fake, Reply},
};

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    secret_file(folder, name, "", 0o600);
    fs::write(folder.join(name), bytes).unwrap();
}

fn refused(output: &Output, words: &[&str]) {
    let said = stderr(output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert!(said.lines().last().unwrap().starts_with("hint: "), "{said}");
}

/// Each byte that was no UTF-8 became U+FFFD before it was sent: another byte in its place logged in too.
#[test]
fn a_secret_that_is_no_text_is_never_replaced_by_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::start(|request, _| match request {
        "GET /sfp/api/health" => Reply::json(
            200,
            r#"{"status":"healthy","version":"x","locked":false,"audit":"writable","uptimeSeconds":1}"#,
        ),
        "GET /sfp/api/users/me" => Reply::json(
            200,
            r#"{"id":"0193d2c0-0000-7000-8000-000000000000","email":"ada@example.com","firstName":null,"lastName":null,"role":"owner","projects":null,"disabled":false,"createdAt":"2026-11-24T10:00:00.000Z","lastLoginAt":null}"#,
        ),
        _ => Reply::json(500, "{}"),
    });
    secret_file(folder.path(), "fine", "a-long-example-password", 0o600);
    for bytes in [
        &b"a-long-caf\xe9-password\n"[..],
        b"a-long-caf\xc3",
        b"\x8d\xff\x00\x9c\x12\xfe\xc1\x80\x01\x02\x03\x04\x05\x06",
        b"\xff\xfea\0-\0l\0o\0n\0g\0-\0o\0n\0e\0",
    ] {
        write(folder.path(), "bad", bytes);
        for args in [
            &["user", "add", "eve@example.com", "--password-file", "bad"][..],
            &["user", "add", "eve@example.com", "--password-file", "-"],
            &["user", "password", "eve@example.com", "--new-password-file", "bad"],
            &["user", "password", "--current-password-file", "bad", "--new-password-file", "fine"],
            &["login", "--email", "eve@example.com", "--password-file", "bad"],
            &["integration", "add", "custom/api_key", "--global", "--name", "x", "--from-json", "bad"],
            &["whoami", "--token-file", "bad"],
            &["init", "--data", "n.redb", "--owner-email", "a@example.com", "--passphrase-file", "bad"],
        ] {
            let output = command(folder.path(), args)
                .env("SFP_SERVER_URL", &fake.url)
                .env("SFP_SERVER_TOKEN", TOKEN)
                .env("HOME", folder.path())
                .stdin(Stdio::from(fs::File::open(folder.path().join("bad")).unwrap()))
                .output()
                .unwrap();
            refused(&output, &["not UTF-8"]);
        }
    }
    let sent = fake.asked();
    assert!(sent.iter().all(|request| request.starts_with("GET ")), "no secret was sent: {sent:?}");
    assert!(!folder.path().join("n.redb").exists());
}

#[tokio::test]
async fn the_client_refuses_a_password_that_is_no_text_and_sends_nothing() {
    use sealroom::{
        client::{Client, Error, NewUser, Roots, UserChange},
        domain::Secret,
    };
    let fake = Fake::start(|_, _| Reply::json(500, "{}"));
    let client = Client::new(fake.url.parse().unwrap(), &Roots::System).unwrap();
    let bad = || Secret::new(b"a-long-caf\xe9-password".to_vec());
    let email = "eve@example.com";
    let new = NewUser {
        email: email.to_owned(),
        role: "member".to_owned(),
        first_name: None,
        last_name: None,
        password: Some(bad()),
        projects: None,
    };
    let change = UserChange { current_password: Some(bad()), ..UserChange::default() };
    for refusal in [
        client.login(email, &bad()).await.map(drop),
        client.create_user(&new).await.map(drop),
        client.change_user(email, &change).await.map(drop),
    ] {
        assert!(matches!(refusal, Err(Error::Refused(refusal)) if refusal.message.contains("UTF-8")));
    }
    assert!(fake.asked().is_empty());
}

/// A byte order mark, a second line end or a last blank became part of the passphrase: typed, it was wrong.
#[test]
fn no_vault_is_made_with_a_secret_that_nobody_can_type() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "fine", "nine words make a passphrase here\n", 0o600);
    for (bytes, reason) in [
        (&b"nine words make a passphrase here \n"[..], "blanks"),
        (b" nine words make a passphrase here\n", "blanks"),
        ("nine words make a passphrase here\u{a0}\n".as_bytes(), "blanks"),
        ("\u{3000}nine words make a passphrase here\n".as_bytes(), "blanks"),
        (b"nine words\tmake a passphrase here\n", "control characters"),
        (b"nine words\nmake a passphrase here\n", "control characters"),
        (b"nine words\x1b[Dmake a passphrase here\n", "control characters"),
        (b"nine words make a passphrase\0\n", "control characters"),
        ("\u{feff}\u{feff}nine words make a passphrase\n".as_bytes(), "byte order mark"),
        ("nine words\u{feff} make a passphrase\n".as_bytes(), "byte order mark"),
    ] {
        write(folder.path(), "bad", bytes);
        let init = |passphrase, password| {
            let args = [
                "init",
                "--data",
                "n.redb",
                "--owner-email",
                "a@example.com",
                "--weak-kdf",
                "--kdf-memory",
                "64",
            ];
            let files = ["--passphrase-file", passphrase, "--owner-password-file", password];
            sealroom(folder.path(), &[&args[..], &files].concat())
        };
        refused(&init("bad", "fine"), &["bad: passphrase must be", reason]);
        refused(&init("fine", "bad"), &["bad: password must be", reason]);
    }
    assert!(!folder.path().join("n.redb").exists(), "nothing was made");
}

#[test]
fn what_an_editor_puts_around_a_secret_is_no_part_of_it() {
    for bytes in [
        &b"\xef\xbb\xbfcorrect horse battery staple example\n"[..],
        b"correct horse battery staple example\r\n\r\n\n",
        b"\xef\xbb\xbfcorrect horse battery staple example\r\n\n",
        b"correct horse battery staple example",
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "pass", bytes);
        write(folder.path(), "owner", &[bytes, b"\n"].concat());
        let args = [INIT, &["--owner-password-file", "owner"]].concat();
        let made = sealroom(folder.path(), &args);
        assert!(made.status.success(), "{}", stderr(&made));
        let server = Serving::start(folder.path(), &["serve", "--data", "v.redb", "--listen", "127.0.0.1:0"]);
        // Typed, and read from the file that it was created with.
        secret_file(folder.path(), "typed", PASSPHRASE, 0o600);
        for file in ["typed", "pass"] {
            let opened = sealroom(folder.path(), &["unlock", "--data", "v.redb", "--passphrase-file", file]);
            assert!(opened.status.success(), "{file}: {}", stderr(&opened));
            assert!(sealroom(folder.path(), &["lock", "--data", "v.redb"]).status.success());
        }
        sealroom(folder.path(), &["unlock", "--data", "v.redb", "--passphrase-file", "typed"]);
        for file in ["typed", "owner"] {
            let login =
                command(folder.path(), &["login", "--email", "ada@example.com", "--password-file", file])
                    .env("SFP_SERVER_URL", &server.url)
                    .env("HOME", folder.path())
                    .output()
                    .unwrap();
            assert!(login.status.success(), "{file}: {}", stderr(&login));
        }
    }
}

/// Keyboards and systems differ in how they compose a letter: the vault stayed shut on the other one.
#[test]
fn a_secret_from_another_keyboard_cannot_lock_anybody_out() {
    const NFC: &str = "caf\u{e9} na\u{ef}ve \u{c5}ngstr\u{f6}m zw\u{f6}lf";
    const NFD: &str = "cafe\u{301} nai\u{308}ve A\u{30a}ngstro\u{308}m zwo\u{308}lf";
    const MIXED: &str = "cafe\u{301} na\u{ef}ve \u{212b}ngstr\u{f6}m zw\u{f6}lf";
    for made_with in [NFC, NFD, MIXED] {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pass", "owner"] {
            secret_file(folder.path(), name, made_with, 0o600);
        }
        let made = sealroom(folder.path(), &[INIT, &["--owner-password-file", "owner"]].concat());
        assert!(made.status.success(), "{}", stderr(&made));
        let server = Serving::start(folder.path(), &["serve", "--data", "v.redb", "--listen", "127.0.0.1:0"]);
        let unlock = |text| {
            secret_file(folder.path(), "typed", text, 0o600);
            sealroom(folder.path(), &["unlock", "--data", "v.redb", "--passphrase-file", "typed"])
        };
        refused(&unlock("cafe naive Angstrom zwolf"), &["wrong passphrase"]);
        for text in [NFC, NFD, MIXED] {
            let opened = unlock(text);
            assert!(opened.status.success(), "{made_with} {text}: {}", stderr(&opened));
            let login =
                command(folder.path(), &["login", "--email", "ada@example.com", "--password-file", "typed"])
                    .env("SFP_SERVER_URL", &server.url)
                    .env("HOME", folder.path())
                    .output()
                    .unwrap();
            assert!(login.status.success(), "{made_with} {text}: {}", stderr(&login));
            assert!(sealroom(folder.path(), &["lock", "--data", "v.redb"]).status.success());
        }
    }
}

/// `init` without memory spoke of random bytes, and sent its user to the disk.
#[test]
fn no_cause_of_a_failed_init_passes_for_another() {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    let limited = |limit: &str, memory: &str| {
        let script = format!("{limit}; exec \"$0\" \"$@\"");
        let init =
            ["init", "--data", "m.redb", "--owner-email", "a@example.com", "--passphrase-file", "pass"];
        std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_sealroom")])
            .args(init)
            .args(["--weak-kdf", "--kdf-passes", "1", "--kdf-memory", memory])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let memory = limited("ulimit -v 800000", "1048576");
    refused(&memory, &["the key derivation needs", "--kdf-memory"]);
    let disk = limited("trap '' XFSZ; ulimit -f 8", "64");
    refused(&disk, &["too large", "disk"]);
    for (output, foreign) in [(memory, "disk"), (disk, "memory")] {
        let said = stderr(&output);
        assert!(!said.contains("random") && !said.contains(foreign), "{said}");
    }
    assert!(!folder.path().join("m.redb").exists(), "nothing was left behind");
    assert!(limited("true", "64").status.success());
}

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Debian's `root:ssl-cert 0640` was refused, and the hint's `chmod 600` would have locked the service out.
#[test]
fn a_secret_that_only_the_own_group_reads_is_accepted_and_one_that_others_read_is_not() {
    let folder = vault();
    let pass = folder.path().join("pass");
    secret_file(folder.path(), "key.pem", "example", 0o600);
    fs::write(folder.path().join("cert.pem"), "example").unwrap();
    let token = || sealroom(folder.path(), &["whoami", "--token-file", "pass"]);
    let key = || {
        let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--passphrase-file", "pass"];
        sealroom(
            folder.path(),
            &[&["serve", "--data", "v.redb", "--listen", "127.0.0.1:0"], &tls[..]].concat(),
        )
    };
    for (mode, told) in [
        (0o640, None),
        (0o440, None),
        (0o600, None),
        (0o400, None),
        (0o644, Some("can be read by others (mode 0644)")),
        (0o604, Some("can be read by others (mode 0604)")),
        (0o660, Some("can be changed or run by its group (mode 0660)")),
        (0o650, Some("can be changed or run by its group (mode 0650)")),
    ] {
        with_mode(&pass, mode);
        with_mode(&folder.path().join("key.pem"), mode);
        for said in [stderr(&token()), stderr(&key())] {
            match told {
                None => assert!(!said.contains("(mode "), "{mode:o}: {said}"),
                Some(told) => assert!(said.contains(told) && said.contains("chmod 600"), "{mode:o}: {said}"),
            }
        }
    }
}

/// Runs as the service, whose secrets root owns.
#[test]
fn a_service_reads_by_its_group_what_root_owns() {
    use std::os::unix::{fs::chown, process::CommandExt};
    const SERVICE: u32 = 65_432;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be two users");
        return;
    }
    let folder = vault();
    with_mode(folder.path(), 0o755);
    let pass = folder.path().join("pass");
    let read = |group: u32| {
        let mut command = command(folder.path(), &["whoami", "--token-file", "pass"]);
        command.uid(SERVICE).gid(group).stdin(Stdio::null()).output()
    };
    let Ok(_) = read(SERVICE) else {
        eprintln!("skipped: another user cannot run the binary here");
        return;
    };
    // The content was read and checked: it is no token.
    for (mode, group, told) in [
        (0o640, SERVICE, "is malformed"),
        (0o440, SERVICE, "is malformed"),
        (0o644, SERVICE, "hint: as root: chown root:65432 pass && chmod 640 pass"),
        (0o644, 0, "hint: as root: chown root:65432 pass && chmod 640 pass"),
        (0o660, SERVICE, "can be changed or run by its group"),
    ] {
        chown(&pass, Some(0), Some(group)).unwrap();
        with_mode(&pass, mode);
        let said = stderr(&read(SERVICE).unwrap());
        assert!(said.contains(told), "{mode:o} {group}: {said}");
    }
    chown(&pass, Some(1234), Some(SERVICE)).unwrap();
    with_mode(&pass, 0o640);
    let said = stderr(&read(SERVICE).unwrap());
    assert!(said.contains("the user 1234 owns it") && said.contains("chown root:65432"), "{said}");
}

/// A vault's `wrong passphrase` says where bytes that are no text come from, and opens what was made with them.
#[test]
fn a_passphrase_file_in_another_encoding_is_named_as_one() {
    let folder = vault();
    write(folder.path(), "latin1", b"caf\xe9 example\n");
    let wrong = sealroom(folder.path(), &["serve", "--data", "v.redb", "--passphrase-file", "latin1"]);
    refused(&wrong, &["wrong passphrase: it is not UTF-8", "save the passphrase's file as UTF-8"]);
    let value: Value = serde_json::from_str(
        stderr(&sealroom(
            folder.path(),
            &["serve", "--json", "--data", "v.redb", "--passphrase-file", "latin1"],
        ))
        .lines()
        .last()
        .unwrap(),
    )
    .unwrap();
    assert!(value["error"].is_string());
}
