use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one line a setting")]
fn the_example_shows_every_setting_with_its_default() {
    let text = include_str!("../../config.example.toml");
    assert_eq!(FileConfig::parse(text).unwrap(), FileConfig::default(), "the example sets nothing");
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let expected = FileConfig {
        data: Some(default::DATA.into()),
        listen: Some(default::LISTEN.to_owned()),
        behind_tls_proxy: Some(false),
        trusted_proxies: Some(vec!["127.0.0.0/8".to_owned(), "::1".to_owned()]),
        host_names: Some(vec!["vault.example.com".to_owned()]),
        tls_cert: Some("/etc/sealroom/tls.crt".into()),
        tls_key: Some("/etc/sealroom/tls.key".into()),
        passphrase_file: Some("/run/secrets/sealroom-passphrase".into()),
        members_may_create: Some(true),
        members_may_shadow: Some(true),
        owners_need_otp: Some(false),
        new_members_see: Some(default::NEW_MEMBERS_SEE.to_owned()),
        worker_threads: Some(1),
        cache_bytes: Some(default::CACHE_BYTES),
        disk_low_bytes: Some(default::DISK_LOW_BYTES),
        without_file_lock: Some(false),
        sandbox: Some(true),
        log_level: Some(default::LOG_LEVEL.to_owned()),
        strict_env: Some(false),
        limits: FileLimits {
            body_bytes_max: Some(default::BODY_BYTES_MAX),
            header_bytes_max: Some(default::HEADER_BYTES_MAX),
            header_timeout_secs: Some(default::HEADER_TIMEOUT_SECS),
            request_timeout_secs: Some(default::REQUEST_TIMEOUT_SECS),
            stall_timeout_secs: Some(default::STALL_TIMEOUT_SECS),
            connections_max: Some(default::CONNECTIONS_MAX),
            queue_max: Some(default::QUEUE_MAX),
            passwords_waiting_max: Some(default::PASSWORDS_WAITING_MAX),
            answer_bytes_max: Some(default::ANSWER_BYTES_MAX),
            answers_bytes_max: Some(default::ANSWERS_BYTES_MAX),
            disclosures_per_minute_max: Some(default::DISCLOSURES_PER_MINUTE_MAX),
            writes_per_minute_max: Some(default::WRITES_PER_MINUTE_MAX),
        },
        client: FileClient {
            server: Some(default::SERVER.to_owned()),
            profile: Some("work".to_owned()),
            token_file: Some("/run/secrets/sealroom-token".into()),
            ca_file: Some("/etc/sealroom/ca.crt".into()),
            insecure_http: Some(false),
            no_proxy: Some(false),
            connect_wait_secs: Some(default::CONNECT_WAIT_SECS),
        },
        checkpoint: FileCheckpoint {
            folder: Some("/mnt/elsewhere/sealroom".into()),
            every_secs: Some(default::CHECKPOINT_EVERY_SECS),
        },
        backup: FileBackup {
            folder: Some("/mnt/elsewhere/backups".into()),
            every_secs: Some(default::BACKUP_EVERY_SECS),
            keep: Some(default::BACKUP_KEEP),
        },
        archive: FileArchive {
            folder: Some("/mnt/elsewhere/archives".into()),
            keep_days: Some(default::ARCHIVE_KEEP_DAYS),
        },
        witness: FileWitness {
            logs: Some(vec![
                "sealroom/0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70+fa52f2e1+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
                    .to_owned(),
            ]),
            policy: Some("/etc/sealroom/witnesses.policy".into()),
        },
        outgoing: FileOutgoing {
            enabled: Some(false),
            hosts: Some(vec![default::OUTGOING_HOST.to_owned()]),
            ca_file: Some("/etc/sealroom/ghe-ca.crt".into()),
            timeout_secs: Some(default::OUTGOING_TIMEOUT_SECS),
        },
        notify: FileNotify {
            url: Some("https://hooks.example.com/sealroom".to_owned()),
            secret_file: Some("/run/secrets/sealroom-webhook".into()),
            command: Some(vec!["/usr/local/bin/sealroom-notice".to_owned()]),
        },
    };
    assert_eq!(FileConfig::parse(&uncommented).unwrap(), expected);
}

#[test]
fn an_unknown_key_is_an_error_that_names_its_line_and_the_nearest() {
    let error = FileConfig::parse("data = \"x\"\nlissten = \"y\"\n").unwrap_err().to_string();
    assert!(error.ends_with("line 2: there is no setting `lissten`; did you mean `listen`?"), "{error}");
    let error = FileConfig::parse("[limits]\nbody_max = 1\n").unwrap_err().to_string();
    assert!(error.ends_with("did you mean `body_bytes_max`?"), "{error}");
    let error = FileConfig::parse("zzz = 1\n").unwrap_err().to_string();
    assert!(error.ends_with("line 1: there is no setting `zzz`"), "{error}");
}

#[test]
fn no_error_repeats_a_value_or_what_cannot_be_a_key() {
    for text in [
        "listen = [\"hunter2\"]\n",
        "data = 1\nworker_threads = \"hunter2, expected x\"\n",
        "worker_threads = -20021\n",
        "\"hunter2 `x`, expected `y`\" = 1\n",
        "postgres://hunter2@host/?a=b\n",
        "limits = { \"hunter2\\n\" = 1 }\n",
        "data = \"\"\"\nhunter2 = 1\n",
        "[\"hunter2\u{1b}\"]\n",
        "data = hunter2\n",
    ] {
        let error = FileConfig::parse(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2") && !error.contains("20021"), "{text}: {error}");
        assert!(!error.contains(char::is_control) && error.contains("line "), "{text}: {error:?}");
    }
}

#[test]
fn a_value_of_another_type_is_an_error_that_names_line_and_key() {
    let error = FileConfig::parse("[limits]\nbody_bytes_max = \"64k\"\n").unwrap_err().to_string();
    assert!(error.contains("line 2: body_bytes_max: invalid type"), "{error}");
    let error = FileConfig::parse("data = 1\n").unwrap_err().to_string();
    assert!(error.contains("line 1: data: invalid type"), "{error}");
    let size = FileConfig::parse("disk_low_bytes = 9_000_000_000_000\n").unwrap().disk_low_bytes;
    assert_eq!(size, Some(9_000_000_000_000), "more than 32 bits can say");
}
