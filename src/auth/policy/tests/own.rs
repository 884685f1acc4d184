//! Whose a row is, and who is meant by another user.

use super::*;

/// A row without a creator and a caller without a user must never be taken for each other.
#[test]
fn nobody_created_what_a_token_or_the_host_stored() {
    for created_by in ["host:root", "app:0192f0c1-7b3c-7def-8000-0123456789ab", "user:bob@example.com"] {
        let stored = integration(Provider::Github, Scope::Global, created_by);
        for (role, verb) in [
            (Owner, Verb::ListOwnIntegrations),
            (Member, Verb::ListOwnIntegrations),
            (Application, Verb::ReadCredentials),
            (Auditor, Verb::ListIntegrations),
            (Operator, Verb::ReadMetrics),
        ] {
            let permit = permit(role, verb, AccessScope::default());
            assert!(!permit.created(&stored), "{role} {created_by}");
            if verb == Verb::ListOwnIntegrations {
                assert_eq!(permit.lists(&stored), Err(Denied::NotCreator), "{role} {created_by}");
            }
        }
    }
    let own = integration(Provider::Github, Scope::Global, "user:ada@example.com");
    let elsewhere =
        integration(Provider::Github, Scope::Projects(projects(&["a/c"])), "user:ada@example.com");
    let narrowed = permit(Member, Verb::ListOwnIntegrations, to_projects(&["a/b"]));
    assert_eq!(
        (narrowed.lists(&own), narrowed.lists(&elsewhere)),
        (Err(Denied::Project), Err(Denied::Project))
    );
    let free = permit(Member, Verb::ListOwnIntegrations, AccessScope::default());
    assert!(free.created(&own) && free.lists(&own) == Ok(()) && free.lists(&elsewhere) == Ok(()));
}

#[test]
fn nobody_is_another_user_than_itself() {
    let owner = permit(Owner, Verb::RemoveOtp, AccessScope::default());
    assert_eq!(owner.another(&"ada@example.com".parse().unwrap()), Err(Denied::OwnFactor));
    assert_eq!(owner.another(&"bob@example.com".parse().unwrap()), Ok(()));
    assert_eq!(owner.owner(), Ok(()));
    let member = permit(Member, Verb::ListOwnIntegrations, AccessScope::default());
    assert_eq!(member.owner(), Err(Denied::OWNER_ONLY));
}
