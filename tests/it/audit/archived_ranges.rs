//! Questions to a log after an archive: only archived records are refused.

use std::{path::PathBuf, time::Duration};

use sealroom::domain::{Action, Actor, Event, Timestamp, minutes};
use serde_json::Value;

use crate::support::{
    binary::{command, ended, secret_file, stderr},
    server::{PASSPHRASE, Reply, TestServer, secret},
};

const READ: &str = "/sfp/api/integrations/credentials";
const UNKNOWN: &str = "0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70";

async fn get(t: &TestServer, path: &str) -> Reply {
    t.send("GET", &format!("/sfp/api/audit/{path}"), &t.owner, "").await
}

/// A server whose records up to 511 are archived; its index of exposures knows them. Records of 10 and 20 minutes later
/// follow. Returns the time of the first records.
async fn archived() -> (TestServer, Timestamp, String) {
    let t = TestServer::start().await;
    let start = t.clock.now();
    let id = t.github("ghp_example", r#""isGlobal":true"#).await;
    for _ in 0..600 {
        assert_eq!(t.send("GET", READ, &t.app, "").await.status, 200);
    }
    assert_eq!(get(&t, "exposure?actor=user:member@example.com").await.status, 200);
    t.clock.set(start.plus(minutes(1)));
    let records = t.vault.plan_archive(t.clock.now()).unwrap().unwrap();
    assert_eq!(records, 0..512);
    t.vault.archive(records, Actor::host("test"), t.clock.now()).await.unwrap();
    for after in [10, 20] {
        t.clock.set(start.plus(minutes(after)));
        assert_eq!(t.send("GET", READ, &t.member, "").await.status, 200);
    }
    (t, start, id)
}

fn is_archived(reply: &Reply) -> bool {
    reply.status == 410 && reply.json()["message"] == "archived: sequences 0 to 511"
}

async fn lock_and_unlock(t: &TestServer) {
    let host = || Actor::host("test");
    t.vault.lock(Event::new(t.clock.now(), host(), Action::VaultLock)).await.map_err(drop).unwrap();
    t.vault.unlock(secret(PASSPHRASE), host(), t.clock.now(), None).await.unwrap();
}

#[tokio::test]
async fn a_range_after_the_archived_records_is_exported_and_only_one_that_may_begin_in_them_is_a_410() {
    let (t, start, _) = archived().await;
    let at = |after: u64| start.plus(minutes(after));
    for query in [
        String::new(),
        format!("?to={}", at(30)),
        format!("?from={start}"),
        format!("?from={}&fromSequence=511", at(15)),
        "?fromSequence=0".to_owned(),
    ] {
        let reply = get(&t, &format!("export{query}")).await;
        assert!(is_archived(&reply), "{query}: {} {}", reply.status, reply.body);
    }
    for (query, first) in [
        // The record of the archive itself.
        (format!("?from={}", start.plus(Duration::from_millis(1))), at(1)),
        (format!("?from={}", at(6)), at(10)),
        (format!("?from={}&to={}", at(15), at(25)), at(20)),
        (format!("?from={}&fromSequence=512", at(15)), at(20)),
    ] {
        let reply = get(&t, &format!("export{query}")).await;
        let record: Value = serde_json::from_str(reply.body.lines().next().unwrap()).unwrap();
        assert_eq!((reply.status, record["time"].as_str().unwrap()), (200, &*first.to_string()), "{query}");
    }
    let none = get(&t, &format!("export?from={}&to={}", at(40), at(50))).await;
    assert_eq!((none.status, &*none.body), (200, ""));
    let csv = get(&t, &format!("export?format=csv&from={}", at(15))).await;
    assert!(csv.status == 200 && csv.body.contains("credentials.read"), "{}", csv.body);
}

/// With the real binary, at a server with a clock of its own.
#[tokio::test]
async fn a_report_of_a_later_range_is_written_and_verified_after_an_archive() {
    let (t, start, _) = archived().await;
    let folder = tempfile::tempdir().unwrap();
    secret_file(folder.path(), "token", &t.owner, 0o600);
    let (url, place): (String, PathBuf) = (format!("http://{}", t.address), folder.path().to_owned());
    let run = async |args: Vec<String>| {
        let (url, place) = (url.clone(), place.clone());
        let run = tokio::task::spawn_blocking(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut command = command(&place, &args);
            command.env("SFP_SERVER_URL", &url).env("SFP_SERVER_TOKEN_FILE", "token").env("HOME", &place);
            ended(command.stdout(std::process::Stdio::piped()))
        });
        run.await.unwrap()
    };
    let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let at = |after: u64| start.plus(minutes(after));
    for (number, range) in [
        format!("--from {}", at(6)),
        format!("--from {} --to {}", at(6), at(15)),
        format!("--from {} --to {}", at(12), at(13)),
    ]
    .iter()
    .enumerate()
    {
        let done = run(args(&format!("audit report {range} {number}.md"))).await;
        assert!(done.status.success(), "{range}: {}", stderr(&done));
        assert!(String::from_utf8_lossy(&done.stdout).ends_with(" records, verified\n"), "{range}: {done:?}");
    }
    // Each command names only flags that it has.
    for (line, hint, other) in [
        ("audit report", "a later time", "--from-sequence"),
        ("audit explain 3", "a later time", "--from-sequence"),
        ("audit export", "--from-sequence", "a later time"),
    ] {
        let refused = run(args(line)).await;
        let said = stderr(&refused);
        assert!(said.contains("archived: sequences 0 to 511") && said.contains(hint), "{line}: {said}");
        assert!(!said.contains(other), "{line}: {said}");
    }
}

#[tokio::test]
async fn a_range_after_the_archived_records_needs_no_restart_to_be_answered() {
    let (t, start, id) = archived().await;
    let at = |after: u64| start.plus(minutes(after));
    for is_restarted in [false, true] {
        for (since, count) in [(at(6), 2), (at(15), 1)] {
            for query in [
                format!("since={since}"),
                format!("since={since}&integration={id}"),
                format!("since={since}&actor=user:member@example.com"),
                format!("since={since}&until={}", at(30)),
            ] {
                let reply = get(&t, &format!("exposure?{query}")).await;
                assert_eq!(reply.status, 200, "{is_restarted} {query}: {}", reply.body);
                assert_eq!(reply.json()["live"][0]["received"]["count"], count, "{is_restarted} {query}");
            }
        }
        for since in [start.minus(minutes(5)), start] {
            let reply = get(&t, &format!("exposure?since={since}")).await;
            assert!(is_archived(&reply), "{is_restarted} {since}: {}", reply.body);
        }
        // The archived records tell who made whom: the index that read them still knows.
        let transitive = format!("exposure?since={}&actor=user:owner@example.com&transitive=true", at(6));
        let reply = get(&t, &transitive).await;
        assert_eq!(is_archived(&reply), is_restarted, "{}", reply.body);
        if !is_restarted {
            assert_eq!(reply.json()["live"][0]["actor"], "user:member@example.com");
        }
        lock_and_unlock(&t).await;
    }
}

/// The first record that is left is of an earlier time than archived ones, once the clock was set back: a question about
/// their time was answered without them.
#[tokio::test]
async fn no_archived_record_is_ever_missed_by_a_question_about_its_own_time() {
    const INSTANT: Duration = Duration::from_millis(1);
    for (ahead, back) in [(2, 1), (9, 1), (19, 3)] {
        let t = TestServer::start().await;
        let start = t.clock.now();
        let at = |after: u64| start.plus(minutes(after));
        t.github("ghp_example", r#""isGlobal":true"#).await;
        // Records ahead of those before and after them, all archived; then more of the earlier time.
        for (time, count) in [(start, 290), (at(ahead), 3), (at(back), 290)] {
            t.clock.set(time);
            for _ in 0..count {
                assert_eq!(t.send("GET", READ, &t.app, "").await.status, 200);
            }
        }
        for round in 0..3_u64 {
            if round < 2 {
                // The second archive has none of these records, and follows a restart.
                let records = t.vault.plan_archive(at(20)).unwrap().unwrap();
                assert!(records.end >= 512 && round == records.start / 512, "{records:?}");
                t.vault.archive(records, Actor::host("test"), t.clock.now()).await.unwrap();
            }
            let archived = [at(back), at(ahead).minus(INSTANT), at(ahead)];
            for since in archived.into_iter().chain([start]) {
                for query in [format!("exposure?since={since}"), format!("export?from={since}")] {
                    let reply = get(&t, &query).await;
                    assert_eq!(reply.status, 410, "{ahead} {round} {query}: {}", reply.body);
                }
            }
            let later = at(ahead).plus(INSTANT);
            for query in [format!("exposure?since={later}"), format!("export?from={later}")] {
                let reply = get(&t, &query).await;
                assert_eq!(reply.status, 200, "{ahead} {round} {query}: {}", reply.body);
            }
            lock_and_unlock(&t).await;
            for _ in 0..260 {
                assert_eq!(t.send("GET", READ, &t.app, "").await.status, 200);
            }
        }
    }
}

/// An answer without a line reads as an all-clear.
#[tokio::test]
async fn an_integration_that_never_was_is_never_answered_with_nothing_to_rotate() {
    let (t, start, id) = archived().await;
    let later = format!("since={}&", start.plus(minutes(15)));
    for narrower in ["", "actor=user:member@example.com&", &later] {
        let reply = get(&t, &format!("exposure?{narrower}integration={UNKNOWN}")).await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (404, &"integration_not_found".into()),
            "{narrower}"
        );
        assert_eq!(get(&t, &format!("exposure?{narrower}integration={id}")).await.status, 200, "{narrower}");
    }
    assert_eq!(t.send("DELETE", &format!("/sfp/api/integrations/{id}"), &t.owner, "").await.status, 200);
    let deleted = get(&t, &format!("exposure?integration={id}")).await;
    assert_eq!((deleted.status, &deleted.json()["deleted"][0]["integrationId"]), (200, &id.as_str().into()));
    // After a restart only the archived records tell.
    lock_and_unlock(&t).await;
    for narrower in ["", &later] {
        let reply = get(&t, &format!("exposure?{narrower}integration={UNKNOWN}")).await;
        assert!(is_archived(&reply), "{narrower}: {}", reply.body);
    }
    let known = get(&t, &format!("exposure?{later}integration={id}")).await;
    assert_eq!((known.status, &known.json()["deleted"][0]["integrationId"]), (200, &id.as_str().into()));
}

/// A question may read as much as an export, and its answer holds megabytes.
#[tokio::test]
async fn no_caller_asks_for_more_exposures_and_exports_at_a_time_than_its_share() {
    let t = TestServer::start().await;
    let path = "exposure?since=2000-01-01T00:00:00Z";
    let (context, caller) = (crate::support::server::context(t.clock.now()), t.caller(&t.owner));
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(t.vault.begin_export(&context, &caller, Some(0), None).await.unwrap());
    }
    let refused = get(&t, path).await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"overloaded".into()));
    turns.pop();
    for _ in 0..9 {
        assert_eq!(get(&t, path).await.status, 200, "each answer gives its place back");
    }
}
