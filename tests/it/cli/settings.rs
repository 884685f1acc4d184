//! Sources of settings: flag, variable, file. Compose files and pipelines set empty variables; a wrong one must be
//! found where it was set, and a mistyped one must not be silent.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::support::binary::{Serving, command, ended, secret_file, stderr, vault};

/// Every variable with a value that cannot be right, and the command that reads it. None: any text is right.
const VARIABLES: &[(&str, Option<&str>, &[&str])] = &[
    ("SEALROOM_BEHIND_TLS_PROXY", Some("yes please"), SERVE),
    ("SEALROOM_BODY_BYTES_MAX", Some("64k"), SERVE),
    ("SEALROOM_CACHE_BYTES", Some("1"), SERVE),
    ("SEALROOM_CA_FILE", Some("~/ca.pem"), STATUS),
    ("SEALROOM_CHECKPOINT_EVERY_SECS", Some("0"), SERVE),
    ("SEALROOM_CHECKPOINT_FOLDER", Some("~/checkpoints"), SERVE),
    ("SEALROOM_CONFIG", Some("$HOME/sealroom.toml"), SERVE),
    ("SEALROOM_CONNECTIONS_MAX", Some("0"), SERVE),
    ("SEALROOM_CONNECT_WAIT_SECS", Some("-1"), LOCK),
    ("SEALROOM_DATA", Some("none/v.redb"), &["serve"]),
    ("SEALROOM_DISK_LOW_BYTES", Some("64 MiB"), SERVE),
    ("SEALROOM_EMAIL", None, LOGIN),
    ("SEALROOM_HEADER_BYTES_MAX", Some("4294967296"), SERVE),
    ("SEALROOM_HEADER_TIMEOUT_SECS", Some("0"), SERVE),
    ("SEALROOM_INSECURE_HTTP", Some("1"), STATUS),
    ("SEALROOM_LISTEN", Some("x"), SERVE),
    ("SEALROOM_LOG_LEVEL", Some("loud"), SERVE),
    ("SEALROOM_MEMBERS_MAY_CREATE", Some("no"), SERVE),
    ("SEALROOM_PASSPHRASE_FILE", Some("~/pass"), SERVE),
    ("SEALROOM_PASSWORD_FILE", Some("~ada/pass"), LOGIN),
    ("SEALROOM_PROFILE", Some("a/b"), STATUS),
    ("SEALROOM_QUEUE_MAX", Some("0"), SERVE),
    ("SEALROOM_REQUEST_TIMEOUT_SECS", Some("70000"), SERVE),
    ("SEALROOM_STALL_TIMEOUT_SECS", Some("0"), SERVE),
    ("SEALROOM_STRICT_ENV", Some("on"), SERVE),
    ("SEALROOM_TLS_CERT", Some("tls.crt"), SERVE),
    ("SEALROOM_TLS_KEY", Some("tls.key"), SERVE),
    ("SEALROOM_WORKER_THREADS", Some("many"), SERVE),
    ("SFP_APPLICATION_TOKEN", None, STATUS),
    ("SFP_APPLICATION_TOKEN_FILE", Some("~/token"), STATUS),
    ("SFP_SERVER_TOKEN", None, STATUS),
    ("SFP_SERVER_TOKEN_FILE", Some("${HOME}/token"), STATUS),
    ("SFP_SERVER_URL", Some("ftp://vault.example.com"), &["status"]),
];
const SERVE: &[&str] = &["serve", "--data", "none.redb"];
const LOCK: &[&str] = &["lock", "--data", "none.redb"];
const STATUS: &[&str] = &["status", "--server", "unix:none.sock"];
const LOGIN: &[&str] = &["login", "--server", "unix:none.sock"];

fn run(folder: &Path, args: &[&str], set: &[(&str, &str)]) -> Output {
    let mut command = command(folder, args);
    command.env("HOME", folder).env("SEALROOM_CONNECT_WAIT_SECS", "0").envs(set.iter().copied());
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

/// A command that was refused: its exit code and what it said.
fn refused(folder: &Path, args: &[&str], set: &[(&str, &str)]) -> (i32, String) {
    let output = run(folder, args, set);
    assert!(output.stdout.is_empty(), "{args:?} {set:?}");
    (output.status.code().unwrap(), stderr(&output))
}

/// Compose and CI write `X=${X:-}`: each of the sixteen variables of `serve` ended the start so, by naming a flag that
/// nobody gave.
#[test]
fn an_empty_variable_never_counts_as_set() {
    let folder = tempfile::tempdir().unwrap();
    let host =
        ["serve --data none.redb", "lock --data none.redb", "audit verify none.redb", "init --owner-email x"];
    let client = ["status --server unix:none.sock", "login --server unix:none.sock --email a@example.com"];
    let calls: Vec<Vec<&str>> = host.iter().chain(&client).map(|call| call.split(' ').collect()).collect();
    for call in calls {
        let plain = refused(folder.path(), &call, &[]);
        for (name, ..) in VARIABLES.iter().filter(|(name, ..)| *name != "SEALROOM_CONNECT_WAIT_SECS") {
            assert_eq!(refused(folder.path(), &call, &[(name, "")]), plain, "{name} empty");
        }
        let all: Vec<(&str, &str)> = VARIABLES.iter().map(|(name, ..)| (*name, "")).collect();
        let mut command = command(folder.path(), &call);
        if call.contains(&"--server") || call[0] == "lock" {
            command.args(["--connect-wait-secs", "0"]);
        }
        let output = command.env("HOME", folder.path()).envs(all).output().unwrap();
        assert_eq!(stderr(&output), plain.1, "all empty");
    }
}

#[test]
fn a_server_with_every_variable_empty_starts_by_its_file() {
    let folder = vault();
    let text = "data = \"v.redb\"\nlisten = \"127.0.0.1:0\"\npassphrase_file = \"pass\"\ndisk_low_bytes = 5_000_000_000\n";
    fs::write(folder.path().join("c.toml"), text).unwrap();
    let mut server = command(folder.path(), &["serve", "--config", "c.toml"]);
    server.envs(VARIABLES.iter().map(|(name, ..)| (*name, "")));
    let mut serving = Serving::spawn(server, folder.path());
    assert!(serving.health().contains(r#""locked":false"#));
    assert!(serving.stop());
}

#[test]
fn a_wrong_variable_is_never_blamed_on_a_flag() {
    let folder = tempfile::tempdir().unwrap();
    for (name, wrong, call) in VARIABLES {
        let Some(wrong) = wrong else { continue };
        let (code, said) = refused(folder.path(), call, &[(name, wrong)]);
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(error.contains(name), "{name}: {said}");
        assert!(!error.contains("--") || name.contains("TLS"), "{name}: {said}");
        assert!(said.contains("hint: "), "{said}");
        assert!(code == 2 || *name == "SEALROOM_DATA", "{name}: {code} {said}");
        let json = refused(folder.path(), &[call, &["--json"][..]].concat(), &[(name, wrong)]).1;
        let json: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
        assert!(json["error"].as_str().unwrap().contains(name), "{json}");
    }
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let output = command(folder.path(), SERVE).env("SEALROOM_LISTEN", bad).output().unwrap();
    assert!(stderr(&output).contains("SEALROOM_LISTEN is not UTF-8"), "{}", stderr(&output));
}

#[test]
fn a_wrong_value_of_a_flag_or_a_file_is_told_with_its_place_too() {
    let folder = tempfile::tempdir().unwrap();
    let said = |args: &[&str]| refused(folder.path(), args, &[]).1;
    for (text, says) in [
        ("listen = \"x\"", "listen in c.toml: 'x' is not an address"),
        ("[limits]\nqueue_max = 0", "limits.queue_max in c.toml: 0 must be at least 1"),
        (
            "[limits]\nbody_bytes_max = \"64k\"",
            "c.toml: the config file: line 2: body_bytes_max: invalid type",
        ),
        ("cache_bytes = 2_000_000_000", "cache_bytes in c.toml: 2000000000 must be at most 1073741824"),
        ("data = \"~/v.redb\"", "data in c.toml: ~/v.redb begins with `~`"),
        ("data = \"none/v.redb\"", "data in c.toml: none/v.redb: none does not exist"),
        ("data = \"v.redb\"", "data in c.toml: v.redb does not exist"),
        ("tls_key = \"k\"", "tls_key in c.toml without --tls-cert"),
        ("[checkpoint]\nfolder = \"$X/y\"", "checkpoint.folder in c.toml: $X/y begins with `$X`"),
    ] {
        fs::write(folder.path().join("c.toml"), text).unwrap();
        let said = said(&["serve", "--config", "c.toml"]);
        assert!(said.contains(says), "{text}: {said}");
    }
    for (text, says) in [
        ("server = \"ftp://x\"", "client.server in c.toml: the server's URL must begin"),
        ("server = \"http://192.0.2.1\"", "client.server in c.toml: http://192.0.2.1 would send"),
        ("ca_file = \"none.pem\"", "client.ca_file in c.toml: none.pem: No such file"),
        ("token_file = \"~/t\"", "client.token_file in c.toml: ~/t begins with `~`"),
    ] {
        fs::write(folder.path().join("c.toml"), format!("[client]\n{text}")).unwrap();
        let server = if text.starts_with("ca_file") { &["--server", "https://127.0.0.1:1"][..] } else { &[] };
        let said = said(&[&["status", "--config", "c.toml"], server].concat());
        assert!(said.contains(says), "{text}: {said}");
    }
    let (_, named) = refused(folder.path(), &["status"], &[("SEALROOM_CONFIG", "none.toml")]);
    assert!(named.contains("SEALROOM_CONFIG: none.toml: the config file cannot be read: No such"), "{named}");
    assert!(said(&["serve", "--queue-max", "0"]).contains("--queue-max: 0 must be at least 1"));
    assert!(
        said(&["serve", "--config", "none.toml"])
            .contains("none.toml: the config file cannot be read: No such")
    );
}

#[test]
fn a_flag_is_never_excluded_by_a_variable() {
    let folder = vault();
    let all =
        [("SEALROOM_DATA", "none/x"), ("SEALROOM_PASSPHRASE_FILE", "none"), ("SEALROOM_TLS_CERT", "none")];
    let mut dev = command(folder.path(), &["serve", "--dev", "--listen", "127.0.0.1:0"]);
    dev.envs(all).env("SEALROOM_TLS_KEY", "none").env("SEALROOM_CONFIG", "none");
    assert!(Serving::spawn(dev, folder.path()).stop());
    let mut piped = command(
        folder.path(),
        &["serve", "--data", "v.redb", "--passphrase-stdin", "--listen", "127.0.0.1:0"],
    );
    piped.env("SEALROOM_PASSPHRASE_FILE", "none").stdin(fs::File::open(folder.path().join("pass")).unwrap());
    let mut serving = Serving::spawn(piped, folder.path());
    assert!(serving.health().contains(r#""locked":false"#));
    assert!(serving.stop());
    // Between a flag and its own variable the flag wins, however wrong the variable is.
    let said = refused(
        folder.path(),
        &["serve", "--data", "none", "--queue-max", "9"],
        &[("SEALROOM_QUEUE_MAX", "x")],
    );
    assert!(said.1.contains("--data: none does not exist"), "{}", said.1);
}

/// A server with `SEALROOM_CHECKPOINT_FOLDR` wrote no checkpoints and said nothing.
#[test]
fn a_mistyped_variable_is_never_silent_and_its_value_is_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let set = [("SEALROOM_CHECKPOINT_FOLDR", "ghp_example"), ("SEALROOM_PASSPHRASE", "ghp_example")];
    for call in [
        SERVE,
        LOCK,
        STATUS,
        &["audit", "verify", "none"],
        &["completions", "bash"],
        &["init", "--owner-email", "x"],
    ] {
        let said = stderr(&run(folder.path(), call, &set));
        for says in [
            "warning: ignored: SEALROOM_CHECKPOINT_FOLDR is not a setting; did you mean SEALROOM_CHECKPOINT_FOLDER?",
            "warning: ignored: SEALROOM_PASSPHRASE is not a setting: this secret cannot come from a variable",
            "SEALROOM_PASSPHRASE_FILE",
        ] {
            assert!(said.contains(says), "{call:?}: {said}");
        }
        assert!(!said.contains("ghp_example"), "{said}");
    }
    fs::write(folder.path().join("c.toml"), "strict_env = true\n").unwrap();
    let one = [("SEALROOM_LISTN", "x")];
    let strict = [one[0], ("SEALROOM_STRICT_ENV", "true")];
    for (call, set) in [
        (&["serve", "--strict-env"][..], &one[..]),
        (&["--strict-env", "status"], &one),
        (&["serve", "--config", "c.toml"], &one),
        (&["status", "--config", "c.toml"], &one),
        (&["lock", "--config", "c.toml"], &one),
        (&["serve"], &strict),
    ] {
        let (code, said) = refused(folder.path(), call, set);
        assert_eq!(code, 2, "{call:?}: {said}");
        assert!(
            said.contains("error: SEALROOM_LISTN is not a setting") && said.contains("SEALROOM_LISTEN"),
            "{said}"
        );
    }
    let (_, said) = refused(folder.path(), &["serve", "--strict-env=false", "--config", "c.toml"], &one);
    assert!(said.contains("warning: ignored: SEALROOM_LISTN"), "a flag beats the file: {said}");
}

/// `SEALROOM_DATA=~/vault/v.redb` in a unit file: the message named `FILE.lock`, which nobody had named.
#[test]
fn a_folder_that_is_not_there_is_told_by_the_name_and_the_place_that_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], &str, &str)] = &[
        (&["serve"], "--data", "none/v.redb"),
        (&["lock"], "--data", "none/v.redb"),
        (&["unlock"], "--data", "none/v.redb"),
        (&["init", "--owner-email", "ada@example.com"], "--data", "none/v.redb"),
        (&["serve"], "--data", "$HOME/v.redb"),
        (&["lock"], "--data", "~/v.redb"),
        (&["init", "--owner-email", "ada@example.com"], "--data", "~root/v.redb"),
        (&["serve"], "--tls-cert", "~/tls.crt"),
        (&["serve"], "--passphrase-file", "${HOME}/pass"),
        (&["init", "--owner-email", "ada@example.com"], "--recovery-key-file", "~/key"),
        (&["status"], "--token-file", "~/token"),
        (&["status"], "--ca-file", "~"),
        (&["login"], "--password-file", "~/password"),
        (&["serve"], "--config", "~/sealroom.toml"),
    ];
    for (call, flag, path) in cases {
        let (_, said) = refused(folder.path(), &[call, &[*flag, *path][..]].concat(), &[]);
        assert!(said.contains(&format!("error: {flag}: {path}")), "{call:?}: {said}");
        assert!(!said.contains(".lock"), "{said}");
        assert!(path.starts_with("none") || said.contains("not expanded"), "{said}");
    }
    let (_, said) = refused(folder.path(), &["audit", "verify", "~/v.redb"], &[]);
    assert!(said.contains("error: FILE: ~/v.redb begins with `~`"), "{said}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    // A file that really has this name is a file like any other.
    secret_file(folder.path(), "~", "", 0o600);
    let (_, said) = refused(folder.path(), &["audit", "verify", "~"], &[]);
    assert!(!said.contains("not expanded"), "{said}");
}

/// A start on a file that is not there left its `.lock` behind, also beside a folder.
#[test]
fn a_start_that_cannot_be_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let long = format!("unix:{}", "x".repeat(108));
    for (args, says) in [
        (&["--data", "none.redb"][..], "--data: none.redb does not exist"),
        (&["--data", "folder"], "--data: folder is a folder"),
        (&[], "the default path: sealroom.redb does not exist"),
        (&["--data", "v.redb", "--listen", &long], "has at most 107 bytes"),
        (&["--data", "v.redb", "--listen", "unix:none/s"], "--listen: none/s: none does not exist"),
    ] {
        if args.contains(&"v.redb") {
            fs::write(folder.path().join("v.redb"), "").unwrap();
        }
        let (_, said) = refused(folder.path(), &[&["serve"], args].concat(), &[]);
        assert!(said.contains(says), "{args:?}: {said}");
    }
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["folder", "v.redb"]);
}

/// `serve --dev` took the defaults for whatever is decided below the listener.
#[test]
fn a_setting_is_never_dropped_by_serve_dev() {
    let folder = tempfile::tempdir().unwrap();
    let more =
        ["--disclosures-per-minute-max", "1", "--members-may-create=false", "--members-may-shadow=false"];
    let server = Serving::start(
        folder.path(),
        &[&["serve", "--dev", "--json", "--listen", "127.0.0.1:0"][..], &more].concat(),
    );
    let said: Value = serde_json::from_str(&server.said).unwrap();
    for token in ["owner_token", "member_token"] {
        secret_file(folder.path(), token, said[token].as_str().unwrap(), 0o600);
    }
    secret_file(folder.path(), "github.json", r#"{"token":"ghp_example"}"#, 0o600);
    let ask = |token: &str, args: &[&str]| {
        let mut asking = command(folder.path(), args);
        asking.env("SFP_SERVER_URL", &server.url).env("SFP_SERVER_TOKEN_FILE", token);
        ended(&mut asking)
    };
    let add = ["integration", "add", "github/pat", "--global", "--from-json", "github.json"];
    let denied = ask("member_token", &add);
    assert!(stderr(&denied).contains("requires role: owner"), "{}", stderr(&denied));
    assert!(ask("owner_token", &add).status.success());
    let read = ["credentials", "--all"];
    assert!(ask("owner_token", &read).status.success());
    let second = ask("owner_token", &read);
    assert!(stderr(&second).contains("too many credentials in this minute"), "{}", stderr(&second));
}
