//! Projects of every shape that forges have: each has one spelling, and what is none is refused with the reason.

use serde_json::{Value, json};

use crate::support::server::TestServer;

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

async fn register(t: &TestServer, body: &Value) -> (u16, Value) {
    let reply = t.send("POST", "/sfp/api/projects", &t.owner, &body.to_string()).await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn no_project_of_a_forge_is_left_without_a_name() {
    let t = TestServer::start().await;
    let deep = (1..=20).map(|level| format!("g{level}")).collect::<Vec<_>>().join("/");
    for name in [
        "payments",
        "12345",
        "group/sub/subsub/deep/app",
        "contoso/My Project/app",
        "contoso/My  Project (old) & new/app+1",
        "a?b#c/d;e=f",
        "acme\\app",
        "...",
        &deep,
        &"x".repeat(200),
    ] {
        let (status, made) = register(&t, &json!({ "identifier": name })).await;
        assert_eq!((status, &made["identifier"]), (201, &json!(name)), "{made}");
        assert_eq!((&made["remoteUrl"], &made["platform"]), (&json!(null), &json!("other")));
        let id = t.github("ghp_example", &format!(r#""projects":[{}]"#, json!(name))).await;
        // By path with its slashes encoded and raw, and by query in both spellings of a blank.
        let whole: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let raw = whole.replace("%2F", "/");
        for path in [&whole, &raw] {
            let found = t.send("GET", &format!("/sfp/api/projects/{path}"), &t.owner, "").await;
            assert_eq!((found.status, &found.json()["integrations"][0]["id"]), (200, &json!(id)), "{name}");
        }
        for project in [whole.clone(), raw.clone(), raw.replace("%20", "+")] {
            let read = t.send("GET", &format!("{CREDENTIALS}?project={project}"), &t.app, "").await;
            assert_eq!((read.status, &read.json()[0]["integration_id"]), (200, &json!(id)), "{name}");
        }
        let log = t.send("GET", &format!("/sfp/api/audit?project={whole}"), &t.owner, "").await.json();
        assert_eq!(log[0]["project"], json!(name));
        assert_eq!(t.send("DELETE", &format!("/sfp/api/integrations/{id}"), &t.owner, "").await.status, 200);
        let gone = t.send("DELETE", &format!("/sfp/api/projects/{whole}"), &t.owner, "").await;
        assert_eq!((gone.status, &gone.json()["identifier"]), (200, &json!(name)));
    }
}

/// `contoso/My%20Project/app` was stored as it stands, so that the documented spelling of a blank found nothing and only
/// `%2520` did.
#[tokio::test]
async fn a_percent_sign_never_makes_a_second_name_of_a_project() {
    let t = TestServer::start().await;
    assert_eq!(register(&t, &json!({ "identifier": "contoso/My Project/app" })).await.0, 201);
    let token = |project: &str| json!({ "name": "ci", "projects": [project] }).to_string();
    let npm = |project: &str| {
        json!({ "provider": "npm", "authType": "pat", "credentials": { "token": "x" }, "projects": [project] })
            .to_string()
    };
    let user = |project: &str| json!({ "email": "bob@example.com", "projects": [project] }).to_string();
    for name in ["contoso/My%20Project/app", "contoso%2FMy Project%2Fapp", "100%", "%zz", "a/%"] {
        let encoded = name.replace('%', "%25").replace(' ', "%20");
        for (method, path, body) in [
            ("POST", "/sfp/api/projects".to_owned(), json!({ "identifier": name }).to_string()),
            ("POST", "/sfp/api/integrations".to_owned(), npm(name)),
            ("POST", "/sfp/api/application-tokens".to_owned(), token(name)),
            ("POST", "/sfp/api/users".to_owned(), user(name)),
            ("GET", format!("/sfp/api/projects/{encoded}"), String::new()),
            ("DELETE", format!("/sfp/api/projects/{encoded}"), String::new()),
            ("GET", format!("{CREDENTIALS}?project={encoded}"), String::new()),
        ] {
            let refused = t.send(method, &path, &t.owner, &body).await;
            let message = refused.json()["message"].as_str().unwrap().to_owned();
            assert_eq!(refused.status, 400, "{method} {path}: {message}");
            assert!(message.contains("without %: a blank as a blank"), "{method} {path}: {message}");
        }
    }
    let all = t.send("GET", "/sfp/api/projects", &t.owner, "").await.json();
    assert_eq!(all.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_identifier_says_what_one_is() {
    let t = TestServer::start().await;
    let deep = ["g"; 21].join("/");
    for (name, rule) in [
        ("", "1 to 200 printable ASCII characters"),
        ("a\tb", "1 to 200 printable ASCII characters"),
        ("\u{e9}/app", "1 to 200 printable ASCII characters"),
        (&*"x".repeat(201), "1 to 200 printable ASCII characters"),
        (&*deep, "1 to 20 segments like org/repo"),
        ("a//b", "1 to 20 segments like org/repo"),
        ("a/../b", "1 to 20 segments like org/repo"),
        (" a", "1 to 20 segments like org/repo"),
        ("a/b ", "1 to 20 segments like org/repo"),
        ("a /b", "1 to 20 segments like org/repo"),
    ] {
        let (status, refused) = register(&t, &json!({ "identifier": name })).await;
        let message = refused["message"].as_str().unwrap();
        assert_eq!((status, &refused["code"]), (400, &json!("invalid_field")), "{name:?}");
        assert!(message.contains(rule), "{name:?}: {message}");
        assert!(name.len() < 3 || !message.contains(name), "it is not repeated: {message}");
    }
}

#[tokio::test]
async fn a_remote_url_never_stores_a_password_or_what_no_git_reads() {
    let t = TestServer::start().await;
    for (n, (url, rule)) in [
        ("git:secret-example@host:path", "without a password"),
        ("git%3Asecret-example@host:path", "without a password"),
        ("https://ada:secret-example@github.com/a/b", "without a password"),
        ("https:///ada:secret-example@github.com/a/b", "without a password"),
        ("ssh://git:secret-example@github.com/a/b", "without a password"),
        ("https://secret-example@github.com/a/b", "drop what is before the @"),
        ("javascript:alert(1)", "http(s) or ssh URL, or user@host"),
        ("github.com:acme/app", "http(s) or ssh URL, or user@host"),
        ("ssh://-oProxyCommand=x/y", "http(s) or ssh URL, or user@host"),
        ("", "http(s) or ssh URL, or user@host"),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, refused) =
            register(&t, &json!({ "identifier": format!("a/{n}"), "remoteUrl": url })).await;
        let message = refused["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(rule), "{url}: {message}");
        assert!(!refused.to_string().contains("secret-example"), "{refused}");
    }
    for (n, (url, platform)) in [
        ("git@[fe80::1]:acme/app.git", "other"),
        ("org-12345@github.com:acme/app.git", "github"),
        ("ssh://git@gitlab.example.com:2222/acme/app", "gitlab"),
        ("http://git.example.com/acme/app", "other"),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, made) = register(&t, &json!({ "identifier": format!("b/{n}"), "remoteUrl": url })).await;
        assert_eq!((status, &made["remoteUrl"], &made["platform"]), (201, &json!(url), &json!(platform)));
    }
}
