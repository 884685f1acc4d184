//! The output of `credentials` for other programs, and the names in it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, lchown, symlink},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::geteuid,
};
use serde_json::json;

use super::exec::Stage;
use crate::support::binary::secret_file;

#[test]
fn a_job_of_github_gets_masks_first_and_no_variable_that_a_value_smuggles_in() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_100%example"}), &[]);
    stage.store(
        "custom/api_key",
        &json!({"key": "line one\nEOF\nPATH=/evil\n", "user": "bob", "pin": "123"}),
        &["--name", "multi"],
    );
    secret_file(stage.path(), "env", "OLD=1\n", 0o600);
    let github = |args: &[&str]| {
        let mut command = stage.command(&[&["credentials", "--all", "--format", "github"], args].concat());
        command.env("GITHUB_ENV", "env");
        stage.end(command)
    };
    let end = github(&[]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert_eq!(end.out, "::add-mask::line one\n::add-mask::PATH=/evil\n::add-mask::ghp_100%25example\n");
    assert!(end.err.contains("MULTI_PIN is not masked"), "{}", end.err);
    // Read as the runner does: up to the line that is the delimiter.
    let text = fs::read_to_string(stage.path().join("env")).unwrap();
    let mut lines = text.strip_prefix("OLD=1\n").unwrap().lines();
    let mut read = Vec::new();
    let mut delimiters = Vec::new();
    while let Some(line) = lines.next() {
        let (name, delimiter) = line.split_once("<<").unwrap();
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        read.push((name, value.join("\n")));
        delimiters.push(delimiter);
    }
    assert_eq!(
        read,
        [
            ("MULTI_KEY", "line one\nEOF\nPATH=/evil\n".to_owned()),
            ("MULTI_PIN", "123".to_owned()),
            ("MULTI_USER", "bob".to_owned()),
            ("GITHUB_TOKEN", "ghp_100%example".to_owned()),
        ]
    );
    delimiters.dedup();
    assert_eq!(delimiters.len(), 4, "each is random");
    // A command that fails sets nothing and discloses nothing.
    let before = fs::read_to_string(stage.path().join("env")).unwrap();
    stage.store("github/pat", &json!({"token": "other_example"}), &[]);
    assert_eq!(github(&[]).code, 1);
    assert_eq!(fs::read_to_string(stage.path().join("env")).unwrap(), before);
    let bare = stage.run(&["credentials", "--all", "--format", "github"]);
    assert!(
        bare.code == 1 && bare.out.is_empty() && bare.err.contains("GITHUB_ENV is not set"),
        "{}",
        bare.err
    );
    assert!(!bare.err.contains("audit-receipt"), "{}", bare.err);
}

#[test]
fn a_job_of_github_gets_masks_of_the_secrets_within_json() {
    let stage = Stage::start();
    let account = json!({"type": "service_account", "private_key": "-----BEGIN\nexamplekey\n"}).to_string();
    stage.store("custom/api_key", &json!({"value": account}), &["--name", "account"]);
    secret_file(stage.path(), "env", "", 0o600);
    let mut command = stage.command(&["credentials", "--all", "--format", "github"]);
    command.env("GITHUB_ENV", "env");
    let end = stage.end(command);
    let masks = [account.as_str(), "-----BEGIN", "examplekey"].map(|line| format!("::add-mask::{line}\n"));
    assert_eq!((end.code, end.out), (0, masks.concat()), "{}", end.err);
}

#[test]
fn a_file_for_docker_never_changes_a_value() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": " it's \"$x\" \\ # = é "}), &[]);
    let end = stage.run(&["credentials", "--all", "--format", "docker"]);
    assert_eq!((end.code, end.out.as_str()), (0, "GITHUB_TOKEN= it's \"$x\" \\ # = é \n"), "{}", end.err);
    for (name, value, reason) in [
        ("lf", "a\nb".to_owned(), "a line end in it"),
        ("cr", "a\rb".to_owned(), "a line end in it"),
        ("nul", "a\u{0}b".to_owned(), "a NUL in it"),
    ] {
        stage.store("custom/api_key", &json!({"value": value}), &["--name", name]);
        let end = stage.run(&["credentials", "--all", "--name", name, "--format", "docker"]);
        assert!(end.code == 1 && end.out.is_empty(), "{}", end.err);
        assert!(end.err.contains(reason) && end.err.contains(&format!("({name})")), "{}", end.err);
    }
}

#[test]
fn a_file_of_credentials_appears_whole_and_is_nobody_elses() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    let path = stage.path().join("out");
    for (args, text) in [
        (&["--format", "dotenv"][..], "GITHUB_TOKEN='ghp_example'\n"),
        (&["--format", "env"], "export GITHUB_TOKEN='ghp_example'\n"),
        (&["--format", "docker", "--env", "GH_TOKEN=github.token"], "GH_TOKEN=ghp_example\n"),
        (&["--field", "token"], "ghp_example"),
    ] {
        let end = stage.run(&[&["credentials", "--all", "--output", "out"], args].concat());
        assert_eq!((end.code, end.out.as_str()), (0, ""), "{args:?}: {}", end.err);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{args:?}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let end = stage.run(&["credentials", "--all", "--format", "json", "--output", "out"]);
    let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((end.code, read[0]["credentials"]["token"].as_str()), (0, Some("ghp_example")));
    // A failure leaves the older file, and nothing beside it.
    fs::write(&path, "older").unwrap();
    stage.store("github/pat", &json!({"token": "two_example"}), &[]);
    let end = stage.run(&["credentials", "--all", "--format", "env", "--output", "out"]);
    assert_eq!((end.code, end.out.as_str(), fs::read_to_string(&path).unwrap().as_str()), (1, "", "older"));
    let left = fs::read_dir(stage.path()).unwrap().flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with(".tmp")));
    for args in [&["--output", "out"][..], &["--output", "out", "--format", "github"]] {
        assert_eq!(stage.run(&[&["credentials", "--all"], args].concat()).code, 2, "{args:?}");
    }
}

/// A rename over `/dev/null` or `/dev/stdout` would take it from every program, and leave the values there.
#[test]
fn an_output_replaces_a_file_and_never_a_device_a_pipe_a_folder_or_a_link() {
    let stage = Stage::start();
    stage.store("github/pat", &json!({"token": "ghp_example"}), &[]);
    let path = |name: &str| stage.path().join(name);
    mkfifoat(CWD, path("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    fs::create_dir(path("folder")).unwrap();
    symlink("/proc/self/fd/1", path("stdout")).unwrap();
    symlink("/dev/null", path("null")).unwrap();
    symlink("nowhere", path("lost")).unwrap();
    secret_file(stage.path(), "file", "older", 0o600);
    symlink("file", path("link")).unwrap();
    let (before, reads) = (names(stage.path()), stage.reads());
    let credentials = ["credentials", "--all", "--format", "env", "--output"];
    let (audit, cursor) = (["audit", "export", "--output"], ["audit", "tail", "--cursor-file"]);
    for (name, said) in [
        ("pipe", "leads to no regular file"),
        ("stdout", "leads to no regular file"),
        ("null", "leads to no regular file"),
        ("lost", "leads to no regular file"),
        ("folder", "is a folder"),
    ] {
        for args in [&credentials[..], &audit] {
            let end = stage.run(&[args, &[name]].concat());
            assert!(end.code == 1 && end.out.is_empty(), "{args:?} {name}: {}", end.err);
            assert!(end.err.contains(said), "{args:?} {name}: {}", end.err);
        }
    }
    assert_eq!(stage.reads(), reads, "nothing was disclosed");
    for args in [&credentials[..], &audit] {
        let end = stage.run(&[args, &["link"]].concat());
        assert_eq!(end.code, 0, "{args:?}: {}", end.err);
        assert_ne!(fs::read_to_string(path("file")).unwrap(), "older", "{args:?}: its target is replaced");
        fs::write(path("file"), "older").unwrap();
    }
    fs::write(path("file"), "3").unwrap();
    assert_eq!(stage.run(&[&cursor[..], &["link"]].concat()).code, 0);
    assert_ne!(fs::read_to_string(path("file")).unwrap(), "3");
    assert_eq!(names(stage.path()), before, "each is what it was");
}

/// In `/tmp`, anybody may lay a link to a file of the user who exports there.
#[test]
fn an_output_follows_no_link_that_another_user_laid_in_an_open_folder() {
    if !geteuid().is_root() {
        eprintln!("not root: no link of another user can be made, not tested");
        return;
    }
    let stage = Stage::start();
    let (open, path) = (stage.path().join("open"), |name: &str| stage.path().join("open").join(name));
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    secret_file(stage.path(), "file", "3", 0o600);
    for name in ["planted", "own"] {
        symlink("../file", path(name)).unwrap();
    }
    lchown(path("planted"), Some(65_534), None).unwrap();
    for args in [&["audit", "export", "--output"][..], &["audit", "tail", "--cursor-file"]] {
        let end = stage.run(&[args, &["open/planted"]].concat());
        assert!(end.code == 1 && end.err.contains("open/planted is a link of another user"), "{}", end.err);
        assert_eq!(fs::read_to_string(stage.path().join("file")).unwrap(), "3");
    }
    let end = stage.run(&["audit", "export", "--output", "open/own"]);
    assert_eq!(end.code, 0, "{}", end.err);
    assert_ne!(fs::read_to_string(stage.path().join("file")).unwrap(), "3");
    // Here the owner alone makes links.
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(stage.run(&["audit", "export", "--output", "open/planted"]).code, 0);
}

/// Returns the entries of a folder, each with its kind.
fn names(folder: &Path) -> Vec<(String, fs::FileType)> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.file_type().unwrap())).collect();
    names.sort_by(|one, other| one.0.cmp(&other.0));
    names
}

#[test]
fn an_integrations_own_names_are_those_of_every_way_out() {
    let stage = Stage::start();
    let url = "postgres://app:pg_example@db/app";
    let id = stage.store(
        "custom/api_key",
        &json!({"url": url, "user": "app"}),
        &["--name", "db", "--env", "url=DATABASE_URL"],
    );
    let names = |args: &[&str]| {
        let end = stage.run(&[&["credentials", "--all", "--format", "docker"], args].concat());
        assert_eq!(end.code, 0, "{}", end.err);
        end.out.lines().map(|line| line.split('=').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["DATABASE_URL", "DB_USER"]);
    let end = stage.run(&["exec", "--all", "--", "sh", "-c", "echo ${#DATABASE_URL} $DB_USER"]);
    assert_eq!(end.out, format!("{} app\n", url.len()));
    let update = |args: &[&str]| {
        let end = stage.run(&[&["integration", "update"], args].concat());
        assert_eq!(end.code, 0, "{args:?}: {}", end.err);
    };
    update(&["db", "--env", "user=PGUSER", "--expires-at", "2099-01-31T00:00:00Z"]);
    assert_eq!(names(&[]), ["DATABASE_URL", "PGUSER"]);
    update(&["db", "--env", "verbatim", "--name", "main db", "--no-expiry"]);
    assert_eq!(names(&[]), ["url", "user"]);
    update(&["main db", "--no-env"]);
    assert_eq!(names(&["--env", "X=main db.url"]), ["X", "MAIN_DB_USER"]);
    assert_eq!(names(&["--env", &format!("X={id}.url")]), ["X", "MAIN_DB_USER"]);
    for (args, code, said) in [
        (&["main db"][..], 2, "nothing to change"),
        (&["main db", "--env", "url=LD_PRELOAD"], 2, "changes how programs run"),
        (&["main db", "--env", "url"], 2, "FIELD=NAME"),
        (&["none", "--no-name"], 1, "no integration has the id or name 'none'"),
    ] {
        let end = stage.run(&[&["integration", "update"], args].concat());
        assert!(end.code == code && end.err.contains(said), "{args:?} ({}): {}", end.code, end.err);
    }
    stage.store("custom/api_key", &json!({"url": "1_example"}), &["--name", "main db"]);
    let end = stage.run(&["integration", "update", "main db", "--no-name"]);
    assert!(
        end.code == 1 && end.err.contains("2 integrations have the name") && end.err.contains(&id),
        "{}",
        end.err
    );
}

/// Two servers, one user.
#[test]
fn a_login_elsewhere_never_ends_a_session() {
    let (one, two) = (Stage::start(), Stage::start());
    let home = tempfile::tempdir().unwrap();
    let password = |stage: &Stage| -> String {
        serde_json::from_str::<serde_json::Value>(&stage.server.said).unwrap()["owner_password"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let run = |args: &[&str], profile: Option<&str>| {
        let mut command = crate::support::binary::command(home.path(), args);
        command.env("HOME", home.path()).envs(profile.map(|name| ("SEALROOM_PROFILE", name)));
        let output = crate::support::binary::ended(command.stdout(std::process::Stdio::piped()));
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said)
    };
    let login = |stage: &Stage, profile: Option<&str>| {
        secret_file(home.path(), "password", &password(stage), 0o600);
        let (code, said) = run(
            &[
                "login",
                "--server",
                &stage.server.url,
                "--email",
                "owner@example.com",
                "--password-file",
                "password",
            ],
            profile,
        );
        assert_eq!(code, 0, "{said}");
    };
    login(&one, None);
    login(&two, None);
    let who = |server: Option<&str>, profile: Option<&str>| {
        let args: Vec<&str> =
            ["whoami"].into_iter().chain(server.into_iter().flat_map(|url| ["--server", url])).collect();
        run(&args, profile)
    };
    for server in [&one.server.url, &two.server.url] {
        let (code, said) = who(Some(server), None);
        assert!(code == 0 && said.contains(server.as_str()), "{said}");
    }
    assert!(who(None, None).1.contains(&two.server.url), "the last login is meant where none is named");
    let (code, said) = who(None, Some("work"));
    assert!(code == 1 && said.contains("not logged in"), "{said}");
    login(&one, Some("work"));
    assert!(who(None, Some("work")).1.contains(&one.server.url));
    assert!(who(None, None).1.contains(&two.server.url), "a profile is apart");
    let (code, said) = run(&["logout"], None);
    assert!(code == 0 && said.contains(&two.server.url), "{said}");
    assert_eq!(who(Some(&one.server.url), None).0, 0);
    assert_eq!(who(Some(&two.server.url), None).0, 1);
    let (code, said) = who(None, Some("../x"));
    assert!(code == 2 && said.contains("a profile's name"), "{said}");
}
