//! A rolled token's end: recorded, so that nobody with the keys gives it back unseen.

use std::sync::Arc;

use sealroom::{
    api::{self, requests::CreateToken},
    auth::token,
    domain::{Action, Actor, ApplicationToken, Event, Roll, Timestamp, TokenRef, days, minutes},
    vault::{Context, Vault},
};

use super::replay::{examine, failed, forge, said};
use crate::{
    lab::driver::{OWNER, PASSPHRASE, PASSWORD, START, fresh, secret, settings},
    support::memory_disk::{image, shared},
};

const fn at(now: Timestamp) -> Context {
    Context { now, request: None, peer: None }
}

/// The file of a vault with a token that was rolled twice in a chain, and one that never was.
async fn rolled() -> Vec<u8> {
    let (medium, file) = shared(&fresh());
    let vault = Vault::open(file, settings()).unwrap();
    let now = Timestamp::from_millis(START);
    vault.unlock(secret(PASSPHRASE), Actor::host("lab"), now, None).await.unwrap();
    let login = vault.login(&at(now), OWNER, secret(PASSWORD)).await.map_err(drop).unwrap();
    let bearer = token::parse_bearer(std::str::from_utf8(login.access.expose()).unwrap()).unwrap();
    let owner = vault.authenticate(bearer, &at(now)).unwrap();
    for name in ["rolled", "plain"] {
        let body = format!(r#"{{"name":"{name}","expiresIn":90}}"#);
        let request: CreateToken = api::parse(body.as_bytes()).map_err(drop).unwrap();
        let (made, _) = vault.create_token(&at(now), &owner, request).await.map_err(drop).unwrap();
        if name == "rolled" {
            let roll = async |id| {
                let now = now.plus(minutes(1));
                let rolled = vault.roll_token(&at(now), &owner, TokenRef::Id(id), minutes(60)).await;
                rolled.map_err(drop).unwrap().successor.id
            };
            roll(roll(made.id).await).await;
        }
    }
    vault.lock(Event::new(now, Actor::host("lab"), Action::VaultLock)).await.map_err(drop).unwrap();
    drop(vault);
    image(&Arc::clone(&medium))
}

#[tokio::test]
async fn a_rolled_token_cannot_get_its_end_back_unseen() {
    let image = rolled().await;
    let checks = examine(&image, Some(PASSPHRASE));
    assert!(failed(&checks).is_empty(), "an honest roll: {}", said(&checks));
    for is_succeeded in [true, false] {
        let forged = forge(&image, move |view, changes| {
            let tokens = view.tokens().unwrap().into_iter();
            let is_meant = |token: &ApplicationToken| {
                token.roll.predecessor.is_some() && token.roll.successor.is_some() == is_succeeded
            };
            let token = tokens.filter(is_meant).max_by_key(|token| token.id).unwrap();
            let expires_at = token.expires_at.plus(days(300));
            changes.token(ApplicationToken { expires_at, ..token });
        })
        .await;
        let checks = examine(&forged, Some(PASSPHRASE));
        assert!(said(&checks).contains("end not as recorded"), "{}", said(&checks));
    }
    // The first use and the successor of a token say nothing about what anybody may do.
    let marked = forge(&image, |view, changes| {
        let token =
            view.tokens().unwrap().into_iter().find(|token| token.roll.predecessor.is_some()).unwrap();
        let roll = Roll { first_used_at: Some(token.created_at), ..token.roll };
        changes.token(ApplicationToken { roll, ..token });
    })
    .await;
    assert!(failed(&examine(&marked, Some(PASSPHRASE))).is_empty());
}
