//! `status` for people: how much there is, and the few that end next.

use std::{
    process::Stdio,
    time::{Duration, SystemTime},
};

use sealroom::{
    auth::token,
    domain::{SessionId, SessionKind, Timestamp},
};
use serde_json::{Value, json};

use crate::support::{
    binary::{command, secret_file, stderr},
    fake::{Fake, Reply},
};

const DAY: u64 = 86_400_000;

fn time(from_now: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis((now.as_millis() as u64).saturating_add_signed(from_now)).to_string()
}

fn id(number: usize) -> String {
    format!("01a21198-0ea8-7d5a-987c-6ee7{number:08}")
}

/// A vault whose credentials and tokens end so many milliseconds from now.
fn vault(credentials: Vec<i64>, tokens: Vec<i64>) -> Fake {
    let at = time(0);
    let credential = |(number, end): (usize, &i64)| {
        json!({"id":id(number),"provider":"github","authType":"pat","name":format!("c{number}"),"isGlobal":true,
               "projects":[],"config":{},"expiresAt":time(*end),"revision":1,"createdAt":at,"createdBy":"x",
               "updatedAt":at,"lastAccessedAt":null,"lastAccessedBy":null})
    };
    let token = |(number, end): (usize, &i64)| {
        json!({"id":id(number),"name":format!("t{number}"),"role":"application","createdAt":at,
               "expiresAt":time(*end),"status":"active"})
    };
    let credentials = Value::from(credentials.iter().enumerate().map(credential).collect::<Vec<_>>());
    let tokens = Value::from(tokens.iter().enumerate().map(token).collect::<Vec<_>>());
    let user = json!({"id":id(0),"email":"ada@example.com","firstName":null,"lastName":null,"role":"owner",
                      "projects":null,"disabled":false,"createdAt":at,"lastLoginAt":null});
    let health =
        json!({"status":"healthy","version":"0.1.0","locked":false,"audit":"writable","uptimeSeconds":1});
    Fake::start(move |request, _| {
        let path = request.strip_prefix("GET /sfp/api/").unwrap().split('?').next().unwrap();
        let body = match path {
            "health" => &health,
            "users/me" => &user,
            "integrations" => &credentials,
            "application-tokens" => &tokens,
            "projects" => return Reply::json(200, "[]"),
            // An older server.
            "due" => return Reply::refusal(404, "route_not_found", "No such route"),
            other => panic!("{other}"),
        };
        Reply::json(200, &body.to_string())
    })
}

fn status(fake: &Fake, args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (owner, _) = token::session(SessionKind::Access, SessionId::from_bytes([7; 16])).unwrap();
    secret_file(folder.path(), "owner.token", std::str::from_utf8(owner.text.expose()).unwrap(), 0o600);
    let output = command(folder.path(), &[&["status"], args].concat())
        .env("SFP_SERVER_URL", &fake.url)
        .env("SFP_SERVER_TOKEN_FILE", "owner.token")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn days(days: u64) -> i64 {
    (days * DAY) as i64
}

/// 60 tokens of the default life made one line of 2 KB, and 1,100 one of 45 KB, on a day when nothing was the matter.
#[test]
fn status_is_never_longer_than_a_screen_however_much_there_is() {
    let many = |end: i64| (0..1_100).map(|number| end + number).collect::<Vec<i64>>();
    for (credentials, tokens, said) in [
        (vec![], many(days(30) - DAY as i64), ["none within 30 days", "none within 7 days"]),
        (many(days(31)), many(days(8)), ["none within 30 days", "none within 7 days"]),
        (many(days(29)), many(days(6)), ["1100 within 30 days: ", "1100 within 7 days: "]),
        (many(-days(5)), vec![], ["1100 within 30 days: github/pat c0 ended ", "none within 7 days"]),
        (
            vec![days(2)],
            vec![days(2)],
            ["1 within 30 days: github/pat c0 at ", "1 within 7 days: token t0 at "],
        ),
        ((0..5).map(|n| days(n + 1)).collect(), vec![], ["5 within 30 days: ", "none within 7 days"]),
        ((0..6).map(|n| days(n + 1)).collect(), vec![], ["; 1 more: sealroom integration list", "none"]),
    ] {
        let text = status(&vault(credentials, tokens), &[]);
        assert!(text.lines().count() <= 8 && text.len() < 1_200, "{} bytes: {text}", text.len());
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(line("credentials end").contains(said[0]), "{said:?}: {text}");
        assert!(line("tokens end").contains(said[1]), "{said:?}: {text}");
        assert!(text.matches(" at ").count() + text.matches(" ended ").count() <= 10, "{text}");
    }
}

#[test]
fn the_nearest_ends_are_the_ones_that_are_named_and_machines_get_all_of_them() {
    let fake = vault((1..=20).rev().map(days).collect(), (1..=9).rev().map(days).collect());
    let text = status(&fake, &[]);
    assert!(text.contains("20 within 30 days: github/pat c19 at "), "{text}");
    assert!(text.contains("; 15 more: sealroom integration list"), "{text}");
    assert!(text.contains("token t8 at ") && !text.contains("token t0 at "), "{text}");
    assert!(text.contains("20 integrations, 0 projects, 9 active tokens"), "{text}");
    let value: Value = serde_json::from_str(&status(&fake, &["--json"])).unwrap();
    let ends: Vec<&str> =
        value["expiring"].as_array().unwrap().iter().map(|one| one["expiresAt"].as_str().unwrap()).collect();
    assert!((26..=27).contains(&ends.len()), "20 credentials and the tokens of a week: {}", ends.len());
    assert!(ends.is_sorted(), "{ends:?}");
    assert_eq!(value["counts"], json!({"integrations":20,"projects":0,"tokens":9}));
}
