//! A file that others can write is no vault to serve: whoever writes it decides what the server believes.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use crate::support::{
    binary::{Serving, sealroom, stderr, vault},
    log::SERVE,
};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_vault_or_a_config_file_that_others_can_write_is_not_served() {
    let home = vault();
    // A folder of its own: that of the test is shared with the log.
    let folder = home.path().join("room");
    fs::create_dir(&folder).unwrap();
    for name in ["v.redb", "pass"] {
        fs::rename(home.path().join(name), folder.join(name)).unwrap();
    }
    let (file, config) = (folder.join("v.redb"), folder.join("serve.toml"));
    fs::write(&config, "log_level = \"info\"\n").unwrap();
    let args = [SERVE, &["--config", "serve.toml"]].concat();
    let refused = |what: &str, hint: &str| {
        let output = sealroom(&folder, &args);
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(hint), "{what}: {said}");
    };
    let serves = |what: &str| assert!(Serving::start(&folder, &args).stop(), "{what}");
    mode(&folder, 0o700);
    serves("as it was made");
    for (path, open, shut) in [(&file, 0o666, 0o600), (&file, 0o602, 0o600), (&config, 0o666, 0o644)] {
        mode(path, open);
        refused("written by all", "chmod go-w");
        mode(path, shut);
    }
    mode(&folder, 0o777);
    refused("replaced by all", "chmod o-w");
    mode(&folder, 0o1777);
    serves("a folder in which each keeps its own");
    mode(&folder, 0o755);
    serves("read by all");
    if fs::metadata(&file).unwrap().uid() == 0 {
        chown(&file, Some(4_242), None).unwrap();
        refused("of another user", "chown 0");
        chown(&file, Some(0), Some(4_242)).unwrap();
        mode(&file, 0o660);
        refused("written by a group that is not the server's", "chmod go-w");
    }
}
