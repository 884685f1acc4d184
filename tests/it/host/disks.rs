//! The real binary on a real disk: full, under its watermark, and read-only in mid-run. Mounting takes privileges;
//! where there are none, a line says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::binary::{INIT, PASSPHRASE, Serving, sealroom, secret_file, stderr},
};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";
/// Nothing may take longer, whatever the disk does.
const AT_ONCE: Duration = Duration::from_secs(3);

pub fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|done| done.status.success())
}

/// A small file system of its own, gone at the end.
pub struct Disk {
    _home: tempfile::TempDir,
    pub root: PathBuf,
    image: PathBuf,
}

impl Disk {
    pub fn tmpfs(size: &str) -> Option<Self> {
        let (this, root) = Self::place();
        let size = format!("size={size}");
        let is_there = run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &root]);
        this.or_skipped(is_there)
    }

    fn ext4() -> Option<Self> {
        let (this, _) = Self::place();
        let image = fs::File::create(&this.image).unwrap();
        image.set_len(16 << 20).unwrap();
        let made = run("mkfs.ext4", &["-q", &this.image.display().to_string()]);
        let is_there = made && this.mount();
        this.or_skipped(is_there)
    }

    fn place() -> (Self, String) {
        let home = tempfile::tempdir().unwrap();
        let (root, image) = (home.path().join("disk"), home.path().join("image"));
        fs::create_dir(&root).unwrap();
        let text = root.display().to_string();
        (Self { _home: home, root, image }, text)
    }

    fn mount(&self) -> bool {
        let (image, root) = (self.image.display().to_string(), self.root.display().to_string());
        run("mount", &["-o", "loop", &image, &root])
    }

    fn or_skipped(self, is_there: bool) -> Option<Self> {
        if !is_there {
            eprintln!("skipped: a file system cannot be mounted here");
        }
        is_there.then_some(self)
    }

    fn remount(&self, option: &str) -> bool {
        run("mount", &["-o", &format!("remount,{option}"), &self.root.display().to_string()])
    }

    fn unmount(&self) -> bool {
        run("umount", &[&self.root.display().to_string()])
    }

    /// Fills what is free, but for so many bytes.
    pub fn fill(&self, but: u64) -> PathBuf {
        let ballast = self.root.join("ballast");
        let stat = rustix::fs::statvfs(&self.root).unwrap();
        let free = (stat.f_bavail * stat.f_frsize).saturating_sub(but);
        fs::write(&ballast, vec![1; free as usize]).unwrap();
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", &self.root.display().to_string()]);
    }
}

/// A vault on that disk, served, with an owner who is logged in.
pub struct Served {
    pub serving: Serving,
    owner: String,
}

impl Served {
    pub fn start(folder: &Path, disk_low_bytes: &str) -> Self {
        if !folder.join("v.redb").exists() {
            secret_file(folder, "pass", PASSPHRASE, 0o600);
            secret_file(folder, "owner", "password-of-the-owner", 0o600);
            // Of what is not the vault's, the test itself makes sure that it survives.
            fs::File::open(folder.join("pass")).unwrap().sync_all().unwrap();
            let made = sealroom(folder, &[INIT, &["--owner-password-file", "owner"]].concat());
            assert!(made.status.success(), "{}", stderr(&made));
        }
        let args = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
        let serving = Serving::start(folder, &[&args[..], &["--disk-low-bytes", disk_low_bytes]].concat());
        let log = || fs::read_to_string(folder.join("server.log")).unwrap();
        assert!(!serving.url.is_empty(), "it does not start: {}", log());
        let mut this = Self { serving, owner: String::new() };
        let login = r#"{"email":"ada@example.com","password":"password-of-the-owner"}"#;
        this.owner =
            this.ask("POST", "/sfp/api/auth/login", login).1["access_token"].as_str().unwrap().to_owned();
        this
    }

    /// An answer, at once.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.ask_as(&self.owner, method, path, body)
    }

    /// An answer to another token, at once.
    pub fn ask_as(&self, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
        let start = Instant::now();
        let (status, _, json) = request(self.serving.address(), method, path, token, body)
            .unwrap_or_else(|| panic!("{method} {path}: no answer after {:?}", start.elapsed()));
        assert!(start.elapsed() < AT_ONCE, "{method} {path} took {:?}", start.elapsed());
        (status, json)
    }

    pub fn store(&self, value: &str) -> (u16, Value) {
        let credentials = json!({ "token": value });
        let body =
            json!({ "provider": "github", "authType": "pat", "credentials": credentials, "isGlobal": true });
        self.ask("POST", "/sfp/api/integrations", &body.to_string())
    }

    pub fn health(&self) -> (u16, Value) {
        self.ask("GET", "/health", "")
    }

    /// The results of unaudited reads, whatever the disk does.
    fn goes_on(&self) {
        assert_eq!(self.ask("GET", "/sfp/api/projects", "").0, 200);
        assert_eq!(self.ask("GET", "/sfp/api/users/me", "").0, 200);
        // Nobody has asked for it before: only the file can tell.
        assert_eq!(self.ask("GET", "/sfp/api/projects/never%2Fasked", "").0, 404);
    }

    /// Nothing is written, and everybody is told so.
    pub fn is_unavailable(&self) {
        for (method, path, body) in [
            ("GET", CREDENTIALS, ""),
            ("POST", "/sfp/api/projects", r#"{"identifier":"a/b","remoteUrl":"https://github.com/a/b"}"#),
        ] {
            let (status, json) = self.ask(method, path, body);
            assert_eq!((status, &json["code"]), (503, &json!("audit_unavailable")), "{method} {path}");
        }
        let (status, json) = self.health();
        assert_eq!((status, &json["audit"]), (503, &json!("unavailable")));
        self.goes_on();
    }

    /// It comes back by itself.
    pub fn recovers(&self) {
        let start = Instant::now();
        while self.health().0 != 200 {
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", self.health());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn values(&self) -> Vec<String> {
        let (status, json) = self.ask("GET", CREDENTIALS, "");
        assert_eq!(status, 200, "{json}");
        let value = |item: &Value| item["credentials"]["token"].as_str().unwrap().to_owned();
        json.as_array().unwrap().iter().rev().map(value).collect()
    }
}

/// The file as it is left: the log is whole.
pub fn verified(folder: &Path) {
    let done = sealroom(folder, &["audit", "verify", "v.redb"]);
    assert!(done.status.success(), "{}", stderr(&done));
}

#[test]
fn a_full_disk_is_a_503_at_once_and_room_is_all_that_it_takes_to_go_on() {
    let Some(disk) = Disk::tmpfs("8m") else { return };
    let mut served = Served::start(&disk.root, "0");
    let mut stored = vec!["first".to_owned()];
    assert_eq!(served.store("first").0, 201);
    let ballast = disk.fill(0);
    // The file's free pages are used up first.
    let refused = (0..400).find_map(|n| {
        let value = format!("{n} {}", "x".repeat(20_000));
        let (status, json) = served.store(&value);
        if status == 201 {
            stored.push(value);
            return None;
        }
        Some((status, json))
    });
    let (status, json) = refused.expect("a full disk");
    assert_eq!((status, &json["code"]), (503, &json!("audit_unavailable")));
    // Pages that are too few for that value may do for smaller commits, until they are used up as well.
    let is_full = (0..2_000).any(|n| {
        let project = json!({ "identifier": format!("a/{n}"), "remoteUrl": "https://github.com/a/b" });
        let made = served.ask("POST", "/sfp/api/projects", &project.to_string()).0;
        (served.ask("GET", CREDENTIALS, "").0, made) == (503, 503)
    });
    assert!(is_full);
    served.is_unavailable();
    fs::remove_file(ballast).unwrap();
    served.recovers();
    assert_eq!(served.values(), stored, "what was answered, and nothing that was refused");
    assert_eq!(served.store("last").0, 201);
    assert!(served.serving.stop());
    verified(&disk.root);
}

#[test]
fn under_the_watermark_nothing_is_added_or_disclosed_and_what_takes_away_goes_on() {
    let Some(disk) = Disk::tmpfs("8m") else { return };
    let mut served = Served::start(&disk.root, "3000000");
    let id = served.store("one").1["id"].as_str().unwrap().to_owned();
    assert_eq!(served.store("two").0, 201);
    let token = served.ask("POST", "/sfp/api/application-tokens", r#"{"name":"a","expiresIn":30}"#).1;
    let ballast = disk.fill(1_500_000);
    let start = Instant::now();
    while served.health().1["detail"] != json!(["disk_low"]) {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", served.health());
        std::thread::sleep(Duration::from_millis(20));
    }
    for (status, json) in [served.ask("GET", CREDENTIALS, ""), served.store("three")] {
        assert_eq!((status, &json["code"]), (503, &json!("disk_low")));
    }
    served.goes_on();
    assert_eq!(served.ask("DELETE", &format!("/sfp/api/integrations/{id}"), "").0, 200);
    let token = token["id"].as_str().unwrap();
    assert_eq!(served.ask("DELETE", &format!("/sfp/api/application-tokens/{token}"), "").0, 200);
    fs::remove_file(ballast).unwrap();
    let start = Instant::now();
    while served.store("three").0 != 201 {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not notice that there is room again");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(served.values(), ["two", "three"]);
    assert!(served.serving.stop());
    verified(&disk.root);
}

#[test]
fn a_disk_that_turns_read_only_in_mid_run_discloses_nothing_and_loses_nothing() {
    let Some(disk) = Disk::ext4() else { return };
    let mut served = Served::start(&disk.root, "0");
    assert_eq!(served.store("one").0, 201);
    // The kernel refuses every write to this file, and then no more.
    let file = disk.root.join("v.redb").display().to_string();
    assert!(run("chattr", &["+i", &file]));
    served.is_unavailable();
    assert!(run("chattr", &["-i", &file]));
    served.recovers();
    assert_eq!(served.store("two").0, 201);
    // The state after a device failure: the file system is read-only until it is mounted again.
    assert!(disk.remount("abort"));
    served.is_unavailable();
    assert_eq!(served.store("three").0, 503);
    served.serving.stop();
    assert!(disk.unmount() && disk.mount());
    let mut served = Served::start(&disk.root, "0");
    assert_eq!(served.values(), ["one", "two"]);
    assert!(served.serving.stop());
    verified(&disk.root);
}
