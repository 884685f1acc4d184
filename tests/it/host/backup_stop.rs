//! A server that is stopped with a backup under way: it comes to its end, and no half of a copy counts as one.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::binary::{Serving, sealroom, stderr, vault},
};

const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];
/// Together larger than every buffer between the vault and a client.
const CREDENTIALS: usize = 120;
const BYTES: usize = 60_000;
/// Longer than the drain of a server that stops.
const PATIENCE: Duration = Duration::from_secs(60);

fn login(server: &Serving, folder: &Path) -> String {
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let body = json!({ "email": "ada@example.com", "password": password }).to_string();
    let (status, _, session) = request(server.address(), "POST", "/sfp/api/auth/login", "", &body).unwrap();
    assert_eq!(status, 200, "{session}");
    session["access_token"].as_str().unwrap().to_owned()
}

/// A vault whose copy takes a while.
fn large() -> tempfile::TempDir {
    let folder = vault();
    let mut server = Serving::start(folder.path(), SERVE);
    let owner = login(&server, folder.path());
    let value = format!("ghp_example{}", "x".repeat(BYTES));
    let body = json!({ "provider": "github", "authType": "pat", "isGlobal": true,
        "credentials": { "token": value } });
    for _ in 0..CREDENTIALS {
        let made = request(server.address(), "POST", "/sfp/api/integrations", &owner, &body.to_string());
        assert_eq!(made.map(|(status, ..)| status), Some(201));
    }
    ends(&mut server);
    folder
}

/// Stops the server in an orderly way, and waits for its end.
fn ends(server: &mut Serving) {
    server.signal(Signal::TERM);
    comes_to_its_end(server);
}

fn comes_to_its_end(server: &mut Serving) {
    let start = Instant::now();
    loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            return assert!(status.success(), "{status}");
        }
        assert!(start.elapsed() < PATIENCE, "the stop hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The outcomes of the backups, and the stops of the server, in the order of the log.
fn recorded(folder: &Path) -> Vec<String> {
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    let (_, _, events) = request(server.address(), "GET", "/sfp/api/audit?limit=1000", &owner, "").unwrap();
    ends(&mut server);
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let told = |event: &Value| match text(event, "action").as_str() {
        "backup.create" => Some(text(event, "outcome")),
        "server.stop" => Some("stop".to_owned()),
        _ => None,
    };
    events.as_array().unwrap().iter().rev().filter_map(told).collect()
}

#[test]
fn a_stop_breaks_a_backup_to_a_client_off_and_records_that_it_failed() {
    let folder = large();
    let folder = folder.path();
    let mut server = Serving::start(folder, SERVE);
    let owner = login(&server, folder);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        client,
        "POST /sfp/api/backup HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {owner}\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut first = [0; 12];
    client.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200", "the copy is on its way");
    server.signal(Signal::TERM);
    let stopping = Instant::now();
    while TcpStream::connect(server.address()).is_ok() {
        assert!(stopping.elapsed() < PATIENCE, "it still listens");
        std::thread::yield_now();
    }
    let mut rest = Vec::new();
    drop(client.read_to_end(&mut rest));
    assert!(rest.len() < CREDENTIALS * BYTES, "{} bytes: the whole copy came after the stop", rest.len());
    comes_to_its_end(&mut server);
    assert_eq!(recorded(folder), ["stop", "allowed", "failed", "stop"]);
}

#[test]
fn a_stop_leaves_no_part_of_a_scheduled_backup_and_records_that_it_failed() {
    let folder = large();
    let folder = folder.path();
    let kept = folder.join("kept");
    fs::create_dir(&kept).unwrap();
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&kept).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let is_whole = |name: &String| name.starts_with("sealroom-") && name.ends_with(".redb");
    let is_unfinished = |name: &String| name.ends_with(".sealroom-new");
    let schedule = ["--backup-folder", "kept", "--backup-every-secs", "1"];
    // A copy may end before the stop comes to it: then the next one is stopped.
    for round in 0..20 {
        let (mut server, start) = (Serving::start(folder, &[SERVE, &schedule].concat()), Instant::now());
        while !names().iter().any(is_unfinished) {
            assert!(start.elapsed() < PATIENCE, "no backup begins");
            std::thread::sleep(Duration::from_millis(2));
        }
        ends(&mut server);
        let files = names();
        assert!(!files.iter().any(is_unfinished), "round {round}: {files:?}");
        let whole: Vec<_> = files.iter().filter(|name| is_whole(name)).collect();
        for name in &whole {
            let verified = sealroom(folder, &["audit", "verify", &format!("kept/{name}")]);
            assert!(verified.status.success(), "round {round}: {}", stderr(&verified));
        }
        let told = recorded(folder);
        let of = |outcome: &str| told.iter().filter(|one| *one == outcome).count();
        // The server keeps seven.
        let made = (of("allowed") - of("failed")).min(7);
        assert!(whole.len() >= made, "round {round}: {told:?}, {files:?}");
        if of("failed") > 0 {
            return assert!(told.join(" ").ends_with("allowed failed stop"), "{told:?}");
        }
    }
    panic!("no stop came to a backup under way");
}

/// A client was told that too many requests were waiting.
#[test]
fn a_client_whose_copy_is_being_made_is_told_that_the_server_stops() {
    let folder = large();
    let folder = folder.path();
    // A copy may be made before the stop comes to it: then the next one is stopped.
    for _ in 0..20 {
        let (mut server, start) = (Serving::start(folder, SERVE), Instant::now());
        let (owner, address) = (login(&server, folder), server.address().to_owned());
        let begun = || {
            let path = "/sfp/api/audit?action=backup.create&limit=1000";
            request(&address, "GET", path, &owner, "").unwrap().2.as_array().unwrap().len()
        };
        let before = begun();
        let answer = std::thread::scope(|scope| {
            let asked = scope.spawn(|| request(&address, "POST", "/sfp/api/backup", &owner, ""));
            while begun() == before {
                assert!(start.elapsed() < PATIENCE, "no backup begins");
            }
            ends(&mut server);
            asked.join().unwrap()
        });
        if let Some((status, _, told)) = answer {
            assert_eq!((status, &told["code"]), (503, &json!("shutting_down")));
            return assert!(recorded(folder).join(" ").ends_with("allowed failed stop"));
        }
    }
    panic!("no stop came to a copy that was being made");
}
