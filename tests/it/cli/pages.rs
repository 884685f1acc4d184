//! More credentials than one answer holds, and readers that go away before all is said.

use std::{
    io::{BufRead, BufReader, Write, pipe},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use sealroom::{
    client::{Client, CredentialFilter, Endpoint, Expired, NewIntegration, Roots, Scope},
    domain::Secret,
};
use serde_json::Value;

use crate::support::{
    binary::{Serving, TOKEN, command, stderr},
    fake::{Fake, Reply},
};

/// The time limit of a command whose output has no reader.
const PATIENCE: Duration = Duration::from_secs(20);

fn sealroom(folder: &Path, url: &str, token: &str, args: &[&str]) -> Command {
    let mut command = command(folder, args);
    command.env("SFP_SERVER_URL", url).env("SFP_SERVER_TOKEN", token).env("HOME", folder);
    command.stdin(Stdio::null());
    command
}

fn dev(folder: &Path) -> (Serving, Value) {
    let server = Serving::start(folder, &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
    let said = serde_json::from_str(&server.said).unwrap();
    (server, said)
}

fn client(server: &Serving, token: &Value) -> Client {
    let endpoint: Endpoint = server.url.parse().unwrap();
    Client::new(endpoint, &Roots::System)
        .unwrap()
        .with_token(Secret::from(token.as_str().unwrap().to_owned()))
}

async fn store(owner: &Client, of: usize, count: usize) {
    for number in 0..count {
        let new = NewIntegration {
            // Each of a name of its own, so that none is read before another.
            provider: "custom".to_owned(),
            auth_type: "api_key".to_owned(),
            credentials: Secret::from(format!(r#"{{"token":"ghp_example{number}"}}"#)),
            scope: Scope::Global,
            name: Some(format!("{of} {number}")),
            expires_at: None,
            expired: Expired::Refused,
            config: None,
            is_canary: false,
        };
        owner.create_integration(&new).await.unwrap();
    }
}

#[tokio::test]
async fn pages_lead_from_one_to_the_next_and_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, said) = dev(folder.path());
    store(&client(&server, &said["owner_token"]), 0, 5).await;
    let machine = client(&server, &said["application_token"]);
    let (filter, mut cursor) = (CredentialFilter::default(), None::<String>);
    let (mut names, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let page = machine.credentials_page(&filter, 2, cursor.as_deref()).await.unwrap();
        let items = page.items().unwrap();
        assert!(page.receipt.is_some(), "each page has its receipt");
        sizes.push(items.len());
        names.extend(items.iter().map(|one| String::from_utf8(one.credentials.expose().to_vec()).unwrap()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    let expected: Vec<String> =
        (0..5).rev().map(|number| format!(r#"{{"token":"ghp_example{number}"}}"#)).collect();
    assert_eq!(names, expected, "newest first");
}

#[tokio::test]
async fn a_thousand_and_one_credentials_are_one_result() {
    let folder = tempfile::tempdir().unwrap();
    let (server, said) = dev(folder.path());
    // Many at once, since each waits for the disk.
    let mut storing = tokio::task::JoinSet::new();
    for of in 0..13 {
        let owner = client(&server, &said["owner_token"]);
        storing.spawn(async move { store(&owner, of, 77).await });
    }
    storing.join_all().await;
    let token = said["application_token"].as_str().unwrap();
    let read = |args: &[&str]| sealroom(folder.path(), &server.url, token, args).output().unwrap();
    let all = read(&["credentials", "--all", "--json"]);
    assert!(all.status.success(), "{}", stderr(&all));
    let value: Value = serde_json::from_slice(&all.stdout).unwrap();
    let ids: std::collections::BTreeSet<&str> =
        value.as_array().unwrap().iter().map(|one| one["integration_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1_001);
    assert_eq!(stderr(&all).matches("audit-receipt: ").count(), 2, "one a page");
    let one = read(&["credentials", "--all", "--field", "token"]);
    assert!(one.stdout.is_empty() && stderr(&one).contains("--provider"), "{}", stderr(&one));
}

fn item(number: usize) -> String {
    format!(
        r#"{{"integration_id":"01a21198-0ea8-7d5a-987c-6ee7878c5{number:03}","provider":"{}","auth_type":"pat","credentials":{{"token":"ghp_example{number}"}}}}"#,
        ["github", "gitlab"][number % 2]
    )
}

const ALL: &str = "GET /sfp/api/integrations/credentials";

/// Three pages, the last one empty; the second may fail.
fn paged(fails: bool) -> Fake {
    Fake::start(move |request, _| {
        let page = |items: &[usize], next: Option<&str>| {
            let items: Vec<String> = items.iter().map(|number| item(*number)).collect();
            let reply = Reply::json(200, &format!("[{}]", items.join(","))).with("audit-receipt", "7:x");
            match next {
                Some(next) => reply.with("x-next-cursor", next),
                None => reply,
            }
        };
        match request.strip_prefix(ALL).unwrap() {
            "" => Reply::refusal(400, "too_many_matches", "More than 1000 match"),
            "?limit=1" => page(&[4], Some("c0")),
            "?limit=1000" => page(&[4, 3], Some("c1")),
            "?limit=1000&cursor=c1" if fails => Reply::refusal(503, "locked", "The vault is locked"),
            "?limit=1000&cursor=c1" => page(&[2], Some("c2")),
            "?limit=1000&cursor=c2" => page(&[], None),
            other => panic!("{other}"),
        }
    })
}

fn credentials(fake: &Fake, folder: &Path, rest: &[&str]) -> Output {
    let args = [&["credentials", "--all"], rest].concat();
    sealroom(folder, &fake.url, TOKEN, &args).output().unwrap()
}

#[test]
fn pages_are_one_array_one_list_and_one_set_of_variables() {
    let folder = tempfile::tempdir().unwrap();
    let fake = paged(false);
    let json = credentials(&fake, folder.path(), &["--json"]);
    assert!(json.status.success(), "{}", stderr(&json));
    let whole = format!("[{},{},{}]\n", item(4), item(3), item(2));
    assert_eq!(String::from_utf8(json.stdout.clone()).unwrap(), whole, "byte for byte");
    assert_eq!(fake.asked().len(), 4);
    let plain = credentials(&fake, folder.path(), &[]);
    assert_eq!(String::from_utf8_lossy(&plain.stdout).matches("token  ghp_example").count(), 3);
    let env = credentials(&fake, folder.path(), &["--format", "env"]);
    assert_eq!((env.status.code(), &*env.stdout), (Some(1), &b"false\n"[..]));
    let clash = "two values for GITHUB_TOKEN: field 'token' of github/pat 01a21198-0ea8-7d5a-987c-6ee7878c5004 and \
                 field 'token' of github/pat 01a21198-0ea8-7d5a-987c-6ee7878c5002";
    assert!(stderr(&env).contains(clash), "across pages: {}", stderr(&env));
    assert_eq!(stderr(&env).matches("audit-receipt: ").count(), 3, "of each page: {}", stderr(&env));
}

#[test]
fn a_page_that_fails_leaves_no_json_that_looks_whole() {
    let folder = tempfile::tempdir().unwrap();
    let json = credentials(&paged(true), folder.path(), &["--json"]);
    assert_eq!(json.status.code(), Some(1));
    assert!(serde_json::from_slice::<Value>(&json.stdout).is_err());
    assert!(stderr(&json).contains(r#""code":"locked""#), "{}", stderr(&json));
}

#[test]
fn one_field_of_too_many_is_refused_when_one_is_disclosed() {
    let folder = tempfile::tempdir().unwrap();
    let fake = paged(false);
    let field = credentials(&fake, folder.path(), &["--field", "token"]);
    assert_eq!(field.status.code(), Some(1));
    assert!(stderr(&field).contains("hint: narrow it with --provider"), "{}", stderr(&field));
    assert_eq!(fake.asked(), [format!("{ALL}?limit=1")]);
}

/// Its exit code, in time; its output leads to nobody.
fn unread(mut command: Command) -> Option<i32> {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    ended(command.stdout(writer).stderr(Stdio::null()).spawn().unwrap())
}

fn ended(mut child: Child) -> Option<i32> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(child.kill());
    drop(child.wait());
    None
}

#[test]
fn what_nobody_reads_is_neither_fetched_nor_disclosed() {
    let folder = tempfile::tempdir().unwrap();
    let fake = paged(false);
    let args = ["credentials", "--all", "--json"];
    assert_eq!(unread(sealroom(folder.path(), &fake.url, TOKEN, &args)), Some(0));
    assert_eq!(fake.asked(), [ALL.to_owned(), format!("{ALL}?limit=1000")]);
}

/// `audit tail -f | head -1` went on for ever, and `audit export | head -1` read all of a log of any size.
#[test]
fn a_stream_ends_with_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let (server, said) = dev(folder.path());
    let owner = said["owner_token"].as_str().unwrap();
    for args in [&["audit", "tail", "-f"][..], &["audit", "tail", "-f", "--json"]] {
        assert_eq!(unread(sealroom(folder.path(), &server.url, owner, args)), Some(0), "{args:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n").unwrap();
        while stream.write_all(b"{\"v\":1}\n").is_ok() {}
    });
    assert_eq!(unread(sealroom(folder.path(), &url, TOKEN, &["audit", "export"])), Some(0));
}

/// Such a server kept `credentials --all` printing for ever.
#[test]
fn a_server_that_repeats_its_cursor_cannot_keep_a_command_reading_for_ever() {
    const CREDENTIAL: &str = r#"[{"integration_id":"01a21198-0ea8-7d5a-987c-6ee7878c59a0","provider":"github","auth_type":"pat","credentials":{"token":"ghp_example"}}]"#;
    for cycle in [1, 2, 3] {
        let folder = tempfile::tempdir().unwrap();
        let asked = AtomicUsize::new(0);
        let fake = Fake::start(move |request, _| {
            let body = if request.contains("/credentials") { CREDENTIAL } else { "[]" };
            let cursor = asked.fetch_add(1, Ordering::Relaxed) % cycle;
            Reply::json(200, body).with("x-next-cursor", &cursor.to_string())
        });
        for args in [&["credentials", "--all", "--json"][..], &["integration", "list"]] {
            let output = sealroom(folder.path(), &fake.url, TOKEN, args).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stderr(&output));
        }
        assert!(fake.asked().len() <= 2 * (cycle + 2), "{:?}", fake.asked());
    }
}
