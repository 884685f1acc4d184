//! The work-list of rotations at size, beside a list of all integrations.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sealroom::{
    api,
    auth::policy::Verb,
    domain::{DueRules, IntegrationId, days},
    vault::{Admitted, Context, DueQuery, Vault},
};
use tokio::task::JoinSet;

/// The tasks that fill the vault; their commits share syncs.
const WRITERS: u64 = 1024;
const ROUNDS: usize = 21;

/// The times of one vault.
pub struct Measured {
    /// The first list after an unlock, which reads the dates of all integrations.
    pub first: Duration,
    /// A later list; the median.
    pub later: Duration,
    /// A list of integrations, one page of a thousand; the median.
    pub listing: Duration,
    /// A list of all integrations, page after page.
    pub all: Duration,
}

/// Stores so many integrations; one in a hundred ends within the month. Returns their ids.
pub async fn fill(vault: &Arc<Vault>, context: &Context, owner: &Admitted, count: u64) -> Vec<IntegrationId> {
    let (mut running, mut ids) = (JoinSet::new(), Vec::new());
    for number in 0..count {
        if running.len() as u64 >= WRITERS {
            ids.push(running.join_next().await.unwrap().unwrap());
        }
        let (vault, context, owner) = (Arc::clone(vault), *context, owner.clone());
        let end = context.now.plus(days(if number % 100 == 0 { 20 } else { 200 }));
        let body = format!(
            r#"{{"provider":"custom","authType":"api_key","name":"key-{number}","isGlobal":true,"expiresAt":"{end}","credentials":{{"value":"example-{number}"}}}}"#
        );
        running.spawn(async move {
            let request = api::parse(body.as_bytes()).map_err(drop).unwrap();
            vault.create_integration(&context, &owner, request).await.map_err(drop).unwrap().0.id
        });
    }
    ids.extend(running.join_all().await);
    ids
}

/// Takes the times; everything is old, and one in a hundred ends.
pub async fn measure(vault: &Vault, context: &Context, owner: &Admitted, count: u64) -> Measured {
    let query = DueQuery { rules: DueRules { older_than: Duration::ZERO, ..DueRules::STANDARD }, limit: 100 };
    let due = async || {
        let start = Instant::now();
        let due = vault.list_due(context, owner, query).await.map_err(drop).unwrap();
        assert_eq!((due.counts.not_rotated, due.counts.ending), (count, count.div_ceil(100)));
        start.elapsed()
    };
    let first = due().await;
    let (mut later, mut listings) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        later.push(due().await);
        let start = Instant::now();
        let page = (Some(1_000), None);
        let listed = vault.list_integrations(context, owner, Verb::ListIntegrations, None, None, page).await;
        listed.map_err(drop).unwrap();
        listings.push(start.elapsed());
    }
    later.sort();
    listings.sort();
    let (start, mut cursor) = (Instant::now(), None);
    loop {
        let page = (Some(1_000), cursor);
        let listed = vault.list_integrations(context, owner, Verb::ListIntegrations, None, None, page).await;
        cursor = listed.map_err(drop).unwrap().1;
        if cursor.is_none() {
            break;
        }
    }
    Measured { first, later: later[ROUNDS / 2], listing: listings[ROUNDS / 2], all: start.elapsed() }
}
