//! The files of `examples` for operators: units for systemd, rules for Prometheus and a dashboard for Grafana.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    binary::{Serving, sealroom, stderr, vault},
    tls::{get, has},
};

const SYSTEMD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/systemd");
const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grafana");
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
        ("/etc/sealroom/tls.", "/etc/sealroom/%i.tls."),
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
    // An operator whose clock is refused has a flag for one start, which a setting would leave on.
    for name in ["sealroom.service", "sealroom@.service"] {
        let text = unit(name);
        let start = text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        assert!(start.ends_with(" $SERVE_FLAGS"), "{name}: {start}");
        let one_start = text.split("SERVE_FLAGS=").nth(1).and_then(|after| after.split(',').next()).unwrap();
        assert!(help.contains(one_start), "{name}: {one_start}");
    }
}

/// systemd ended a start after 90 s, which a migration can take, and began it again every two seconds; it also started a
/// server again whose settings are wrong.
#[test]
fn no_unit_ends_a_long_start_or_repeats_one_whose_settings_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("wrong.toml"), "no_setting = 1\n").unwrap();
    let exit = |args: &[&str]| sealroom(folder.path(), &[&["serve"], args].concat()).status.code().unwrap();
    let wrong: [&[&str]; 3] = [&["--no-flag"], &["--config", "wrong.toml"], &["--listen", "0.0.0.0:0"]];
    // A volume that is mounted later: the next start finds the vault.
    let late: [&[&str]; 2] = [&["--data", "missing.redb"], &["--data", "missing/v.redb"]];
    for name in ["sealroom.service", "sealroom@.service"] {
        let text = unit(name);
        let setting = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        assert_eq!(setting("TimeoutStartSec="), "infinity", "{name}");
        assert_eq!(setting("Restart="), "on-failure", "{name}");
        let final_code: i32 = setting("RestartPreventExitStatus=").parse().unwrap();
        for args in wrong {
            assert_eq!(exit(args), final_code, "{args:?}");
        }
        for args in late {
            assert_ne!(exit(args), final_code, "{args:?}");
        }
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
    fs::copy(Path::new(SYSTEMD).join("sealroom.socket"), folder.path().join("sealroom.socket")).unwrap();
    verify.args(["verify", "--man=no"]).arg(folder.path().join("sealroom.service"));
    verify.arg(folder.path().join("sealroom.socket"));
    let verified = verify.output().unwrap();
    let complaints = String::from_utf8_lossy(&verified.stderr);
    let of_ours = complaints.lines().filter(|line| line.contains("sealroom.")).collect::<Vec<_>>();
    assert_eq!(of_ours, [""; 0], "{complaints}");
}

/// The metrics page of a server over TLS that has answered a request.
fn metrics() -> String {
    let folder = vault();
    let made = sealroom(folder.path(), &["tls", "make", "--name", "127.0.0.1", "--dir", "tls"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let serve = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let tls = ["--tls-cert", "tls/tls.crt", "--tls-key", "tls/tls.key"];
    let server = Serving::start(folder.path(), &[&serve[..], &tls].concat());
    let ca = folder.path().join("tls/ca.pem");
    get(&server, &ca, "/sfp/api/ping");
    get(&server, &ca, "/metrics")
}

/// The metrics that an expression names.
fn series(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|of: char| !(of.is_ascii_alphanumeric() || of == '_'));
    words.filter(|word| word.starts_with("sealroom_"))
}

/// Every panel of the dashboard, those in rows too.
fn panels(of: &Value) -> Vec<&Value> {
    let own = of["panels"].as_array().into_iter().flatten();
    own.flat_map(|panel| std::iter::once(panel).chain(panels(panel))).collect()
}

#[test]
fn every_panel_of_the_dashboard_has_a_unit_and_asks_for_metrics_that_the_server_has() {
    let dashboard: Value = serde_json::from_str(&read(GRAFANA, "sealroom.json")).unwrap();
    let metrics = metrics();
    let (mut ids, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: an id twice");
        let grid = &panel["gridPos"];
        assert!(grid["x"].as_u64().unwrap() + grid["w"].as_u64().unwrap() <= 24, "{title}");
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()),
            "{title}"
        );
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            let before = asked.len();
            asked.extend(series(expression));
            assert!(asked.len() > before || series(expression).next().is_some(), "{title}: {expression}");
            assert!(expression.contains("instance=~"), "{title}: of all servers at once");
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        asked.extend(variable["query"].as_str().into_iter().flat_map(series));
    }
    for name in &asked {
        assert!(has_series(&metrics, name), "{name}: {metrics}");
    }
    assert!(asked.len() >= 20, "{asked:?}");
}

/// Returns whether the page has that series; one of a family that counts nothing yet has only its type.
fn has_series(metrics: &str, name: &str) -> bool {
    let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    [name, family].iter().any(|name| {
        metrics.lines().any(|line| {
            let line = line.strip_prefix("# TYPE ").unwrap_or(line);
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
        })
    })
}

#[test]
fn every_alert_fires_on_its_series_and_on_metrics_that_the_server_has() {
    let rules = read(PROMETHEUS, "alerts.yml");
    let expressions = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let asked: BTreeSet<&str> = expressions.flat_map(series).collect();
    let metrics = metrics();
    for name in &asked {
        assert!(has_series(&metrics, name), "{name}: {metrics}");
    }
    assert!(asked.len() >= 10, "{asked:?}");
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
