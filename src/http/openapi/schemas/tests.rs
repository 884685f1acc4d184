//! Requests and answers against their schemas: nothing may be in one and not in the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, value::RawValue};

use super::{all, requests};
use crate::{
    api::responses::{
        AuditState, BegunOtp, CreatedToken, DueBody, DueCredential, DueTokenBody, ErrorBody, ExposedValue,
        Exposure, Health, IntegrationBody, LastAccess, LeftUser, LoginBody, Made, MintedToken, OneTimeCodes,
        ProjectBody, Received, Removed, RepositoryToken, RolledToken, Stored, Storing, TokenBody, TokenKind,
        UpdatedUser, UserBody, credentials_array, to_json, to_secret_json,
    },
    domain::{
        AccessScope, ApplicationToken, AuthType, Digest, DueCounts, DueRules, Integration, IntegrationId,
        Json, KeptRevision, PasswordHash, Platform, Project, Provider, RequestId, Revision, Role, Roll,
        Scope, SecondFactor, Secret, Timestamp, TokenId, User, UserId, minutes,
    },
    http::routes::ROUTES,
};

const NOW: Timestamp = Timestamp::from_millis(1_795_514_400_000);

#[test]
fn a_request_has_the_fields_of_its_type() {
    let mut described = requests::all();
    let bodies: BTreeMap<_, _> =
        ROUTES.iter().filter_map(|route| route.body).map(|body| (body.name, body.fields)).collect();
    for (name, fields) in bodies {
        let schema = described.remove(&format!("{name}Request")).unwrap_or_else(|| panic!("{name}"));
        let properties: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(properties, fields.iter().copied().collect(), "{name}");
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{name}");
    }
    assert!(described.is_empty(), "no route reads these: {described:?}");
}

/// An object's keys, in the order in which they were written.
fn keys(body: &[u8]) -> Vec<String> {
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct InOrder;
            impl<'de> serde::de::Visitor<'de> for InOrder {
                type Value = Keys;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<String, &RawValue>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(InOrder)
        }
    }
    serde_json::from_slice::<Keys>(body).unwrap().0
}

/// The body that has everything: its required keys come first and in the order of the schema, the rest is known.
fn same_keys(name: &str, body: &[u8]) {
    let schema = &all()[name];
    let required: Vec<String> =
        schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    let keys = keys(body);
    assert_eq!(keys[..required.len()], required, "{name}");
    let mut described: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let mut sorted = keys;
    described.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, described, "{name}");
}

fn integration() -> Integration {
    Integration {
        id: IntegrationId::from_bytes([0x11; 16]),
        provider: Provider::Jira,
        auth_type: AuthType::BasicAuth,
        name: None,
        scope: Scope::Global,
        config: Some(Json::empty_object()),
        kept: vec![KeptRevision { revision: Revision::FIRST, expires_at: Some(NOW), stored_at: None }],
        created_at: NOW,
        created_by: "user:ada@example.com".parse().unwrap(),
        creator: None,
        updated_at: NOW,
        is_canary: false,
        version: 1,
    }
}

fn user() -> User {
    User {
        id: UserId::from_bytes([0x11; 16]),
        email: "ada@example.com".parse().unwrap(),
        first_name: None,
        last_name: None,
        role: Role::Member,
        scope: AccessScope::default(),
        disabled: false,
        password: PasswordHash { memory_kib: 1, passes: 1, lanes: 1, salt: [1; 16], hash: [2; 32] },
        factor: None,
        epoch: 1,
        created_at: NOW,
        last_login_at: None,
        version: 1,
    }
}

#[test]
fn an_answer_about_integrations_has_the_keys_of_its_schema() {
    let integration = integration();
    let access = LastAccess { at: NOW, by: "host:root".parse().unwrap() };
    let canary = Integration { is_canary: true, ..integration.clone() };
    let body = IntegrationBody::new(&canary, Some(&access)).marked_for(Role::Owner);
    same_keys("Integration", &to_json(&body));
    same_keys("CreatedIntegration", &to_json(&body.with_shadows(&[integration.id])));
    let credentials = Secret::from("{\"a\":1}".to_owned());
    let custom =
        Integration { provider: Provider::Custom, name: Some("x".parse().unwrap()), ..integration.clone() };
    let array = credentials_array([(&custom, &credentials)]);
    let array: Vec<&RawValue> = serde_json::from_slice(array.expose()).unwrap();
    same_keys("DisclosedCredential", array[0].get().as_bytes());
    let (token, end, project) = (Secret::from("ghs_x".to_owned()), Some(NOW), "acme/app".parse().unwrap());
    let body = RepositoryToken::new(&token, TokenKind::Installation, end, &project);
    same_keys("RepositoryToken", to_secret_json(&body).expose());
    same_keys("RemovedById", &to_json(&Removed::Integration(integration.id)));
}

#[test]
fn an_answer_about_projects_has_the_keys_of_its_schema() {
    let identifier = "acme/app".parse().unwrap();
    let project = Project {
        identifier: "acme/app".parse().unwrap(),
        remote_url: Some("https://github.com/acme/app.git".parse().unwrap()),
        platform: Platform::Github,
        configuration: Json::empty_object(),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    };
    same_keys("Project", &to_json(&ProjectBody::new(&project, &[&integration()])));
    same_keys("RemovedProject", &to_json(&Removed::Project(&identifier)));
}

#[test]
fn an_answer_about_users_has_the_keys_of_its_schema() {
    let (user, secret) = (user(), Secret::from("abcde-fghjk".to_owned()));
    let factor = SecondFactor { secret: Arc::new(Secret::new(Vec::new())), used_step: 0, codes: Vec::new() };
    let enrolled = User { factor: Some(factor), ..user.clone() };
    same_keys("User", &to_json(&UserBody::new(&enrolled)));
    same_keys("BegunOtp", to_secret_json(&BegunOtp::new(&secret, &secret)).expose());
    same_keys("OneTimeCodes", to_secret_json(&OneTimeCodes::new(std::slice::from_ref(&secret))).expose());
    let created = to_secret_json(&UserBody::new(&user).with_initial_password(&secret));
    same_keys("CreatedUser", created.expose());
    same_keys("UpdatedUser", &to_json(&UpdatedUser::new(&user)));
    same_keys("RemovedUser", &to_json(&Removed::User(&user.email)));
    let login = to_secret_json(&LoginBody::new(&secret, &secret, minutes(60), &user));
    same_keys("Login", login.expose());
}

#[test]
fn an_answer_about_tokens_has_the_keys_of_its_schema() {
    let token = ApplicationToken {
        id: TokenId::from_bytes([0x11; 16]),
        digest: Digest([7; 32]),
        name: "ci".parse().unwrap(),
        role: Role::Application,
        scope: AccessScope::default(),
        created_by: "user:ada@example.com".parse().unwrap(),
        created_at: NOW,
        expires_at: NOW,
        revoked_at: None,
        roll: Roll::default(),
        version: 1,
    };
    let created =
        to_secret_json(&CreatedToken::new(&token, &Secret::from("sfp_app_x".to_owned()))).expose().to_vec();
    same_keys("CreatedApplicationToken", &created);
    let rolled = to_secret_json(&RolledToken::new(&token, &Secret::from("sfp_app_x".to_owned()), &token));
    same_keys("RolledApplicationToken", rolled.expose());
    let id = Some(token.id);
    let roll = Roll { predecessor: id, successor: id, first_used_at: Some(NOW) };
    let token = ApplicationToken { roll, ..token };
    same_keys("ApplicationToken", &to_json(&TokenBody::new(&token, None, NOW)));
    same_keys("LeftUser", &to_json(&LeftUser::new(&user(), std::slice::from_ref(&token), &[])));
}

#[test]
fn the_work_list_has_the_keys_of_its_schema() {
    let body = to_json(&DueBody::new(&DueRules::STANDARD, &DueCounts::default(), NOW));
    same_keys("Due", &body);
    let of = |list: &str| all()["Due"]["properties"][list]["items"]["required"].clone();
    let (integration, body) = (integration(), |body: Vec<u8>| Value::from(keys(&body)));
    assert_eq!(of("ending"), body(to_json(&DueCredential::new(&integration, None))));
    let token = ApplicationToken {
        id: TokenId::from_bytes([0x11; 16]),
        digest: Digest([7; 32]),
        name: "ci".parse().unwrap(),
        role: Role::Application,
        scope: AccessScope::default(),
        created_by: "user:ada@example.com".parse().unwrap(),
        created_at: NOW,
        expires_at: NOW,
        revoked_at: None,
        roll: Roll::default(),
        version: 1,
    };
    assert_eq!(of("tokensEnding"), body(to_json(&DueTokenBody::new(&token, None, None))));
}

#[test]
fn an_error_and_a_state_have_the_keys_of_their_schemas() {
    let id = RequestId::from_bytes([0x11; 16]);
    same_keys("Error", &to_json(&ErrorBody::new(404, "Not Found", "route_not_found", "No", id)));
    same_keys(
        "Health",
        &to_json(&Health::new("1.2.3", AuditState::Writable, false, 7).with_detail("disk_low")),
    );
}

#[test]
fn an_exposure_has_the_keys_of_its_schemas() {
    let received = Received {
        count: 1,
        first_sequence: 0,
        first: NOW,
        last_sequence: 0,
        last: NOW,
        peers: Vec::new(),
        more_peers: false,
        projects: Vec::new(),
        more_projects: false,
    };
    let actor = "user:ada@example.com".to_owned();
    let value = ExposedValue {
        actor: actor.clone(),
        integration_id: IntegrationId::from_bytes([0x11; 16]),
        provider: "jira".to_owned(),
        name: None,
        revision: 1,
        expires_at: Some(NOW),
        deleted_at: None,
        received: Some(received.clone()),
        stored: Some(Stored { sequence: 0, time: NOW, action: Storing::Rotate }),
    };
    let minted = MintedToken {
        actor: actor.clone(),
        integration_id: value.integration_id,
        hashed_token: String::new(),
        expires_at: NOW,
        received: received.clone(),
    };
    let made = Made {
        actor: actor.clone(),
        by: actor,
        sequence: 0,
        time: NOW,
        name: None,
        role: None,
        status: None,
    };
    same_keys("Disclosures", &to_json(&received));
    same_keys("ExposedValue", &to_json(&value));
    same_keys("MintedToken", &to_json(&minted));
    same_keys("MadeActor", &to_json(&made));
    same_keys("Exposure", &to_json(&Exposure::default()));
}
