//! The log in the hands of others: the script that trusts nothing of ours, and the folder that checkpoints go to.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use sealroom::{
    audit::checkpoint::{self, VerifierKey},
    crypto::sign::LogKey,
};

use crate::support::{
    binary::{Serving, stderr},
    log::{SERVE, log},
};

/// The script beside the README, run as an outsider runs it.
struct Script<'a>(&'a Path);

impl Script<'_> {
    /// None where python3 or its package `cryptography` is not installed.
    fn ready(folder: &Path) -> Option<Script<'_>> {
        let ready = Command::new("python3").args(["-c", "import cryptography"]).output();
        if ready.is_ok_and(|output| output.status.success()) {
            return Some(Script(folder));
        }
        eprintln!("skipped: python3 with the package cryptography is not installed");
        None
    }

    fn run(&self, args: &[&str], set: &[(&str, &str)]) -> (Option<i32>, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/verify_log.py");
        let mut python = Command::new("python3");
        let output =
            python.current_dir(self.0).envs(set.iter().copied()).arg(script).args(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output))
    }
}

#[tokio::test]
async fn the_outsiders_script_says_the_same() {
    let log = log(5).await;
    let folder = log.folder.path();
    let Some(script) = Script::ready(folder) else { return };
    let run = |export: &str, note: &str, key: &str| script.run(&[export, note, key], &[]);
    let (code, said) = run("export", "note", "key");
    assert!(code == Some(0) && said.starts_with("ok: the first "), "{said}");
    let export = fs::read_to_string(folder.join("export")).unwrap();
    let cut: String = export.lines().take(3).flat_map(|line| [line, "\n"]).collect();
    let damaged = BTreeMap::from([("flipped", export.replacen("github", "gitlab", 1)), ("cut", cut)]);
    for (name, text) in damaged {
        fs::write(folder.join(name), text).unwrap();
        let (code, said) = run(name, "note", "key");
        assert!(code == Some(1) && said.contains("are not what was signed"), "{name}: {said}");
        let is_short = said.contains(&format!("has 3 lines, fewer than the {}", log.checkpoint.size));
        assert_eq!(is_short, name == "cut", "{said}");
    }
    let note = fs::read_to_string(folder.join("note")).unwrap();
    fs::write(folder.join("forged"), note.replacen("sealroom", "sealrosm", 1)).unwrap();
    let (code, said) = run("export", "forged", "key");
    assert!(code == Some(1) && said.contains("did not sign"), "{said}");
    for (name, text) in [("export", &export), ("note", &note)] {
        fs::write(folder.join("crlf"), text.replace('\n', "\r\n")).unwrap();
        let args = if name == "export" { ["crlf", "note", "key"] } else { ["export", "crlf", "key"] };
        let (code, said) = script.run(&args, &[]);
        assert!(code == Some(1) && said.contains("crlf: line ends were changed (CRLF)"), "{name}: {said}");
    }
}

/// A key speaks for the log of its own name: what it signed of another is no word on this one.
#[tokio::test]
async fn a_key_never_vouches_for_a_log_of_another_name() {
    let log = log(1).await;
    let folder = log.folder.path();
    let signer = LogKey::generate().unwrap();
    let key = VerifierKey::new("sealroom/ours", signer.public()).to_string();
    let hash = u32::from_str_radix(key.split('+').nth(1).unwrap(), 16).unwrap();
    let root = STANDARD.encode(log.checkpoint.root);
    let signed = |origin: &str| {
        let text = format!("{origin}\n{}\n{root}\n", log.checkpoint.size);
        let signature = [&hash.to_be_bytes()[..], &signer.sign(text.as_bytes())].concat();
        format!("{text}\n\u{2014} sealroom/ours {}\n", STANDARD.encode(signature))
    };
    fs::write(folder.join("ours.key"), format!("{key}\n")).unwrap();
    fs::write(folder.join("ours"), signed("sealroom/ours")).unwrap();
    fs::write(folder.join("theirs"), signed("sealroom/theirs")).unwrap();
    for (note, fits) in [("ours", true), ("theirs", false)] {
        let said = log.said(&["export", "--key", "ours.key", "--checkpoint", note]);
        assert_eq!(said.starts_with("ok: "), fits, "{note}: {said}");
        let Some(script) = Script::ready(folder) else { continue };
        let (code, said) = script.run(&["export", note, "ours.key"], &[]);
        assert_eq!(code == Some(0), fits, "{note}: {said}");
        assert!(
            fits || said.contains("is of sealroom/theirs, and the key speaks for sealroom/ours"),
            "{said}"
        );
    }
}

#[test]
fn the_outsiders_script_never_answers_a_mistake_with_a_traceback() {
    let folder = tempfile::tempdir().unwrap();
    let Some(script) = Script::ready(folder.path()) else { return };
    fs::write(folder.path().join("x"), "x\n").unwrap();
    fs::create_dir(folder.path().join("lacking")).unwrap();
    fs::write(folder.path().join("lacking/cryptography.py"), "raise ImportError('x')\n").unwrap();
    let lacking = [("PYTHONPATH", "lacking")];
    for (args, set, code, says) in [
        (&[][..], &[][..], 2, "usage: verify_log.py EXPORT CHECKPOINT KEY"),
        (&["x"], &[], 2, "usage: "),
        (&["x", "x", "x", "x"], &[], 2, "usage: "),
        (&["x", "x", "x"], &lacking, 2, "needs the Python package `cryptography`"),
        (&["x", "x", "none"], &[], 1, "No such file"),
        (&["x", "x", "x"], &[], 1, "bad: this is no checkpoint, or no key, of a log"),
    ] {
        let (got, said) = script.run(args, set);
        assert_eq!(got, Some(code), "{args:?}: {said}");
        assert!(said.contains(says) && !said.contains("Traceback"), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn checkpoints_reach_their_folder_and_never_go_back() {
    let log = log(1).await;
    let folder = log.folder.path();
    fs::create_dir(folder.join("kept")).unwrap();
    let args = [SERVE, &["--checkpoint-folder", "kept", "--checkpoint-every-secs", "1"]].concat();
    fs::copy(folder.join("v.redb"), folder.join("yesterday.redb")).unwrap();
    let mut server = Serving::start(folder, &args);
    let file = || {
        let entries = fs::read_dir(folder.join("kept")).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let kept = paths.find(|path| path.extension().is_some_and(|extension| extension == "checkpoint"));
        kept.map(|path| fs::read_to_string(path).unwrap())
    };
    assert!(server.stop());
    let newest = checkpoint::read_unsigned(&file().unwrap()).unwrap();
    let now = log.said(&["v.redb", "--checkpoint", "kept", "--key", "key"]);
    assert!(now.contains(&format!("the checkpoint of {} records in kept", newest.size)), "{now}");

    // Yesterday's copy of the file is put back, and served: the folder knows better.
    fs::copy(folder.join("yesterday.redb"), folder.join("v.redb")).unwrap();
    let mut server = Serving::start(folder, &args);
    server.logged("the vault file was restored from an older copy");
    let health = server.health();
    assert!(
        health.contains(" 503 ") && health.contains(r#""detail":["rolled_back","checkpoint_lost"]"#),
        "{health}"
    );
    assert!(server.stop());
    assert_eq!(checkpoint::read_unsigned(&file().unwrap()).unwrap(), newest, "it stays as it was");
    // Also once that copy's own log has grown beyond.
    for _ in 0..3 {
        assert!(Serving::start(folder, SERVE).stop());
    }
    assert!(Serving::start(folder, &args).stop());
    let grown = log.said(&["v.redb", "--key", "key"]);
    let grown: u64 = grown.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(grown > newest.size, "{grown}");
    assert_eq!(checkpoint::read_unsigned(&file().unwrap()).unwrap(), newest, "it stays as it was");

    // A folder that is gone stops nothing, and is used again once it is back.
    fs::remove_dir_all(folder.join("kept")).unwrap();
    let mut server = Serving::start(folder, &args);
    server.logged("the checkpoint was not written to its folder");
    assert!(server.health().contains("checkpoint_lost"));
    fs::create_dir(folder.join("kept")).unwrap();
    assert!(server.stop());
    assert!(file().is_some());
}

/// `core.autocrlf` turned the line ends of a checkpoint in a git work tree, and its signature did not hold any more.
#[tokio::test]
async fn a_checkpoint_that_goes_through_git_is_never_changed_by_it() {
    let log = log(1).await;
    let folder = log.folder.path();
    let args = [SERVE, &["--checkpoint-folder", "kept"]].concat();
    let attributes = folder.join("kept/.gitattributes");
    fs::create_dir(folder.join("kept")).unwrap();
    assert!(Serving::start(folder, &args).stop());
    let written = fs::read_to_string(&attributes).unwrap();
    assert!(written.contains("\n*.checkpoint -text\n"), "{written}");
    // One's own rules stay, whatever they are; a link is not followed, and a folder in its place does no harm.
    fs::write(&attributes, "* text\n").unwrap();
    assert!(Serving::start(folder, &args).stop());
    assert_eq!(fs::read_to_string(&attributes).unwrap(), "* text\n");
    fs::remove_file(&attributes).unwrap();
    std::os::unix::fs::symlink("elsewhere", &attributes).unwrap();
    assert!(Serving::start(folder, &args).stop());
    assert!(!folder.join("kept/elsewhere").exists());
    fs::remove_file(&attributes).unwrap();
    fs::create_dir(&attributes).unwrap();
    assert!(Serving::start(folder, &args).stop());
    let said = log.said(&["v.redb", "--key", "key", "--checkpoint", "kept"]);
    assert!(said.starts_with("ok: "), "{said}");
    fs::remove_dir(&attributes).unwrap();
    assert!(Serving::start(folder, &args).stop());

    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "core.autocrlf=true"]);
        git.args(args).output().is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q", "kept"]) {
        eprintln!("skipped: git is not installed");
        return;
    }
    assert!(git(&["-C", "kept", "add", "-A"]) && git(&["-C", "kept", "commit", "-q", "-m", "x"]));
    assert!(git(&["clone", "-q", "kept", "cloned"]));
    let said = log.said(&["v.redb", "--key", "key", "--checkpoint", "cloned"]);
    assert!(said.starts_with("ok: "), "{said}");
}
