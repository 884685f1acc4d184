//! Damaged closed files, opened, unlocked, read and verified by child processes. A child may report the damage. It must
//! not panic, abort, hang or show anything that was never there.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use sealroom::{
    auth::token,
    domain::{Actor, Timestamp},
    vault::{Context, EventQuery, Vault},
};

use super::{
    content::{self, Content},
    disk::Disk,
    driver::{Broken, Driver, OWNER, PASSPHRASE, PASSWORD, START, fresh, secret, settings},
    rng::Rng,
};

const PAGE: usize = 4096;
/// The prefix of the lines in which a child reports the damage it is about to read, and the outcome.
const TRYING: &str = "DAMAGE ";

/// Returns a vault that was used and stopped in order, and its content.
pub async fn pristine(seed: u64) -> (Vec<u8>, Content) {
    let disk = Disk::new(fresh());
    let mut driver = Driver::new(disk.clone(), Rng::new(&[seed, 3]), true);
    driver.run(60).await.unwrap();
    (disk.image(), driver.content)
}

/// Damages a file as `seed` and `number` choose; returns a description of the damage.
pub fn damage(image: &mut Vec<u8>, seed: u64, number: u64) -> String {
    let mut rng = Rng::new(&[seed, number, 4]);
    let at = if rng.one_in(4) { rng.below(PAGE) } else { rng.below(image.len()) };
    match rng.below(8) {
        0..=3 => {
            image[at] ^= 1 << rng.below(8);
            format!("a bit of byte {at}")
        }
        4 => {
            image[at] = rng.next() as u8;
            format!("byte {at}")
        }
        5 => {
            let end = (at + 1 + rng.below(64)).min(image.len());
            image[at..end].fill_with(|| rng.next() as u8);
            format!("bytes {at} to {end}")
        }
        6 => {
            let other = rng.below(image.len());
            let pages = (at / PAGE * PAGE, other / PAGE * PAGE);
            let size = PAGE.min(image.len() - pages.0).min(image.len() - pages.1);
            let page = image[pages.0..pages.0 + size].to_vec();
            image.copy_within(pages.1..pages.1 + size, pages.0);
            if rng.one_in(2) {
                image[pages.1..pages.1 + size].copy_from_slice(&page);
            }
            format!("page {} with that at {}", pages.0, pages.1)
        }
        _ => {
            image.truncate(at);
            format!("all from {at} on")
        }
    }
}

/// Opens a damaged file and reads everything that can be read; returns the outcome.
async fn meet(image: Vec<u8>, pristine: &Content) -> Result<&'static str, Broken> {
    let vault = match Vault::open(Disk::new(Arc::new(image)).medium(), settings()) {
        Ok(vault) => vault,
        Err(error) => return clear(&error.to_string(), "refused to open"),
    };
    let context = Context { now: Timestamp::from_millis(START + 1_800_000), request: None, peer: None };
    if let Err(error) = vault.unlock(secret(PASSPHRASE), Actor::host("lab"), context.now, None).await {
        return clear(&error.to_string(), "refused to unlock");
    }
    let login = match vault.login(&context, OWNER, secret(PASSWORD)).await {
        Ok(login) => String::from_utf8(login.access.expose().to_vec()).unwrap(),
        Err(error) => return clear(&error.to_string(), "refused a request"),
    };
    let owner = vault
        .authenticate(token::parse_bearer(&login).unwrap(), &context)
        .map_err(|error| error.to_string())?;
    match content::observe(&vault, &context, &owner).await {
        Ok((seen, _)) if seen == *pristine => {}
        Ok((seen, _)) => return Err(format!("it shows {seen:?}, which was never there")),
        Err(error) => return clear(&error.to_string(), "refused a request"),
    }
    let query = EventQuery { limit: 100_000, ..EventQuery::default() };
    match vault.read_events(&context, &owner, &query).await {
        Ok(_) => Ok("served whole"),
        Err(error) => clear(&error.to_string(), "refused a request"),
    }
}

/// Checks that a message names the damage.
fn clear(message: &str, what: &'static str) -> Result<&'static str, Broken> {
    const CLEAR: &[&str] = &[
        "this is not a sealroom vault",
        "the file is damaged",
        "the file is truncated",
        "the file has format",
        "the file cannot be",
        "does not open: damaged or tampered with",
        "wrong passphrase",
        "the audit log cannot be written",
        "a row failed authentication",
        "the key derivation takes",
    ];
    if CLEAR.iter().any(|clear| message.contains(clear)) {
        Ok(what)
    } else {
        Err(format!("unclear: {message}"))
    }
}

/// Runs as the child: reads damaged files one by one, and reports each on a line.
pub async fn child(file: &Path, seed: u64, numbers: std::ops::Range<u64>) {
    let pristine_content = {
        let vault = Vault::open(Disk::new(Arc::new(fs::read(file).unwrap())).medium(), settings()).unwrap();
        let context = Context { now: Timestamp::from_millis(START + 1_800_000), request: None, peer: None };
        vault.unlock(secret(PASSPHRASE), Actor::host("lab"), context.now, None).await.unwrap();
        let login =
            vault.login(&context, OWNER, secret(PASSWORD)).await.map_err(|error| error.to_string()).unwrap();
        let text = String::from_utf8(login.access.expose().to_vec()).unwrap();
        let owner = vault.authenticate(token::parse_bearer(&text).unwrap(), &context).map_err(drop).unwrap();
        content::observe(&vault, &context, &owner).await.map_err(|error| error.to_string()).unwrap().0
    };
    for number in numbers {
        let mut image = fs::read(file).unwrap();
        let what = damage(&mut image, seed, number);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{TRYING}{number} {what}").unwrap();
        out.flush().unwrap();
        drop(out);
        let met = meet(image, &pristine_content).await;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{TRYING}{}", met.unwrap_or_else(|broken| panic!("{what}: {broken}"))).unwrap();
        out.flush().unwrap();
    }
}

/// The number of outcomes by kind.
pub type Ends = BTreeMap<String, u64>;

/// Runs a child over a batch and counts the outcomes; returns the failure and its damage, if any.
pub fn watch(mut child: Command, ends: &mut Ends) -> Result<(), Broken> {
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut trying, mut panics) = (String::new(), String::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let Some((_, rest)) = line.split_once(TRYING) else { continue };
        if rest.starts_with(|first: char| first.is_ascii_digit()) {
            rest.clone_into(&mut trying);
        } else {
            *ends.entry(rest.to_owned()).or_default() += 1;
        }
    }
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        if line.contains("panicked") || !panics.is_empty() {
            panics.push_str(&line);
            panics.push('\n');
        }
    }
    let status = child.wait().unwrap();
    if status.success() && panics.is_empty() {
        return Ok(());
    }
    Err(format!("damage {trying}: {status}\n{panics}"))
}

/// Runs the offline verifier on a damaged copy: it must report an error or success.
pub fn verify(binary: &str, file: &Path, seed: u64, number: u64, ends: &mut Ends) -> Result<(), Broken> {
    let mut image = fs::read(file).unwrap();
    let what = damage(&mut image, seed, number);
    let copy = file.with_extension("damaged");
    fs::write(&copy, image).unwrap();
    let done = Command::new(binary).args(["audit", "verify"]).arg(&copy).env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.code() {
        Some(0) => *ends.entry("verified".to_owned()).or_default() += 1,
        Some(1) if said.starts_with("error: ") && !said.contains("panicked") => {
            *ends.entry("refused by the verifier".to_owned()).or_default() += 1;
        }
        _ => return Err(format!("damage {number} {what}: audit verify ended with {}: {said}", done.status)),
    }
    Ok(())
}
