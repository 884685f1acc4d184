//! Inputs of `audit verify`: things of another log, streams of every kind, and texts that transport damaged.

use std::{
    fs,
    io::Write,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
};

use sealroom::audit::checkpoint;
use serde_json::{Value, json};

use crate::support::{
    binary::{Serving, command, stderr},
    log::{Log, SERVE, log},
};

#[tokio::test]
async fn what_is_not_of_this_log_is_refused_with_a_word() {
    let (log, other) = (log(2).await, log(2).await);
    let folder = log.folder.path();
    for (name, from) in [("other.note", "note"), ("other.key", "key"), ("other.export", "export")] {
        fs::copy(other.folder.path().join(from), folder.join(name)).unwrap();
    }
    fs::write(folder.join("empty"), "").unwrap();
    fs::write(folder.join("csv"), "sequence,time\n").unwrap();
    fs::write(folder.join("other.json"), "{\"timestamp\":\"2026-11-24T10:00:00Z\",\"level\":\"INFO\"}\n")
        .unwrap();
    fs::write(folder.join("listed.json"), "[{\"v\":1,\"sequence\":1}]\n").unwrap();
    fs::write(folder.join("long"), format!("{{{}", "x".repeat(1 << 20))).unwrap();
    let export = fs::read_to_string(folder.join("export")).unwrap();
    fs::write(folder.join("cut"), &export[..export.len() - 20]).unwrap();
    fs::create_dir(folder.join("kept")).unwrap();
    fs::copy(folder.join("note"), folder.join("kept/log.checkpoint")).unwrap();
    fs::write(folder.join("kept/.checkpoint-x"), "half a checkp").unwrap();
    fs::copy(folder.join("other.note"), folder.join("kept/other.checkpoint")).unwrap();
    fs::create_dir(folder.join("bare")).unwrap();
    fs::create_dir(folder.join("others")).unwrap();
    fs::copy(folder.join("other.note"), folder.join("others/x.checkpoint")).unwrap();
    let huge = format!("audit-receipt: {}:{}=", u64::MAX, "A".repeat(43));
    fs::write(folder.join("huge"), huge).unwrap();
    for (args, code, says) in [
        (
            &["export", "--key", "key", "--checkpoint", "note", "--receipts", "build.log"][..],
            0,
            "receipts: 2 found",
        ),
        (&["export", "--key", "key", "--checkpoint", "kept"], 0, "rests on: the checkpoint of"),
        (&["export"], 0, "the export is only consistent with itself"),
        (&["export", "--key", "other.key", "--checkpoint", "note"], 1, "no known key signed"),
        (&["export", "--key", "key", "--checkpoint", "other.note"], 1, "no known key signed"),
        (&["other.export", "--key", "key", "--checkpoint", "note"], 1, "do not make the signed root"),
        (&["export"], 0, "consistent, not proven: "),
        (&["export", "--key", "key"], 0, "consistent, not proven: "),
        (&["export", "--checkpoint", "note"], 0, "consistent, not proven: "),
        (
            &["v.redb"],
            0,
            "trusted without proof: the key inside this file; pass --key with the one that `init`",
        ),
        (&["export", "--strict"], 1, "consistent, not proven; trusted"),
        (&["export", "--key", "key", "--strict"], 1, "consistent, not proven; trusted"),
        (&["v.redb", "--strict"], 1, "consistent, not proven; trusted"),
        (&["v.redb", "--key", "key", "--strict"], 0, "ok: "),
        (&["export", "--key", "key", "--checkpoint", "note", "--strict"], 0, "ok: "),
        (&["v.redb", "--key", "other.key"], 1, "the file's own checkpoint: no known key signed"),
        (&["export", "--key", "nonsense"], 2, "neither a verifier key nor a file"),
        (&["export", "--checkpoint", "gone"], 1, "gone: "),
        (&["export", "--receipts", "gone"], 1, "gone: "),
        (&["export", "--key", "key", "--checkpoint", "bare"], 1, "this folder contains no checkpoint"),
        (&["export", "--key", "key", "--checkpoint", "others"], 1, "no checkpoint in this folder belongs"),
        (&["export", "--receipts", "export"], 1, "it contains no receipt"),
        (&["export", "--receipts", "huge"], 1, "is beyond the end of this log"),
        (&["empty"], 1, "the file is empty"),
        (&["csv"], 1, "--format ndjson"),
        (&["long"], 1, "line 1 is not a complete record"),
        (&["cut"], 1, "is not a complete record"),
        (&["gone"], 1, "gone: "),
        (&["key"], 1, "neither a vault file nor an export"),
        (&["other.json"], 1, "neither a vault file nor an export"),
        (&["listed.json"], 1, "its JSON was written anew"),
    ] {
        let output = log.verify(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
        assert!(code == 0 || text.contains("\nhint: "), "{args:?}: {text}");
    }
    let json = log.verify(&["export", "--json", "--key", "key", "--checkpoint", "note"]);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&value["ok"], &value["first"]), (&json!(true), &json!(0)));
    let mut busy = Serving::start(folder, SERVE);
    let said = log.said(&["v.redb", "--key", "key", "--checkpoint", "note", "--receipts", "build.log"]);
    assert!(
        said.starts_with("ok: ") && said.contains("rests on: the server that has the file open"),
        "{said}"
    );
    fs::rename(folder.join("v.redb.sock"), folder.join("away")).unwrap();
    let said = log.said(&["v.redb"]);
    assert!(said.contains(&format!("in use by process {}", busy.child.id())), "{said}");
    assert!(said.contains("hint: wait for that process"), "{said}");
    let socket = std::os::unix::net::UnixListener::bind(folder.join("v.redb.sock")).unwrap();
    let head = json!({"checkpoint": fs::read_to_string(folder.join("note")).unwrap(),
        "key": fs::read_to_string(folder.join("key")).unwrap().trim()});
    let begun = format!("{head}\n{}\n", log.records[0]);
    let ends = std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        std::io::Write::write_all(&mut stream, begun.as_bytes()).unwrap();
        drop(std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut String::new()));
    });
    let said = log.said(&["v.redb"]);
    ends.join().unwrap();
    assert!(said.contains("the server closed the connection") && !said.contains("missing"), "{said}");
    fs::remove_file(folder.join("v.redb.sock")).unwrap();
    fs::rename(folder.join("away"), folder.join("v.redb.sock")).unwrap();
    // The file of a killed server is read after redb's repair in memory, and stays unchanged.
    busy.child.kill().unwrap();
    busy.child.wait().unwrap();
    let before = fs::read(folder.join("v.redb")).unwrap();
    let said = log.said(&["v.redb", "--key", "key", "--checkpoint", "note"]);
    assert!(said.starts_with("ok: "), "{said}");
    assert_eq!(fs::read(folder.join("v.redb")).unwrap(), before);
}

/// Runs a line of bash in the log's folder, as somebody with pipes does.
fn shell(log: &Log, line: &str) -> (Option<i32>, String) {
    let binaries = Path::new(env!("CARGO_BIN_EXE_sealroom")).parent().unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{line}")])
        .current_dir(log.folder.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", binaries.display()))
        .env("TMPDIR", log.folder.path().join("tmp"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A sound export that came through a pipe was opened twice, and the second look found its middle: "record 0 is
/// damaged", with the advice to keep it as evidence.
#[tokio::test]
async fn a_sound_log_is_never_called_damaged_for_the_way_it_is_read() {
    let log = log(1100).await;
    let folder = log.folder.path();
    fs::create_dir(folder.join("tmp")).unwrap();
    let with = "--key key --checkpoint note --receipts build.log";
    for line in [
        format!("sealroom audit verify <(cat export) {with}"),
        format!("cat export | sealroom audit verify - {with}"),
        format!("cat export | sealroom audit verify /dev/stdin {with}"),
        format!("sealroom audit verify - {with} < export"),
        format!("sealroom audit verify /dev/stdin {with} < export"),
        format!("gzip -k export && zcat export.gz | sealroom audit verify - {with}"),
        format!("mkfifo f && (cat export > f &) && sealroom audit verify f {with}"),
        format!("sealroom audit verify <(head -c 30 export; sleep 0.1; tail -c +31 export) {with}"),
        "sealroom audit verify export --key <(cat key) --checkpoint <(cat note) --receipts <(cat build.log)"
            .into(),
        "cat key | sealroom audit verify export --key - --checkpoint note --receipts build.log".into(),
        "cat note | sealroom audit verify export --key key --checkpoint - --receipts build.log".into(),
        "cat build.log | sealroom audit verify export --key key --checkpoint note --receipts -".into(),
        "SEALROOM_DATA=- sealroom audit verify --key key --checkpoint note --receipts build.log < export"
            .into(),
        format!("cat v.redb | sealroom audit verify - {with}"),
        format!("sealroom audit verify <(cat v.redb) {with}"),
        format!("sealroom audit verify - {with} < v.redb"),
        format!("sealroom audit verify /dev/fd/3 {with} 3< v.redb"),
        format!("mkfifo g && (cat v.redb > g &) && sealroom audit verify g {with}"),
    ] {
        let (code, said) = shell(&log, &line);
        assert_eq!(code, Some(0), "{line}: {said}");
        assert!(said.starts_with("ok: 11") && said.contains("receipts: 1100 found"), "{line}: {said}");
        assert_eq!(fs::read_dir(folder.join("tmp")).unwrap().count(), 0, "{line}: nothing is left behind");
    }
    for name in ["export", "v.redb"] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let bytes = fs::read(folder.join(name)).unwrap();
        let sends = std::thread::spawn(move || (&theirs).write_all(&bytes));
        let mut verify = command(folder, &["audit", "verify", "-", "--key", "key", "--checkpoint", "note"]);
        let output = verify.stdin(Stdio::from(OwnedFd::from(ours))).output().unwrap();
        drop(sends.join().unwrap());
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(said.starts_with("ok: 11"), "a socket with {name}: {said}");
    }
}

#[tokio::test]
async fn what_was_not_read_to_its_end_is_never_judged() {
    let log = log(2).await;
    let folder = log.folder.path();
    fs::create_dir(folder.join("tmp")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("s")).unwrap();
    for (line, code, says) in [
        ("cat v.redb | TMPDIR=$PWD/none sealroom audit verify -", 1, "cannot be written after 0 bytes"),
        (
            "cat v.redb | TMPDIR=$PWD/none sealroom audit verify -",
            1,
            "hint: set TMPDIR to a folder with room",
        ),
        (
            "cat key | sealroom audit verify - --key -",
            2,
            "standard input can be read only once, but FILE and --key name it",
        ),
        (
            "sealroom audit verify export --checkpoint /dev/stdin --receipts -",
            2,
            "--checkpoint and --receipts name",
        ),
        ("sealroom audit verify -", 1, "standard input: the stream is empty"),
        ("sealroom audit verify <(true)", 1, "the stream is empty"),
        ("sealroom audit verify s", 1, "hint: a socket cannot be opened by its name"),
        ("sealroom audit verify tmp", 1, "tmp is a folder"),
        ("sealroom audit verify export --key tmp", 1, "tmp is a folder"),
        ("sealroom audit verify export --key /dev/null", 2, "--key /dev/null: it is empty"),
        ("sealroom audit verify export --key /dev/zero", 1, "/dev/zero has more than 65536 bytes"),
        ("sealroom audit verify export --checkpoint /dev/zero", 1, "/dev/zero has more than 65536 bytes"),
        ("sealroom audit verify <(head -c -9 export)", 1, "is not a complete record: it is truncated"),
        ("head -c 9000 v.redb | sealroom audit verify -", 1, "hint: "),
    ] {
        let (got, said) = shell(&log, line);
        assert_eq!(got, Some(code), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
        assert!(!said.contains("is damaged") && !said.contains("was changed"), "{line}: {said}");
    }
}

fn wide(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// git's `autocrlf` does it to the folder that the README proposes, and an operator reads "they belong to one vault".
#[tokio::test]
async fn damage_of_transport_is_never_called_forgery_and_forgery_never_damage_of_transport() {
    let log = log(2).await;
    let folder = log.folder.path();
    let texts = ["export", "note", "key"].map(|name| fs::read_to_string(folder.join(name)).unwrap());
    let [export, note, key] = &texts;
    let bytes = |text: String| text.into_bytes();
    fs::create_dir(folder.join("kept")).unwrap();
    let judged = |what: &str, content: Vec<u8>, says: &str| {
        let name = if what == "kept" { "kept/log.checkpoint" } else { "x" };
        fs::write(folder.join(name), content).unwrap();
        let args: &[&str] = match what {
            "export" => &["x", "--key", "key", "--checkpoint", "note"],
            "note" => &["export", "--key", "key", "--checkpoint", "x"],
            "kept" => &["export", "--key", "key", "--checkpoint", "kept"],
            _ => &["export", "--key", "x", "--checkpoint", "note"],
        };
        let output = log.verify(args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{what}, {says}: {said}");
        assert!(said.contains(says) && said.contains("\nhint: take it again"), "{what}, {says}: {said}");
        for word in ["is damaged", "was changed", "does not hold", "belong to", "missing at the end: the log"]
        {
            assert!(!said.contains(word), "{what}, {says}: {said}");
        }
    };
    for (what, text) in [("export", export), ("note", note), ("kept", note)] {
        judged(what, bytes(text.replace('\n', "\r\n")), "line ends were changed (CRLF)");
        judged(what, bytes(text.replace('\n', "\r")), "line ends were changed (CR)");
        judged(what, bytes(text.trim_end().to_owned()), "the line end at its end is missing");
        judged(what, bytes(format!("{text}\n")), "empty lines were added");
        judged(what, bytes(format!("\n{text}")), "empty lines were added");
        judged(what, bytes(text.replace('\n', " \n")), "blanks were added");
    }
    for (what, text) in [("export", export), ("note", note), ("kept", note), ("key", key)] {
        judged(what, bytes(format!("\u{feff}{text}")), "it begins with a byte order mark");
        judged(what, wide(text), "it was converted to UTF-16");
    }
    judged("export", bytes(export.replacen(r#"{"v":1,"#, "{ \"v\": 1, ", 1)), "its JSON was written anew");
    judged(
        "note",
        bytes(note.replace('\u{2014}', "\u{e2}\u{20ac}\u{201d}")),
        "converted to another encoding",
    );
    judged("note", bytes(json!({ "checkpoint": note }).to_string()), "the JSON of --json");
    judged("key", bytes(key.replacen('+', "+\n", 1)), "broken into several lines");
    for harmless in [format!("{}\r\n", key.trim()), format!("\n {key}\n"), key.trim().to_owned()] {
        fs::write(folder.join("x"), harmless).unwrap();
        let said = log.said(&["export", "--key", "x", "--checkpoint", "note"]);
        assert!(said.starts_with("ok: "), "{said}");
    }
    let build_log = fs::read_to_string(folder.join("build.log")).unwrap();
    for (content, args, says) in [
        (wide(&build_log), ["export", "--receipts", "x"], "--receipts x: it was converted to UTF-16"),
        (b"\x1f\x8b\x08".to_vec(), ["export", "--receipts", "x"], "hint: `zcat FILE`, and pass --receipts -"),
        (b"\x1f\x8b\x08".to_vec(), ["export", "--key", "x"], "hint: unpack it with `zcat FILE > COPY`"),
        (b"\x1f\x8b\x08".to_vec(), ["x", "--key", "key"], "`zcat FILE | sealroom audit verify -`"),
    ] {
        fs::write(folder.join("x"), content).unwrap();
        let said = log.said(&args);
        assert!(said.contains(says) && !said.contains("no receipt in it"), "{args:?}: {said}");
    }
    // Somebody who changes a number hides it behind no line ends.
    let size = checkpoint::read_unsigned(note).unwrap().size;
    let forged = note.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size - 1), 1);
    let other = note.replacen("sealroom/", "sealroom/0", 1);
    for text in [
        forged.clone(),
        forged.replace('\n', "\r\n"),
        format!("\u{feff}{forged}"),
        other.replace('\n', "\r\n"),
    ] {
        fs::write(folder.join("x"), &text).unwrap();
        let said = log.said(&["export", "--key", "key", "--checkpoint", "x"]);
        assert!(
            said.contains("signature does not hold") && !said.contains("as it was signed"),
            "{text:?}: {said}"
        );
    }
    let flipped = export.replacen("github", "gitlab", 1);
    fs::write(folder.join("x"), &flipped).unwrap();
    assert!(log.said(&["x", "--key", "key", "--checkpoint", "note"]).contains("was changed"));
}
