//! A renewal of the certificate that is killed at any of its calls.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use rustix::process::Signal;

use crate::support::{
    binary::{Serving, sealroom, stderr, vault},
    tls::get,
};

/// The calls that give a file its name. strace counts each of them alone.
const CALLS: [&str; 3] = ["renameat2", "renameat", "rename"];
const RENEW: &[&str] = &["tls", "make", "--renew", "--dir", "tls"];

const SERVE: &[&str] = &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];

/// Serves the vault in a folder with the pair in a folder.
fn serve(folder: &Path, pair: &Path) -> Serving {
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| pair.join(name).to_str().unwrap().to_owned());
    Serving::start(folder, &[SERVE, &["--tls-cert", &cert, "--tls-key", &key]].concat())
}

fn made(folder: &Path, args: &[&str]) {
    let output = sealroom(folder, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
}

/// Returns whether the renewal was killed at its call of that name and number; `None` if nothing can be traced here.
fn renewed_until(folder: &Path, name: &str, call: usize) -> Option<bool> {
    let mut strace = Command::new("strace");
    let inject = format!("inject={name}:signal=KILL:when={call}");
    strace.current_dir(folder).args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
    strace.args(["-e", &format!("trace={name}"), "-e", &inject]).arg(env!("CARGO_BIN_EXE_sealroom"));
    let ended = strace.args(RENEW).output().ok()?;
    let says = stderr(&ended);
    assert!(!says.contains("error:"), "{says}");
    (!says.contains("strace:")).then_some(!ended.status.success())
}

/// Returns the number of reloads, good or bad, that a server has logged.
fn reloads_of(folder: &Path) -> usize {
    let log = fs::read_to_string(folder.join("server.log")).unwrap();
    log.matches("certificate reloaded").count() + log.matches("reload failed").count()
}

/// The certificate was new and its key old: no server started with the two.
#[test]
fn a_renewal_that_is_killed_at_any_call_leaves_a_pair_that_serves_and_reloads() {
    let folder = vault();
    let folder = folder.path();
    made(folder, &["tls", "make", "--name", "127.0.0.1", "--dir", "tls"]);
    let (pair, other) = (folder.join("tls"), vault());
    let (ca, file) = (pair.join("ca.pem"), |name: &str| fs::read(pair.join(name)).unwrap());
    let running = serve(folder, &pair);
    let mut cut_short = 0;
    for name in CALLS {
        for call in 1.. {
            let before = (file("tls.crt"), file("tls.key"));
            let Some(killed) = renewed_until(folder, name, call) else {
                eprintln!("skipped: no strace, or it may not trace here");
                return;
            };
            let half = file("tls.crt") != before.0 && file("tls.key") == before.1;
            cut_short += usize::from(half);
            let mut fresh = serve(other.path(), &pair);
            assert!(get(&fresh, &ca, "/health").contains("healthy"), "{name} {call}");
            let reloads = reloads_of(folder);
            running.signal(Signal::HUP);
            while reloads_of(folder) == reloads {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            if half {
                // Both say what to do.
                fresh.logged("a renewal was cut short");
                running.logged("a renewal was cut short");
            }
            assert!(get(&running, &ca, "/health").contains("healthy"), "{name} {call}");
            assert!(fresh.stop());
            if half && cut_short == 1 {
                // The next renewal is killed too, before it has a pair of its own.
                for name in CALLS {
                    renewed_until(folder, name, 1);
                    let mut fresh = serve(other.path(), &pair);
                    assert!(get(&fresh, &ca, "/health").contains("healthy"), "{name} after a half");
                    assert!(fresh.stop());
                }
            }
            if !killed {
                break;
            }
        }
    }
    assert!(cut_short > 0, "no kill came between certificate and key");
    let log = fs::read_to_string(folder.join("server.log")).unwrap();
    assert!(!log.contains("reload failed"), "{log}");
    assert_eq!(fs::read_dir(pair).unwrap().count(), 4, "the last renewal leaves no other key");
}

/// A successor that fits nothing, one that others can read, and the key of another certificate change nothing.
#[test]
fn a_successor_is_taken_only_if_the_certificate_is_its_own_and_only_its_owner_reads_it() {
    let folder = vault();
    let folder = folder.path();
    made(folder, &["tls", "make", "--name", "127.0.0.1", "--dir", "tls"]);
    let at = |name: &str| folder.join("tls").join(name);
    let (ca, old) = (at("ca.pem"), fs::read(at("tls.key")).unwrap());
    // The old pair fits: whatever is its successor is not read.
    fs::write(at("tls.key.next"), "no key").unwrap();
    let mut server = serve(folder, &at(""));
    assert!(get(&server, &ca, "/health").contains("healthy"));
    assert!(server.stop());
    // The next renewal replaces it.
    made(folder, RENEW);
    assert!(!at("tls.key.next").exists());
    let new = fs::read(at("tls.key")).unwrap();
    fs::write(at("tls.key"), &old).unwrap();
    let refused = |successor: &[u8], mode: u32| {
        fs::write(at("tls.key.next"), successor).unwrap();
        fs::set_permissions(at("tls.key.next"), fs::Permissions::from_mode(mode)).unwrap();
        let tls = ["--tls-cert", "tls/tls.crt", "--tls-key", "tls/tls.key"];
        let output = sealroom(folder, &[SERVE, &tls].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output)
    };
    for successor in [&b""[..], b"no key", &old, &new[..new.len() / 2]] {
        let says = refused(successor, 0o600);
        assert!(says.contains("tls.crt") && says.contains("tls.key"), "{says}");
    }
    let says = refused(&new, 0o644);
    assert!(says.contains("tls.key.next") && says.contains("chmod"), "{says}");
    fs::set_permissions(at("tls.key.next"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut server = serve(folder, &at(""));
    assert!(get(&server, &ca, "/health").contains("healthy"));
    assert!(server.stop());
    // A renewal mends it, as the warning says.
    made(folder, RENEW);
    assert!(!at("tls.key.next").exists());
    let mut server = serve(folder, &at(""));
    assert!(get(&server, &ca, "/health").contains("healthy"));
    assert!(server.stop());
}

/// Two at once, by a timer and by hand, could each take the other's successor.
#[test]
fn a_renewal_beside_another_one_is_refused_and_changes_nothing() {
    let folder = vault();
    let folder = folder.path();
    made(folder, &["tls", "make", "--name", "127.0.0.1", "--dir", "tls"]);
    let pair = ["tls.crt", "tls.key"].map(|name| folder.join("tls").join(name));
    let before = pair.clone().map(|path| fs::read(path).unwrap());
    let other = fs::File::open(folder.join("tls")).unwrap();
    other.lock().unwrap();
    let refused = sealroom(folder, RENEW);
    let says = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{says}");
    assert!(says.contains("another `tls make` is under way in tls") && says.contains("hint: wait"), "{says}");
    assert_eq!(pair.clone().map(|path| fs::read(path).unwrap()), before);
    assert_eq!(fs::read_dir(folder.join("tls")).unwrap().count(), 4);
    drop(other);
    made(folder, RENEW);
    assert_ne!(fs::read(&pair[1]).unwrap(), before[1]);
}
