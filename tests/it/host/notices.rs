//! Notices of the real binary, in its sandbox: to a webhook and to a command.

use std::{fs, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{
    binary::{Serving, command as sealroom_command, sealroom, secret_file, stderr, vault},
    hooks::{Hooked, command, kept, until},
};

const SERVE: &[&str] = &[
    "serve",
    "--data",
    "v.redb",
    "--passphrase-file",
    "pass",
    "--listen",
    "127.0.0.1:0",
    "--json",
    "--config",
    "c.toml",
];
/// A key of 32 bytes, for tests alone.
const KEY: [u8; 32] = [7; 32];

fn secret(folder: &Path) {
    secret_file(folder, "hook.secret", &format!("whsec_{}\n", STANDARD.encode(KEY)), 0o600);
}

fn config(folder: &Path, text: &str) {
    fs::write(folder.join("c.toml"), text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
}

fn webhook(hook: &Hooked) -> String {
    format!(
        "[outgoing]\nenabled = true\nhosts = [\"{0}\"]\nca_file = \"FOLDER/hook.crt\"\n[notify]\nurl = \
         \"https://{0}/in/box?a=b\"\nsecret_file = \"FOLDER/hook.secret\"\n",
        hook.host
    )
}

/// Stores a canary and reads it, as the owner.
fn read_canary(folder: &Path, server: &Serving) {
    let run = |args: &[&str]| {
        let mut command = sealroom_command(folder, args);
        let output = command.env("HOME", folder).env("SFP_SERVER_URL", &server.url).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    };
    secret_file(folder, "password", &fs::read_to_string(folder.join("owner")).unwrap(), 0o600);
    secret_file(folder, "bait.json", r#"{"token":"ghp_example_bait"}"#, 0o600);
    run(&["login", "--email", "ada@example.com", "--password-file", "password"]);
    run(&["integration", "add", "github/pat", "--global", "--from-json", "bait.json", "--canary"]);
    run(&["credentials", "--all"]);
}

/// The process has ended, also if nobody has asked for its end yet.
fn is_gone(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim()));
    status.map_or(true, |status| status.lines().any(|line| line.starts_with("State:\tZ")))
}

#[test]
fn an_alarm_reaches_webhook_and_command_signed_and_without_a_secret() {
    let folder = vault();
    let folder = folder.path();
    let Some(hook) = Hooked::start(folder, 204) else { return };
    secret(folder);
    let program = command(folder, "");
    let backups = "[backup]\nfolder = \"FOLDER/missing/deeper\"\n";
    config(folder, &format!("{backups}{}command = [{program:?}]\n", webhook(&hook)));
    let mut serve = sealroom_command(folder, SERVE);
    serve.env("SEALROOM_EXAMPLE_SECRET", "zq1-example").stdin(std::process::Stdio::null());
    let mut server = Serving::spawn(serve, folder);
    read_canary(folder, &server);
    let posted = hook.of_kind("canary.read");
    assert!(posted.head.starts_with("POST /in/box?a=b HTTP/1.1\r\n"), "{}", posted.head);
    let (id, seconds) = (posted.header("webhook-id"), posted.header("webhook-timestamp"));
    let mut mac: Hmac<sha2::Sha256> = Hmac::new_from_slice(&KEY).unwrap();
    mac.update(format!("{id}.{seconds}.{}", posted.body).as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(posted.header("webhook-signature"), signature);
    let told: Value = serde_json::from_str(&posted.body).unwrap();
    let case = &told["data"]["cases"][0];
    assert_eq!(
        (&case["actor"], &case["peer"]),
        (&json!("user:ada@example.com"), &json!("127.0.0.1")),
        "{told}"
    );
    assert!(told["data"]["vault"].as_str().unwrap().starts_with("sealroom/"), "{told}");
    assert_eq!(kept(folder, "canary.read")["data"]["cases"], told["data"]["cases"]);
    assert!(server.logged("a canary was read").contains("ERROR"));
    // A backup that fails, and a flood of strangers.
    for _ in 0..700 {
        server.get("/sfp/api/projects");
    }
    for kind in ["backup.failed", "requests.refused"] {
        assert_eq!(kept(folder, kind)["type"], kind);
        hook.of_kind(kind);
    }
    let environment = fs::read_to_string(folder.join("kept/env")).unwrap();
    let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.iter().all(|name| ["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)), "{environment}");
    let helper = fs::read_to_string(folder.join("kept/helper")).unwrap();
    let of_helper = fs::read_to_string(format!("/proc/{}/environ", helper.trim())).unwrap();
    assert!(of_helper.is_empty(), "{of_helper}");
    for posted in hook.posted() {
        for secret in ["ghp_example", "whsec_", "zq1-example", "correct horse"] {
            assert!(!posted.body.contains(secret) && !posted.head.contains(secret), "{}", posted.body);
        }
    }
    let delivered = until("the count", || {
        let page = server.get("/metrics");
        let line =
            page.lines().find(|line| line.starts_with(r#"sealroom_notices_total{outcome="delivered"}"#))?;
        Some(line.to_owned()).filter(|line| !line.ends_with(" 0"))
    });
    assert!(delivered.contains("delivered"));
    assert!(server.stop());
    until("the end of the helper", || is_gone(&helper).then_some(()));
}

#[test]
fn a_target_that_hangs_delays_no_answer_and_no_shutdown_and_leaves_no_process() {
    let folder = vault();
    let folder = folder.path();
    let Some(hook) = Hooked::start(folder, 0) else { return };
    secret(folder);
    let program = command(folder, "sleep 600");
    config(folder, &format!("{}command = [{program:?}]\n", webhook(&hook)));
    for signal in [Signal::TERM, Signal::KILL] {
        drop(fs::remove_dir_all(folder.join("kept")));
        fs::create_dir(folder.join("kept")).unwrap();
        let mut server = Serving::start(folder, SERVE);
        if signal == Signal::TERM {
            read_canary(folder, &server);
        } else {
            let mut again = sealroom_command(folder, &["credentials", "--all"]);
            let output = again.env("HOME", folder).env("SFP_SERVER_URL", &server.url).output().unwrap();
            // The session is of the first server, which is on another port.
            assert!(!output.status.success());
            let mut login = sealroom_command(
                folder,
                &["login", "--email", "ada@example.com", "--password-file", "password"],
            );
            assert!(
                login
                    .env("HOME", folder)
                    .env("SFP_SERVER_URL", &server.url)
                    .output()
                    .unwrap()
                    .status
                    .success()
            );
            let mut again = sealroom_command(folder, &["credentials", "--all"]);
            let output = again.env("HOME", folder).env("SFP_SERVER_URL", &server.url).output().unwrap();
            assert!(output.status.success(), "{}", stderr(&output));
        }
        kept(folder, "canary.read");
        hook.of_kind("canary.read");
        assert!(server.health().starts_with("HTTP/1.1 200"), "both targets hang");
        let pid = |name: &str| until(name, || fs::read_to_string(folder.join("kept").join(name)).ok());
        let (helper, own) = (pid("helper"), pid("own"));
        assert!(!is_gone(&helper));
        server.signal(signal);
        // Not the minutes for which the targets would hang.
        let ended = server.child.wait().unwrap();
        assert_eq!(ended.success(), signal == Signal::TERM);
        until("the end of the helper and its command", || (is_gone(&helper) && is_gone(&own)).then_some(()));
    }
}

/// No other helper can be started from the sandbox: without a word each notice would fail unseen, after minutes.
#[test]
fn a_helper_that_was_killed_is_told_at_the_first_notice_and_not_tried_again() {
    let folder = vault();
    let folder = folder.path();
    let program = command(folder, "");
    config(folder, &format!("[notify]\ncommand = [{program:?}]\n"));
    let mut server = Serving::start(folder, SERVE);
    let main = server.child.id();
    let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
    let helper: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(helper).unwrap(), Signal::KILL).unwrap();
    read_canary(folder, &server);
    let told = server.logged("the helper process has ended, restart the server");
    assert!(told.contains("ERROR") && told.contains("canary.read"), "{told}");
    assert!(server.stop());
}

#[test]
fn a_restored_older_copy_is_told_though_the_vault_stays_locked() {
    let folder = vault();
    let folder = folder.path();
    fs::create_dir(folder.join("checkpoints")).unwrap();
    fs::copy(folder.join("v.redb"), folder.join("older")).unwrap();
    let program = command(folder, "");
    let checkpoints = "[checkpoint]\nfolder = \"FOLDER/checkpoints\"\nevery_secs = 1\n";
    config(folder, &format!("{checkpoints}[notify]\ncommand = [{program:?}]\n"));
    let mut server = Serving::start(folder, SERVE);
    assert!(server.stop());
    fs::rename(folder.join("older"), folder.join("v.redb")).unwrap();
    let _server = Serving::start(folder, SERVE);
    let told = kept(folder, "vault.rolled_back");
    let (known, held) = (&told["data"]["knownRecords"], &told["data"]["heldRecords"]);
    assert!(known.as_u64().unwrap() > held.as_u64().unwrap(), "{told}");
}

#[test]
fn a_webhook_is_called_only_where_the_config_file_allows_it_and_no_answer_but_2xx_is_a_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(hook) = Hooked::start(folder, 302) else { return };
    secret(folder);
    secret_file(folder, "open.secret", &fs::read_to_string(folder.join("hook.secret")).unwrap(), 0o644);
    secret_file(folder, "short.secret", "whsec_AAAA", 0o600);
    let whole = webhook(&hook);
    let port = hook.host.split_once(':').unwrap().1;
    for (text, said) in [
        (whole.replace("enabled = true", "enabled = false"), "outgoing calls are off"),
        (
            whole.replace(&format!("hosts = [\"{}\"]", hook.host), "hosts = [\"127.0.0.1\"]"),
            "is not in hosts of [outgoing]",
        ),
        (whole.replace("https://127", "http://127"), "an https URL"),
        (whole.replace("https://127", "https://ada@127"), "an https URL"),
        (whole.replace("secret_file = \"FOLDER/hook.secret\"", ""), "needs notify.secret_file"),
        (whole.replace("hook.secret", "open.secret"), "chmod 600"),
        (whole.replace("hook.secret", "short.secret"), "24 to 64 random bytes"),
        (whole.replace("url =", "urls ="), "did you mean `url`?"),
        (
            whole
                .replace(&format!("//{}/", hook.host), &format!("//169.254.169.254:{port}/"))
                .replace(&format!("[\"{}\"]", hook.host), &format!("[\"169.254.169.254:{port}\"]")),
            "an address that is never called",
        ),
        ("[notify]\ncommand = [\"notice\"]\n".to_owned(), "not the whole path of a program"),
        ("[notify]\ncommand = []\n".to_owned(), "not the whole path of a program"),
        ("[notify]\ncommand = [\"/bin/false\"]\n".to_owned(), "it ended with exit status: 1"),
        ("data = \"x\"\n".to_owned(), "names no target of notices"),
        (whole.clone(), "it answered 302"),
    ] {
        config(folder, &text);
        let output = sealroom(folder, &["notify", "test", "--config", "c.toml"]);
        assert!(!output.status.success(), "{said}");
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
    }
    assert_eq!(hook.posted().len(), 1, "no other call reached it, and the redirect was not followed");
    // Whoever may set only variables cannot make the server call a host or start a program.
    let mut serve = sealroom_command(folder, &["serve", "--dev", "--strict-env"]);
    let output = serve.env("SEALROOM_NOTIFY_URL", "https://x.example.com").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
