//! Reads over TLS beside the same without.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use sealroom::crypto::kdf::KdfParams;

use super::{Bench, rates};
use crate::{
    load::Target,
    made::{self, Size},
    process,
    report::{Goal, Report, shown},
    servers::Server,
};

const CONNECTIONS: usize = 256;

pub fn measure(bench: &Bench<'_>, report: &mut Report) {
    let made = made::make(bench.folder, "tls", Size::EMPTY, KdfParams::LIGHT);
    let (cert, key) = (bench.folder.join("tls.crt"), bench.folder.join("tls.key"));
    if let Err(why) = certificate(&cert, &key) {
        return report.note(format!("not measured over TLS: {why}"));
    }
    let flags = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let with = Server::sealroom(bench.binary, &made, &flags);
    let target = Target { tls: Some(client(&cert)), ..with.target.clone() };
    let clear = made::make(bench.folder, "clear", Size::EMPTY, KdfParams::LIGHT);
    let without = Server::sealroom(bench.binary, &clear, &[]);
    let (mut ours, mut plain) = (vec![], vec![]);
    for round in 1..=bench.plan.rounds {
        report.doing(format!("round {round}: TLS"));
        ours.push(bench.sample(&target, &made.read(), CONNECTIONS));
        plain.push(bench.sample(&without.target, &clear.read(), CONNECTIONS));
    }
    let what = format!("audited reads over TLS 1.3, {CONNECTIONS} connections");
    let beside = format!("without: {}", shown(&plain));
    report.row(&what, shown(&ours), beside, rates(&ours, &plain), Goal::AtLeast(0.8));
}

/// A self-signed certificate for 127.0.0.1.
fn certificate(cert: &Path, key: &Path) -> Result<(), String> {
    let mut args = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    args.extend(["-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]);
    // CA:FALSE, as authorities issue; without it webpki takes the certificate for an authority.
    args.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
    args.extend(["-keyout", key.to_str().unwrap(), "-out", cert.to_str().unwrap()]);
    process::run(None, "openssl", &args)?;
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).map_err(|error| error.to_string())
}

fn client(cert: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}
