//! A file that takes a name is on the disk before it has it, and the name is on the disk before the command ends: the
//! order of the calls, as the kernel sees them.

use std::{fs, path::Path, process::Command};

use crate::support::binary::{Serving, command, secret_file, stderr, vault};

const CALLS: &str = "pwrite64,write,ftruncate,fallocate,fdatasync,fsync,rename,renameat,renameat2,link,linkat,unlink,unlinkat";

/// Runs a command and returns its calls that change a disk, in order; `None` if nothing traces them here.
fn traced(folder: &Path, args: &[&str]) -> Option<Vec<String>> {
    let own = command(folder, args);
    let mut strace = Command::new("strace");
    strace
        .current_dir(folder)
        .env("USER", "tester")
        .env("HOME", folder)
        .args(["-f", "-y", "-qq", "-s", "0", "-o", "calls"]);
    strace.args(["-e", "signal=none", "-e", &format!("trace={CALLS}")]);
    let ended = strace.arg(own.get_program()).args(own.get_args()).output();
    let ended = ended.ok().filter(|_| folder.join("calls").exists())?;
    let text = fs::read_to_string(folder.join("calls")).unwrap();
    if !text.contains("sync(") {
        return None;
    }
    assert!(ended.status.success(), "{args:?}: {}", stderr(&ended));
    // A call that another thread's call interrupts stands in two lines; the first one names the file.
    Some(text.lines().map(str::to_owned).collect())
}

/// Checks the order for the file of that temporary name, which becomes `name`.
fn ordered(folder: &Path, calls: &[String], temporary: &str, name: &str) {
    let is_named = |line: &&String| {
        let renames = ["rename(", "renameat(", "renameat2(", "link(", "linkat("];
        renames.iter().any(|call| line.contains(call)) && line.contains(&format!("{name}\""))
    };
    let at = calls
        .iter()
        .rposition(|line| is_named(&line))
        .unwrap_or_else(|| panic!("{name} is never named: {calls:#?}"));
    let of_it = |line: &String| line.contains(temporary) && line.contains('<');
    let writes = |line: &String| {
        ["write64(", "write(", "ftruncate(", "fallocate("].iter().any(|call| line.contains(call))
    };
    let written = calls[..at].iter().rposition(|line| of_it(line) && writes(line)).expect("a write");
    let synced = calls[written..at].iter().any(|line| of_it(line) && line.contains("sync("));
    assert!(synced, "{name} has its name before its content is on the disk: {:#?}", &calls[written..=at]);
    let real = fs::canonicalize(folder).unwrap();
    let folder = format!("<{}>", real.display());
    let kept = calls[at..].iter().any(|line| line.contains("fsync(") && line.contains(&folder));
    assert!(kept, "the folder is not synced after {name} is in it: {:#?}", &calls[at..]);
}

#[test]
fn no_file_has_a_name_before_its_content_is_on_the_disk_nor_a_command_an_end_before_the_name_is() {
    let folder = vault();
    let folder = folder.path();
    secret_file(folder, "next", "another passphrase example\n", 0o600);
    let serve =
        ["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
    let mut server = Serving::start(folder, &serve);
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let body = serde_json::json!({ "email": "ada@example.com", "password": password }).to_string();
    let request = crate::lab::kills::request;
    let login = request(server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap();
    let owner = login.2["access_token"].as_str().unwrap().to_owned();
    for _ in 0..260 {
        assert_eq!(request(server.address(), "GET", "/sfp/api/audit?limit=1", &owner, "").unwrap().0, 200);
    }
    secret_file(folder, "token", &owner, 0o600);
    let backup = ["backup", "kept.redb", "--server", &server.url, "--token-file", "token"];
    let Some(calls) = traced(folder, &backup) else {
        println!("no strace, or it may not trace here: the order of calls is not checked");
        return;
    };
    ordered(folder, &calls, "/.tmp", "kept.redb");
    assert!(server.stop());
    let with = ["--data", "v.redb", "--passphrase-file", "pass"];
    for (args, temporary, name) in [
        (&["compact"][..], ".v.redb.sealroom-new", "v.redb"),
        (&["rekey", "--yes", "--recovery-key-file", "paper"], ".v.redb.sealroom-new", "v.redb"),
        (&["audit", "archive", "--before", "2100-01-01", "--to", "old.archive"], ".archive-", "old.archive"),
        (&["restore", "kept.redb", "--force"], ".v.redb.sealroom-new", "v.redb"),
    ] {
        let calls = traced(folder, &[args, &with].concat()).unwrap();
        ordered(folder, &calls, temporary, name);
        if args[0] == "rekey" {
            ordered(folder, &calls, "/.tmp", "paper");
            // The new key is on the disk before the file that only it and the passphrase open.
            let at = |name: &str| {
                calls.iter().rposition(|line| line.contains(&format!("{name}\"")) && line.contains("rename"))
            };
            let paper = calls.iter().rposition(|line| line.contains("paper\""));
            assert!(paper < at("v.redb"), "{calls:#?}");
        }
    }
    let new =
        traced(folder, &["restore", "kept.redb", "--data", "new.redb", "--passphrase-file", "pass"]).unwrap();
    ordered(folder, &new, ".new.redb.sealroom-new", "new.redb");
}
