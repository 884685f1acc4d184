//! Another tool's values as integrations.

use super::*;
use crate::{
    cli::client::{
        credentials::{Naming, variables},
        import::{
            format::{Input, read},
            providers::KNOWN,
        },
    },
    client::Credential,
};

fn plan() -> Plan {
    Plan { scope: Scope::Global, name: None, pair: None }
}

fn of(text: &str, plan: &Plan) -> Result<(Vec<Wanted<'static>>, Vec<Skipped>), CliError> {
    let Ok(Input::Tool(values)) = read(text, "FILE") else { panic!("{text}") };
    of_tool(values, plan)
}

fn row(one: &Wanted<'_>) -> String {
    let name = one.name.as_deref().unwrap_or("-");
    let config = one.config.as_ref().map_or_else(String::new, |config| format!(" {config}"));
    format!("{}/{} {name} {}{config}", one.provider, one.auth_type, one.revisions[0].credentials.json())
}

fn rows(text: &str, plan: &Plan) -> Vec<String> {
    of(text, plan).map_err(|error| error.message).unwrap().0.iter().map(row).collect()
}

#[test]
fn a_value_becomes_an_integration_of_its_name_and_a_known_name_its_providers() {
    assert_eq!(
        rows("GITHUB_TOKEN=g\nA=x\nlower_case=y\nJIRA_USERNAME=u\nDD_SITE=s\nDD_API_KEY=d\n", &plan()),
        [
            r#"github/pat GITHUB_TOKEN {"token":"g"}"#,
            r#"datadog/api_key DD_API_KEY {"api_key":"d","site":"s"}"#,
            r#"custom/api_key A {"value":"x"}"#,
            r#"custom/api_key lower_case {"value":"y"} {"env":{"value":"lower_case"}}"#,
            r#"custom/api_key JIRA_USERNAME {"value":"u"}"#,
        ]
    );
    assert_eq!(
        rows("db:\n  user: u\n  net:\n    host: h\n", &plan()),
        [r#"custom/api_key db {"user":"u","net_host":"h"}"#]
    );
}

#[test]
fn all_values_become_the_fields_of_one_where_a_name_or_a_pair_is_given() {
    let named = |name: &str| Plan { name: Some(name.to_owned()), ..plan() };
    assert_eq!(
        rows("A=x\nB_C=y\n", &named("app")),
        [r#"custom/api_key app {"A":"x","B_C":"y"} {"env":"verbatim"}"#]
    );
    assert_eq!(rows("PATH=x\n", &named("app")), [r#"custom/api_key app {"PATH":"x"}"#]);
    let vault = r#"{"request_id":"r","data":{"token":"x"}}"#;
    assert_eq!(rows(vault, &named("app")), [r#"custom/api_key app {"token":"x"}"#]);
    let pat = Plan { pair: Some("github/pat".parse().unwrap()), ..plan() };
    assert_eq!(rows(vault, &pat), [r#"github/pat - {"token":"x"}"#]);
    assert!(of(vault, &plan()).err().unwrap().hint.contains("--name NAME"));
    let custom = Plan { pair: Some("custom/api_key".parse().unwrap()), ..plan() };
    assert!(of(vault, &custom).err().unwrap().message.contains("needs a name"));
}

#[test]
fn what_is_empty_or_steers_programs_is_left_out_and_named() {
    let (wanted, skipped) = of("A=\nNODE_OPTIONS=--x\nhttp_proxy=http://x\nB=y\n", &plan()).unwrap();
    assert_eq!(wanted.len(), 1);
    let names: Vec<_> = skipped.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["A", "NODE_OPTIONS", "http_proxy"]);
}

#[test]
fn every_refused_name_is_named_at_once_and_a_long_one_is_cut() {
    let long = "x".repeat(101);
    let json = format!(r#"{{"a\u0001":"zq1","{long}":"zq1","ok":"zq1"," ":"zq1"}}"#);
    let error = of(&json, &plan()).err().unwrap();
    assert!(error.message.contains("a\\u{1}") && error.message.contains("'xxx"), "{}", error.message);
    assert!(
        !error.message.contains(&long) && !error.message.contains("zq1") && !error.message.contains("ok")
    );
}

/// A program that ran with the `.env` file runs with `exec` too.
#[test]
fn exec_gives_every_imported_value_the_name_that_it_had() {
    let every: Vec<&str> = KNOWN
        .iter()
        .flat_map(|known| known.needed.iter().chain(known.further))
        .map(|(name, _)| *name)
        .collect();
    let own = ["PLAIN", "lower_case", "Mixed_Case9", "AWS_ACCESS_KEY_ID", "DATABASE_URL"];
    let names: Vec<&str> = every.into_iter().chain(own).collect();
    let lines: Vec<String> = names.iter().map(|name| format!("{name}=v_{name}")).collect();
    let text = lines.join("\n");
    let (wanted, skipped) = of(&text, &plan()).unwrap();
    assert!(skipped.is_empty());
    let disclosed = |one: &Wanted<'_>| -> Credential {
        let config = one.config.as_ref().map_or_else(String::new, |config| format!(r#","config":{config}"#));
        let name = one.name.as_ref().filter(|_| one.provider == "custom");
        let name = name.map_or_else(String::new, |name| format!(r#","name":"{name}""#));
        let json = format!(
            r#"{{"integration_id":"01a21198-0ea8-7d5a-987c-6ee7878c59a0","provider":"{}","auth_type":"{}","credentials":{}{config}{name}}}"#,
            one.provider,
            one.auth_type,
            one.revisions[0].credentials.json(),
        );
        serde_json::from_str(&json).unwrap()
    };
    let credentials: Vec<Credential> = wanted.iter().map(disclosed).collect();
    let naming = Naming { asked_name: None, given: &[], prevented: "" };
    let mut variables = variables(&credentials, &naming).map_err(|error| error.message).unwrap();
    variables.sort_by(|one, other| one.name.cmp(&other.name));
    let mut expected = names.clone();
    expected.sort_unstable();
    assert_eq!(variables.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), expected);
    assert!(variables.iter().all(|one| *one.value == format!("v_{}", one.name)));
}

/// An export with a field twice, and a field that got another's name by its group, stopped the import half-way: the
/// server refused them after what came before was stored.
#[test]
fn an_input_that_the_server_would_refuse_is_refused_before_anything_is_stored() {
    let deep = "[".repeat(17) + &"]".repeat(17);
    let deep = format!(r#"{{"a":{deep}}}"#);
    for credentials in
        [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"a":"\ud800"}"#, "[]", "\"zq1\"", &deep]
    {
        let text = format!(
            r#"{{"sealroom":"export","version":1,"exportedAt":"x","projects":[],"users":[],"tokens":[],"integrations":[{{
"integration":{{"provider":"github","authType":"pat","name":null,"isGlobal":true,"projects":[],"revision":1,"config":{{}}}},
"revisions":[{{"expiresAt":null,"credentials":{credentials}}}]}}]}}"#
        );
        let Ok(Input::Own(own)) = read(&text, "FILE") else { panic!("{text}") };
        let error = of_export(&own).err().unwrap().to_string();
        assert!(error.contains("no vault exported") && !error.contains("zq1"), "{error}");
    }
    let named = Plan { name: Some("app".to_owned()), ..plan() };
    for text in ["a_b: zq1\na:\n  b: zq2\n", "a:\n  b_c: zq1\na_b:\n  c: zq1\n"] {
        let error = of(text, &named).err().unwrap().message;
        assert!(error.contains("two values for a_b") && !error.contains("zq"), "{error}");
        assert!(of(text, &plan()).is_ok(), "as integrations of their own they have names of their own");
    }
}

#[test]
fn a_name_in_an_error_is_cut_and_stays_on_its_line() {
    let name = format!("A\u{1b}[2J\n{}", "x".repeat(100));
    let entry = |value: &str| serde_json::json!({"key": name, "value": value});
    let error = read(&serde_json::json!([entry("1"), entry("2")]).to_string(), "FILE").err().unwrap().message;
    assert!(error.contains("two values for A\\u{1b}[2J\\nxxx") && error.len() < 120, "{error}");
}
