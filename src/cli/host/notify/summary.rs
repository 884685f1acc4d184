//! The facts of a day's summary: what is due, and how the vault and its host are.

use serde_json::{Value, json};

use crate::{
    domain::{DueCounts, Timestamp},
    vault::Vault,
};

/// Returns the counts of a day's summary. `due` is `null` while the vault is locked, and if a row fails authentication.
pub(super) fn summary(vault: &Vault, now: Timestamp) -> Value {
    let gauges = vault.gauges(now);
    let open = gauges.open.as_ref();
    let stored: u64 = open.iter().flat_map(|open| open.integrations.values()).map(|(all, _)| all).sum();
    json!({
        "locked": open.is_none(),
        "integrations": stored,
        "due": open.and_then(|open| open.due.as_ref()).map(due),
        "auditRecords": open.map(|open| open.log_size),
        "alarmsSinceStart": gauges.canary_reads,
        "refusedSinceStart": vault.refused(),
        "backupAgeSeconds": gauges.backup_age.map(|age| age.as_secs()),
        "backupFailed": gauges.backup_failed,
        "archiveFailed": gauges.archive_failed,
        "checkpointLost": gauges.checkpoint_lost,
        "witnessRefused": gauges.witness_refused,
        "witnessSilent": gauges.witness_silent,
        "diskFreeBytes": gauges.free_bytes,
    })
}

/// Returns the counts as `GET /due` names them.
fn due(counts: &DueCounts) -> Value {
    let DueCounts { ending, ended_read, not_rotated, tokens_ending, tokens_unused } = *counts;
    json!({
        "all": counts.all(),
        "ending": ending,
        "endedRead": ended_read,
        "notRotated": not_rotated,
        "tokensEnding": tokens_ending,
        "tokensUnused": tokens_unused,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redb::backends::InMemoryBackend;

    use super::*;
    use crate::{
        api,
        auth::token,
        clock,
        crypto::kdf::KdfParams,
        domain::{Action, Actor, Event, Secret, days},
        vault::{Admitted, Context, CredentialQuery, InitPlan, Settings},
    };

    const START: Timestamp = Timestamp::from_millis(1_795_514_400_000);

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn at(now: Timestamp) -> Context {
        Context { now, request: None, peer: None }
    }

    async fn vault() -> Vault {
        let disk = Arc::new(InMemoryBackend::new());
        let plan = InitPlan {
            owner: "owner@example.com".parse().unwrap(),
            password: secret("password-example"),
            passphrase: secret("passphrase-example"),
            kdf: KdfParams::LIGHT,
            password_kdf: KdfParams::LIGHT,
            actor: Actor::host("test"),
            now: START,
        };
        Vault::create(disk.clone(), 1 << 20, &plan).unwrap();
        let settings = Settings {
            password_kdf: KdfParams::LIGHT,
            disk_low_bytes: 0,
            ..Settings::new(Actor::host("test"), clock::monotonic)
        };
        let vault = Vault::open(disk, settings).unwrap();
        vault.unlock(secret("passphrase-example"), Actor::host("test"), START, None).await.unwrap();
        vault
    }

    async fn owner(vault: &Vault, now: Timestamp) -> Admitted {
        let login = vault.login(&at(now), "owner@example.com", secret("password-example")).await;
        let bearer = login.map_err(drop).unwrap().access;
        let bearer = token::parse_bearer(std::str::from_utf8(bearer.expose()).unwrap()).unwrap();
        vault.authenticate(bearer, &at(now)).unwrap()
    }

    /// The summary used to count only what expires, so that a credential which ended and is still read, or which nobody
    /// rotated for a year, was on no notice.
    #[tokio::test]
    async fn a_day_never_ends_without_each_kind_of_work_that_is_due_in_its_summary() {
        let vault = vault().await;
        let counts = |days_on: u64| {
            let found = summary(&vault, START.plus(days(days_on)));
            let due = found["due"].clone();
            let of = |kind: &str| due[kind].as_u64().unwrap();
            assert_eq!(
                of("all"),
                due.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>() / 2
            );
            ["ending", "endedRead", "notRotated", "tokensEnding", "tokensUnused"].map(of)
        };
        let first = owner(&vault, START).await;
        assert_eq!(counts(0), [0; 5]);
        let end = START.plus(days(200));
        let github = format!(
            r#"{{"provider":"github","authType":"pat","isGlobal":true,"expiresAt":"{end}","credentials":{{"token":"ghp_example"}}}}"#
        );
        let request = api::parse(github.as_bytes()).map_err(drop).unwrap();
        vault.create_integration(&at(START), &first, request).await.map_err(drop).unwrap();
        let request = api::parse(br#"{"name":"ci","expiresIn":205}"#).map_err(drop).unwrap();
        vault.create_token(&at(START), &first, request).await.map_err(drop).unwrap();
        assert_eq!(counts(1), [0; 5]);
        assert_eq!(counts(90), [0, 0, 0, 0, 1], "the token was never used");
        assert_eq!(counts(181), [1, 0, 1, 0, 1], "its value is old and ends");
        let now = end.plus(days(1));
        let again = owner(&vault, now).await;
        vault.read_credentials(&at(now), &again, CredentialQuery::default()).await.map_err(drop).unwrap();
        assert_eq!(counts(201), [0, 1, 1, 1, 1], "it was read after its end");
        assert_eq!(counts(206), [0, 1, 1, 0, 0], "the token has ended");
    }

    #[tokio::test]
    async fn a_locked_vault_says_so_and_counts_nothing_as_due() {
        let vault = vault().await;
        let stop = Event::new(START, Actor::host("test"), Action::ServerStop);
        vault.lock(stop).await.map_err(drop).unwrap();
        let found = summary(&vault, START);
        assert_eq!((&found["locked"], &found["due"]), (&json!(true), &Value::Null), "{found}");
    }
}
