//! The files of `examples` for operators: units for systemd and rules for Prometheus.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::support::{
    binary::{Serving, sealroom},
    tls::has,
};

const SYSTEMD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/systemd");
const PROMETHEUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/prometheus");

fn read(folder: &str, name: &str) -> String {
    fs::read_to_string(Path::new(folder).join(name)).unwrap()
}

/// The unit without the comment at its head.
fn unit(name: &str) -> String {
    let text = read(SYSTEMD, name);
    text[text.find("[Unit]").unwrap()..].to_owned()
}

#[test]
fn the_template_unit_differs_from_the_unit_in_its_paths_alone() {
    let mut expected = unit("sealroom.service");
    for (one, of_several) in [
        ("credential vault", "credential vault of %i"),
        ("%S/sealroom/", "%S/sealroom-%i/"),
        ("StateDirectory=sealroom\n", "StateDirectory=sealroom-%i\n"),
        ("/etc/sealroom/config.toml", "/etc/sealroom/%i.toml"),
        ("/etc/sealroom/passphrase", "/etc/sealroom/%i.passphrase"),
        ("/var/lib/private/sealroom.", "/var/lib/private/sealroom-%i."),
    ] {
        assert!(expected.contains(one), "{one}");
        expected = expected.replace(one, of_several);
    }
    assert_eq!(unit("sealroom@.service"), expected);
}

#[test]
fn the_units_start_the_server_with_flags_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let help = String::from_utf8(sealroom(folder.path(), &["serve", "--help"]).stdout).unwrap();
    let text = unit("sealroom.service");
    let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let flags: Vec<&str> = start.split(' ').filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() >= 3, "{flags:?}");
    for flag in flags {
        assert!(help.contains(&format!("{flag} ")), "{flag}");
    }
}

/// `systemd-analyze security` rates what a service could do from 0.0, nothing, to 10.0.
#[test]
fn systemd_finds_little_that_the_units_leave_open() {
    if !has("systemd-analyze") {
        return;
    }
    for name in ["sealroom.service", "sealroom@.service"] {
        let mut rate = Command::new("systemd-analyze");
        rate.args(["security", "--offline=yes", "--threshold=20", "--no-pager"]);
        let rated = rate.arg(Path::new(SYSTEMD).join(name)).output().unwrap();
        let text = String::from_utf8_lossy(&rated.stdout);
        assert!(rated.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&rated.stderr));
    }
    // The unit as systemd reads it, with this binary where an installed one is.
    let folder = tempfile::tempdir().unwrap();
    let here = read(SYSTEMD, "sealroom.service").replace("/usr/bin/sealroom", env!("CARGO_BIN_EXE_sealroom"));
    fs::write(folder.path().join("sealroom.service"), here).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).arg(folder.path().join("sealroom.service"));
    let verified = verify.output().unwrap();
    let complaints = String::from_utf8_lossy(&verified.stderr);
    let of_ours = complaints.lines().filter(|line| line.contains("sealroom.service")).collect::<Vec<_>>();
    assert_eq!(of_ours, [""; 0], "{complaints}");
}

#[test]
fn every_alert_fires_on_its_series_and_on_metrics_that_the_server_has() {
    let rules = read(PROMETHEUS, "alerts.yml");
    let series: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .flat_map(|line| line.split(|of: char| !(of.is_ascii_alphanumeric() || of == '_')))
        .filter(|word| word.starts_with("sealroom_"))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["serve", "--dev", "--listen", "127.0.0.1:0"]);
    let metrics = server.get("/metrics");
    for name in &series {
        assert!(metrics.contains(&format!("\n{name}")), "{name}: {metrics}");
    }
    assert!(series.len() >= 8, "{series:?}");
    for rule in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(read(PROMETHEUS, "alerts.test.yml").contains(&format!("alertname: {rule}\n")), "{rule}");
    }
    if !has("promtool") {
        return;
    }
    let mut test = Command::new("promtool");
    let tested = test.args(["test", "rules", "alerts.test.yml"]).current_dir(PROMETHEUS).output().unwrap();
    let text = String::from_utf8_lossy(&tested.stdout);
    assert!(tested.status.success(), "{text}{}", String::from_utf8_lossy(&tested.stderr));
}
