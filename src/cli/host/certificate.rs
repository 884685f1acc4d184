//! The files of the certificate and its key, and the end of the certificate.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{settings::TlsFiles, tls::next_of};
use crate::{
    cli::{error::CliError, secrets, terminal::output::Output},
    clock::Clock,
    domain::{Timestamp, days},
    http::{LeafFlaw, Tls, TlsError, certificate_end, leaf_flaw},
};

/// The period in which an end is soon.
const SOON: Duration = days(30);
/// The interval between two looks at the end.
const LOOK_EVERY: Duration = days(1);
/// The remedy.
const RENEW: &str = "renew it (`sealroom tls make --renew` renews its own ones), then send SIGHUP";

/// Reads certificate and key; warns about a certificate that clients refuse, or will soon.
///
/// # Errors
/// A file cannot be read, others can read the key, or the two do not match.
pub(super) fn load(files: &TlsFiles, output: &Output) -> Result<Tls, CliError> {
    let read = read(files, output, Tls::new)?;
    read.warnings(files).iter().for_each(|warning| output.warning(warning));
    Ok(read.taken)
}

/// Reloads both into a running server; if that fails, the old ones stay.
pub(super) fn replace(tls: &Tls, files: &TlsFiles, output: &Output) -> Result<(), CliError> {
    let read = read(files, output, |chain, key| tls.replace(chain, key))?;
    read.warnings(files).iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(())
}

/// A certificate and its key, as they were taken.
struct Read<T> {
    taken: T,
    chain: Vec<u8>,
    /// The file of the key, if it is the successor of the one that the settings name.
    next: Option<PathBuf>,
}

impl<T> Read<T> {
    fn warnings(&self, files: &TlsFiles) -> Vec<String> {
        let cut_short = self.next.as_ref().map(|next| {
            let (cert, key, next) = (files.cert.display(), files.key.display(), next.display());
            format!("the key of {cert} is {next}: a renewal was cut short; renew again, or: mv {next} {key}")
        });
        cut_short.into_iter().chain(flaw(&files.cert, &self.chain, Clock::system().now())).collect()
    }
}

/// Reads certificate and key, and has them taken. A renewal that was cut short has left the certificate's key as the
/// successor of the old one.
fn read<T>(
    files: &TlsFiles,
    output: &Output,
    take: impl Fn(&[u8], &[u8]) -> Result<T, TlsError>,
) -> Result<Read<T>, CliError> {
    let cert = &files.cert;
    let chain = fs::read(cert).map_err(|error| {
        CliError::failed(format!("{}: {error}", cert.display()), secrets::remedy(cert, &error))
    })?;
    let key = secrets::key_from_file(&files.key, output)?;
    let refused = match take(&chain, key.expose()) {
        Ok(taken) => return Ok(Read { taken, chain, next: None }),
        Err(refused) => refused,
    };
    let next = next_of(&files.key);
    if next.exists()
        && let Ok(taken) = take(&chain, secrets::key_from_file(&next, output)?.expose())
    {
        return Ok(Read { taken, chain, next: Some(next) });
    }
    Err(unusable(files, &refused))
}

fn flaw(cert: &Path, chain: &[u8], now: Timestamp) -> Option<String> {
    let Some(flaw) = leaf_flaw(chain, now) else {
        return certificate_end(chain).filter(|end| *end <= now.plus(SOON)).map(|end| soon(cert, end, now));
    };
    let remedy = match flaw {
        LeafFlaw::NotYetValid(_) => "check the clock",
        LeafFlaw::Expired(_) => RENEW,
        LeafFlaw::Authority | LeafFlaw::OtherPurpose | LeafFlaw::Unreadable => {
            "`sealroom tls make` creates a valid one"
        }
    };
    Some(format!("clients will refuse the certificate in {}: {flaw}; {remedy}", cert.display()))
}

fn soon(cert: &Path, end: Timestamp, now: Timestamp) -> String {
    let left = match end.since(now).as_secs() / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    format!("the certificate in {} expires in {left}, {end}: {RENEW}", cert.display())
}

/// Logs each day that the certificate has expired or expires soon, for as long as it is polled.
pub(super) async fn keep(tls: Option<&Tls>, files: Option<&TlsFiles>) {
    let (Some(tls), Some(files)) = (tls, files) else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = Clock::system().now();
        match tls.certificate_end() {
            Some(end) if end <= now => {
                let cert = files.cert.display();
                tracing::error!("clients refuse the certificate in {cert}: it expired {end}; {RENEW}");
            }
            Some(end) if end <= now.plus(SOON) => tracing::warn!("{}", soon(&files.cert, end, now)),
            Some(_) | None => {}
        }
    }
}

fn unusable(files: &TlsFiles, error: &TlsError) -> CliError {
    let TlsFiles { cert, key } = files;
    CliError::failed(
        format!("{} with {}: {error}", cert.display(), key.display()),
        "pass the certificate chain, leaf first, and its private key",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::authority::{Authority, Validity};

    #[test]
    fn a_certificate_that_ends_within_thirty_days_is_never_silent() {
        let now = Timestamp::from_millis(1_795_910_400_000);
        let chain = |from: Timestamp, until: Timestamp| {
            let names = ["vault.example".try_into().unwrap()];
            let issued = Authority::generate().unwrap().issue(&names, Validity { from, until }).unwrap();
            issued.certificate.into_bytes()
        };
        let told = |from: u64, left: u64| {
            let chain = chain(now.minus(days(from)), now.plus(days(left)));
            assert_eq!(certificate_end(&chain), Some(now.plus(days(left))));
            flaw(Path::new("tls.crt"), &chain, now).unwrap_or_default()
        };
        assert_eq!(told(1, 31), "");
        assert_eq!(told(1, 365), "");
        for (left, says) in [(30, "expires in 30 days"), (29, "expires in 29 days"), (1, "expires in 1 day,")]
        {
            assert!(told(1, left).contains(says), "{}", told(1, left));
        }
        let expired = chain(now.minus(days(9)), now.minus(days(1)));
        let expired = flaw(Path::new("tls.crt"), &expired, now).unwrap();
        assert!(expired.contains("clients will refuse") && expired.contains("it expired"), "{expired}");
        let later = chain(now.plus(days(1)), now.plus(days(90)));
        let later = flaw(Path::new("tls.crt"), &later, now).unwrap();
        assert!(later.contains("not valid before") && later.contains("check the clock"), "{later}");
    }
}
