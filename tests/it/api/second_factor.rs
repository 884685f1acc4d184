//! Contract section 6: second factors.

use std::sync::Arc;

use sealroom::{
    disk::NewFile,
    domain::{AccessScope, Action, Actor, Event, Role, Timestamp, minutes, seconds},
    http::routes::{Access, ROUTES},
    vault::{Settings, Vault},
};
use serde_json::{Value, json};

use crate::support::{
    otp::{code, wrong_code},
    server::{OWNER, PASSPHRASE, PASSWORD, Reply, START, TestServer, plan, secret, settings},
};

const LOGIN: &str = "/sfp/api/auth/login";
const ME: &str = "/sfp/api/users/me";
const OTP: &str = "/sfp/api/users/me/otp";
const MEMBER: &str = "member@example.com";

async fn login(t: &TestServer, email: &str, password: &str, otp: Option<&str>) -> Reply {
    let mut body = json!({ "email": email, "password": password });
    if let Some(otp) = otp {
        body["otp"] = otp.into();
    }
    t.send("POST", LOGIN, "", &body.to_string()).await
}

/// Status and code of an answer.
fn told(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Goes on to the next step, whose code was not used.
fn next_step(t: &TestServer) {
    t.clock.set(t.clock.now().plus(seconds(30)));
}

async fn begin(t: &TestServer, bearer: &str) -> String {
    let begun = t.send("POST", OTP, bearer, &json!({ "currentPassword": PASSWORD }).to_string()).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    begun.json()["secret"].as_str().unwrap().to_owned()
}

async fn confirm(t: &TestServer, bearer: &str, otp: &str) -> Reply {
    t.send("POST", &format!("{OTP}/confirm"), bearer, &json!({ "otp": otp }).to_string()).await
}

/// Sets a second factor; returns its secret and the one-time codes, at a step whose code was not used.
async fn enrol(t: &TestServer, bearer: &str) -> (String, Vec<String>) {
    let secret = begin(t, bearer).await;
    let confirmed = confirm(t, bearer, &code(&secret, t.clock.now())).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    let codes = confirmed.json()["codes"].as_array().unwrap().clone();
    next_step(t);
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn events(t: &TestServer, action: &str) -> Vec<Value> {
    let path = format!("/sfp/api/audit?action={action}&limit=100");
    t.send("GET", &path, &t.owner, "").await.json().as_array().unwrap().clone()
}

async fn lock_and_unlock(t: &TestServer) {
    let now = t.clock.now();
    t.vault.lock(Event::new(now, Actor::host("test"), Action::VaultLock)).await.map_err(drop).unwrap();
    t.vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
}

#[tokio::test]
async fn a_user_sets_uses_and_removes_a_second_factor() {
    let t = TestServer::start().await;
    let other = t.login(MEMBER).await;
    let wrong = t.send("POST", OTP, &t.member, r#"{"currentPassword":"wrong-password-example"}"#).await;
    assert_eq!(told(&wrong), refused(403, "wrong_password"));
    assert_eq!(told(&confirm(&t, &t.member, "123456").await), refused(409, "otp_not_begun"));
    let first = begin(&t, &t.member).await;
    let secret = begin(&t, &t.member).await;
    assert_ne!(first, secret, "a second begin makes another one");
    assert_eq!(login(&t, MEMBER, PASSWORD, None).await.status, 200, "nothing is set before the first code");
    let now = t.clock.now();
    assert_eq!(told(&confirm(&t, &t.member, &wrong_code(&secret, now)).await), refused(403, "wrong_otp"));
    let confirmed = confirm(&t, &t.member, &code(&secret, now)).await;
    assert_eq!((confirmed.status, confirmed.json()["codes"].as_array().map(Vec::len)), (200, Some(10)));
    assert_eq!(told(&confirm(&t, &t.member, &code(&secret, now)).await), refused(409, "otp_not_begun"));
    let again = t.send("POST", OTP, &t.member, &json!({ "currentPassword": PASSWORD }).to_string()).await;
    assert_eq!(told(&again), refused(409, "otp_set"));

    assert_eq!(t.send("GET", ME, &other, "").await.status, 401, "another session has ended");
    let me = t.send("GET", ME, &t.member, "").await;
    assert_eq!((me.status, &me.json()["otp"]), (200, &json!(true)), "the own one goes on");
    let all = t.send("GET", "/sfp/api/users", &t.owner, "").await;
    for shown in [&me.body, &all.body] {
        assert!(!shown.contains(&secret) && !shown.contains("codes"), "{shown}");
    }
    assert!(all.json().as_array().unwrap().iter().any(|user| user.get("otp").is_none()), "{}", all.body);

    next_step(&t);
    assert_eq!(told(&login(&t, MEMBER, PASSWORD, None).await), refused(401, "otp_required"));
    let with_code = login(&t, MEMBER, PASSWORD, Some(&code(&secret, t.clock.now()))).await;
    assert_eq!(with_code.status, 200, "{}", with_code.body);
    let session = with_code.json()["access_token"].as_str().unwrap().to_owned();

    let remove = |otp: &str| json!({ "currentPassword": PASSWORD, "otp": otp }).to_string();
    let used = t.send("DELETE", OTP, &session, &remove(&code(&secret, t.clock.now()))).await;
    assert_eq!(told(&used), refused(403, "wrong_otp"), "the code of the login");
    next_step(&t);
    let removed = t.send("DELETE", OTP, &session, &remove(&code(&secret, t.clock.now()))).await;
    assert_eq!((removed.status, removed.json()["user"].get("otp")), (200, None), "{}", removed.body);
    assert_eq!(login(&t, MEMBER, PASSWORD, None).await.status, 200);
    next_step(&t);
    let gone = t.send("DELETE", OTP, &session, &remove(&code(&secret, t.clock.now()))).await;
    assert_eq!(told(&gone), refused(404, "otp_not_set"));
}

#[tokio::test]
async fn a_code_counts_once_whatever_comes_between_and_never_an_older_one() {
    let t = TestServer::start().await;
    let (secret, _) = enrol(&t, &t.member).await;
    let now = t.clock.now();
    let ahead = code(&secret, now.plus(seconds(30)));
    let (current, before) = (code(&secret, now), code(&secret, now.minus(seconds(30))));
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&before)).await.status, 401, "the one that confirmed it");
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&current)).await.status, 200);
    for spelling in [current.clone(), format!(" {} {}", &current[..3], &current[3..]), format!("{current}-")]
    {
        assert_eq!(told(&login(&t, MEMBER, PASSWORD, Some(&spelling)).await), refused(401, "bad_otp"));
    }
    lock_and_unlock(&t).await;
    t.clock.set(t.clock.now().plus(minutes(6)));
    let now = t.clock.now();
    let (current, ahead_now) = (code(&secret, now), code(&secret, now.plus(seconds(30))));
    assert_ne!(ahead, ahead_now);
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&ahead_now)).await.status, 200, "a clock that is ahead");
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&current)).await.status, 401, "an older one than was used");
    lock_and_unlock(&t).await;
    for used in [&ahead_now, &current] {
        assert_eq!(login(&t, MEMBER, PASSWORD, Some(used)).await.status, 401, "after a restart");
    }
    t.clock.set(now.minus(seconds(60)));
    let past = code(&secret, t.clock.now());
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&past)).await.status, 401, "a clock that is set back");
}

/// Two logins with one code that were checked at the same time.
#[tokio::test]
async fn of_many_logins_with_one_code_at_once_one_is_let_in() {
    let t = Arc::new(TestServer::start().await);
    let (secret, codes) = enrol(&t, &t.member).await;
    for otp in [code(&secret, t.clock.now()), codes[0].clone()] {
        let tries: Vec<_> = (0..4)
            .map(|_| {
                let (t, otp) = (Arc::clone(&t), otp.clone());
                tokio::spawn(async move { login(&t, MEMBER, PASSWORD, Some(&otp)).await.status })
            })
            .collect();
        let mut statuses = Vec::new();
        for one in tries {
            statuses.push(one.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401, 401]);
        t.clock.set(t.clock.now().plus(minutes(6)));
    }
}

#[tokio::test]
async fn only_the_right_password_learns_that_a_code_is_needed_and_at_the_same_work() {
    let t = TestServer::start().await;
    let gone = t.user("gone@example.com", Role::Member, AccessScope::default()).await;
    let (secret, _) = enrol(&t, &t.member).await;
    let (of_gone, _) = enrol(&t, &gone).await;
    t.change_user("gone@example.com", r#"{"disabled":true}"#).await;
    let now = t.clock.now();
    let (right, right_of_gone) = (code(&secret, now), code(&of_gone, now));
    let mut answers = Vec::new();
    for (email, password, otp) in [
        (MEMBER, "wrong-password-example", None),
        (MEMBER, "wrong-password-example", Some(&*right)),
        (OWNER, "wrong-password-example", Some("123456")),
        ("nobody@example.com", PASSWORD, None),
        ("nobody@example.com", PASSWORD, Some(&*right)),
        ("gone@example.com", PASSWORD, None),
        ("gone@example.com", PASSWORD, Some(&*right_of_gone)),
    ] {
        let runs = t.vault.password_runs();
        let reply = login(&t, email, password, otp).await;
        let message = reply.json()["message"].clone();
        answers.push((
            told(&reply),
            message,
            reply.header("www-authenticate"),
            t.vault.password_runs() - runs,
        ));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!((&answers[0].0, answers[0].3), (&refused(401, "bad_login"), 1));
    let runs = t.vault.password_runs();
    let asked = login(&t, MEMBER, PASSWORD, None).await;
    assert_eq!((told(&asked), t.vault.password_runs() - runs), (refused(401, "otp_required"), 1));
    assert_eq!(asked.header("www-authenticate").as_deref(), Some("Bearer"));
    let runs = t.vault.password_runs();
    let wrong = login(&t, MEMBER, PASSWORD, Some(&wrong_code(&secret, now))).await;
    assert_eq!((told(&wrong), t.vault.password_runs() - runs), (refused(401, "bad_otp"), 1));
    assert_eq!(
        login(&t, OWNER, PASSWORD, Some("123456")).await.status,
        200,
        "one without a factor needs no code"
    );
}

/// With the password one could try codes, and make the server hash, for ever, if a login without a code did not count.
#[tokio::test]
async fn a_wrong_code_and_none_count_as_a_wrong_password_until_a_login_succeeds() {
    let t = TestServer::start().await;
    let (secret, codes) = enrol(&t, &t.member).await;
    let wrong = wrong_code(&secret, t.clock.now());
    for _ in 0..2 {
        assert_eq!(told(&login(&t, MEMBER, PASSWORD, Some(&wrong)).await), refused(401, "bad_otp"));
        assert_eq!(told(&login(&t, MEMBER, PASSWORD, None).await), refused(401, "otp_required"));
    }
    assert_eq!(told(&login(&t, MEMBER, PASSWORD, Some(&wrong)).await), refused(401, "bad_otp"));
    let runs = t.vault.password_runs();
    let held = login(&t, MEMBER, PASSWORD, Some(&code(&secret, t.clock.now()))).await;
    assert_eq!((told(&held), t.vault.password_runs()), (refused(429, "too_many_tries"), runs));
    for _ in 0..7 {
        t.clock.set(t.clock.now().plus(minutes(5)));
        let wrong = wrong_code(&secret, t.clock.now());
        login(&t, MEMBER, PASSWORD, Some(&wrong)).await;
    }
    // Ten within an hour: now the password is not held back, and a right code is.
    t.clock.set(t.clock.now().plus(minutes(5)));
    assert_eq!(told(&login(&t, MEMBER, PASSWORD, None).await), refused(401, "otp_required"));
    for right in [code(&secret, t.clock.now()), codes[0].clone()] {
        assert_eq!(told(&login(&t, MEMBER, PASSWORD, Some(&right)).await), refused(429, "too_many_tries"));
    }
    let body = json!({ "currentPassword": PASSWORD, "otp": codes[0] }).to_string();
    assert_eq!(t.send("DELETE", OTP, &t.member, &body).await.status, 429, "every place that tries a code");
    t.clock.set(t.clock.now().plus(minutes(60)));
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&codes[0])).await.status, 200);
}

/// A stranger with the right password was a line in the server's log, and in the audit log one of many nameless refusals.
#[tokio::test]
async fn no_wrong_code_of_a_right_password_goes_without_an_event_that_names_the_user() {
    let t = TestServer::start().await;
    let (secret, _) = enrol(&t, &t.member).await;
    let right = code(&secret, t.clock.now());
    for otp in [wrong_code(&secret, t.clock.now()), "abcde-fghjk".to_owned(), "x".to_owned()] {
        assert_eq!(told(&login(&t, MEMBER, PASSWORD, Some(&otp)).await), refused(401, "bad_otp"));
        let event = &events(&t, "session.login").await[0];
        assert_eq!(
            (&event["actor"], &event["outcome"], &event["detail"]),
            (&json!("user:member@example.com"), &json!("denied"), &json!({ "otp": false }))
        );
    }
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&right)).await.status, 200);
    let before = events(&t, "session.login").await.len();
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&right)).await.status, 401, "a used one");
    assert_eq!(events(&t, "session.login").await.len(), before + 1);
    login(&t, MEMBER, "wrong-password-example", Some(&right)).await;
    assert_eq!(events(&t, "session.login").await.len(), before + 1, "a wrong password grows no file");
}

#[tokio::test]
async fn a_one_time_code_logs_in_once_is_on_record_and_ends_with_its_list() {
    let t = TestServer::start().await;
    let (secret, codes) = enrol(&t, &t.member).await;
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&codes[3].to_uppercase())).await.status, 200);
    let event = &events(&t, "session.login").await[0];
    assert_eq!(
        (&event["actor"], &event["detail"]),
        (&json!("user:member@example.com"), &json!({"code":4,"count":9}))
    );
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&codes[3])).await.status, 401, "again");
    lock_and_unlock(&t).await;
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&codes[3])).await.status, 401, "after a restart");
    assert_eq!(login(&t, MEMBER, PASSWORD, Some(&code(&secret, t.clock.now()))).await.status, 200);
    assert_eq!(events(&t, "session.login").await[0]["detail"], json!({ "otp": true }));

    let body = json!({ "currentPassword": PASSWORD, "otp": codes[4] }).to_string();
    let renewed = t.send("POST", &format!("{OTP}/codes"), &t.member, &body).await;
    let new = renewed.json()["codes"].as_array().unwrap().clone();
    assert_eq!((renewed.status, new.len()), (200, 10));
    for old in [&codes[0], &codes[4]] {
        assert_eq!(login(&t, MEMBER, PASSWORD, Some(old)).await.status, 401, "of the earlier list");
    }
    assert_eq!(login(&t, MEMBER, PASSWORD, new[0].as_str()).await.status, 200);
    for event in [events(&t, "user.update").await, events(&t, "session.login").await].concat() {
        let text = event.to_string();
        assert!(!codes.iter().any(|code| text.contains(code)) && !text.contains(&secret), "{text}");
    }
}

#[tokio::test]
async fn a_second_factor_is_taken_away_by_its_own_code_or_by_another_owner_and_never_by_a_session_alone() {
    let t = TestServer::start().await;
    let second = t.user("second@example.com", Role::Owner, AccessScope::default()).await;
    enrol(&t, &t.owner).await;
    let path = |email: &str| format!("/sfp/api/users/{email}/otp");
    for body in [
        json!({ "currentPassword": PASSWORD }),
        json!({ "otp": "123456" }),
        json!({ "currentPassword": PASSWORD, "otp": "123456" }),
        json!({ "currentPassword": "wrong-password-example", "otp": "123456" }),
    ] {
        let kept = t.send("DELETE", OTP, &t.owner, &body.to_string()).await;
        assert!(matches!(kept.status, 400 | 403), "{body}: {}", kept.body);
    }
    for own in [OWNER, "OWNER@example.com", "owner%40example.com"] {
        assert_eq!(
            told(&t.send("DELETE", &path(own), &t.owner, "").await),
            refused(403, "forbidden"),
            "{own}"
        );
    }
    assert_eq!(t.send("DELETE", &path(OWNER), &t.member, "").await.status, 403);
    let change = r#"{"otp":false}"#;
    assert_eq!(t.send("PUT", &format!("/sfp/api/users/{OWNER}"), &second, change).await.status, 400);
    assert_eq!(told(&login(&t, OWNER, PASSWORD, None).await), refused(401, "otp_required"), "it holds still");

    assert_eq!(told(&t.send("DELETE", &path(MEMBER), &second, "").await), refused(404, "otp_not_set"));
    assert_eq!(
        told(&t.send("DELETE", &path("x@example.com"), &second, "").await),
        refused(404, "user_not_found")
    );
    let removed = t.send("DELETE", &path(OWNER), &second, "").await;
    assert_eq!((removed.status, &removed.json()["success"]), (200, &json!(true)), "{}", removed.body);
    assert_eq!(t.send("GET", ME, &t.owner, "").await.status, 401, "its sessions have ended");
    let back = login(&t, OWNER, PASSWORD, None).await;
    assert_eq!(back.status, 200);
    let bearer = back.json()["access_token"].as_str().unwrap().to_owned();
    let log = t.send("GET", "/sfp/api/audit?action=user.update&limit=2", &bearer, "").await.json();
    let expected = |otp: Value| json!({ "email": OWNER, "role": "owner", "otp": otp, "fields": ["otp"] });
    assert_eq!(log[0]["actor"], "user:second@example.com");
    assert_eq!(log[0]["detail"], json!({ "email": OWNER, "role": "owner", "fields": ["otp"] }));
    assert_eq!(log[1]["outcome"], "denied", "those who may not");
    let all =
        t.send("GET", "/sfp/api/audit?action=user.update&outcome=allowed&limit=2", &bearer, "").await.json();
    assert_eq!(
        (&all[1]["actor"], &all[1]["detail"]),
        (&json!("user:owner@example.com"), &expected(json!(true)))
    );
}

#[tokio::test]
async fn an_owner_without_a_second_factor_reaches_nothing_but_enrolment_where_it_is_demanded() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewFile::begin(&folder.path().join("test.redb")).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
    let file = new.publish().unwrap();
    let vault = Vault::open(file.medium(), Settings { owners_need_otp: true, ..settings() }).unwrap();
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("test"), now, None).await.unwrap();
    let mut t = TestServer::serving(Arc::new(vault), now).await;
    t.owner = t.login(OWNER).await;
    for route in ROUTES {
        if !matches!(route.access, Access::Needs(_) | Access::OwnOr(..)) {
            continue;
        }
        let path = route.path.replace("{email}", "owner@example.com").replace("{identifier...}", "acme/app");
        let path = path.replace("{id}", "01a21198-0ea8-7d5a-987c-6ee7878c59a0").replace("{token}", "x");
        let enrols = ["/users/me", "/users/me/otp", "/users/me/otp/confirm", "/auth/logout"];
        let enrols = enrols.iter().any(|end| path == format!("/sfp/api{end}")) && route.method != "DELETE";
        if enrols {
            continue;
        }
        let reply = t.send(route.method, &path, &t.owner, "").await;
        assert_eq!(told(&reply), refused(403, "otp_enrolment_required"), "{} {path}", route.method);
    }
    assert_eq!(t.send("GET", ME, &t.owner, "").await.status, 200);
    let (secret, _) = enrol(&t, &t.owner).await;
    assert_eq!(t.send("GET", "/sfp/api/users", &t.owner, "").await.status, 200, "the same session");
    let member = t.user(MEMBER, Role::Member, AccessScope::default()).await;
    assert_eq!(t.send("GET", "/sfp/api/projects", &member, "").await.status, 200, "members are not asked");
    let body = json!({ "currentPassword": PASSWORD, "otp": code(&secret, t.clock.now()) }).to_string();
    assert_eq!(t.send("DELETE", OTP, &t.owner, &body).await.status, 200);
    assert_eq!(t.send("GET", "/sfp/api/users", &t.owner, "").await.status, 403, "and without it again");
}
