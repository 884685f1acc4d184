//! Second factors across restarts, a recovery and a restore of the real binary.

use std::{fs, path::Path};

use sealroom::{
    clock::Clock,
    domain::{Timestamp, seconds},
};
use serde_json::{Value, json};

use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, sealroom, secret_file, stderr, vault},
        otp::code,
    },
};

const ADA: &str = "ada@example.com";
const SERVE: &[&str] =
    &["serve", "--json", "--data", "v.redb", "--listen", "127.0.0.1:0", "--passphrase-file", "pass"];

fn call(server: &Serving, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, body) = request(server.address(), method, path, bearer, &body).unwrap();
    (status, body)
}

fn login(server: &Serving, password: &str, otp: &str) -> (u16, String) {
    let mut body = json!({ "email": ADA, "password": password });
    if !otp.is_empty() {
        body["otp"] = otp.into();
    }
    let (status, body) = call(server, "POST", "/sfp/api/auth/login", "", &body);
    (status, body["access_token"].as_str().unwrap_or_default().to_owned())
}

/// A second factor of the owner.
struct Factor {
    secret: String,
    codes: Vec<String>,
    /// The time of its first code.
    first: Timestamp,
}

impl Factor {
    fn set(server: &Serving, session: &str, password: &str) -> Self {
        let otp = "/sfp/api/users/me/otp";
        let (status, begun) = call(server, "POST", otp, session, &json!({ "currentPassword": password }));
        assert_eq!(status, 200, "{begun}");
        let (secret, first) = (begun["secret"].as_str().unwrap().to_owned(), Clock::system().now());
        let body = json!({ "otp": code(&secret, first) });
        let (status, set) = call(server, "POST", &format!("{otp}/confirm"), session, &body);
        assert_eq!(status, 200, "{set}");
        let codes = set["codes"].as_array().unwrap().iter();
        Self { secret, codes: codes.map(|code| code.as_str().unwrap().to_owned()).collect(), first }
    }

    fn first_code(&self) -> String {
        code(&self.secret, self.first)
    }

    /// The code of the step after the first one; a server whose clock is behind or on time takes it.
    fn next_code(&self) -> String {
        code(&self.secret, self.first.plus(seconds(30)))
    }
}

fn doctor_is_content(folder: &Path) {
    let checked = sealroom(folder, &["doctor", "--json", "--data", "v.redb", "--passphrase-file", "pass"]);
    let text = String::from_utf8(checked.stdout.clone()).unwrap();
    assert!(checked.status.success(), "{text}{}", stderr(&checked));
    assert!(text.contains("the log explains"), "{text}");
}

#[test]
fn a_used_code_stays_used_across_restarts_and_a_recovery_takes_the_factor_away() {
    let folder = vault();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let mut server = Serving::start(folder, SERVE);
    let (_, session) = login(&server, &password, "");
    let factor = Factor::set(&server, &session, &password);
    assert!(server.stop());
    let mut server = Serving::start(folder, SERVE);
    assert_eq!(login(&server, &password, &factor.first_code()).0, 401, "it confirmed the factor");
    assert_eq!(login(&server, &password, &factor.next_code()).0, 200);
    assert_eq!(login(&server, &password, &factor.codes[0]).0, 200);
    server.signal(rustix::process::Signal::KILL);
    server.child.wait().unwrap();
    let mut server = Serving::start(folder, SERVE);
    for used in [&factor.next_code(), &factor.first_code(), &factor.codes[0]] {
        assert_eq!(login(&server, &password, used).0, 401, "after a kill");
    }
    assert!(server.stop());
    doctor_is_content(folder);

    secret_file(folder, "new", "a-password-example-of-mine\n", 0o600);
    let args =
        ["recover", "owner", "--data", "v.redb", "--passphrase-file", "pass", "--owner-password-file", "new"];
    let recovered = sealroom(folder, &args);
    assert!(recovered.status.success(), "{}", stderr(&recovered));
    assert!(stderr(&recovered).contains("the second factor was removed"), "{}", stderr(&recovered));
    let mut server = Serving::start(folder, SERVE);
    let (status, session) = login(&server, "a-password-example-of-mine", "");
    assert_eq!(status, 200, "no code is needed");
    let (_, events) = call(&server, "GET", "/sfp/api/audit?action=vault.recover", &session, &Value::Null);
    assert_eq!(events[0]["detail"], json!({ "email": ADA, "otp": false }));
    assert!(server.stop());
    doctor_is_content(folder);
    let again = sealroom(folder, &args);
    assert!(!stderr(&again).contains("second factor"), "there was none: {}", stderr(&again));
}

#[test]
fn no_code_that_was_used_after_a_backup_is_used_again_after_its_restore() {
    let folder = vault();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let mut server = Serving::start(folder, SERVE);
    let (_, session) = login(&server, &password, "");
    let factor = Factor::set(&server, &session, &password);
    fs::write(folder.join("bearer"), &session).unwrap();
    secret_file(folder, "bearer", &session, 0o600);
    let args = ["backup", "backup.redb", "--server", &server.url, "--token-file", "bearer"];
    let backup = sealroom(folder, &args);
    assert!(backup.status.success(), "{}", stderr(&backup));
    assert_eq!(login(&server, &password, &factor.next_code()).0, 200);
    let (_, session) = login(&server, &password, &factor.codes[6]);
    let otp = json!({ "currentPassword": password, "otp": factor.codes[7] });
    assert_eq!(call(&server, "POST", "/sfp/api/users/me/otp/codes", &session, &otp).0, 200);
    assert!(server.stop());

    let args = ["restore", "backup.redb", "--data", "v.redb", "--passphrase-file", "pass", "--force"];
    let restored = sealroom(folder, &args);
    let said = format!("{}{}", stderr(&restored), String::from_utf8_lossy(&restored.stdout));
    assert!(restored.status.success(), "{said}");
    assert!(said.contains("2 one-time codes of ada@example.com used up"), "{said}");
    assert!(said.contains("the second factor of ada@example.com was set, changed or removed"), "{said}");
    let mut server = Serving::start(folder, SERVE);
    for used in [factor.first_code(), factor.next_code(), factor.codes[6].clone(), factor.codes[7].clone()] {
        assert_eq!(login(&server, &password, &used).0, 401, "{used}");
    }
    assert_eq!(login(&server, &password, &factor.codes[0]).0, 200, "one that was not used");
    assert!(server.stop());
    doctor_is_content(folder);
}

#[test]
fn a_demanded_second_factor_is_said_at_start_and_set_by_flag_variable_or_file() {
    let folder = vault();
    let folder = folder.path();
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    fs::write(folder.join("c.toml"), "owners_need_otp = true\n").unwrap();
    for (more, variable) in [
        (&["--owners-need-otp"][..], None),
        (&["--config", "c.toml"], None),
        (&[], Some("true")),
        (&["--config", "c.toml"], Some("false")),
    ] {
        let args = [SERVE, more].concat();
        let mut command = crate::support::binary::command(folder, &args);
        command.stdin(std::process::Stdio::null());
        command.envs(variable.map(|value| ("SEALROOM_OWNERS_NEED_OTP", value)));
        let mut server = Serving::spawn(command, folder);
        let demanded = variable != Some("false");
        let (_, session) = login(&server, &password, "");
        let (status, body) = call(&server, "GET", "/sfp/api/users", &session, &Value::Null);
        if demanded {
            server.logged("owners need a second factor");
            assert_eq!((status, &body["code"]), (403, &json!("otp_enrolment_required")), "{more:?}");
        } else {
            assert_eq!(status, 200);
        }
        assert!(server.stop());
    }
}
