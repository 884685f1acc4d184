//! `sealroom slot`: the secrets that open a vault, in its file and through the server that has it open.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Output,
};

use serde_json::{Value, json};

use crate::support::binary::{INIT, PASSPHRASE, Serving, command, sealroom, secret_file, stderr};

const LIGHT: [&str; 5] = ["--weak-kdf", "--kdf-memory", "64", "--kdf-passes", "1"];

fn serve(with: &str) -> Vec<&str> {
    let mut args = vec!["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0"];
    if !with.is_empty() {
        args.extend(["--passphrase-file", with]);
    }
    args
}

/// A vault with its recovery key in `paper`, and files of further secrets.
fn vault() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    secret_file(folder.path(), "second", "a second passphrase example\n", 0o600);
    secret_file(folder.path(), "third", "a third passphrase example\n", 0o600);
    let made: Value = serde_json::from_slice(&sealroom(folder.path(), INIT).stdout).unwrap();
    secret_file(folder.path(), "paper", made["recovery_key"].as_str().unwrap(), 0o600);
    folder
}

fn slot(folder: &Path, with: &str, args: &[&str]) -> Output {
    sealroom(folder, &[&["slot"], args, &["--json", "--data", "v.redb", "--passphrase-file", with]].concat())
}

fn done(folder: &Path, with: &str, args: &[&str]) -> Value {
    let done = slot(folder, with, args);
    assert!(done.status.success(), "{args:?}: {}", stderr(&done));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn refused(folder: &Path, with: &str, args: &[&str], said: &str) {
    let refused = slot(folder, with, args);
    assert_eq!(refused.status.code(), Some(1), "{args:?}");
    assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
}

/// `slot list`, which needs no passphrase.
fn listed(folder: &Path) -> Value {
    let listed = sealroom(folder, &["slot", "list", "--json", "--data", "v.redb"]);
    assert!(listed.status.success(), "{}", stderr(&listed));
    serde_json::from_slice(&listed.stdout).unwrap()
}

/// The slots, each with its kind.
fn kinds(folder: &Path) -> Vec<(u64, String)> {
    let listed = listed(folder);
    let slots = listed["slots"].as_array().unwrap().iter();
    slots
        .map(|slot| {
            assert!(slot["changedAt"].as_u64().unwrap() > 1_700_000_000_000, "{slot}");
            (slot["id"].as_u64().unwrap(), slot["kind"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Returns whether a start with that secret succeeds.
fn opens(folder: &Path, with: &str) -> bool {
    let mut server = Serving::start(folder, &serve(with));
    if server.url.is_empty() {
        assert!(!server.child.wait().unwrap().success());
        return false;
    }
    server.stop()
}

#[test]
fn every_kind_of_slot_is_added_changed_and_removed_on_the_file_and_through_its_server() {
    for is_served in [false, true] {
        let folder = vault();
        let folder = folder.path();
        let server = is_served.then(|| Serving::start(folder, &serve("pass")));
        let new = ["--new-passphrase-file", "second"];
        done(folder, "pass", &[&["add", "passphrase"], &new[..], &LIGHT].concat());
        done(folder, "paper", &["add", "machine", "--key-file", "machine"]);
        let made = done(folder, "machine", &[&["add", "recovery"], &LIGHT[..]].concat());
        let expected = ["passphrase", "recovery", "passphrase", "machine", "recovery"];
        let expected: Vec<(u64, String)> = (1..).zip(expected.map(str::to_owned)).collect();
        assert_eq!(kinds(folder), expected);
        secret_file(folder, "paper2", made["recovery_key"].as_str().unwrap(), 0o600);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(folder.join("machine")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);

        let changed =
            slot(folder, "pass", &[&["change", "--new-passphrase-file", "third"], &LIGHT[..]].concat());
        assert!(changed.status.success(), "{}", stderr(&changed));
        assert!(stderr(&changed).contains("earlier copies of v.redb still open with the old secret"));
        assert!(stderr(&changed).contains("times less than by default"), "{}", stderr(&changed));
        refused(folder, "pass", &["remove", "2", "--yes"], "wrong passphrase");
        done(folder, "second", &["remove", "2", "--yes"]);
        refused(folder, "paper", &["remove", "1", "--yes"], "");
        done(folder, "paper2", &[&["change", "--same"], &LIGHT[..]].concat());
        assert_eq!(kinds(folder).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 4, 5]);
        drop(server);
        for (with, expected) in [
            ("pass", false),
            ("paper", false),
            ("second", true),
            ("third", true),
            ("machine", true),
            ("paper2", true),
        ] {
            assert_eq!(opens(folder, with), expected, "{with}, served: {is_served}");
        }
        let verified = sealroom(folder, &["audit", "verify", "v.redb"]);
        assert!(verified.status.success(), "{}", stderr(&verified));
        let file = String::from_utf8_lossy(&fs::read(folder.join("v.redb")).unwrap()).into_owned();
        assert!(file.contains(r#""action":"vault.slot""#) && file.contains("slot_removed"));
    }
}

#[test]
fn no_vault_is_left_without_a_slot_that_certainly_opens() {
    let folder = vault();
    let folder = folder.path();
    refused(folder, "pass", &["remove", "1", "--yes"], "slot 1 is the one that the secret given here opens");
    refused(folder, "pass", &["remove", "7", "--yes"], "there is no slot 7");
    refused(folder, "paper", &["remove", "2", "--yes"], "slot 2 is the one");
    done(folder, "paper", &["remove", "1", "--yes"]);
    refused(folder, "paper", &["remove", "2", "--yes"], "slot 2 is the last one");
    assert_eq!(slot(folder, "paper", &["remove", "2"]).status.code(), Some(2), "nobody is there to ask");
    // A change needs a secret of the slot's kind, and a new one that can be typed again.
    secret_file(folder, "blank", " a passphrase example \n", 0o600);
    let light = |args: &[&'static str]| [args, &LIGHT].concat();
    refused(folder, "paper", &light(&["add", "passphrase", "--new-passphrase-file", "blank"]), "blank: ");
    done(folder, "paper", &["add", "machine", "--key-file", "machine"]);
    refused(
        folder,
        "paper",
        &light(&["add", "passphrase", "--new-passphrase-file", "machine"]),
        "not a machine key",
    );
    refused(folder, "paper", &["add", "machine", "--key-file", "machine"], "machine already exists");
    // A secret that reached no file or reader opens nothing, and no more than eight slots are made.
    for n in 0..6 {
        done(folder, "machine", &["add", "machine", "--key-file", &format!("machine{n}")]);
    }
    refused(folder, "machine", &["add", "machine", "--key-file", "one-more"], "the most that it may have");
    assert!(!folder.join("one-more").exists());
    assert_eq!(kinds(folder).len(), 8);
    assert!(opens(folder, "machine5") && opens(folder, "paper"));
}

#[test]
fn a_secret_that_a_slot_holds_is_never_removed_whatever_fails_afterwards() {
    let folder = vault();
    let folder = folder.path();
    for (n, args) in [["add", "machine"].as_slice(), &["change", "--slot", "3"]].into_iter().enumerate() {
        let (with, new) = (["pass", "machine0"][n], format!("machine{n}"));
        let all =
            [&["slot"], args, &["--key-file", &new, "--data", "v.redb", "--passphrase-file", with]].concat();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(folder, &all).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "nobody saw the list: {}", stderr(&output));
        assert!(opens(folder, &new), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_mistyped_recovery_key_is_told_from_a_wrong_passphrase_and_its_group_is_named() {
    let folder = vault();
    let folder = folder.path();
    let paper = fs::read_to_string(folder.join("paper")).unwrap();
    let mut typed = paper.clone().into_bytes();
    typed[22] = if typed[22] == b'7' { b'8' } else { b'7' };
    secret_file(folder, "typed", std::str::from_utf8(&typed).unwrap(), 0o600);
    let said = stderr(&sealroom(folder, &serve("typed")));
    assert!(said.contains("wrong recovery key") && !said.contains(&paper), "{said}");
    // In one of a thousand keys a second group explains the mistake as well.
    assert!(said.contains("look at group 5") || !said.contains("group "), "{said}");
    let machine = format!("sealroom_machine_{}\n", "A".repeat(43));
    secret_file(folder, "stranger", &machine, 0o600);
    let said = stderr(&sealroom(folder, &serve("stranger")));
    assert!(said.contains("this machine key opens no slot"), "{said}");
}

/// The key derivation is paid for with the memory of the host: where it does not fit, the command says so.
#[test]
fn a_new_slot_of_a_cost_that_this_host_cannot_pay_is_refused_before_anything_is_written() {
    let folder = vault();
    let folder = folder.path();
    let before = fs::read(folder.join("v.redb")).unwrap();
    for args in
        [["--kdf-memory", "2097152", "--kdf-passes", "1"], ["--kdf-memory", "64", "--kdf-passes", "17"]]
    {
        let args = [&["add", "passphrase", "--new-passphrase-file", "second"], &args[..]].concat();
        assert_eq!(slot(folder, "pass", &args).status.code(), Some(2));
    }
    assert_eq!(fs::read(folder.join("v.redb")).unwrap(), before);
}

/// The kinds of change that derive a key from a secret that people choose or copy.
const DERIVING: &[&[&str]] = &[
    &["add", "passphrase", "--new-passphrase-file", "second"],
    &["add", "recovery", "--recovery-key-file", "new-paper"],
    &["change", "--new-passphrase-file", "second"],
    &["change", "--slot", "1", "--new-passphrase-file", "second"],
    &["change", "--same"],
];

/// `init` refused such a cost, and the next command made a slot of it: the cheapest slot is the strength of the file.
#[test]
fn a_slot_that_is_cheap_to_guess_cannot_be_made_unless_its_operator_says_so() {
    for is_served in [false, true] {
        let folder = vault();
        let folder = folder.path();
        let server = is_served.then(|| Serving::start(folder, &serve("pass")));
        let before = listed(folder);
        for args in DERIVING {
            for cost in [
                ["--kdf-memory", "64", "--kdf-passes", "1"],
                ["--kdf-memory", "4096", "--kdf-passes", "16"],
                ["--kdf-memory", "19456", "--kdf-passes", "1"],
            ] {
                let refused = slot(folder, "pass", &[*args, &cost[..]].concat());
                assert_eq!(refused.status.code(), Some(2), "{args:?} {cost:?}");
                let said = stderr(&refused);
                assert!(said.contains("make each guess at the passphrase cheap"), "{said}");
                assert!(said.contains("accept it with --weak-kdf"), "{said}");
            }
        }
        if is_served {
            // A command of another version, which sends what it likes.
            for change in ["add", "change"] {
                let said = told(
                    folder,
                    &json!({ "command": "slot", "secret": PASSPHRASE, "change": change, "new": {
                        "kind": "passphrase", "secret": "a second passphrase example",
                        "memory_kib": 64, "passes": 1, "lanes": 1 } }),
                );
                assert!(said.contains("cheap") && said.contains("--weak-kdf"), "{change}: {said}");
            }
        }
        assert_eq!(listed(folder), before, "nothing changed, served: {is_served}");
        assert!(!folder.join("new-paper").exists());
        let accepted = slot(folder, "pass", &[DERIVING[0], &LIGHT].concat());
        assert!(accepted.status.success() && stderr(&accepted).contains("times less than by default"));
        drop(server);
        assert!(opens(folder, "pass") && opens(folder, "second"));
    }
}

/// The recovery key of a new vault key had a slot that was created at no time.
#[test]
fn no_slot_is_without_the_time_of_its_making_whatever_made_it() {
    let folder = vault();
    let folder = folder.path();
    let times = || {
        let of = |slot: &Value| (slot["id"].as_u64().unwrap(), slot["changedAt"].as_u64());
        listed(folder)["slots"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let run = |command: &[&str], with: &str| {
        let done = sealroom(folder, &[command, &["--data", "v.redb", "--passphrase-file", with]].concat());
        assert!(done.status.success(), "{command:?}: {}", stderr(&done));
    };
    let made = times();
    run(&["rekey", "--yes", "--recovery-key-file", "paper2"], "pass");
    let rekeyed = times();
    assert_eq!(rekeyed[0], made[0], "the slot that stays is as old as before");
    assert!(rekeyed[1].0 == 3 && rekeyed[1].1 >= made[1].1, "{rekeyed:?}");
    done(folder, "pass", &["add", "machine", "--key-file", "machine"]);
    run(&["rekey", "--yes", "--recovery-key-file", "paper3"], "machine");
    run(&["rekey", "--yes", "--recovery-key-file", "paper4"], "paper3");
    run(&["compact"], "paper4");
    let restore = ["restore", "v.redb", "--data", "other.redb", "--passphrase-file", "paper4"];
    assert!(sealroom(folder, &restore).status.success());
    let listed = sealroom(folder, &["slot", "list", "--data", "other.redb"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().count() == 3 && !listed.lines().any(|line| line.ends_with(" -")), "{listed}");
    let times = times();
    assert!(times.len() == 2 && times.iter().all(|(_, time)| *time >= made[0].1), "{times:?}");
}

/// Sends a line to the server's local socket, and returns the line that answers it.
fn told(folder: &Path, request: &Value) -> String {
    let mut socket = UnixStream::connect(folder.join("v.redb.sock")).unwrap();
    writeln!(socket, "{request}").unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    line
}

#[test]
fn no_two_slots_have_one_secret_so_that_a_removed_slot_takes_its_secret_away() {
    let folder = vault();
    let folder = folder.path();
    let paper = fs::read_to_string(folder.join("paper")).unwrap();
    secret_file(folder, "shouted", &paper.to_uppercase(), 0o600);
    let light = |args: &[&'static str]| [args, &LIGHT].concat();
    let add = |new: &'static str| light(&["add", "passphrase", "--new-passphrase-file", new]);
    refused(folder, "pass", &add("pass"), "slot 1 has this secret already");
    refused(folder, "paper", &add("pass"), "slot 1 has this secret already");
    // The text of a recovery key is no second way to it.
    refused(folder, "pass", &add("paper"), "slot 2 has this secret already");
    refused(folder, "pass", &add("shouted"), "slot 2 has this secret already");
    done(folder, "pass", &add("second"));
    refused(
        folder,
        "second",
        &light(&["change", "--new-passphrase-file", "pass"]),
        "slot 1 has this secret already",
    );
    // The secret that a slot has may stay its own, at another cost.
    done(folder, "second", &light(&["change", "--same"]));
    let server = Serving::start(folder, &serve("pass"));
    refused(folder, "pass", &add("second"), "slot 3 has this secret already");
    drop(server);
    assert_eq!(kinds(folder).len(), 3);
    // Another Unicode spelling of a passphrase is the same passphrase.
    secret_file(folder, "composed", "caf\u{e9} au lait example\n", 0o600);
    secret_file(folder, "decomposed", "cafe\u{301} au lait example\n", 0o600);
    done(folder, "pass", &add("composed"));
    refused(folder, "pass", &add("decomposed"), "slot 4 has this secret already");
}

#[test]
fn a_weak_new_slot_and_the_loss_of_the_last_recovery_key_are_said() {
    let folder = vault();
    let folder = folder.path();
    secret_file(folder, "short", "short one\n", 0o600);
    let new = [&["add", "passphrase", "--new-passphrase-file", "short"][..], &LIGHT].concat();
    let added = slot(folder, "pass", &new);
    assert!(added.status.success() && stderr(&added).contains("short passphrase"), "{}", stderr(&added));
    let changed = [&["change", "--new-passphrase-file", "second"][..], &LIGHT].concat();
    assert!(!stderr(&slot(folder, "short", &changed)).contains("short passphrase"));
    let made = done(folder, "pass", &[&["add", "recovery"][..], &LIGHT].concat());
    let one_of_two = slot(folder, "pass", &["remove", "2", "--yes"]);
    assert!(one_of_two.status.success() && !stderr(&one_of_two).contains("no recovery key is left"));
    assert!(made["recovery_key"].is_string());
    let last = slot(folder, "pass", &["remove", "4", "--yes"]);
    assert!(last.status.success() && stderr(&last).contains("no recovery key is left"), "{}", stderr(&last));
    let passphrase = slot(folder, "pass", &["remove", "3", "--yes"]);
    assert!(!stderr(&passphrase).contains("no recovery key is left"), "{}", stderr(&passphrase));
}
