//! The matrix of contract §2, written down a second time by hand, and the narrowing.

mod own;

use super::*;
use crate::domain::{
    AuthType, Bearer, Digest, Identity, IntegrationId, KeptRevision, Revision, SessionId, Timestamp, TokenId,
    UserId,
};

const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);
const OPEN: Rules = Rules { members_may_create: true, owners_need_otp: false };

fn caller(role: Role, scope: AccessScope) -> Arc<Caller> {
    let user = Identity::User {
        id: UserId::new(NOW, [1; 10]),
        email: "ada@example.com".parse().unwrap(),
        session: SessionId::new(NOW, [2; 10]),
    };
    let token = Identity::Token(TokenId::new(NOW, [3; 10]));
    Arc::new(Caller {
        identity: if role.is_user_role() { user } else { token },
        role,
        scope,
        bearer: Bearer::Application(Digest([0; 32])),
        token_expires_at: None,
        has_factor: false,
    })
}

fn permit(role: Role, verb: Verb, scope: AccessScope) -> Permit {
    authorize(&caller(role, scope), verb, &OPEN).unwrap()
}

fn project(text: &str) -> ProjectId {
    text.parse().unwrap()
}

fn projects(texts: &[&str]) -> Vec<ProjectId> {
    texts.iter().map(|text| project(text)).collect()
}

fn to_projects(texts: &[&str]) -> AccessScope {
    AccessScope { projects: Some(projects(texts)), ..AccessScope::default() }
}

fn to_providers(providers: &[Provider]) -> AccessScope {
    AccessScope { providers: Some(providers.to_vec()), ..AccessScope::default() }
}

fn to_integrations(ids: &[IntegrationId]) -> AccessScope {
    AccessScope { integrations: Some(ids.to_vec()), ..AccessScope::default() }
}

fn integration(provider: Provider, scope: Scope, created_by: &str) -> Integration {
    Integration {
        id: IntegrationId::new(NOW, [4; 10]),
        provider,
        auth_type: AuthType::Pat,
        name: None,
        scope,
        config: None,
        kept: vec![KeptRevision { revision: Revision::FIRST, expires_at: None, stored_at: None }],
        created_at: NOW,
        created_by: created_by.parse().unwrap(),
        creator: (created_by == "user:ada@example.com").then(|| UserId::new(NOW, [1; 10])),
        updated_at: NOW,
        is_canary: false,
        version: 1,
    }
}

/// owner, member, application, auditor, operator: `x` may, `.` may not.
const MATRIX: &[(Verb, &str, &str)] = &[
    (Verb::ListIntegrations, "x..x.", "integration.list"),
    (Verb::ListOwnIntegrations, "xx...", "integration.list"),
    (Verb::CreateIntegration, "xx...", "integration.create"),
    (Verb::ReadCredentials, "xxx..", "credentials.read"),
    (Verb::ShowIntegration, "x....", "integration.read"),
    (Verb::UpdateIntegration, "xx...", "integration.update"),
    (Verb::RotateCredentials, "xx...", "integration.rotate"),
    (Verb::RollbackCredentials, "xx...", "integration.rollback"),
    (Verb::ReadRevisions, "x....", "credentials.read"),
    (Verb::DeleteIntegration, "x....", "integration.delete"),
    (Verb::ListProjects, "xxx..", "request.denied"),
    (Verb::ReadProject, "xxx..", "request.denied"),
    (Verb::CreateProject, "x....", "project.create"),
    (Verb::DeleteProject, "x....", "project.delete"),
    (Verb::ListTokens, "x....", "token.list"),
    (Verb::CreateToken, "x....", "token.create"),
    (Verb::RevokeToken, "x....", "token.revoke"),
    (Verb::RollToken, "x....", "token.create"),
    (Verb::ListDue, "x..x.", "due.list"),
    (Verb::ReadSelf, "xx...", "request.denied"),
    (Verb::Logout, "xx...", "session.logout"),
    (Verb::ListUsers, "x....", "user.list"),
    (Verb::ReadUser, "x....", "user.read"),
    (Verb::CreateUser, "x....", "user.create"),
    (Verb::UpdateUser, "x....", "user.update"),
    (Verb::UpdateSelf, "xx...", "user.update"),
    (Verb::LeaveUser, "x....", "user.update"),
    (Verb::DeleteUser, "x....", "user.delete"),
    (Verb::BeginOtp, "xx...", "user.update"),
    (Verb::ConfirmOtp, "xx...", "user.update"),
    (Verb::RenewOtpCodes, "xx...", "user.update"),
    (Verb::RemoveOwnOtp, "xx...", "user.update"),
    (Verb::RemoveOtp, "x....", "user.update"),
    (Verb::ReadAudit, "x..x.", "audit.read"),
    (Verb::ExportAudit, "x..x.", "audit.export"),
    (Verb::CreateBackup, "x...x", "backup.create"),
    (Verb::ReadMetrics, "x...x", "request.denied"),
    (Verb::RepositoryToken, "xxx..", "credentials.read"),
];

#[test]
fn every_cell_of_the_matrix_is_decided_as_the_contract_says() {
    assert_eq!(MATRIX.iter().map(|row| row.0).collect::<Vec<_>>(), Verb::ALL);
    for (verb, cells, action) in MATRIX {
        assert_eq!(cells.len(), Role::ALL.len());
        assert_eq!(verb.action().as_str(), *action, "{verb:?}");
        for (role, cell) in Role::ALL.iter().zip(cells.bytes()) {
            let caller = caller(*role, AccessScope::default());
            let answer = authorize(&caller, *verb, &OPEN);
            assert_eq!(answer.is_ok(), cell == b'x', "{role} {verb:?}");
        }
    }
}

#[test]
fn an_owner_may_whatever_a_member_may() {
    for verb in Verb::ALL {
        let may = |role| authorize(&caller(role, AccessScope::default()), *verb, &OPEN).is_ok();
        assert!(may(Owner) || !may(Member), "{verb:?}");
    }
}

#[test]
fn where_owners_need_a_second_factor_one_without_it_may_only_set_one() {
    let demanding = Rules { owners_need_otp: true, ..OPEN };
    let enrolling = [Verb::ReadSelf, Verb::Logout, Verb::BeginOtp, Verb::ConfirmOtp];
    for verb in Verb::ALL {
        for role in Role::ALL {
            for has_factor in [false, true] {
                let caller = Caller { has_factor, ..Caller::clone(&caller(*role, AccessScope::default())) };
                let asked = authorize(&Arc::new(caller), *verb, &demanding).map(drop);
                let open = authorize(&self::caller(*role, AccessScope::default()), *verb, &OPEN).map(drop);
                let kept_out = *role == Owner && !has_factor && !enrolling.contains(verb);
                let expected = if kept_out { Err(Denied::EnrolmentRequired) } else { open };
                assert_eq!(asked, expected, "{role} {verb:?} {has_factor}");
            }
        }
    }
}

/// A member that could no longer create renamed an integration of its own to what a pipeline asks for.
#[test]
fn the_configuration_takes_creation_and_changes_from_members_and_nothing_else() {
    let closed = Rules { members_may_create: false, ..OPEN };
    for verb in Verb::ALL {
        for role in Role::ALL {
            let may = |rules| authorize(&caller(*role, AccessScope::default()), *verb, rules).is_ok();
            let stores = matches!(
                verb,
                Verb::CreateIntegration
                    | Verb::UpdateIntegration
                    | Verb::RotateCredentials
                    | Verb::RollbackCredentials
            );
            let taken = stores && *role == Member;
            assert_eq!(may(&closed), may(&OPEN) && !taken, "{role} {verb:?}");
        }
    }
}

#[test]
fn a_refusal_says_which_role_it_takes() {
    let refused = |role, verb, members_may_create| {
        authorize(&caller(role, AccessScope::default()), verb, &Rules { members_may_create, ..OPEN })
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused(Member, Verb::DeleteIntegration, true), "Forbidden - Requires role: owner");
    assert_eq!(
        refused(Application, Verb::CreateIntegration, true),
        "Forbidden - Requires role: owner or member"
    );
    assert_eq!(refused(Member, Verb::CreateIntegration, false), "Forbidden - Requires role: owner");
    // Our own roles change no published text.
    for verb in
        [Verb::ListIntegrations, Verb::ReadAudit, Verb::ExportAudit, Verb::CreateBackup, Verb::ReadMetrics]
    {
        assert_eq!(refused(Member, verb, true), "Forbidden - Requires role: owner", "{verb:?}");
    }
    assert_eq!(Denied::Project.to_string(), "Forbidden - this caller is narrowed to other projects");
    assert_eq!(Denied::Provider.to_string(), "Forbidden - this caller is narrowed to other providers");
    assert_eq!(Denied::Integration.to_string(), "Forbidden - this caller is narrowed to other integrations");
}

#[test]
fn a_permit_carries_the_caller() {
    let permit = permit(Application, Verb::ReadCredentials, to_projects(&["a/b"]));
    assert_eq!((permit.verb(), permit.role()), (Verb::ReadCredentials, Application));
    assert_eq!(permit.access_scope(), &to_projects(&["a/b"]));
    assert_eq!(permit.owner(), Err(Denied::Role { required: &[Owner] }));
}

#[test]
fn a_narrowed_caller_names_its_own_projects_and_providers_alone() {
    let by_project = permit(Member, Verb::ReadCredentials, to_projects(&["a/b"]));
    assert_eq!(by_project.project(&project("a/b")), Ok(()));
    for other in ["a/B", "a/c", "a/b/c"] {
        assert_eq!(by_project.project(&project(other)), Err(Denied::Project));
    }
    assert_eq!(by_project.provider(Provider::Jira), Ok(()));

    let by_provider = permit(Application, Verb::ReadCredentials, to_providers(&[Provider::Azuredevops]));
    assert_eq!(by_provider.provider(Provider::AzureDevops), Ok(()));
    assert_eq!(by_provider.provider(Provider::Github), Err(Denied::Provider));
    assert_eq!(by_provider.project(&project("a/b")), Ok(()));
}

#[test]
fn a_narrowed_member_creates_nothing_past_its_projects() {
    let narrowed = permit(Member, Verb::CreateIntegration, to_projects(&["a/b", "a/c"]));
    assert_eq!(narrowed.scope(&Scope::Projects(projects(&["a/b", "a/c"]))), Ok(()));
    assert_eq!(narrowed.scope(&Scope::Projects(projects(&["a/b", "a/d"]))), Err(Denied::Project));
    assert_eq!(narrowed.scope(&Scope::Global), Err(Denied::Project));
    let free = permit(Member, Verb::CreateIntegration, AccessScope::default());
    assert_eq!(free.scope(&Scope::Global), Ok(()));
    assert_eq!(free.scope(&Scope::Projects(projects(&["a/d"]))), Ok(()));
}

#[test]
fn a_member_owns_what_it_created_and_an_owner_everything() {
    let own = integration(Provider::Github, Scope::Global, "user:ada@example.com");
    let other = integration(Provider::Github, Scope::Global, "user:bob@example.com");
    let member = permit(Member, Verb::RotateCredentials, AccessScope::default());
    assert_eq!((member.owns(&own), member.owns(&other)), (Ok(()), Err(Denied::NotCreator)));
    let owner = permit(Owner, Verb::RotateCredentials, AccessScope::default());
    assert_eq!((owner.owns(&own), owner.owns(&other)), (Ok(()), Ok(())));
    for role in [Application, Auditor] {
        let verb = if role == Auditor { Verb::ReadAudit } else { Verb::ReadCredentials };
        assert_eq!(permit(role, verb, AccessScope::default()).owns(&own), Err(Denied::NotCreator));
    }
}

/// A member that an owner narrowed went on rotating what lay outside: every pipeline read what the member chose.
#[test]
fn a_member_rotates_nothing_that_it_could_not_create_now() {
    let created = "user:ada@example.com";
    let within = integration(Provider::Github, Scope::Projects(projects(&["a/b"])), created);
    let elsewhere = integration(Provider::Github, Scope::Projects(projects(&["a/c"])), created);
    let both = integration(Provider::Github, Scope::Projects(projects(&["a/b", "a/c"])), created);
    let global = integration(Provider::Github, Scope::Global, created);
    let other = integration(Provider::Github, Scope::Projects(projects(&["a/b"])), "user:bob@example.com");
    for verb in [Verb::RotateCredentials, Verb::RollbackCredentials] {
        let narrowed = permit(Member, verb, to_projects(&["a/b"]));
        assert_eq!(narrowed.owns(&within), Ok(()));
        assert_eq!(narrowed.owns(&elsewhere), Err(Denied::Project), "created before the narrowing");
        assert_eq!(narrowed.owns(&both), Err(Denied::Project), "widened since by an owner");
        assert_eq!(narrowed.owns(&global), Err(Denied::Project), "made global since by an owner");
        assert_eq!(narrowed.owns(&other), Err(Denied::NotCreator));
        assert_eq!(permit(Member, verb, to_projects(&[])).owns(&within), Err(Denied::Project));
        let by_provider = permit(Member, verb, to_providers(&[Provider::Jira]));
        assert_eq!(by_provider.owns(&within), Err(Denied::Provider));
        assert_eq!(permit(Member, verb, AccessScope::default()).owns(&global), Ok(()));
        assert_eq!(permit(Owner, verb, to_projects(&["a/b"])).owns(&global), Ok(()));
    }
    let narrowed = permit(Member, Verb::RollbackCredentials, to_projects(&["a/b"]));
    assert_eq!(narrowed.restore(&global).err(), Some(Denied::Project));
}

#[test]
fn only_a_permit_to_read_credentials_discloses() {
    let stored = integration(Provider::Github, Scope::Global, "user:ada@example.com");
    for verb in Verb::ALL {
        let answer = permit(Owner, *verb, AccessScope::default())
            .disclose(&stored)
            .map(|proof| proof.integration().id);
        let reads = matches!(verb, Verb::ReadCredentials | Verb::RepositoryToken);
        assert_eq!(answer.ok(), reads.then_some(stored.id), "{verb:?}");
    }
}

#[test]
fn kept_credentials_cannot_be_read_without_a_permit_for_that_nor_beyond_the_narrowing() {
    let stored = integration(Provider::Github, Scope::Global, "user:ada@example.com");
    for verb in Verb::ALL {
        let answer = permit(Owner, *verb, AccessScope::default()).disclose_kept(&stored).map(|_| ()).ok();
        assert_eq!(answer.is_some(), *verb == Verb::ReadRevisions, "{verb:?}");
    }
    for narrowing in [to_projects(&[]), to_providers(&[Provider::Jira]), to_integrations(&[])] {
        assert!(permit(Owner, Verb::ReadRevisions, narrowing).disclose_kept(&stored).is_err());
    }
}

#[test]
fn a_kept_credential_cannot_be_opened_without_a_permit_to_roll_this_one_back() {
    let own = integration(Provider::Github, Scope::Global, "user:ada@example.com");
    let others = integration(Provider::Github, Scope::Global, "user:bob@example.com");
    for verb in Verb::ALL {
        let rolls_back = *verb == Verb::RollbackCredentials;
        let owner = permit(Owner, *verb, AccessScope::default());
        assert_eq!(owner.restore(&own).is_ok(), rolls_back, "{verb:?}");
        assert_eq!(owner.restore(&others).is_ok(), rolls_back, "{verb:?}");
    }
    let member = permit(Member, Verb::RollbackCredentials, AccessScope::default());
    assert_eq!(member.restore(&own).map(|proof| proof.integration().id).ok(), Some(own.id));
    assert_eq!(member.restore(&others).err(), Some(Denied::NotCreator));
}

#[test]
fn a_disclosure_stays_within_the_narrowing() {
    let scoped = |texts: &[&str]| integration(Provider::Jira, Scope::Projects(projects(texts)), "host:root");
    let global = integration(Provider::Jira, Scope::Global, "host:root");
    let asked = |scope: AccessScope, of: &Integration| {
        permit(Application, Verb::ReadCredentials, scope).disclose(of).map(|_| ()).err()
    };
    assert_eq!(asked(to_projects(&["a/b"]), &scoped(&["x/y", "a/b"])), None);
    assert_eq!(asked(to_projects(&["a/b"]), &scoped(&["x/y"])), Some(Denied::Project));
    assert_eq!(asked(to_projects(&["a/b"]), &global), None);
    assert_eq!(asked(to_providers(&[Provider::Jira]), &scoped(&["x/y"])), None);
    assert_eq!(asked(to_providers(&[Provider::Github]), &scoped(&["x/y"])), Some(Denied::Provider));
    let both = AccessScope { providers: Some(vec![Provider::Github]), ..to_projects(&["a/b"]) };
    assert_eq!(asked(both, &scoped(&["a/b"])), Some(Denied::Provider));
    let other = IntegrationId::new(NOW, [5; 10]);
    assert_eq!(asked(to_integrations(&[other, global.id]), &global), None);
    assert_eq!(asked(to_integrations(&[other]), &global), Some(Denied::Integration));
    let elsewhere = AccessScope { integrations: Some(vec![global.id]), ..to_projects(&["a/b"]) };
    assert_eq!(asked(elsewhere, &scoped(&["x/y"])), Some(Denied::Project), "each narrows by itself");
}

#[test]
fn narrowed_to_nothing_means_nothing_allowed() {
    let global = integration(Provider::Jira, Scope::Global, "host:root");
    let scoped = integration(Provider::Jira, Scope::Projects(projects(&["a/b"])), "host:root");
    for scope in [to_projects(&[]), to_providers(&[]), to_integrations(&[])] {
        let permit = permit(Application, Verb::ReadCredentials, scope);
        assert!(permit.disclose(&global).is_err());
        assert!(permit.disclose(&scoped).is_err());
    }
}

/// A narrowed auditor read the log of all projects, and listed what lies in others.
#[test]
fn a_narrowed_caller_gets_nothing_that_is_about_everything() {
    let narrowed =
        [to_projects(&["a/b"]), to_projects(&[]), to_providers(&[Provider::Jira]), to_integrations(&[])];
    for (role, verbs) in [
        (Auditor, &[Verb::ReadAudit, Verb::ExportAudit, Verb::ListDue][..]),
        (Operator, &[Verb::CreateBackup, Verb::ReadMetrics][..]),
    ] {
        for verb in verbs.iter().copied() {
            for scope in &narrowed {
                let refused = authorize(&caller(role, scope.clone()), verb, &OPEN).err();
                assert_eq!(refused, Some(Denied::Project), "{verb:?} {scope:?}");
            }
            assert!(authorize(&caller(role, AccessScope::default()), verb, &OPEN).is_ok());
        }
    }
    let within = integration(Provider::Github, Scope::Projects(projects(&["a/b"])), "user:ada@example.com");
    let elsewhere =
        integration(Provider::Github, Scope::Projects(projects(&["a/c"])), "user:ada@example.com");
    let auditor = permit(Auditor, Verb::ListIntegrations, to_projects(&["a/b"]));
    assert_eq!((auditor.lists(&within), auditor.lists(&elsewhere)), (Ok(()), Err(Denied::Project)));
    let owner = permit(Owner, Verb::ListIntegrations, AccessScope::default());
    assert_eq!((owner.lists(&within), owner.lists(&elsewhere)), (Ok(()), Ok(())));
}
