use std::process::{Command, Stdio};

use proptest::prelude::*;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::*;

/// Runs `openssl` with this input; `None` where it is not installed.
fn openssl(args: &[&str], input: &str) -> Option<String> {
    use std::io::Write;
    let mut command = Command::new("openssl");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: openssl is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The PKCS#8 and the PKCS#1 text of one key.
fn pair() -> Option<(String, String)> {
    let new = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let eight = openssl(&new, "")?;
    let one = openssl(&["rsa", "-traditional"], &eight)?;
    assert!(
        one.starts_with("-----BEGIN RSA PRIVATE KEY-----") && eight.starts_with("-----BEGIN PRIVATE KEY")
    );
    Some((eight, one))
}

fn fault(text: &str) -> BadKey {
    SigningKey::from_pem(text).err().unwrap_or_else(|| panic!("read"))
}

#[test]
fn no_spelling_of_a_key_makes_another_key_of_it() {
    let Some((eight, one)) = pair() else { return };
    let public = RsaKeyPair::public_key(&SigningKey::from_pem(&eight).unwrap().0).as_ref().to_vec();
    let certificate = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    for text in [&eight, &one] {
        for spelt in [
            text.clone(),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r"),
            text.replace('\n', "\\n"),
            text.replace('\n', "\\r\\n"),
            text.replace('\n', " "),
            text.replace('\n', "\n    "),
            format!("\u{feff}  \n\t\"{text}\"  \n"),
            format!("Bag Attributes: none\n{certificate}{text}trailing"),
            text.trim_end().to_owned(),
            text.replace('\n', "\n\n"),
        ] {
            let key = SigningKey::from_pem(&spelt).unwrap_or_else(|fault| panic!("{fault}"));
            assert_eq!(RsaKeyPair::public_key(&key.0).as_ref(), public);
            let signature = key.sign(b"message").unwrap();
            let verifier = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public);
            assert!(verifier.verify(b"message", &signature).is_ok());
        }
    }
}

/// The same bytes by another program: the signature of PKCS#1 v1.5 is deterministic.
#[test]
fn a_signature_is_the_one_that_openssl_makes() {
    let Some((eight, _)) = pair() else { return };
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, &eight).unwrap();
    let hex = openssl(&["dgst", "-sha256", "-hex", "-sign", key.to_str().unwrap()], "header.claims").unwrap();
    let signature = SigningKey::from_pem(&eight).unwrap().sign(b"header.claims").unwrap();
    let ours = data_encoding::HEXLOWER.encode(&signature);
    assert!(hex.trim().ends_with(&ours), "{hex}");
}

#[test]
fn a_text_that_is_no_key_is_refused_with_what_is_missing_and_nothing_of_it() {
    assert_eq!(fault(""), BadKey::NoBlock);
    assert_eq!(fault("MIIEexample"), BadKey::NoBlock);
    assert_eq!(fault("-----BEGIN PRIVATE KEY-----\nQUJD"), BadKey::Truncated);
    assert_eq!(fault("-----BEGIN PRIVATE KEY"), BadKey::Truncated);
    assert_eq!(fault("-----BEGIN A-----\nQUJD\n-----END B-----"), BadKey::Truncated);
    assert_eq!(fault("-----BEGIN PUBLIC KEY-----\nQUJD\n-----END PUBLIC KEY-----"), BadKey::NoKey);
    assert_eq!(fault("-----BEGIN OTHER-----\n-----END OTHER-----"), BadKey::NoKey);
    assert_eq!(fault("-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----"), BadKey::Damaged);
    assert_eq!(fault("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----"), BadKey::Damaged);
    assert_eq!(fault("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----"), BadKey::Damaged);
    assert_eq!(fault("-----BEGIN EC PRIVATE KEY-----\nQUJD\n-----END EC PRIVATE KEY-----"), BadKey::NotRsa);
    let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nQUJD\n-----END OPENSSH PRIVATE KEY-----";
    assert_eq!(fault(ssh), BadKey::OpenSsh);
    let one =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END RSA PRIVATE KEY-----";
    assert_eq!(fault(one), BadKey::Encrypted);
    let eight = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nQUJD\n-----END ENCRYPTED PRIVATE KEY-----";
    assert_eq!(fault(eight), BadKey::Encrypted);
    let Some(ec) = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "")
    else {
        return;
    };
    assert_eq!(fault(&ec), BadKey::NotRsa);
    let small = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
    assert_eq!(fault(&openssl(&small, "").unwrap()), BadKey::Size);
    let (eight, _) = pair().unwrap();
    let half: String =
        eight.lines().enumerate().filter(|(at, _)| *at != 5).flat_map(|(_, line)| [line, "\n"]).collect();
    assert_eq!(fault(&half), BadKey::Damaged);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("-----BEGIN ".to_owned()),
                Just("-----BEGIN PRIVATE KEY-----".to_owned()),
                Just("-----BEGIN RSA PRIVATE KEY-----".to_owned()),
                Just("-----END PRIVATE KEY-----".to_owned()),
                Just("-----END RSA PRIVATE KEY-----".to_owned()),
                Just("-----".to_owned()),
                Just("\\n".to_owned()),
                Just("\r\n".to_owned()),
                "[A-Za-z0-9+/=]{0,40}",
                ".{0,8}",
            ],
            0..12,
        )
    ) {
        let text = parts.concat();
        prop_assert!(SigningKey::from_pem(&text).is_err());
    }

    #[test]
    fn the_buffer_never_grows(text in "(-----BEGIN A-----|-----END A-----|-----| |\\\\n|x){0,24}") {
        let count = text.matches(BEGIN).count();
        if let Some(out) = blocks(&text) {
            prop_assert!(out.len() <= text.len() + 4 * count);
        }
    }
}
