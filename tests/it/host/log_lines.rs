//! What an operator finds in the log of a server: its start, its stop, what was unlocked by whom, and which settings hold.

use std::fs;

use rustix::process::Signal;

use crate::support::binary::{PASSPHRASE, Serving, sealroom, stderr, vault};

#[test]
fn start_stop_lock_unlock_and_reload_are_lines_and_so_is_each_setting_that_is_no_default() {
    let folder = vault();
    let folder = folder.path();
    fs::write(folder.join("c.toml"), "passphrase_file = \"pass\"\n[limits]\nqueue_max = 4096\n").unwrap();
    let serve = ["serve", "--config", "c.toml", "--data", "v.redb", "--listen", "127.0.0.1:0"];
    let mut server = Serving::start(folder, &serve);
    let started = server.logged(r#""message":"started""#);
    for part in
        [concat!(r#""version":""#, env!("CARGO_PKG_VERSION")), r#""locked":false"#, &server.url, "v.redb"]
    {
        assert!(started.contains(part), "{part}: {started}");
    }
    let settings = server.logged("settings: ");
    let told =
        "settings: data = v.redb (--data), listen = 127.0.0.1:0 (--listen), passphrase_file = pass (c.toml)";
    assert!(settings.contains(told), "{settings}");
    assert!(!settings.contains("queue_max"), "it is as by default: {settings}");
    for (args, says) in [
        (&["lock", "--data", "v.redb"][..], r#""message":"locked""#),
        (&["unlock", "--data", "v.redb", "--passphrase-file", "pass"], r#""message":"unlocked""#),
    ] {
        let done = sealroom(folder, args);
        assert!(done.status.success(), "{}", stderr(&done));
        let line = server.logged(says);
        assert!(line.contains(r#""by":"host:"#), "{line}");
    }
    fs::write(folder.join("c.toml"), "passphrase_file = \"pass\"\n[limits]\nqueue_max = 9\n").unwrap();
    server.signal(Signal::HUP);
    server.logged("limits and log level reloaded");
    server.logged("limits.queue_max = 9 (c.toml)");
    assert!(server.stop());
    server.logged(r#""message":"stopping""#);
    server.logged(r#""message":"stopped""#);
    let log = fs::read_to_string(folder.join("server.log")).unwrap();
    assert!(!log.contains(PASSPHRASE.trim()), "no value of a secret");
}

#[test]
fn a_server_with_the_defaults_says_so() {
    let folder = vault();
    fs::rename(folder.path().join("v.redb"), folder.path().join("sealroom.redb")).unwrap();
    let mut server = Serving::start(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    server.logged(r#""locked":true"#);
    assert!(
        server.logged("settings: ").contains("settings: listen = 127.0.0.1:0 (--listen)\""),
        "the rest is"
    );
    assert!(server.stop());
}
