//! The request log at `info` and at `debug`.

use std::fs;

use serde_json::{Value, json};

use super::exhaustion::{SERVE, stocked, vault};
use crate::{lab::kills::request, support::binary::Serving};

const READS: [&str; 4] = [
    "/sfp/api/integrations/credentials",
    "/sfp/api/integrations?provider=npm",
    "/sfp/api/audit?limit=1",
    "/health",
];

/// Runs the same requests at a level; returns the lines of requests as `method route status`, and the summaries.
fn requests_at(level: &str) -> (Vec<String>, Vec<Value>) {
    let folder = vault();
    let mut serving = Serving::start(folder.path(), &[SERVE, &["--log-level", level]].concat());
    let owner = stocked(&serving);
    let send = |method, path, bearer: &str| request(serving.address(), method, path, bearer, "").unwrap().0;
    for path in READS {
        assert_eq!(send("GET", path, &owner), 200, "{path}");
    }
    assert_eq!(send("GET", "/sfp/api/projects", &owner), 200, "a read without an audit record");
    assert_eq!(send("GET", READS[0], "sfp_app_example"), 401, "a read that is refused");
    assert_eq!(send("GET", "/sfp/api/projects/acme/app", &owner), 404, "a read of nothing");
    let project = r#"{"identifier":"acme/app"}"#;
    let made = request(serving.address(), "POST", "/sfp/api/projects", &owner, project).unwrap().0;
    assert_eq!(made, 201, "a change");
    assert!(serving.stop());
    let log = fs::read_to_string(folder.path().join("server.log")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let (summaries, lines): (Vec<Value>, Vec<Value>) = lines
        .filter(|line| line["message"].as_str().unwrap().starts_with("answered"))
        .partition(|line| line["message"] == "answered reads");
    let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    let requests = lines
        .iter()
        .map(|line| format!("{} {} {}", text(line, "method"), text(line, "route"), line["status"]));
    (requests.collect(), summaries)
}

const ALWAYS: [&str; 6] = [
    "POST /sfp/api/auth/login 200",
    "POST /sfp/api/integrations 201",
    "GET /sfp/api/projects 200",
    "GET /sfp/api/integrations/credentials 401",
    "GET /sfp/api/projects/{identifier...} 404",
    "POST /sfp/api/projects 201",
];

/// A line of 300 bytes for each read cost 13 % of the throughput, and repeated the audit log.
#[test]
fn a_read_is_only_counted_at_info_and_no_change_or_refusal_goes_without_its_line() {
    let (lines, summaries) = requests_at("info");
    assert_eq!(lines, ALWAYS);
    // A minute may end between two of the requests.
    let reads: u64 = summaries.iter().map(|line| line["reads"].as_u64().unwrap()).sum();
    assert_eq!(reads, READS.len() as u64);
    for path in READS {
        let counted = format!("{}: 1", path.split('?').next().unwrap());
        assert!(
            summaries.iter().any(|line| line["routes"].as_str().unwrap().contains(&counted)),
            "{counted}"
        );
    }
    assert!(summaries.iter().all(|line| line["level"] == "INFO"));
}

#[test]
fn every_request_is_a_line_at_debug_and_reads_leave_nothing_at_warn() {
    let (lines, _) = requests_at("debug");
    assert_eq!(lines.len(), ALWAYS.len() + READS.len(), "{lines:?}");
    for line in ALWAYS {
        assert!(lines.iter().any(|one| one == line), "{line}");
    }
    for path in READS {
        let line = format!("GET {} 200", path.split('?').next().unwrap());
        assert!(lines.contains(&line), "{line}");
    }
    let (lines, summaries) = requests_at("warn");
    assert!(lines.is_empty() && summaries.is_empty(), "{lines:?} {summaries:?}");
}

/// Logins and refreshes were strangers' lines: after sixty a minute they were only counted, and named nobody.
#[test]
fn a_user_who_logs_in_or_refreshes_is_named_in_each_line_however_many_there_are() {
    const REFRESHES: usize = 65;
    let folder = vault();
    let mut serving = Serving::start(folder.path(), SERVE);
    let send = |path: &str, body: &Value| {
        let (status, _, json) = request(serving.address(), "POST", path, "", &body.to_string()).unwrap();
        (status, json)
    };
    let login = |password: &str| {
        send("/sfp/api/auth/login", &json!({ "email": "ada@example.com", "password": password }))
    };
    assert_eq!(login("a-wrong-password").0, 401);
    let (_, mut session) = login("password-of-the-owner");
    for _ in 0..REFRESHES {
        let body = json!({ "refresh_token": session["refresh_token"] });
        let refreshed = send("/sfp/api/auth/refresh", &body);
        assert_eq!(refreshed.0, 200, "{}", refreshed.1);
        session = refreshed.1;
    }
    assert!(serving.stop());
    let log = fs::read_to_string(folder.path().join("server.log")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line["message"] == "answered").collect();
    let of = |caller: &str| lines.iter().filter(|line| line["caller"] == caller).count();
    assert_eq!((of("user:ada@example.com"), of("nobody")), (1 + REFRESHES, 1), "{log}");
}
