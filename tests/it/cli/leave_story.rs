//! Somebody leaves: the checklist of what the user received, worked off until it is empty.

use std::{collections::BTreeSet, path::Path, process::Output};

use serde_json::Value;

use crate::support::binary::{Serving, command, ended, secret_file, stderr};

struct Desk {
    folder: tempfile::TempDir,
    server: Serving,
}

impl Desk {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Serving::start(folder.path(), &["serve", "--dev", "--json", "--listen", "127.0.0.1:0"]);
        let said: Value = serde_json::from_str(&server.said).unwrap();
        secret_file(folder.path(), "owner", said["owner_token"].as_str().unwrap(), 0o600);
        secret_file(folder.path(), "password", "password-example\n", 0o600);
        secret_file(folder.path(), "github.json", r#"{"token":"ghp_example"}"#, 0o600);
        secret_file(folder.path(), "new.json", r#"{"token":"ghp_example_new"}"#, 0o600);
        Self { folder, server }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command with the token in that file, or with the session of `login`.
    fn run(&self, token: Option<&str>, line: &str) -> Output {
        let args: Vec<&str> = line.split(' ').collect();
        let mut command = command(self.path(), &args);
        command.env("SFP_SERVER_URL", &self.server.url).env("HOME", self.path()).env("TZ", "UTC");
        if let Some(token) = token {
            command.env("SFP_SERVER_TOKEN_FILE", token);
        }
        ended(command.stdout(std::process::Stdio::piped()))
    }

    fn done(&self, token: Option<&str>, line: &str) -> String {
        let output = self.run(token, line);
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The names of the live values, each as often as somebody has it to rotate.
fn live(exposure: &Value) -> BTreeSet<String> {
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    exposure["live"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_leave_prints_what_the_user_received_and_the_list_ends_with_the_last_rotation() {
    let desk = Desk::start();
    let owner = Some("owner");
    for number in 1..=8 {
        desk.done(
            owner,
            &format!("integration add github/pat --global --name k{number} --from-json github.json"),
        );
    }
    desk.done(owner, "user add eve@example.com --role owner --password-file password");
    desk.done(None, "login --email eve@example.com --password-file password");
    // Four are read, one of a fifth is rotated in, and a token of the user's reads two more.
    for number in 1..=4 {
        desk.done(None, &format!("credentials --all --name k{number} --field token"));
    }
    desk.done(None, "integration rotate k5 --from-json new.json");
    desk.done(None, "token create hers --write-to hers");
    for number in 6..=7 {
        desk.done(Some("hers"), &format!("credentials --all --name k{number} --field token"));
    }
    let left: Value =
        serde_json::from_str(&desk.done(owner, "user leave eve@example.com --yes --json")).unwrap();
    assert_eq!(left["user"]["disabled"], true, "{left}");
    assert_eq!(left["revokedTokens"][0]["name"], "hers", "{left}");
    let wanted: BTreeSet<String> = (1..=7).map(|number| format!("k{number}")).collect();
    assert_eq!(live(&left["exposure"]), wanted, "{left}");
    for (token, line) in [(None, "whoami"), (Some("hers"), "credentials --all --name k6 --field token")] {
        assert!(!desk.run(token, line).status.success(), "{line}");
    }
    for number in 1..=7 {
        let text = desk.done(owner, "user leave eve@example.com --yes");
        for later in 1..=8 {
            let is_named = text.split_whitespace().any(|word| word == format!("k{later}"));
            assert_eq!(is_named, (number..=7).contains(&later), "k{later} after {number}: {text}");
        }
        desk.done(owner, &format!("integration rotate k{number} --from-json github.json"));
    }
    let left: Value =
        serde_json::from_str(&desk.done(owner, "user leave eve@example.com --yes --json")).unwrap();
    assert_eq!(live(&left["exposure"]), BTreeSet::new(), "{left}");
    assert!(desk.done(owner, "user leave eve@example.com --yes").contains("no value to rotate"));
}

/// Whoever creates a user knows the first password: nothing said beside the list that such users are still let in.
#[test]
fn no_user_whom_the_leaver_created_is_left_unsaid_while_it_is_let_in() {
    let desk = Desk::start();
    let owner = Some("owner");
    desk.done(owner, "integration add github/pat --global --name k1 --from-json github.json");
    desk.done(owner, "user add eve@example.com --role owner --password-file password");
    desk.done(None, "login --email eve@example.com --password-file password");
    for name in ["bob", "carol"] {
        desk.done(None, &format!("user add {name}@example.com --role owner --password-file password"));
    }
    // One of them creates another one, and reads.
    desk.done(None, "login --email bob@example.com --password-file password");
    desk.done(None, "user add dan@example.com --role member --password-file password");
    desk.done(None, "credentials --all --name k1 --field token");
    let leave = |email: &str| desk.done(owner, &format!("user leave {email}@example.com --yes"));
    for (said, next) in [("3 users of the list below are", "bob"), ("2 users", "carol"), ("1 user of", "dan")]
    {
        let text = leave("eve");
        assert!(text.contains(said) && text.contains("k1 "), "{said}: {text}");
        for name in ["bob", "carol", "dan"] {
            assert!(text.contains(&format!("user:{name}@example.com")), "{name}: {text}");
        }
        leave(next);
    }
    let text = leave("eve");
    assert!(!text.contains("of the list below") && text.contains("disabled"), "{text}");
    assert!(text.contains("1 value to rotate"), "what they received stays on the list: {text}");
}
