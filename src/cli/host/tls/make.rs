//! `sealroom tls make`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::json;

use super::place::{Content, Existing, Place, Staged};
use crate::{
    cli::{
        error::CliError,
        secrets,
        terminal::{output::Output, table::local},
    },
    clock::Clock,
    config::default,
    crypto::{
        authority::{Authority, Issued, Validity},
        digest::sha256,
    },
    domain::{Timestamp, days},
    http::{Distrust, certificate_end, verify_certificate},
};

/// The life of an authority: ten years.
const AUTHORITY_LIFE: Duration = days(3_650);
/// The longest life of a certificate in days; Apple's clients accept no longer one.
const DAYS_MAX: i64 = 825;
/// The life of a certificate in days, unless --days says another.
const DAYS: u16 = 365;
/// The time by which a certificate begins in the past: clocks of clients differ.
const BEFORE: Duration = days(1);

/// `tls make`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A DNS name or an address of the server; one flag for each.
    #[arg(long, required_unless_present = "renew", value_name = "NAME")]
    name: Vec<String>,
    /// The folder of the authority and the certificate; created if it is missing.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Number of days for which the certificate is valid.
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=DAYS_MAX), value_name = "DAYS")]
    days: u16,
    /// Replace the certificate by a new one of the same authority, for the same names unless --name gives others.
    #[arg(long)]
    renew: bool,
}

/// An authority in its folder.
struct Vouching {
    authority: Authority,
    /// Its certificate, as PEM.
    certificate: Vec<u8>,
    /// False if it was there before.
    is_new: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let place = Place::at(&args.dir);
    place.prepare()?;
    let _turn = place.hold()?;
    check_certificate(args, &place)?;
    let texts = if args.name.is_empty() { place.names() } else { args.name.clone() };
    let names = names(&texts, &place)?;
    let now = Clock::system().now();
    let vouching = vouching(&place, &names, now, args.renew, output)?;
    let authority_ends = certificate_end(&vouching.certificate).unwrap_or(now);
    if authority_ends <= now {
        return Err(CliError::failed(
            format!("the authority in {} ended {authority_ends}", place.authority.display()),
            "make a new one in another --dir, and give its ca.pem to the clients",
        ));
    }
    let until = now.plus(days(u64::from(args.days) + 1)).min(authority_ends);
    let issued = vouching.authority.issue(&names, Validity { from: now.minus(BEFORE), until });
    let issued = issued.map_err(|error| CliError::failed(error.to_string(), "try again"))?;
    let distrust = verify_certificate(issued.certificate.as_bytes(), &vouching.certificate, &names, now);
    distrust.map_err(|error| distrusted(error, &place))?;
    let names: Vec<String> = names.iter().map(|name| name.to_str().into_owned()).collect();
    save(&place, &vouching, &issued, &names, args.renew)?;
    report(&place, &vouching, &issued, &names, output)
}

/// Refuses to make a second certificate or key where there is one, and to renew where there is none.
fn check_certificate(args: &Args, place: &Place) -> Result<(), CliError> {
    let (shown, key) = (place.certificate.display(), place.key.display());
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    match (args.renew, is_there(&place.certificate)) {
        (false, true) => Err(CliError::failed(
            format!("{shown} exists already"),
            "pass --renew to replace it by a new one of the same authority, or name another --dir",
        )),
        (false, false) if is_there(&place.key) => Err(CliError::failed(
            format!("{key} exists already, and {shown} does not"),
            format!("move {key} away; if a killed `tls make` left it, delete it"),
        )),
        (true, false) => {
            Err(CliError::failed(format!("{shown} does not exist"), "omit --renew, and pass --name"))
        }
        (false, false) | (true, true) => Ok(()),
    }
}

fn names(texts: &[String], place: &Place) -> Result<Vec<ServerName<'static>>, CliError> {
    let mut names = Vec::new();
    for text in texts {
        let name = ServerName::try_from(text.trim_end_matches('.').to_ascii_lowercase()).map_err(|_| {
            CliError::usage(
                format!("--name: '{}' is neither a DNS name nor an address", text.escape_debug()),
                "use one as vault.example or 192.0.2.7, without scheme, port and wildcard; write other scripts as xn--…",
            )
        })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(CliError::usage(
            format!("{} does not say its names", place.certificate.display()),
            "pass --name NAME for each",
        ));
    }
    Ok(names)
}

/// Reads the authority, or generates one where there is none.
fn vouching(
    place: &Place,
    names: &[ServerName<'_>],
    now: Timestamp,
    renew: bool,
    output: &Output,
) -> Result<Vouching, CliError> {
    let (certificate, key) = (&place.authority, &place.authority_key);
    let failed = |message: String, hint: &str| Err(CliError::failed(message, hint));
    match (certificate.exists(), key.exists()) {
        (true, true) => {
            place.check_authority_key()?;
            let text = secrets::key_from_file(key, output)?;
            let authority = Authority::from_pem(text.expose()).map_err(|error| {
                CliError::failed(format!("{}: {error}", key.display()), "put the authority's key back there")
            })?;
            let certificate = fs::read(certificate).map_err(|error| {
                CliError::failed(format!("{}: {error}", certificate.display()), "check its owner and mode")
            })?;
            Ok(Vouching { authority, certificate, is_new: false })
        }
        (true, false) => failed(
            format!("{} is not there", key.display()),
            "a renewal needs the authority's key: put it back for as long as it takes",
        ),
        (false, true) => failed(
            format!("{} is not there, and its key is", certificate.display()),
            "put the authority's certificate back, or, if no client has it, delete ca.key and start anew",
        ),
        (false, false) if renew => failed(
            format!("{} has no authority: ca.pem and ca.key are missing", place.folder.display()),
            "put both back, or make a new one in another --dir",
        ),
        (false, false) => {
            let made = || {
                let authority = Authority::generate()?;
                let validity = Validity { from: now.minus(BEFORE), until: now.plus(AUTHORITY_LIFE) };
                let certificate = authority.certificate(names, validity)?.into_bytes();
                Ok(Vouching { authority, certificate, is_new: true })
            };
            made().map_err(|error: crate::crypto::authority::AuthorityError| {
                CliError::failed(error.to_string(), "try again")
            })
        }
    }
}

fn distrusted(error: Distrust, place: &Place) -> CliError {
    let shown = place.authority.display();
    match error {
        Distrust::OtherNames => CliError::failed(
            format!("--name: the authority in {shown} vouches for other names only"),
            "make a new authority with all names in another --dir, and give its ca.pem to the clients",
        ),
        error @ (Distrust::Unreadable | Distrust::NotFor(_) | Distrust::Unissued(_)) => CliError::failed(
            format!("the new certificate does not verify with {shown}: {error}"),
            "ca.pem and ca.key do not belong together: put back those of one authority",
        ),
    }
}

/// Writes every file under a temporary name, then gives each its own: a refusal and a full disk change nothing.
fn save(
    place: &Place,
    vouching: &Vouching,
    issued: &Issued,
    names: &[String],
    renew: bool,
) -> Result<(), CliError> {
    let existing = if renew { Existing::Replaced } else { Existing::Kept };
    let text = Place::certificate_text(names, &issued.certificate);
    let mut staged = Vec::new();
    if vouching.is_new {
        // The key first: without it the certificate would be of no use, and clients may have it already.
        let key = vouching.authority.key();
        staged.push(Staged::write(&place.authority_key, key.expose(), Content::Key, Existing::Kept)?);
        let certificate = &vouching.certificate;
        staged.push(Staged::write(&place.authority, certificate, Content::Certificate, Existing::Kept)?);
    }
    let key = Staged::write(&place.key, issued.key.expose(), Content::Key, existing)?;
    let certificate = Staged::write(&place.certificate, text.as_bytes(), Content::Certificate, existing)?;
    staged.into_iter().try_for_each(Staged::put)?;
    match existing {
        Existing::Replaced => place.replace_pair(key, certificate)?,
        Existing::Kept => key.put().and_then(|()| certificate.put())?,
    }
    place.clear();
    Ok(())
}

fn report(
    place: &Place,
    vouching: &Vouching,
    issued: &Issued,
    names: &[String],
    output: &Output,
) -> Result<(), CliError> {
    let fingerprint = fingerprint(&vouching.certificate);
    let end = |pem: &[u8]| certificate_end(pem).unwrap_or(Timestamp::from_millis(0));
    let (authority_end, leaf_end) = (end(&vouching.certificate), end(issued.certificate.as_bytes()));
    let [authority, authority_key, certificate, key] =
        [&place.authority, &place.authority_key, &place.certificate, &place.key]
            .map(|path| path.display().to_string());
    let state = if vouching.is_new { "new" } else { "as before" };
    let port = default::LISTEN.rsplit(':').next().unwrap_or_default();
    let first = names.first().map_or("", String::as_str);
    let host = if first.contains(':') { format!("[{first}]") } else { first.to_owned() };
    let days = leaf_end.since(Clock::system().now()).as_secs() / 86_400;
    let lines = format!(
        "authority    {authority}, {state}, until {}\n\
         fingerprint  {fingerprint}\n\
         its key      {authority_key}; keep it off this host, a renewal needs it\n\
         certificate  {certificate} with {key}, until {} ({days} days)\n\
         names        {}\n\n\
         Serve:    sealroom serve --listen 0.0.0.0:{port} --tls-cert {certificate} --tls-key {key}\n\
         Clients:  give them ca.pem, and compare its fingerprint\n          \
         sealroom login --server https://{host}:{port} --ca-file ca.pem\n          \
         curl --cacert ca.pem https://{host}:{port}/health\n\
         Renew:    sealroom tls make --renew --dir {}, then SIGHUP to the server;\n          \
         a service to which systemd passes them (LoadCredential=) takes a restart",
        local(authority_end),
        local(leaf_end),
        names.join(", "),
        place.folder.display(),
    );
    let value = json!({
        "authority": authority, "authorityKey": authority_key, "authorityIsNew": vouching.is_new,
        "authorityFingerprint": fingerprint, "authorityExpiresAt": authority_end.to_string(),
        "certificate": certificate, "key": key, "names": names, "expiresAt": leaf_end.to_string(),
    });
    output.result(&lines, &value)
}

/// Returns the SHA-256 of a certificate as `openssl x509 -fingerprint -sha256` prints it.
fn fingerprint(pem: &[u8]) -> String {
    let Ok(der) = CertificateDer::from_pem_slice(pem) else { return String::new() };
    sha256(&der).map(|byte| format!("{byte:02X}")).join(":")
}
