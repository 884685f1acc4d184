//! The metrics page.

use std::process::{Command, Stdio};

use sealroom::{
    domain::{AccessScope, Role},
    http::Limits,
};

use crate::support::server::TestServer;

/// A server after a busy minute.
async fn busy(listen: &str) -> TestServer {
    let t = TestServer::start_at(Limits::STANDARD, listen, false).await;
    t.project("acme/app").await;
    t.github("ghp_example_canary", r#""isGlobal":true"#).await;
    let soon = r#"{"provider":"azure-devops","authType":"pat","credentials":{"token":"canary"},"isGlobal":true,"expiresAt":"2026-12-01T00:00:00Z"}"#;
    assert_eq!(t.send("POST", "/sfp/api/integrations", &t.owner, soon).await.status, 201);
    for bearer in [&t.app, &t.member, ""] {
        t.send("GET", "/sfp/api/integrations/credentials", bearer, "").await;
        t.send("GET", "/sfp/api/users", bearer, "").await;
    }
    t.send("GET", "/nowhere/canary", &t.owner, "").await;
    t.vault.set_free_bytes(1 << 40);
    t
}

#[tokio::test]
async fn the_page_has_every_number_and_no_name() {
    let t = busy("127.0.0.1:0").await;
    let page = t.send("GET", "/metrics", "", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        r#"sealroom_http_requests_total{method="GET",route="/sfp/api/integrations/credentials",status="200"} 2"#,
        r#"sealroom_http_requests_total{method="GET",route="/sfp/api/integrations/credentials",status="401"} 1"#,
        r#"sealroom_http_requests_total{method="",route="none",status="404"} 1"#,
        r#"sealroom_http_request_duration_seconds_count{method="POST",route="/sfp/api/integrations"} 2"#,
        r#"sealroom_rejected_authentications_total{kind="token"} 2"#,
        r#"sealroom_integrations{provider="github"} 1"#,
        r#"sealroom_integrations_expiring{provider="azuredevops"} 1"#,
        r#"sealroom_integrations_expiring{provider="github"} 0"#,
        "sealroom_queue_depth 0",
        "sealroom_locked 0",
        "sealroom_audit_writable 1",
        "sealroom_disk_free_bytes 1099511627776",
        "sealroom_verified_backup_age_seconds +Inf",
        "sealroom_password_checks_total 2",
    ] {
        assert!(page.body.lines().any(|one| one == line), "{line}\n{}", page.body);
    }
    for name in ["audit_sequence", "file_bytes", "commit_duration_seconds_sum", "commit_batch_jobs_count"] {
        let line = page.body.lines().find(|line| line.starts_with(&format!("sealroom_{name} ")));
        let value: f64 = line.unwrap_or_else(|| panic!("{name}")).split(' ').nth(1).unwrap().parse().unwrap();
        assert!(value > 0.0 || name.ends_with("_sum"), "{name}");
    }
    for name in ["canary", "acme", "example.com", "127.0.0.1", "sfp_app_", &t.app, &t.owner] {
        assert!(!page.body.contains(name), "{name}");
    }
}

#[tokio::test]
async fn promtool_accepts_the_page() {
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    let t = busy("127.0.0.1:0").await;
    let page = t.send("GET", "/metrics", "", "").await;
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), page.body.as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn elsewhere_than_on_loopback_the_page_is_for_owners_and_operators() {
    let t = busy("0.0.0.0:0").await;
    let (auditor, operator) = (
        t.token(Role::Auditor, AccessScope::default()).await,
        t.token(Role::Operator, AccessScope::default()).await,
    );
    for (bearer, status) in
        [(&*t.owner, 200), (&operator, 200), (&auditor, 403), (&t.member, 403), (&t.app, 403), ("", 401)]
    {
        assert_eq!(t.send("GET", "/metrics", bearer, "").await.status, status);
    }
    let proxied = TestServer::start_at(Limits::STANDARD, "127.0.0.1:0", true).await;
    for (bearer, status) in [("", 401), (proxied.owner.as_str(), 200)] {
        let hop = "X-Forwarded-For: 192.0.2.9\r\n";
        assert_eq!(proxied.send_with("GET", "/metrics", bearer, hop, "").await.status, status);
    }
}
