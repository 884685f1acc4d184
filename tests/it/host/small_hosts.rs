//! A host with 128 MB: the real binary in a memory cgroup of its own. Making one takes root and a hierarchy that can be
//! written; where there is none, a line says so.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{
    lab::kills::request,
    support::binary::{PASSPHRASE, Serving, command, ended, sealroom, secret_file, stderr},
};

/// A cgroup with a limit, removed at the end.
struct Group {
    folder: PathBuf,
}

impl Group {
    fn of(bytes: u64, name: &str) -> Option<Self> {
        for (hierarchy, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let folder = PathBuf::from(hierarchy).join(format!("sealroom-{name}-{}", std::process::id()));
            let made =
                fs::create_dir(&folder).and_then(|()| fs::write(folder.join(limit), bytes.to_string()));
            if made.is_ok() {
                return Some(Self { folder });
            }
            drop(fs::remove_dir(&folder));
        }
        eprintln!("not run: no memory cgroup can be made here");
        None
    }

    /// The same command, inside.
    fn enter(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        let script = r#"echo $$ >"$0" && exec "$@""#;
        shell.args(["-c", script]).arg(self.folder.join("cgroup.procs")).arg(command.get_program());
        shell.args(command.get_args()).current_dir(command.get_current_dir().unwrap());
        shell.env_clear().env("USER", "tester").stdin(Stdio::null());
        shell
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel may need a moment to see its last process gone.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// A vault with the cost that `init` takes by itself.
fn vault() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "pass", PASSPHRASE, 0o600);
    secret_file(folder.path(), "owner", "password-of-the-owner", 0o600);
    let init = ["init", "--data", "v.redb", "--owner-email", "ada@example.com", "--passphrase-file", "pass"];
    let made = sealroom(folder.path(), &[&init[..], &["--owner-password-file", "owner"]].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    folder
}

const SERVE: &[&str] = &["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];

#[test]
fn a_host_of_128_mb_makes_and_serves_a_vault_of_the_default_cost() {
    let Some(group) = Group::of(128 << 20, "small") else { return };
    let folder = vault();
    let init = ["init", "--data", "w.redb", "--owner-email", "ada@example.com", "--passphrase-file", "pass"];
    let made = ended(group.enter(&command(folder.path(), &init)).stdout(Stdio::piped()));
    assert!(made.status.success(), "{}", stderr(&made));
    let mut server = Serving::spawn(group.enter(&command(folder.path(), SERVE)), folder.path());
    assert!(!server.url.is_empty(), "{}", fs::read_to_string(folder.path().join("server.log")).unwrap());
    let login = json!({ "email": "ada@example.com", "password": "password-of-the-owner" }).to_string();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = request(server.address(), "POST", "/sfp/api/auth/login", "", &login).unwrap();
                assert!([200, 429, 503].contains(&answer.0), "{}", answer.2);
            });
        }
    });
    assert!(server.health().contains("200 OK"));
    assert!(server.stop());
}

#[test]
fn a_host_with_too_little_memory_says_so_before_the_kernel_kills() {
    let Some(group) = Group::of(64 << 20, "tiny") else { return };
    let folder = vault();
    let init = ["init", "--data", "w.redb", "--owner-email", "ada@example.com", "--passphrase-file", "pass"];
    for args in [SERVE, &init] {
        let refused = ended(group.enter(&command(folder.path(), args)).stdout(Stdio::piped()));
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{args:?}: {:?} {said}", refused.status);
        assert!(said.contains("needs 64 MiB of memory, and the cgroup of this process has"), "{said}");
        assert!(said.contains("--kdf-memory"), "{said}");
    }
    assert!(!folder.path().join("w.redb").exists());
    // The way that the hint names.
    let cheap = [&init[..], &["--weak-kdf", "--kdf-memory", "8192", "--kdf-passes", "8"]].concat();
    let made = ended(group.enter(&command(folder.path(), &cheap)).stdout(Stdio::piped()));
    assert!(made.status.success(), "{}", stderr(&made));
}
