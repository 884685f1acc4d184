//! The schedule's folder is a share that stops answering: the real server goes on, and comes to its end.

use std::{fs, time::Instant};

use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, vault},
        log::SERVE,
        share::Share,
    },
};

#[test]
fn a_share_that_stops_answering_holds_up_no_request_and_no_end_of_the_server() {
    let folder = vault();
    let folder = folder.path();
    fs::create_dir(folder.join("share")).unwrap();
    let Some(share) = Share::mount(&folder.join("share")) else { return };
    let schedule = ["--backup-folder", "share", "--backup-every-secs", "1"];
    let mut server = Serving::start(folder, &[SERVE, &schedule].concat());
    assert!(!server.url.is_empty(), "{}", fs::read_to_string(folder.join("server.log")).unwrap());
    share.hangs();
    let password = fs::read_to_string(folder.join("owner")).unwrap();
    let login = serde_json::json!({ "email": "ada@example.com", "password": password }).to_string();
    let (status, _, session) = request(server.address(), "POST", "/sfp/api/auth/login", "", &login).unwrap();
    assert_eq!(status, 200, "{session}");
    let owner = session["access_token"].as_str().unwrap();
    let body =
        r#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"isGlobal":true}"#;
    for _ in 0..3 {
        let made = request(server.address(), "POST", "/sfp/api/integrations", owner, body).unwrap();
        assert_eq!(made.0, 201, "{}", made.2);
    }
    assert!(server.health().contains(r#""status":"healthy""#), "{}", server.health());
    // It takes a minute: `SEALROOM_HANGS=1` waits for it.
    if std::env::var_os("SEALROOM_HANGS").is_some() {
        let start = Instant::now();
        while !server.health().contains("backup_failed") {
            assert!(start.elapsed().as_secs() < 150, "{}", server.health());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        eprintln!("reported after {} s", start.elapsed().as_secs());
        server.logged("the folder has answered no call for 60 seconds: is its share there?");
    }
    assert!(server.stop());
}
