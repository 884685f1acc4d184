//! Markers in everything secret of a whole run, and none of them where it must not be.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use sealroom::clock::Clock;
use serde_json::{Value, json};

use crate::support::{
    binary::{PASSPHRASE, Serving, vault},
    otp::code,
    server::Client,
};

/// A marker in every spelling in which it could leak: plain, hexadecimal, percent-encoded, base64 at each alignment.
fn spellings(marker: &str) -> Vec<String> {
    let hex: String = marker.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = marker.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let escaped: String = marker.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let mut all = vec![marker.to_owned(), hex.to_uppercase(), hex, percent.to_lowercase(), percent, escaped];
    for skip in 0..3 {
        // The marker's part of a longer base64 text, for each offset at which the marker may begin.
        let whole = &marker.as_bytes()[skip..];
        all.push(STANDARD.encode(&whole[..whole.len() / 3 * 3]));
    }
    all
}

fn assert_clean(what: &str, text: &[u8], markers: &[&str]) {
    for marker in markers {
        for spelling in spellings(marker) {
            let found = text.windows(spelling.len()).any(|window| window == spelling.as_bytes());
            assert!(!found, "{marker} stands in {what} as {spelling}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_of_a_whole_run_stands_in_log_audit_metrics_errors_or_file() {
    let folder = vault();
    let folder = folder.path();
    let args = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let mut server = Serving::start(folder, &[&args[..], &["--log-level", "trace"]].concat());
    let mut client = Client::connect(server.address()).await;
    let mut markers = vec![
        PASSPHRASE.trim(),
        "credential-canary-9f3b",
        "config-canary-51ac",
        "password-canary-77de",
        "wrong-canary-20b8f1",
        "header-canary-4c1d",
        "body-canary-8e0a7",
        "query-canary-6f2b",
        "field-canary-3d9e1",
    ];
    let owner_password = fs::read_to_string(folder.join("owner")).unwrap();
    let login = json!({"email":"ada@example.com","password":owner_password}).to_string();
    let session = client.send("POST", "/sfp/api/auth/login", "", &login).await.unwrap().json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (owner, refresh) = (text(&session["access_token"]), text(&session["refresh_token"]));
    let mut said = Vec::new();
    let mut send = async |method: &str, path: &str, bearer: &str, body: &str| {
        let reply = client.send(method, path, bearer, body).await.unwrap();
        (reply.status, reply.body)
    };

    // Stored values, and answers to callers who may read them.
    let token = json!({"name":"ci"}).to_string();
    let (_, made) = send("POST", "/sfp/api/application-tokens", &owner, &token).await;
    let app = text(&serde_json::from_str::<Value>(&made).unwrap()["token"]);
    let user = json!({"email":"bob@example.com","password":"password-canary-77de"}).to_string();
    said.push(send("POST", "/sfp/api/users", &owner, &user).await);
    let integration = json!({
        "provider":"jira","authType":"basic_auth","isGlobal":true,"config":{"note":"config-canary-51ac"},
        "credentials":{"base_url":"https://acme.atlassian.net","username":"bot","api_token":"credential-canary-9f3b"},
    });
    let (status, stored) = send("POST", "/sfp/api/integrations", &owner, &integration.to_string()).await;
    assert_eq!(status, 201);
    let stored = stored.replace("config-canary-51ac", "");
    said.push((status, stored.clone()));
    let (status, read) = send("GET", "/sfp/api/integrations/credentials?provider=jira", &app, "").await;
    assert!(status == 200 && read.contains("credential-canary-9f3b"), "{read}");

    // A second factor, its first code, a one-time code and a wrong one.
    let otp = "/sfp/api/users/me/otp";
    let password = json!({ "currentPassword": owner_password }).to_string();
    let begun: Value = serde_json::from_str(&send("POST", otp, &owner, &password).await.1).unwrap();
    let first = json!({ "otp": code(begun["secret"].as_str().unwrap(), Clock::system().now()) }).to_string();
    let (status, set) = send("POST", &format!("{otp}/confirm"), &owner, &first).await;
    assert_eq!(status, 200, "{set}");
    let set: Value = serde_json::from_str(&set).unwrap();
    let (factor, one_time) = (text(&begun["secret"]), text(&set["codes"][0]));
    for (code, status) in [("header-canary-4c1d", 401), (one_time.as_str(), 200), (one_time.as_str(), 401)] {
        let body = json!({"email":"ada@example.com","password":owner_password,"otp":code}).to_string();
        let reply = send("POST", "/sfp/api/auth/login", "", &body).await;
        assert_eq!(reply.0, status, "{}", reply.1);
        said.extend((status == 401).then_some(reply));
    }

    // Refused requests, with secrets in every place where people put them by mistake.
    let id = text(&serde_json::from_str::<Value>(&stored).unwrap()["id"]);
    let rotate = format!("/sfp/api/integrations/{id}/credentials");
    let wrong = json!({"email":"bob@example.com","password":"wrong-canary-20b8f1"}).to_string();
    for (method, path, bearer, body) in [
        ("POST", "/sfp/api/auth/login", "", wrong.as_str()),
        ("POST", "/sfp/api/auth/login", "", r#"{"email":"body-canary-8e0a7","password":"#),
        ("POST", "/sfp/api/auth/refresh", "", r#"{"refresh_token":"body-canary-8e0a7"}"#),
        ("GET", "/sfp/api/integrations?provider=query-canary-6f2b", owner.as_str(), ""),
        ("GET", "/sfp/api/integrations?query-canary-6f2b~=x", &owner, ""),
        ("GET", "/sfp/api/audit?actor=query-canary-6f2b", &owner, ""),
        ("GET", "/sfp/api/audit", "header-canary-4c1d", ""),
        ("GET", "/sfp/api/integrations/query-canary-6f2b", &owner, ""),
        ("GET", "/sfp/api/query-canary-6f2b", &owner, ""),
        ("POST", "/sfp/api/integrations", &owner, r#"{"provider":"body-canary-8e0a7"}"#),
        ("POST", "/sfp/api/integrations", &owner, r#"{"field-canary-3d9e1 ":"body-canary-8e0a7"}"#),
        (
            "POST",
            "/sfp/api/integrations",
            &owner,
            r#"{"provider":"github","authType":"pat","credentials":{"tok":"body-canary-8e0a7"}}"#,
        ),
        ("PUT", &rotate, &owner, r#"{"credentials":{"token":"body-canary-8e0a7"}}"#),
        ("PUT", &rotate, &owner, r#"{"credentials":{"api_token":"body-canary-8e0a7"},}"#),
        (
            "POST",
            "/sfp/api/projects",
            &owner,
            r#"{"identifier":"a/b","remoteUrl":"https://x:body-canary-8e0a7@github.com/a/b"}"#,
        ),
    ] {
        let reply = send(method, path, bearer, body).await;
        assert!((400..500).contains(&reply.0), "{method} {path} {body}: {reply:?}");
        said.push(reply);
    }
    let (_, audit) = send("GET", "/sfp/api/audit?limit=1000", &owner, "").await;
    let (_, metrics) = send("GET", "/metrics", "", "").await;
    markers.extend([owner_password.as_str(), &owner, &refresh, &app, &factor, &one_time]);
    for (status, body) in said {
        assert_clean(&format!("an answer {status}"), body.as_bytes(), &markers);
    }
    assert_clean("the audit log", audit.as_bytes(), &markers);
    assert_clean("the metrics", metrics.as_bytes(), &markers);
    assert!(server.stop());
    let log = fs::read(folder.join("server.log")).unwrap();
    assert!(log.windows(8).any(|window| window == b"answered"), "the log is on");
    assert_clean("the log", &log, &markers);
    assert_clean("the file", &fs::read(folder.join("v.redb")).unwrap(), &markers);
}

#[test]
fn the_search_finds_every_spelling() {
    let marker = "credential-canary-9f3b";
    for spelling in spellings(marker) {
        let found = std::panic::catch_unwind(|| {
            assert_clean("a text", format!("x{spelling}y").as_bytes(), &[marker])
        });
        assert!(found.is_err(), "{spelling}");
    }
    let inside = STANDARD.encode(format!("ab{marker}cd"));
    assert!(std::panic::catch_unwind(|| assert_clean("a text", inside.as_bytes(), &[marker])).is_err());
}
