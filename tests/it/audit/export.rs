//! The log for outsiders: exports and proofs, held against other people's implementations.

use base64::{Engine, engine::general_purpose::STANDARD};
use sealroom::{
    audit::{checkpoint, tree::leaf_hash},
    crypto::sign::LogKey,
    domain::{AccessScope, Role, seconds},
};
use serde_json::{Value, json};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList, generate_key};
use tlog_tiles::tlog;

use crate::support::server::{Client, START, TestServer};

const EXPORT: &str = "/sfp/api/audit/export";
const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

async fn get(t: &TestServer, path: &str) -> String {
    let reply = t.send("GET", path, &t.owner, "").await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.body
}

async fn lines(t: &TestServer, query: &str) -> Vec<String> {
    get(t, &format!("{EXPORT}{query}")).await.lines().map(str::to_owned).collect()
}

fn sequence(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap()
}

#[tokio::test]
async fn an_export_is_the_log_byte_for_byte_with_its_own_event_last() {
    let t = TestServer::start().await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    t.send("GET", CREDENTIALS, &t.app, "").await;
    let all = lines(&t, "").await;
    for (n, line) in all.iter().enumerate() {
        assert_eq!(sequence(line), n as u64);
    }
    assert!(all.last().unwrap().contains(r#""action":"audit.export","outcome":"allowed""#));
    let listed: Value = serde_json::from_str(&get(&t, "/sfp/api/audit?limit=1000").await).unwrap();
    for event in listed.as_array().unwrap().iter().rev().take(all.len()) {
        let line = &all[event["sequence"].as_u64().unwrap() as usize];
        assert_eq!(event["leafHash"], STANDARD.encode(leaf_hash(line.as_bytes())));
    }
    let rest = lines(&t, "?fromSequence=3").await;
    assert_eq!((sequence(&rest[0]), &rest[..all.len() - 3]), (3, &all[3..]));
    let reply = t.send("GET", EXPORT, &t.owner, "").await;
    assert_eq!(reply.header("content-type").as_deref(), Some("application/x-ndjson"));
    assert_eq!(t.send("HEAD", EXPORT, &t.owner, "").await.status, 405);
}

#[tokio::test]
async fn times_choose_records_and_what_makes_no_sense_is_a_400() {
    let t = TestServer::start().await;
    t.clock.set(t.clock.now().plus(seconds(60)));
    t.github("ghp_example", r#""isGlobal":true"#).await;
    t.clock.set(t.clock.now().plus(seconds(60)));
    let between = "from=2026-11-24T10:01:00Z&to=2026-11-24T10:02:00Z";
    let chosen = lines(&t, &format!("?{between}")).await;
    assert_eq!(chosen.len(), 1);
    assert!(chosen[0].contains("integration.create"));
    assert_eq!(START, 1_795_514_400_000, "the times above are those of the test clock");
    for query in [
        "format=xml",
        "from=2026-11-24T10:02:00Z&to=2026-11-24T10:01:00Z",
        "from=yesterday",
        "fromSequence=-1",
        "fromSequence=99999999999999999999",
        "follow=yes",
        "follow=true&to=2026-11-24T10:02:00Z",
        "sequence=1",
        "format=",
    ] {
        assert_eq!(t.send("GET", &format!("{EXPORT}?{query}"), &t.owner, "").await.status, 400, "{query}");
    }
    for query in [
        "",
        "sequence=1",
        "size=1",
        "from=1&size=2",
        "sequence=5&size=5",
        "sequence=0&size=9999",
        "from=0&to=3",
        "from=3&to=2",
        "from=1&to=9999",
        "sequence=a&size=2",
        "sequence=0&size=1&from=1&to=1",
    ] {
        let path = format!("/sfp/api/audit/proof?{query}");
        assert_eq!(t.send("GET", path.trim_end_matches('?'), &t.owner, "").await.status, 400, "{query}");
    }
}

/// `audit list --help` said "not after", `audit export --help` said "before", and both left an event at that very time out.
#[tokio::test]
async fn a_bound_in_time_never_has_two_meanings() {
    let t = TestServer::start().await;
    let at = |second: u64| sealroom::domain::Timestamp::from_millis(START + 1_000 * second);
    for (second, project) in [(60, "acme/a"), (61, "acme/b"), (62, "acme/c")] {
        t.clock.set(at(second));
        t.project(project).await;
    }
    let within = async |from: Option<u64>, to: Option<u64>| {
        let bound = |name: &str, second: Option<u64>| {
            second.map_or(String::new(), |second| format!("&{name}={}", at(second)))
        };
        let bounds = bound("from", from) + &bound("to", to);
        let listed: Value =
            serde_json::from_str(&get(&t, &format!("/sfp/api/audit?action=project.create{bounds}")).await)
                .unwrap();
        let of_list: Vec<u64> =
            listed.as_array().unwrap().iter().rev().map(|e| e["sequence"].as_u64().unwrap()).collect();
        let exported = lines(&t, &format!("?format=ndjson{bounds}")).await;
        let of_export = exported.iter().filter(|line| line.contains("project.create"));
        assert_eq!(of_list, of_export.map(|line| sequence(line)).collect::<Vec<_>>(), "{bounds}");
        of_list.len()
    };
    for (from, to, count) in [
        (Some(60), Some(62), 2),
        (Some(60), Some(63), 3),
        (Some(61), Some(61), 0),
        (Some(61), Some(62), 1),
        (Some(62), None, 1),
        (None, Some(60), 0),
        (None, Some(61), 1),
    ] {
        assert_eq!(within(from, to).await, count, "{from:?} {to:?}");
    }
    for path in ["/sfp/api/audit", EXPORT] {
        let backwards = format!("{path}?from={}&to={}", at(62), at(61));
        assert_eq!(t.send("GET", &backwards, &t.owner, "").await.status, 400, "{path}");
    }
    let folder = tempfile::tempdir().unwrap();
    let document: Value = serde_json::from_str(&get(&t, "/sfp/apidocs-json").await).unwrap();
    for (command, path) in [("list", "/sfp/api/audit"), ("export", "/sfp/api/audit/export")] {
        let help = crate::support::binary::sealroom(folder.path(), &["audit", command, "--help"]);
        let help = String::from_utf8(help.stdout).unwrap();
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        for (name, text) in
            [("from", "From this time on (inclusive)"), ("to", "Before this time (exclusive)")]
        {
            let of_api = parameters.iter().find(|parameter| parameter["name"] == name).unwrap();
            assert!(help.contains(text), "{command}: {help}");
            assert_eq!(of_api["description"], format!("{text}."), "{path}");
        }
    }
}

#[tokio::test]
async fn a_csv_has_no_formula_in_it() {
    let t = TestServer::start().await;
    for name in ["=1+1/x", "@sum/x", "-2/x", "+3/x"] {
        let body = json!({"identifier":name,"remoteUrl":"https://github.com/a/b"}).to_string();
        assert_eq!(t.send("POST", "/sfp/api/projects", &t.owner, &body).await.status, 201);
    }
    let reply = t.send("GET", &format!("{EXPORT}?format=csv"), &t.owner, "").await;
    assert_eq!(reply.header("content-type").as_deref(), Some("text/csv; charset=utf-8"));
    assert!(reply.body.starts_with("sequence,time,actor,action,outcome,"));
    let mut rows = csv::Reader::from_reader(reply.body.as_bytes());
    let projects: Vec<String> =
        rows.records().map(|row| row.unwrap()[8].to_owned()).filter(|project| !project.is_empty()).collect();
    assert_eq!(projects, ["'=1+1/x", "'@sum/x", "'-2/x", "'+3/x"]);
}

#[tokio::test]
async fn a_follower_gets_what_comes_and_its_revocation_ends_the_stream() {
    let t = TestServer::start().await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let auditor = t.token(Role::Auditor, AccessScope::default()).await;
    let mut follower = Client::connect(&t.address).await;
    let path = format!("{EXPORT}?follow=true&fromSequence=2");
    follower
        .write(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {auditor}\r\n\r\n"))
        .await;
    let mut got = String::new();
    while !got.contains("audit.export") {
        got += &follower.read().await;
    }
    assert!(got.contains(r#""sequence":2,"#) && !got.contains(r#""sequence":1,"#));
    t.send("GET", CREDENTIALS, &t.app, "").await;
    while !got.contains("credentials.read") {
        got += &follower.read().await;
    }
    t.send("DELETE", &format!("/sfp/api/application-tokens/{auditor}"), &t.owner, "").await;
    t.send("GET", CREDENTIALS, &t.app, "").await;
    loop {
        let more = follower.read().await;
        if more.is_empty() {
            break;
        }
        got += &more;
    }
    assert!(
        !got.contains("token.revoke") && !got.ends_with("0\r\n\r\n"),
        "nothing more, and no proper end: {got}"
    );
}

#[tokio::test]
async fn proofs_hold_for_another_implementation() {
    let t = TestServer::start().await;
    t.github("ghp_example", r#""isGlobal":true"#).await;
    let mut client = Client::connect(&t.address).await;
    for _ in 0..300 {
        client.send("GET", CREDENTIALS, &t.app, "").await.unwrap();
    }
    let note = get(&t, "/sfp/api/audit/checkpoint").await;
    let signed = checkpoint::read_unsigned(&note).unwrap();
    let records = lines(&t, "").await;
    let root = tlog::Hash(signed.root);
    let proof = async |query: String| -> Vec<tlog::Hash> {
        let hashes: Vec<String> =
            serde_json::from_str(&get(&t, &format!("/sfp/api/audit/proof?{query}")).await).unwrap();
        hashes.iter().map(|hash| tlog::Hash::parse_hash(hash).unwrap()).collect()
    };
    let size = signed.size;
    for sequence in [0, 1, 7, 255, 256, 257, size - 2, size - 1] {
        let path = proof(format!("sequence={sequence}&size={size}")).await;
        let leaf = tlog::record_hash(records[sequence as usize].as_bytes());
        tlog::check_record(&path, size, root, sequence, leaf).unwrap();
        assert!(tlog::check_record(&path, size, root, sequence, tlog::record_hash(b"{}")).is_err());
    }
    let mut frontier = sealroom::audit::tree::Frontier::EMPTY;
    for (n, record) in records.iter().take(size as usize).enumerate() {
        drop(frontier.push(leaf_hash(record.as_bytes())));
        let from = n as u64 + 1;
        if [1, 2, 3, 255, 256, 257, 300, size].contains(&from) {
            let path = proof(format!("from={from}&to={size}")).await;
            tlog::check_tree(&path, size, root, from, tlog::Hash(frontier.root())).unwrap();
        }
    }
}

#[tokio::test]
async fn checkpoints_are_notes_to_another_implementation_and_theirs_to_us() {
    let t = TestServer::start().await;
    let note = get(&t, "/sfp/api/audit/checkpoint").await;
    let key = get(&t, "/sfp/api/audit/key").await;
    let known = || {
        let verifier = StandardVerifier::new(key.trim()).unwrap();
        VerifierList::new(vec![Box::new(verifier)])
    };
    let mut theirs = Note::from_bytes(note.as_bytes()).unwrap();
    assert_eq!(theirs.verify(&known()).unwrap().0.len(), 1);
    let changed = note.replacen("sealroom/", "sealrocm/", 1);
    assert!(Note::from_bytes(changed.as_bytes()).unwrap().verify(&known()).is_err());

    // A witness countersigns: both signatures hold for both.
    let (secret, public) = generate_key(&mut rand_core::OsRng, "witness.example/w1");
    let witness = StandardSigner::new(&secret).unwrap();
    theirs.add_sigs(&[&witness]).unwrap();
    let both = String::from_utf8(theirs.to_bytes()).unwrap();
    let ours = checkpoint::open(&both, &[key.trim().parse().unwrap()]).unwrap();
    assert_eq!(ours, checkpoint::read_unsigned(&note).unwrap());
    assert!(theirs.verify(&known()).is_ok());
    // Their key by itself says nothing of our log, since its name is not the log's.
    assert!(checkpoint::open(&both, &[public.parse().unwrap()]).is_err());

    // A log of theirs is read by us, and one that we sign by them.
    let (secret, public) = generate_key(&mut rand_core::OsRng, "log.example/1");
    let text = format!("log.example/1\n7\n{}\n", STANDARD.encode([7; 32]));
    let mut log = Note::new(text.as_bytes(), &[]).unwrap();
    log.add_sigs(&[&StandardSigner::new(&secret).unwrap()]).unwrap();
    let read =
        checkpoint::open(&String::from_utf8(log.to_bytes()).unwrap(), &[public.parse().unwrap()]).unwrap();
    assert_eq!((read.size, read.root), (7, [7; 32]));
    let signer = LogKey::generate().unwrap();
    let own = checkpoint::note("sealroom/x", 9, &[9; 32], &["ext".to_owned()], &[&signer]);
    let verifier = checkpoint::VerifierKey::new("sealroom/x", signer.public()).to_string();
    let list = VerifierList::new(vec![Box::new(StandardVerifier::new(&verifier).unwrap())]);
    assert_eq!(Note::from_bytes(own.as_bytes()).unwrap().verify(&list).unwrap().0.len(), 1);
}

/// Promise 1 over a random mix: what was disclosed and what was recorded are the same, in the same order.
#[tokio::test]
async fn over_any_mix_of_requests_disclosures_and_their_events_are_the_same() {
    let t = TestServer::start().await;
    for project in ["acme/app", "acme/web"] {
        t.project(project).await;
    }
    let narrowed =
        AccessScope { projects: Some(vec!["acme/app".parse().unwrap()]), ..AccessScope::default() };
    let mut bearers = vec![t.owner.clone(), t.member.clone(), t.app.clone(), String::new()];
    bearers.push(t.token(Role::Application, narrowed).await);
    bearers.push(t.token(Role::Auditor, AccessScope::default()).await);
    bearers.push(t.token(Role::Operator, AccessScope::default()).await);
    let mut seed = 0x5eed_u64;
    let mut random = |below: usize| {
        // Knuth's MMIX generator; its high bits.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut client = Client::connect(&t.address).await;
    let (mut ids, mut disclosed): (Vec<String>, Vec<(u64, String)>) = (Vec::new(), Vec::new());
    for n in 0..600 {
        let bearer = &bearers[random(bearers.len())];
        let provider = ["github", "npm", "datadog"][random(3)];
        let project = ["acme/app", "acme/web", "acme/none"][random(3)];
        let id = if ids.is_empty() { "none".to_owned() } else { ids[random(ids.len())].clone() };
        let scope =
            [r#""isGlobal":true"#.to_owned(), format!(r#""projects":["{project}"]"#)][random(2)].clone();
        let create = format!(
            r#"{{"provider":"{provider}","authType":"pat","credentials":{{"token":"ghp_example_{n}"}},{scope}}}"#
        );
        let (method, path, body) = match random(10) {
            0 => ("POST", "/sfp/api/integrations".to_owned(), create),
            1 => ("DELETE", format!("/sfp/api/integrations/{id}"), String::new()),
            2 => (
                "PUT",
                format!("/sfp/api/integrations/{id}/credentials"),
                r#"{"credentials":{"token":"x"}}"#.to_owned(),
            ),
            3 => ("POST", format!("/sfp/api/integrations/{id}/rollback"), r#"{"revision":1}"#.to_owned()),
            4 => ("GET", "/sfp/api/integrations".to_owned(), String::new()),
            5 => ("GET", CREDENTIALS.to_owned(), String::new()),
            6 => ("GET", format!("{CREDENTIALS}?provider={provider}"), String::new()),
            _ => ("GET", format!("{CREDENTIALS}?provider={provider}&project={project}"), String::new()),
        };
        let reply = client.send(method, &path, bearer, &body).await.unwrap();
        if reply.status == 201 {
            ids.push(reply.json()["id"].as_str().unwrap().to_owned());
        }
        if reply.status == 200 && path.starts_with(CREDENTIALS) {
            let receipts = reply.header("audit-receipt").unwrap();
            let items = reply.json();
            let items: Vec<&str> = items
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["integration_id"].as_str().unwrap())
                .collect();
            let first: u64 = receipts.split([':', '-']).next().unwrap().parse().unwrap();
            disclosed.extend((first..).zip(items.iter().map(|id| (*id).to_owned())));
        } else {
            assert!(!reply.body.contains("ghp_example"), "{method} {path}: {}", reply.body);
        }
    }
    let recorded: Vec<(u64, String)> = lines(&t, "")
        .await
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["action"] == "credentials.read" && event["outcome"] == "allowed")
        .map(|event| {
            (event["sequence"].as_u64().unwrap(), event["integrationId"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(disclosed.len() > 100, "{}", disclosed.len());
    assert_eq!(disclosed, recorded);
}
