//! Checks of the own password that come to no judgement.

use std::{future::poll_fn, sync::mpsc, task::Poll};

use sealroom::{
    api::{parse, requests::UpdateUser},
    disk::NewFile,
    domain::{Action, Actor, Event, minutes},
    http::Limits,
    vault::{Admitted, Context, Error, Settings, Vault},
};
use serde_json::json;
use tokio::runtime::Builder;

use crate::support::server::{OWNER, PASSPHRASE, PASSWORD, TestServer, context, plan, secret, settings};

const MEMBER: &str = "member@example.com";

fn change(current: &str) -> UpdateUser {
    let body = json!({ "password": "another-password-example", "currentPassword": current }).to_string();
    parse(body.as_bytes()).map_err(drop).unwrap()
}

/// Changes the member's own password over its session of the start.
async fn own(t: &TestServer, bearer: &Admitted, current: &str) -> Result<(), Error> {
    let context = context(t.clock.now());
    t.vault.update_user(&context, bearer, MEMBER.parse().unwrap(), change(current)).await.map(drop)
}

/// A client that knew one password kept all others from logging in, from one address: its checks took every place.
#[test]
fn one_address_takes_a_part_of_the_places_of_those_who_wait_for_a_check() {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(1).build().unwrap().block_on(crowded());
}

async fn crowded() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewFile::begin(&folder.path().join("test.redb")).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
    let file = new.publish().unwrap();
    let vault = Vault::open(file.medium(), Settings { passwords_waiting: 8, ..settings() }).unwrap();
    let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
    // The only thread for checks is busy: all of them wait.
    let (go, gone) = mpsc::channel::<()>();
    let busy = tokio::task::spawn_blocking(move || gone.recv());
    let mut waiting = Vec::new();
    for (from, waits) in
        [("192.0.2.1", 2), ("192.0.2.1", 0), ("192.0.2.2", 2), ("2001:db8::1", 2), ("192.0.2.3", 2)]
    {
        let context = Context { peer: from.parse().ok(), ..context(t.clock.now()) };
        let mut placed = 0;
        for _ in 0..4 {
            let vault = &t.vault;
            let mut login = Box::pin(async move { vault.login(&context, OWNER, secret(PASSWORD)).await });
            match poll_fn(|polled| Poll::Ready(login.as_mut().poll(polled))).await {
                Poll::Pending => {
                    placed += 1;
                    waiting.push(login);
                }
                Poll::Ready(refused) => assert!(matches!(refused, Err(Error::Overloaded))),
            }
        }
        assert_eq!(placed, waits, "{from}");
    }
    drop(go);
    for login in waiting {
        assert!(login.await.is_ok());
    }
    busy.await.unwrap().unwrap_err();
}

#[test]
fn a_check_of_the_own_password_without_a_judgement_is_no_failed_login() {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(1).build().unwrap().block_on(undecided());
}

async fn undecided() {
    let folder = tempfile::tempdir().unwrap();
    let new = NewFile::begin(&folder.path().join("test.redb")).unwrap();
    Vault::create(new.medium(), 1 << 20, &plan()).unwrap();
    let file = new.publish().unwrap();
    let vault = Vault::open(file.medium(), Settings { passwords_waiting: 1, ..settings() }).unwrap();
    let t = TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await;
    let member = t.caller(&t.member);
    let now = context(t.clock.now());
    // A true failure before and after them counts, and no more than that.
    for _ in 0..3 {
        assert!(matches!(own(&t, &member, "wrong-password-example").await, Err(Error::WrongPassword)));
    }
    // The owner's login takes the only place: the only thread for it is busy.
    let (go, gone) = mpsc::channel::<()>();
    let busy = tokio::task::spawn_blocking(move || gone.recv());
    let mut login = Box::pin(t.vault.login(&now, OWNER, secret(PASSWORD)));
    let waits = poll_fn(|polled| Poll::Ready(login.as_mut().poll(polled).is_pending())).await;
    assert!(waits);
    // More often than an e-mail or an address may fail.
    for current in [PASSWORD, "wrong-password-example"].repeat(30) {
        let refused = own(&t, &member, current).await;
        assert!(matches!(refused, Err(Error::Overloaded)), "{refused:?}");
    }
    drop(go);
    assert!(login.await.is_ok() && busy.await.is_ok());
    let host = Actor::host("test");
    t.vault.lock(Event::new(now.now, host.clone(), Action::VaultLock)).await.unwrap();
    for _ in 0..60 {
        let refused = own(&t, &member, PASSWORD).await;
        assert!(matches!(refused, Err(Error::Locked)), "{refused:?}");
    }
    t.vault.unlock(secret(PASSPHRASE), host, now.now, None).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(own(&t, &member, "wrong-password-example").await, Err(Error::WrongPassword)));
    }
    let limited = own(&t, &member, PASSWORD).await;
    assert!(matches!(limited, Err(Error::TooManyTries { .. })), "five failures are five: {limited:?}");
    t.clock.set(t.clock.now().plus(minutes(5)));
    assert!(own(&t, &member, PASSWORD).await.is_ok());
}
