//! Calls that fail while the process lives on: each of the model's calls in turn, only that call or all later ones too.

use super::{
    check,
    content::{Content, Shown},
    disk::{Disk, Fault},
    driver::{Broken, Driver, fresh},
    journal,
    rng::Rng,
};
use std::sync::Arc;

/// Runs the model by a seed with that fault; returns the number of calls, and of those that failed.
pub async fn run(seed: u64, steps: usize, fault: Option<Fault>) -> Result<(usize, usize), Broken> {
    let base = fresh();
    let disk = Disk::new(Arc::clone(&base));
    disk.set_fault(fault);
    let is_strict = fault.is_none_or(|fault| fault.first == fault.last);
    let mut driver = Driver::new(disk.clone(), Rng::new(&[seed, 2]), is_strict);
    driver.run(steps).await?;
    let (calls, hit) = (disk.calls(), disk.hit());
    let ops = disk.take_journal();
    let content: &Content = &driver.content;
    let shown: Vec<&Shown> = driver.shown.iter().collect();
    let tokens: Vec<(&str, &str)> =
        driver.known.tokens.iter().map(|(name, (_, text))| (name.as_str(), text.as_str())).collect();
    // The file as the next process finds it.
    let seen = Disk::new(Arc::new(disk.image()));
    check::read_back(seen, &[content], &shown, &tokens, None).await?;
    // The file after a power cut at this point: writes of a failed sync are lost.
    let durable = Disk::new(Arc::new(journal::durable(&base, &ops)));
    let lost = check::read_back(durable, &[content], &shown, &tokens, None).await;
    lost.map_err(|broken| format!("after a power cut: {broken}"))?;
    Ok((calls, hit))
}
