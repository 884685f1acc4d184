//! The losses of single records and of short histories, each beside what it must not take away.

use super::*;
use crate::domain::{Detail, DetailKey, Event};

const NOW: Timestamp = Timestamp::from_millis(1_764_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_764_000_600_000);

fn event(action: Action, detail: Detail) -> Event {
    Event { detail, ..Event::new(NOW, Actor::host("test"), action) }
}

fn token(number: u8) -> TokenId {
    TokenId::new(NOW, [number; 10])
}

fn integration() -> IntegrationId {
    IntegrationId::new(NOW, [7; 10])
}

fn eve() -> Email {
    "eve@example.com".parse().unwrap()
}

fn project(name: &str) -> ProjectId {
    name.parse().unwrap()
}

fn of_token(action: Action, number: u8) -> Event {
    event(action, Detail::NONE.text(DetailKey::Id, token(number)))
}

/// A token's row after a roll.
fn rolled(ends: Timestamp, successor: u8) -> Event {
    let detail = Detail::NONE.text(DetailKey::Id, token(1)).text(DetailKey::ExpiresAt, ends);
    event(Action::TokenUpdate, detail.text(DetailKey::RolledTo, token(successor)))
}

fn of_eve(action: Action) -> Event {
    event(action, Detail::NONE.text(DetailKey::Email, eve()))
}

/// A change of these fields of a member.
fn changed(fields: &[&str]) -> Event {
    let detail = Detail::NONE.text(DetailKey::Email, eve()).list(DetailKey::Fields, fields);
    event(Action::UserUpdate, detail)
}

fn with(event: Event, detail: Detail) -> Event {
    Event { detail: event.detail.join(detail), ..event }
}

fn about(action: Action) -> Event {
    Event { integration: Some(integration()), ..event(action, Detail::NONE) }
}

fn in_project(action: Action, name: &str) -> Event {
    Event { project: Some(project(name)), ..event(action, Detail::NONE) }
}

fn member() -> UserState {
    UserState { role: Role::Member, disabled: false, projects: Projects::All }
}

fn only(names: &[&str]) -> Projects {
    Projects::Only(names.iter().map(|name| project(name)).collect())
}

fn add(events: impl IntoIterator<Item = Event>) -> TakenAway {
    let mut all = TakenAway::default();
    for (sequence, event) in (0..).zip(events) {
        all.add(&record::encode(sequence, &event)).unwrap();
    }
    all
}

#[track_caller]
fn assert_losses<const N: usize>(events: [Event; N], expect: impl FnOnce(&mut TakenAway)) {
    let said = format!("{events:?}");
    let mut expected = TakenAway::default();
    expect(&mut expected);
    assert_eq!(TakenAway { actions: BTreeMap::new(), ..add(events) }, expected, "{said}");
}

#[test]
fn a_token_that_was_revoked_narrowed_or_rolled_stays_so() {
    assert_losses([of_token(Action::TokenRevoke, 1), of_token(Action::TokenRevoke, 2)], |all| {
        all.tokens = [token(1), token(2)].into();
    });
    let narrow = |names: &[&str]| {
        with(of_token(Action::TokenUpdate, 1), Detail::NONE.list(DetailKey::Projects, names))
    };
    assert_losses([narrow(&["acme/app", "acme/web"]), narrow(&["acme/web"])], |all| {
        all.narrowed_tokens.insert(token(1), only(&["acme/web"]));
    });
    // The earliest end holds, whatever a later record says, and the successor of the last roll.
    for ends in [[NOW, LATER], [LATER, NOW]] {
        assert_losses([rolled(ends[0], 2), rolled(ends[1], 3)], |all| {
            all.narrowed_tokens.insert(token(1), Projects::All);
            all.rolled_tokens.insert(token(1), RolledTo { ends: NOW, successor: Some(token(3)) });
        });
    }
}

#[test]
fn a_user_is_as_the_last_record_left_it_and_a_removed_one_leaves_nothing_else() {
    assert_losses([changed(&["firstName"])], |all| {
        all.users.insert(eve(), member());
    });
    let lost = Detail::NONE
        .text(DetailKey::Role, Role::Owner)
        .truth(DetailKey::Disabled, true)
        .list(DetailKey::Projects, &["acme/app"]);
    assert_losses([with(changed(&["firstName", "password"]), lost)], |all| {
        let projects = only(&["acme/app"]);
        all.users.insert(eve(), UserState { role: Role::Owner, disabled: true, projects });
        all.passwords = [eve()].into();
    });
    for field in ["otp", "otp_codes"] {
        let code = Detail::NONE.number(DetailKey::Code, 4);
        assert_losses([with(changed(&["lastName", field]), code)], |all| {
            all.users.insert(eve(), member());
            all.factors = [eve()].into();
            all.codes.insert(eve(), [4].into());
        });
    }
    assert_losses([of_eve(Action::VaultRecover)], |all| all.passwords = [eve()].into());
    let without_factor = Detail::NONE.truth(DetailKey::Otp, false);
    assert_losses([with(of_eve(Action::VaultRecover), without_factor)], |all| {
        all.passwords = [eve()].into();
        all.factors = [eve()].into();
    });
    let everything = with(changed(&["password", "otp"]), Detail::NONE.number(DetailKey::Code, 4));
    assert_losses([everything, of_eve(Action::UserDelete)], |all| all.removed_users = [eve()].into());
}

#[test]
fn a_code_that_a_user_logged_in_with_is_used_up() {
    let login = |code: u64| Event {
        actor: Actor::User(eve()),
        ..event(Action::SessionLogin, Detail::NONE.number(DetailKey::Code, code))
    };
    assert_losses([login(1), login(9), login(1)], |all| {
        all.codes.insert(eve(), [1, 9].into());
    });
    let plain = Event { actor: Actor::User(eve()), ..event(Action::SessionLogin, Detail::NONE) };
    assert_losses([plain, login(256), event(Action::SessionLogin, Detail::NONE)], |_| {});
}

#[test]
fn an_integration_a_project_and_a_slot_are_as_the_records_left_them() {
    assert_losses([about(Action::IntegrationDelete)], |all| all.integrations = [integration()].into());
    for action in [Action::IntegrationRotate, Action::IntegrationRollback] {
        assert_losses([about(action)], |all| all.rotated = [integration()].into());
    }
    let scoped = |names: &[&str]| {
        with(about(Action::IntegrationUpdate), Detail::NONE.list(DetailKey::Projects, names))
    };
    assert_losses([scoped(&["acme/app"]), scoped(&[])], |all| {
        all.scopes.insert(integration(), only(&[]));
    });
    assert_losses([about(Action::IntegrationUpdate)], |all| {
        all.scopes.insert(integration(), Projects::All);
    });
    let deleted = |name| in_project(Action::ProjectDelete, name);
    let registered = |name| in_project(Action::ProjectCreate, name);
    let history = [registered("acme/app"), deleted("acme/app"), deleted("acme/web"), registered("acme/web")];
    assert_losses(history, |all| all.projects = [project("acme/app")].into());
    let slots = [Action::VaultSlot, Action::VaultRekey].map(|action| event(action, Detail::NONE));
    assert_losses(slots, |all| all.slots = 2);
}

/// A record too long for its place keeps a hash of its names: a loss that nobody can apply must be counted.
#[test]
fn no_loss_without_a_name_passes_unsaid() {
    for action in [
        Action::TokenRevoke,
        Action::TokenUpdate,
        Action::UserDelete,
        Action::UserUpdate,
        Action::VaultRecover,
        Action::IntegrationDelete,
        Action::IntegrationUpdate,
        Action::IntegrationRotate,
        Action::IntegrationRollback,
        Action::ProjectDelete,
    ] {
        let hashed = Detail::NONE.text(DetailKey::Id, "?").text(DetailKey::Email, "x".repeat(97));
        assert_losses([event(action, Detail::NONE), event(action, hashed)], |all| all.unnamed = 2);
    }
    for action in [Action::ProjectCreate, Action::TokenCreate, Action::CredentialsRead] {
        assert_losses([event(action, Detail::NONE)], |_| {});
    }
    let many: Vec<String> = (0..40).map(|number| format!("acme/app{number}")).collect();
    let narrow = with(of_token(Action::TokenUpdate, 1), Detail::NONE.list(DetailKey::Projects, &many));
    let no_project = with(of_token(Action::TokenUpdate, 2), Detail::NONE.list(DetailKey::Projects, &[""]));
    assert_losses([narrow, no_project], |all| {
        all.narrowed_tokens = [1, 2].map(|number| (token(number), Projects::Unknown)).into();
    });
}

#[test]
fn a_refusal_is_counted_and_takes_nothing_away() {
    let refused = [Outcome::Denied, Outcome::Failed]
        .map(|outcome| Event { outcome, ..of_token(Action::TokenRevoke, 1) });
    let all = add(refused.into_iter().chain([of_token(Action::TokenRevoke, 2), of_eve(Action::UserDelete)]));
    assert_eq!((all.tokens.iter().copied().collect::<Vec<_>>(), all.unnamed), (vec![token(2)], 0));
    let counts = [("token.revoke".to_owned(), 3), ("user.delete".to_owned(), 1)];
    assert_eq!((&all.actions, all.records()), (&BTreeMap::from(counts), 4));
    assert_eq!(TakenAway::default().add(b"{}"), Err(BadRecord));
}
