//! The cost of the index of exposures to the reads that it follows: the same reads with it and without, in turns. With
//! it, a task indexes as the server's own does.
//!
//! Processor time is compared, not time on the wall, of which the disk takes most and other programs some. The reads go
//! to the vault directly: over HTTP each costs more, and the index as much, so that its share is smaller there.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use sealroom::{
    api,
    domain::Provider,
    vault::{Admitted, Context, CredentialQuery, Vault},
};
use tokio::task::JoinSet;

const READERS: u64 = 64;
/// Turns of each kind. In each, the index takes in as many records as the turn adds, by the block.
const TURNS: usize = 7;
/// The interval at which a busy server indexes.
const BUSY_EVERY: Duration = Duration::from_millis(50);
/// The ticks of a second in `/proc/self/stat`.
const TICKS: f64 = 100.0;

/// The processor time of one read, in microseconds, the median of all turns.
pub struct Cost {
    pub without: f64,
    pub with: f64,
}

/// Takes the times of so many reads in each turn.
pub async fn cost(vault: &Arc<Vault>, context: &Context, owner: &Admitted, reads: u64) -> Cost {
    let project = api::parse(br#"{"identifier":"acme/app"}"#).map_err(drop).unwrap();
    vault.create_project(context, owner, project).await.map_err(drop).unwrap();
    let body =
        br#"{"provider":"github","authType":"pat","isGlobal":true,"credentials":{"token":"ghp_example"}}"#;
    let request = api::parse(body).map_err(drop).unwrap();
    vault.create_integration(context, owner, request).await.map_err(drop).unwrap();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    turn(vault, context, owner, reads).await;
    for _ in 0..TURNS {
        follow(vault);
        let (start, began) = (processor_secs(), Instant::now());
        turn(vault, context, owner, reads).await;
        without.push((processor_secs() - start) * 1e6 / reads as f64);
        follow(vault);
        let start = processor_secs();
        let of_task = Arc::clone(vault);
        let following = tokio::spawn(async move {
            loop {
                let vault = Arc::clone(&of_task);
                tokio::task::spawn_blocking(move || follow(&vault)).await.unwrap();
                tokio::time::sleep(BUSY_EVERY).await;
            }
        });
        turn(vault, context, owner, reads).await;
        following.abort();
        follow(vault);
        with.push((processor_secs() - start) * 1e6 / reads as f64);
        assert!(began.elapsed().as_secs() < 600, "the turns take too long");
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Cost { without: median(without), with: median(with) }
}

/// Indexes what a server's own task would.
fn follow(vault: &Vault) {
    while vault.index_exposures().map_err(drop).unwrap() {}
}

async fn turn(vault: &Arc<Vault>, context: &Context, owner: &Admitted, reads: u64) {
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (vault, context, owner) = (Arc::clone(vault), *context, owner.clone());
        readers.spawn(async move {
            for _ in 0..reads / READERS {
                // As a pipeline reads: without a project, all integrations of the vault would be looked at.
                let (provider, project) = (Some(Provider::Github), "acme/app".parse().ok());
                let query = CredentialQuery { provider, project, ..CredentialQuery::default() };
                let found = vault.read_credentials(&context, &owner, query).await;
                drop(found.map_err(drop).unwrap());
            }
        });
    }
    while let Some(done) = readers.join_next().await {
        done.unwrap();
    }
}

/// Returns the processor time that this process has used, in seconds.
fn processor_secs() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may have blanks.
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}
