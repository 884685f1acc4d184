//! `sealroom restore`: a backup takes the place of the vault file, and what was taken away after it stays away.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::binary::{INIT, PASSPHRASE, SERVE_KEPT as SERVE, Serving, sealroom, secret_file, stderr},
};

/// A vault, and a backup of it from before everything was taken away.
pub struct Worst {
    folder: tempfile::TempDir,
    audit_key: String,
    password: String,
    pub session: String,
    token: (String, String),
    /// Narrowed to a project that was registered anew.
    narrowed_token: String,
    kept_token: String,
    gone: String,
    narrowed: String,
    rotated: String,
}

pub fn call(server: &Serving, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, body) = request(server.address(), method, path, bearer, &body).unwrap();
    (status, body)
}

pub fn ok(server: &Serving, method: &str, path: &str, bearer: &str, body: &Value) -> Value {
    let (status, body) = call(server, method, path, bearer, body);
    assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
    body
}

pub fn login(server: &Serving, email: &str, password: &str) -> (u16, String) {
    let body = json!({ "email": email, "password": password });
    let (status, body) = call(server, "POST", "/sfp/api/auth/login", "", &body);
    (status, body["access_token"].as_str().unwrap_or_default().to_owned())
}

impl Worst {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        secret_file(path, "pass", PASSPHRASE, 0o600);
        fs::create_dir(path.join("kept")).unwrap();
        let made: Value = serde_json::from_slice(&sealroom(path, INIT).stdout).unwrap();
        let password = made["owner_password"].as_str().unwrap().to_owned();
        let mut server = Serving::start(path, SERVE);
        let (_, session) = login(&server, "ada@example.com", &password);
        let make = |method: &str, path: &str, body: Value| ok(&server, method, path, &session, &body);
        for project in ["acme/web", "acme/old", "acme/anew"] {
            make("POST", "/sfp/api/projects", json!({ "identifier": project }));
        }
        for (email, role) in
            [("bob@example.com", "member"), ("eve@example.com", "owner"), ("joe@example.com", "member")]
        {
            make(
                "POST",
                "/sfp/api/users",
                json!({ "email": email, "role": role, "password": "password-example" }),
            );
        }
        let token = |name: &str, project: &str| {
            let made = make(
                "POST",
                "/sfp/api/application-tokens",
                json!({ "name": name, "expiresIn": 30, "projects": [project] }),
            );
            (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
        };
        let narrowed_token = token("anew", "acme/anew").1;
        let (token, kept_token) = (token("ci", "acme/web"), token("other", "acme/web").1);
        let stored = |value: &str| {
            let body = json!({ "provider": "github", "authType": "pat", "credentials": { "token": value }, "isGlobal": true });
            make("POST", "/sfp/api/integrations", body)["id"].as_str().unwrap().to_owned()
        };
        let (gone, narrowed, rotated) = (stored("ghp_one"), stored("ghp_two"), stored("ghp_three"));
        let session = session.clone();
        assert!(server.stop());
        fs::copy(path.join("v.redb"), path.join("backup.redb")).unwrap();
        let audit_key = made["audit_key"].as_str().unwrap().to_owned();
        Self {
            folder,
            audit_key,
            password,
            session,
            token,
            narrowed_token,
            kept_token,
            gone,
            narrowed,
            rotated,
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes everything away after the backup; leaves the log as an export.
    pub fn take_away(&self) {
        let mut server = Serving::start(self.path(), SERVE);
        let act = |method: &str, path: &str, body: Value| ok(&server, method, path, &self.session, &body);
        act("DELETE", &format!("/sfp/api/application-tokens/{}", self.token.0), Value::Null);
        act("DELETE", "/sfp/api/users/bob@example.com", Value::Null);
        act("PUT", "/sfp/api/users/eve@example.com", json!({ "role": "member", "projects": ["acme/web"] }));
        act("PUT", "/sfp/api/users/joe@example.com", json!({ "disabled": true }));
        act("DELETE", &format!("/sfp/api/integrations/{}", self.gone), Value::Null);
        let scope = json!({ "projects": ["acme/web"], "isGlobal": false });
        act("PATCH", &format!("/sfp/api/integrations/{}", self.narrowed), scope);
        let rotated = json!({ "credentials": { "token": "ghp_four" } });
        act("PUT", &format!("/sfp/api/integrations/{}/credentials", self.rotated), rotated);
        act("DELETE", "/sfp/api/projects/acme%2Fold", Value::Null);
        act("DELETE", "/sfp/api/projects/acme%2Fanew", Value::Null);
        act("POST", "/sfp/api/projects", json!({ "identifier": "acme/anew" }));
        secret_file(self.path(), "bearer", &self.session, 0o600);
        let args = ["audit", "export", "--server", &server.url, "--token-file", "bearer"];
        let export = sealroom(self.path(), &args);
        assert!(export.status.success(), "{}", stderr(&export));
        fs::write(self.path().join("export"), export.stdout).unwrap();
        assert!(server.stop());
        self.is_explained();
    }

    pub fn restore(&self, args: &[&str]) -> Output {
        let all = ["restore", "--json", "--data", "v.redb", "--passphrase-file", "pass"];
        sealroom(self.path(), &[&all[..], args].concat())
    }

    /// Checks that the events explain every row.
    fn is_explained(&self) {
        let doctor = sealroom(self.path(), &["doctor", "v.redb", "--passphrase-file", "pass"]);
        assert!(doctor.status.success(), "{doctor:?}");
    }

    pub fn restored(&self, args: &[&str]) -> Value {
        let done = self.restore(args);
        assert!(done.status.success(), "{args:?}: {}", stderr(&done));
        self.is_explained();
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Checks who is let in and what is there: everything taken away stays away, or all of it lives again.
    pub fn check(&self, is_away: bool) {
        let mut server = Serving::start(self.path(), SERVE);
        let reads = |token: &str, project: &str| {
            let path = format!("/sfp/api/integrations/credentials?project={project}");
            call(&server, "GET", &path, token, &Value::Null).0 == 200
        };
        let is_let_in = |token: &str| reads(token, "acme/web");
        assert_eq!(
            call(&server, "GET", "/sfp/api/users/me", &self.session, &Value::Null).0,
            401,
            "an old session"
        );
        assert_eq!(is_let_in(&self.token.1), !is_away, "the revoked token");
        assert!(is_let_in(&self.kept_token), "the other token");
        assert_eq!(reads(&self.narrowed_token, "acme/anew"), !is_away, "the project of before");
        for (email, is_gone) in
            [("bob@example.com", true), ("joe@example.com", true), ("eve@example.com", false)]
        {
            let (status, _) = login(&server, email, "password-example");
            assert_eq!(status == 200, !(is_away && is_gone), "{email}");
        }
        let (status, owner) = login(&server, "ada@example.com", &self.password);
        assert_eq!(status, 200);
        let eve = ok(&server, "GET", "/sfp/api/users/eve@example.com", &owner, &Value::Null);
        assert_eq!(eve["role"], if is_away { "member" } else { "owner" }, "{eve}");
        let found =
            |id: &str| call(&server, "GET", &format!("/sfp/api/integrations/{id}"), &owner, &Value::Null);
        assert_eq!(found(&self.gone).0, if is_away { 404 } else { 200 });
        let narrowed = found(&self.narrowed).1.to_string();
        assert_eq!(narrowed.contains("acme/web"), is_away, "{narrowed}");
        let old = call(&server, "GET", "/sfp/api/projects/acme%2Fold", &owner, &Value::Null).0;
        assert_eq!(old, if is_away { 404 } else { 200 });
        assert!(server.health().contains(r#""status":"healthy""#), "{}", server.health());
        assert!(!server.health().contains("checkpoint_lost"), "{}", server.health());
        assert!(server.stop());
        let key = ["audit", "verify", "v.redb", "--strict", "--key", &self.audit_key, "--checkpoint", "kept"];
        let verified = sealroom(self.path(), &key);
        assert!(verified.status.success(), "{}", stderr(&verified));
    }
}

const FORCE: &[&str] = &["backup.redb", "--force", "--checkpoint-folder", "kept"];

#[test]
fn what_was_taken_away_after_the_backup_stays_away() {
    let worst = Worst::new();
    worst.take_away();
    let before = fs::read(worst.path().join("v.redb")).unwrap();
    let unforced = worst.restore(&["backup.redb"]);
    assert_eq!(unforced.status.code(), Some(1));
    let said = stderr(&unforced);
    assert!(
        said.contains("events behind") && said.contains("1 token.revoke") && said.contains("pass --force"),
        "{said}"
    );
    assert_eq!(fs::read(worst.path().join("v.redb")).unwrap(), before);

    let done = worst.restored(FORCE);
    let listed = |key: &str| {
        done[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    for said in [
        "token ci",
        "narrowed to 0 projects",
        "bob@example.com removed",
        "eve@example.com made a member",
        "joe@example.com disabled",
        "deleted",
        "scoped to 1 project",
        "project acme/old deleted",
    ] {
        assert!(listed("takenAway").contains(said), "{said}: {done}");
    }
    assert!(listed("byHand").contains(&worst.rotated), "{done}");
    let aside = done["replaced"].as_str().unwrap();
    assert_eq!(fs::read(aside).unwrap(), before, "the replaced file is kept");
    assert!(!done["checkpointsAside"].as_array().unwrap().is_empty(), "{done}");
    worst.check(true);
    let file = String::from_utf8_lossy(&fs::read(worst.path().join("v.redb")).unwrap()).into_owned();
    assert!(file.contains(r#""action":"vault.restore""#) && file.contains(r#""reason":"restore""#));
}

#[test]
fn an_export_shows_what_a_lost_file_no_longer_can() {
    let worst = Worst::new();
    worst.take_away();
    fs::remove_file(worst.path().join("v.redb")).unwrap();
    let done = worst.restored(&["backup.redb", "--since", "export", "--checkpoint-folder", "kept"]);
    assert!(done["replaced"].is_null() && done["behind"].as_u64().unwrap() > 8, "{done}");
    worst.check(true);
    // A damaged file shows as little as a lost one.
    fs::write(worst.path().join("v.redb"), b"redb\x1a\n damaged").unwrap();
    worst.restored(&[FORCE, &["--since", "export"]].concat());
    worst.check(true);
    for (text, said) in [("", "it is empty"), ("{}\n", "no export of records")] {
        fs::write(worst.path().join("bad"), text).unwrap();
        let refused = worst.restore(&[FORCE, &["--since", "bad"]].concat());
        assert!(!refused.status.success() && stderr(&refused).contains(said), "{}", stderr(&refused));
    }
    let export = fs::read_to_string(worst.path().join("export")).unwrap();
    let late: Vec<&str> = export.lines().skip(20).collect();
    fs::write(worst.path().join("bad"), late.join("\n") + "\n").unwrap();
    assert!(!worst.restore(&[FORCE, &["--since", "bad"]].concat()).status.success());
}

#[test]
fn what_lives_again_is_said_where_it_is_wanted_or_nothing_shows_it() {
    let worst = Worst::new();
    worst.take_away();
    let done = worst.restore(&[FORCE, &["--revive"]].concat());
    assert!(done.status.success() && stderr(&done).contains("lives again"), "{}", stderr(&done));
    worst.check(false);
    fs::remove_file(worst.path().join("v.redb")).unwrap();
    let done = worst.restore(&["backup.redb", "--checkpoint-folder", "kept"]);
    let said = stderr(&done);
    assert!(done.status.success() && said.contains("nothing shows what was revoked"), "{said}");
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(told.contains("bob@example.com") && told.contains("ci (application"), "{told}");
    worst.check(false);
}

#[test]
fn a_wrong_backup_or_a_file_in_use_changes_nothing() {
    let worst = Worst::new();
    worst.take_away();
    let folder = worst.path();
    let other = Worst::new();
    fs::copy(other.path().join("v.redb"), folder.join("foreign.redb")).unwrap();
    let backup = fs::read(folder.join("backup.redb")).unwrap();
    for length in [0, 10, 4096, backup.len() / 2, backup.len() - 4096] {
        fs::write(folder.join(format!("cut{length}")), &backup[..length]).unwrap();
    }
    let mut changed = backup.clone();
    let at = changed.windows(10).position(|bytes| bytes == b"user.creat").unwrap();
    changed[at] = b'x';
    fs::write(folder.join("changed"), changed).unwrap();
    fs::write(folder.join("text"), "no vault").unwrap();
    secret_file(folder, "wrong", "another passphrase example\n", 0o600);
    let before = fs::read(folder.join("v.redb")).unwrap();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let there = names();
    let refused = |args: &[&str]| {
        let refused = worst.restore(args);
        assert!(!refused.status.success(), "{args:?}");
        assert_eq!(fs::read(folder.join("v.redb")).unwrap(), before, "{args:?}");
        assert_eq!(names(), there, "{args:?}");
        assert!(stderr(&refused).contains("hint"), "{args:?}: {}", stderr(&refused));
        stderr(&refused)
    };
    for length in [0, 10, 4096, backup.len() / 2, backup.len() - 4096] {
        refused(&[&format!("cut{length}"), "--force"]);
    }
    assert!(refused(&["foreign.redb", "--force"]).contains("a backup of another vault"));
    refused(&["changed", "--force"]);
    refused(&["text", "--force"]);
    refused(&["gone.redb", "--force"]);
    assert!(refused(&["v.redb", "--force"]).contains("is the vault file itself"));
    std::os::unix::fs::symlink("v.redb", folder.join("alias")).unwrap();
    assert!(stderr(&worst.restore(&["alias", "--force"])).contains("is the vault file itself"));
    fs::remove_file(folder.join("alias")).unwrap();
    let wrong = ["restore", "backup.redb", "--force", "--data", "v.redb", "--passphrase-file", "wrong"];
    let said = stderr(&sealroom(folder, &wrong));
    assert!(said.contains("wrong passphrase") && said.contains("of the time when it was made"), "{said}");
    assert_eq!((fs::read(folder.join("v.redb")).unwrap() == before, names()), (true, there.clone()));
    let mut server = Serving::start(folder, SERVE);
    let said = stderr(&worst.restore(&["backup.redb", "--force"]));
    assert!(said.contains(&format!("in use by process {}", server.child.id())), "{said}");
    assert!(server.stop());
}

/// A kill at any moment leaves the old file or the new one under the name, and the next command opens it.
#[test]
fn a_killed_restore_leaves_the_old_file_or_the_new_one_and_the_next_run_cleans_up() {
    let worst = Worst::new();
    let folder = worst.path();
    // Between the two names: the old file is still in its place, and has a second name.
    fs::hard_link(folder.join("v.redb"), folder.join("v.redb.replaced-2026")).unwrap();
    fs::write(folder.join(".v.redb.sealroom-new"), "half a copy").unwrap();
    let mut server = Serving::start(folder, SERVE);
    assert!(server.stop());
    assert!(!folder.join("v.redb.replaced-2026").exists() && !folder.join(".v.redb.sealroom-new").exists());
    for round in 0..30 {
        let args =
            ["restore", "backup.redb", "--force", "--json", "--data", "v.redb", "--passphrase-file", "pass"];
        let mut command = crate::support::binary::command(folder, &args);
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < round * 4 && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let verified = sealroom(folder, &["audit", "verify", "v.redb"]);
        assert!(verified.status.success(), "round {round}: {}", stderr(&verified));
    }
    // On a loaded machine none of them came to its end.
    let whole = ["restore", "backup.redb", "--force", "--data", "v.redb", "--passphrase-file", "pass"];
    let restored = sealroom(folder, &whole);
    assert!(restored.status.success(), "{}", stderr(&restored));
    // No restore was told of the folder, which knows the replaced history: it is served once somebody accepts that.
    for (more, status) in [(&[][..], 503), (&["--accept-rollback"], 200), (&[], 200)] {
        let mut server = Serving::start(folder, &[SERVE, more].concat());
        assert_eq!(login(&server, "ada@example.com", &worst.password).0, status, "{more:?}");
        assert!(server.stop());
    }
}
