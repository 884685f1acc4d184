use super::*;

const ID: &str = "01a21198-0ea8-7d5a-987c-6ee7878c59";

/// Returns the variables of credentials given as provider, name and fields, each with its own id.
fn read(credentials: &[(&str, &str, &str)]) -> Result<Vec<Variable>, CliError> {
    let one = |(index, (provider, name, fields)): (usize, &(&str, &str, &str))| {
        let name = if name.is_empty() { String::new() } else { format!(r#","name":"{name}""#) };
        let text = format!(
            r#"{{"integration_id":"{ID}{:02}","provider":"{provider}","auth_type":"pat","credentials":{fields}{name}}}"#,
            index + 1
        );
        serde_json::from_str(&text).unwrap()
    };
    named(&credentials.iter().enumerate().map(one).collect::<Vec<Credential>>(), &[])
}

fn named(credentials: &[Credential], given: &[&str]) -> Result<Vec<Variable>, CliError> {
    let given: Vec<Assignment> = given.iter().map(|text| text.parse().unwrap()).collect();
    variables(credentials, &Naming { asked_name: None, given: &given, prevented: "nothing was printed" })
}

/// Returns a credential with a config.
fn configured(provider: &str, fields: &str, config: &str) -> Credential {
    serde_json::from_str(&format!(
        r#"{{"integration_id":"{ID}77","provider":"{provider}","auth_type":"pat","credentials":{fields},"config":{config},"name":"db"}}"#
    ))
    .unwrap()
}

fn names(credentials: &[(&str, &str, &str)]) -> Vec<String> {
    read(credentials)
        .unwrap_or_else(|error| panic!("{}", error.message))
        .into_iter()
        .map(|one| one.name)
        .collect()
}

#[test]
fn each_field_has_the_name_that_the_table_says() {
    for (provider, name, field, expected) in [
        ("github", "", "token", "GITHUB_TOKEN"),
        ("github", "deploy", "token", "GITHUB_TOKEN"),
        ("jira", "", "base_url", "JIRA_BASE_URL"),
        ("azuredevops", "", "token", "AZURE_DEVOPS_EXT_PAT"),
        ("azure-devops", "", "token", "AZURE_DEVOPS_EXT_PAT"),
        ("ai_anthropic", "", "api_key", "ANTHROPIC_API_KEY"),
        ("datadog", "", "app_key", "DD_APP_KEY"),
        ("github_packages", "", "token", "GITHUB_PACKAGES_TOKEN"),
        ("a_new_service", "", "token", "A_NEW_SERVICE_TOKEN"),
        ("azuredevops", "", "organization", "AZURE_DEVOPS_ORGANIZATION"),
        ("azuredevops", "", "app_id", "AZURE_CLIENT_ID"),
        ("npm", "", "token", "NPM_TOKEN"),
        ("ai_google", "", "api_key", "GEMINI_API_KEY"),
        ("ai_amazon_bedrock", "", "api_key", "AWS_BEARER_TOKEN_BEDROCK"),
        ("newrelic", "", "api_key", "NEW_RELIC_API_KEY"),
        ("custom", "stripe", "value", "STRIPE"),
        ("custom", "stripe live", "secret-key", "STRIPE_LIVE_SECRET_KEY"),
        ("custom", "2fa", "value", "_2FA"),
        ("custom", "", "token", "CUSTOM_TOKEN"),
    ] {
        assert_eq!(names(&[(provider, name, &format!(r#"{{"{field}":"x"}}"#))]), [expected]);
    }
    assert_eq!(names(&[("custom", "db", r#"{"value":"x","user":"y"}"#)]), ["DB_VALUE", "DB_USER"]);
}

#[test]
fn two_values_are_never_one_variable() {
    let one = |fields| vec![("custom", "x", fields)];
    for (credentials, name) in [
        (one(r#"{"a-b":"1","a.b":"2"}"#), "X_A_B"),
        (one(r#"{"a b":"1","c":"3","A_B":"2"}"#), "X_A_B"),
        (one(r#"{"key":"1","Key":"2"}"#), "X_KEY"),
        (one(r#"{"schlüssel":"1","schl_ssel":"2"}"#), "X_SCHL_SSEL"),
        (vec![("github", "", r#"{"token":"1"}"#), ("github", "", r#"{"token":"2"}"#)], "GITHUB_TOKEN"),
        (vec![("github", "", r#"{"token":"1"}"#), ("custom", "GitHub", r#"{"token":"2"}"#)], "GITHUB_TOKEN"),
        (
            vec![("custom", "git hub token", r#"{"value":"1"}"#), ("custom", "git", r#"{"hub-token":"2"}"#)],
            "GIT_HUB_TOKEN",
        ),
        (vec![("custom", "a_b", r#"{"c":"1"}"#), ("custom", "a", r#"{"b_c":"2"}"#)], "A_B_C"),
        (
            vec![("azuredevops", "", r#"{"token":"1"}"#), ("azure-devops", "", r#"{"token":"2"}"#)],
            "AZURE_DEVOPS_EXT_PAT",
        ),
    ] {
        let error = read(&credentials).err().unwrap_or_else(|| panic!("{name} has two values"));
        assert!(error.message.starts_with(&format!("two values for {name}: field '")), "{}", error.message);
        for number in 1..=credentials.len() {
            assert!(error.message.contains(&format!("{ID}{number:02}")), "{}", error.message);
        }
    }
}

#[test]
fn one_value_twice_is_one_variable() {
    let twice = [("github", "", r#"{"token":"1"}"#), ("github", "", r#"{"token":"1","user":"u"}"#)];
    assert_eq!(names(&twice), ["GITHUB_TOKEN", "GITHUB_USER"]);
}

#[test]
fn a_member_cannot_store_a_variable_that_steers_the_programs_of_others() {
    for (provider, name, field) in [
        ("custom", "path", "value"),
        ("custom", "LD", "preload"),
        ("custom", "bash env", "value"),
        ("npm", "", "config_registry"),
        ("github", "", "env"),
        ("custom", "sfp.server", "url"),
    ] {
        let error = read(&[(provider, name, &format!(r#"{{"{field}":"x"}}"#))]).err().unwrap();
        assert!(
            error.message.contains("changes how programs run") && error.message.contains(ID),
            "{}",
            error.message
        );
    }
}

#[test]
fn a_field_without_a_letter_has_no_name_and_says_so() {
    for (name, fields) in [("密", r#"{"value":"x"}"#), ("x", r#"{"--":"x"}"#), ("x", r#"{"":"x"}"#)] {
        let error = read(&[("custom", name, fields)]).err().unwrap();
        assert!(error.message.contains("cannot name a variable"), "{}", error.message);
    }
}

#[test]
fn the_integrations_own_names_come_before_the_table_and_the_commands_before_both() {
    let names = |one: &Credential, given: &[&str]| {
        let found =
            named(std::slice::from_ref(one), given).unwrap_or_else(|error| panic!("{}", error.message));
        found.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    let fields = r#"{"url":"postgres://u:p@h/d","PGUSER":"u"}"#;
    let mapped = configured("custom", fields, r#"{"env":{"url":"DATABASE_URL"},"other":1}"#);
    assert_eq!(names(&mapped, &[]), ["DATABASE_URL", "DB_PGUSER"]);
    assert_eq!(names(&mapped, &["PG=db.url", "PG2=custom.url"]), ["PG", "PG2", "DB_PGUSER"]);
    assert_eq!(names(&mapped, &[&format!("X={ID}77.PGUSER")]), ["DATABASE_URL", "X"]);
    let verbatim = configured("custom", fields, r#"{"env":"verbatim"}"#);
    assert_eq!(names(&verbatim, &[]), ["url", "PGUSER"]);
    let jira = configured("jira", r#"{"api_token":"x"}"#, "{}");
    assert_eq!(names(&jira, &[]), ["JIRA_API_TOKEN"]);
    let known = configured("ai_anthropic", r#"{"api_key":"x"}"#, r#"{"env":{"api_key":"CLAUDE_KEY"}}"#);
    assert_eq!(names(&known, &[]), ["CLAUDE_KEY"]);
    assert_eq!(names(&known, &["A=ai_anthropic.api_key"]), ["A"]);
    let value = configured("custom", r#"{"value":"x"}"#, "{}");
    assert_eq!(names(&value, &["A=db", "B=db.value"]), ["A", "B"]);
}

#[test]
fn a_name_that_steers_is_never_set_unless_the_command_itself_gives_it() {
    for (field, config) in [
        ("x", r#"{"env":{"x":"PATH"}}"#),
        ("x", r#"{"env":{"x":"BASH_ENV"}}"#),
        ("LD_PRELOAD", r#"{"env":"verbatim"}"#),
        ("http_proxy", r#"{"env":"verbatim"}"#),
        ("npm_config_registry", r#"{"env":"verbatim"}"#),
        ("x", r#"{"env":{"x":"node_options"}}"#),
    ] {
        let one = configured("custom", &format!(r#"{{"{field}":"v"}}"#), config);
        let error = named(std::slice::from_ref(&one), &[]).err().unwrap();
        assert!(error.message.contains("changes how programs run"), "{}", error.message);
        let given = format!("PATH={ID}77.{field}");
        assert_eq!(named(std::slice::from_ref(&one), &[&given]).ok().unwrap()[0].name, "PATH");
    }
}

#[test]
fn a_selector_or_a_config_that_names_nothing_never_leaves_a_field_out() {
    let github = || configured("github", r#"{"token":"x"}"#, "{}");
    let two = [configured("jira", r#"{"token":"1"}"#, "{}"), configured("jira", r#"{"token":"2"}"#, "{}")];
    for (credentials, given, said) in [
        (vec![github()], &["A=github.tokn"][..], "matches no disclosed field"),
        (vec![github()], &["A=gitlab.token"], "matches no disclosed field"),
        (vec![github()], &["A=token"], "matches no disclosed field"),
        (two.into(), &["A=jira.token"], "--env A=jira.token matches field 'token'"),
        (vec![configured("github", r#"{"token":"x"}"#, r#"{"env":"x"}"#)], &[], "neither \"verbatim\""),
        (
            vec![configured("github", r#"{"token":"x"}"#, r#"{"env":{"token":1}}"#)],
            &[],
            "neither \"verbatim\"",
        ),
        (
            vec![configured("github", r#"{"token":"x"}"#, r#"{"env":{"token":"A B"}}"#)],
            &[],
            "no variable's name",
        ),
        (vec![configured("github", r#"{"a-b":"x"}"#, r#"{"env":"verbatim"}"#)], &[], "no variable's name"),
        (
            vec![configured("github", r#"{"a":"x","b":"y"}"#, r#"{"env":{"a":"N","b":"N"}}"#)],
            &[],
            "two values for N",
        ),
        (
            vec![configured("github", r#"{"a":"x","b":"y"}"#, "{}")],
            &["N=github.a", "N=github.b"],
            "two values for N",
        ),
    ] {
        let error = named(&credentials, given).err().unwrap_or_else(|| panic!("{said}"));
        assert!(
            error.message.contains(said) && error.hint.starts_with("nothing was printed"),
            "{}",
            error.message
        );
    }
}

#[test]
fn a_value_that_grants_access_is_never_taken_for_a_place_or_an_account() {
    let is_secret = |field: &str, value: &str| {
        read(&[("jira", "", &format!(r#"{{"{field}":"{value}"}}"#))]).unwrap()[0].is_secret()
    };
    assert!(
        is_secret("api_token", "x") && is_secret("anything", "x") && is_secret("base_url", "https://u:p@h/")
    );
    assert!(
        !is_secret("base_url", "https://h/")
            && !is_secret("username", "bot@acme.com")
            && !is_secret("x", "true")
    );
}
