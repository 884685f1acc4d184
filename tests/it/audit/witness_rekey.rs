//! A witness after `rekey`: its key is sealed under a vault key that is gone.

use crate::support::{
    binary::{Serving, sealroom, stderr, vault},
    foreign_log::ForeignLog,
};

/// It announced itself as a witness, and gave a key under which it can sign nothing.
#[test]
fn a_witness_whose_key_no_longer_opens_says_so_and_names_no_key() {
    let home = vault();
    let log = ForeignLog::new("example.com/log", 4).verifier().to_string();
    let unlocked = ["--data", "v.redb", "--passphrase-file", "pass"];
    let serve =
        [&["serve", "--json", "--listen", "127.0.0.1:0", "--witness-for", &log], &unlocked[..]].concat();
    let rekey = [&["rekey", "--yes", "--recovery-key-file", "paper"], &unlocked[..]].concat();
    let mut server = Serving::start(home.path(), &serve);
    let before = server.get("/witness/key");
    assert!(before.starts_with("HTTP/1.1 200 "), "{before}");
    server.logged("this server is a witness");
    assert!(server.stop());

    let rekeyed = sealroom(home.path(), &rekey);
    let said = stderr(&rekeyed);
    assert!(
        rekeyed.status.success() && said.contains("v.redb.witness has a key that no longer opens"),
        "{said}"
    );
    let mut server = Serving::start(home.path(), &serve);
    let refused = server.get("/witness/key");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("witness_unavailable"), "{refused}");
    server.logged("this witness cosigns nothing");
    server.logged("a rekey ends the witness's key");
    assert!(server.stop());

    // One that starts locked cannot know it before the unlock, and says so then.
    let locked = ["serve", "--data", "v.redb", "--listen", "127.0.0.1:0", "--witness-for", &log];
    let mut server = Serving::start(home.path(), &locked);
    server.logged("this server is a witness if its key opens at the unlock");
    let unlock = sealroom(home.path(), &["unlock", "--data", "v.redb", "--passphrase-file", "pass"]);
    assert!(unlock.status.success(), "{}", stderr(&unlock));
    server.logged("this witness cosigns nothing");
    assert!(server.stop());

    // The way on that both name, after which a second rekey has nothing to warn of.
    std::fs::remove_file(home.path().join("v.redb.witness")).unwrap();
    let mut server = Serving::start(home.path(), &serve);
    let after = server.get("/witness/key");
    assert!(after.starts_with("HTTP/1.1 200 ") && after != before, "{after}");
    assert!(server.stop());
    std::fs::remove_file(home.path().join("v.redb.witness")).unwrap();
    std::fs::remove_file(home.path().join("paper")).unwrap();
    assert!(!stderr(&sealroom(home.path(), &rekey)).contains("witness"));
}
