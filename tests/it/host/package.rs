//! The files of the Debian package. `.ci/package-check` installs, upgrades and purges the package itself.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    binary::{sealroom, stderr},
    tls::has,
};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns what a script of `.ci/deb` makes of a file.
fn edited(script: &str, file: &str) -> String {
    let mut sed = Command::new("sed");
    sed.arg("-f").arg(root(".ci/deb").join(script)).arg(root(file));
    let edited = sed.output().unwrap();
    assert!(edited.status.success(), "{}", stderr(&edited));
    String::from_utf8(edited.stdout).unwrap()
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn the_unit_of_the_package_differs_from_the_example_in_its_user_alone() {
    let example = fs::read_to_string(root("examples/systemd/sealroom.service")).unwrap();
    let unit = edited("unit.sed", "examples/systemd/sealroom.service");
    let only = |one: &BTreeSet<&str>, other: &BTreeSet<&str>| {
        one.difference(other).map(|line| (*line).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        only(&lines(&unit), &lines(&example)),
        ["Group=sealroom", "RequiresMountsFor=/var/lib/sealroom", "User=sealroom"]
    );
    assert_eq!(
        only(&lines(&example), &lines(&unit)),
        ["DynamicUser=yes", "RequiresMountsFor=/var/lib/private"]
    );
    assert!(!unit.contains("/private"), "{unit}");
    assert!(unit.contains("ExecStart=/usr/bin/sealroom serve --config /etc/sealroom/config.toml "), "{unit}");
    // The first steps stand in the unit itself: they are those of this program.
    let folder = tempfile::tempdir().unwrap();
    let help = String::from_utf8(sealroom(folder.path(), &["init", "--help"]).stdout).unwrap();
    for flag in ["--data", "--owner-email", "--passphrase-stdin"] {
        assert!(unit.contains(flag) && help.contains(flag), "{flag}");
    }
    if !has("systemd-analyze") {
        return;
    }
    fs::write(folder.path().join("sealroom.service"), &unit).unwrap();
    let mut rate = Command::new("systemd-analyze");
    rate.args(["security", "--offline=yes", "--threshold=20", "--no-pager"]);
    let rated = rate.arg(folder.path().join("sealroom.service")).output().unwrap();
    assert!(rated.status.success(), "{}{}", String::from_utf8_lossy(&rated.stdout), stderr(&rated));
}

#[test]
fn the_config_file_of_the_package_is_the_example_with_its_vault() {
    let example = fs::read_to_string(root("config.example.toml")).unwrap();
    let config = edited("config.sed", "config.example.toml");
    let set: Vec<&str> = config.lines().filter(|line| !example.lines().any(|other| other == *line)).collect();
    assert_eq!(set, [r#"data = "/var/lib/sealroom/vault.redb""#]);
    let folder = tempfile::tempdir().unwrap();
    // The file of the package, but for a vault that no host has.
    let config = config.replace("/var/lib/sealroom/", "missing/");
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let refused = sealroom(folder.path(), &["serve", "--config", "config.toml", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("missing/vault.redb"), "{}", stderr(&refused));
}

/// A purge removes what the package brought, and neither a vault nor its passphrase: no script deletes a file.
#[test]
fn no_script_of_the_package_can_delete_a_vault_or_start_a_service_before_init() {
    for name in ["postinst", "prerm", "postrm"] {
        let path = root(".ci/deb").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let commands: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let words: BTreeSet<&str> =
            commands.iter().flat_map(|line| line.split(|of: char| of.is_whitespace() || of == ';')).collect();
        for word in ["rm", "unlink", "mv", "find", "userdel", "deluser", "chown", "chmod"] {
            assert!(!words.contains(word), "{name}: {word}");
        }
        for start in ["systemctl start", "systemctl restart", "systemctl enable", "deb-systemd"] {
            assert!(!commands.iter().any(|line| line.contains(start)), "{name}: {start}");
        }
        let mut shell = Command::new("sh");
        let parsed = shell.arg("-n").arg(&path).output().unwrap();
        assert!(parsed.status.success(), "{name}: {}", stderr(&parsed));
    }
}

/// The link of an enabled unit outlived a purge: the next installation started the server at boot, before its `init`.
/// This runs systemd's own program on a folder of units; nothing else of it is called.
#[test]
fn a_removed_package_leaves_no_service_enabled_for_the_next_installation() {
    if !has("systemctl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for path in ["bin", "root/etc/systemd/system", "root/usr/lib/systemd/system"] {
        fs::create_dir_all(at(path)).unwrap();
    }
    for name in ["sealroom.service", "sealroom@.service"] {
        let unit = at("root/usr/lib/systemd/system").join(name);
        fs::copy(root("examples/systemd").join(name), unit).unwrap();
    }
    let script = format!(
        "#!/bin/sh\ncase $1 in enable|disable) PATH=/usr/bin:/bin exec systemctl --root={} \"$@\" ;; esac\n",
        at("root").display()
    );
    fs::write(at("bin/systemctl"), script).unwrap();
    fs::set_permissions(at("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = |program: &Path, args: &[&str]| {
        let mut command = Command::new("sh");
        command.arg(program).args(args).env_clear();
        let path = format!("{}:/usr/bin:/bin", at("bin").display());
        let done = command.env("PATH", path).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", stderr(&done));
    };
    let enabled = || {
        let links = fs::read_dir(at("root/etc/systemd/system/multi-user.target.wants"));
        links.map(Iterator::count).unwrap_or_default()
    };
    run(
        &at("bin/systemctl"),
        &["enable", "sealroom.service", "sealroom@one.service", "sealroom@two.service"],
    );
    assert_eq!(enabled(), 3);
    let prerm = root(".ci/deb/prerm");
    for kept in [&["upgrade", "0.2.0-1"][..], &["failed-upgrade", "0.1.0-1"], &["deconfigure"]] {
        run(&prerm, kept);
        assert_eq!(enabled(), 3, "{kept:?}");
    }
    run(&prerm, &["remove"]);
    assert_eq!(enabled(), 0);
}
