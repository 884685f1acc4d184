//! The memory of the real binary after logins, with the production cost of a password.

use std::{fs, net::Ipv4Addr};

use serde_json::json;
use tokio::{net::TcpSocket, task::JoinSet};

use crate::support::{
    binary::{Serving, sealroom, stderr, vault},
    server::Client,
};

/// Three work areas of 19 MiB, and the server's own; the pages of the program's file are no such memory.
const RESIDENT_KIB_MAX: u64 = 72 * 1024;
/// Logins at each stage of the test; `SEALROOM_LOGINS=5000` is for a measurement by hand.
const LOGINS: usize = 50;

fn resident(server: &Serving) -> u64 {
    status(server, "RssAnon:")
}

/// A number of KiB from the kernel's account of the process, proc_pid_status(5).
fn status(server: &Serving, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn login(address: String, from: Ipv4Addr, email: String, password: String) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut client = Client::over(socket.connect(address.parse().unwrap()).await.unwrap());
    let body = json!({ "email": email, "password": password }).to_string();
    client.send("POST", "/sfp/api/auth/login", "", &body).await.map_or(0, |reply| reply.status)
}

/// A burst of logins from one address left each thread's arena with 19 MiB: 650 MB after 50, all of them refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_good_or_bad_from_one_address_or_many_leave_no_more_memory_than_runs_at_a_time() {
    let folder = vault();
    let args = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let mut server = Serving::start(folder.path(), &args);
    let password = fs::read_to_string(folder.path().join("owner")).unwrap();
    let logins = std::env::var("SEALROOM_LOGINS").ok().and_then(|text| text.parse().ok()).unwrap_or(LOGINS);
    let mut ran = 0;
    for (is_right, is_one_address) in [(false, true), (false, false), (true, false), (true, true)] {
        let mut all = JoinSet::new();
        for n in 0..logins {
            let host = if is_one_address { 1 } else { u8::try_from(n % 250).unwrap() + 1 };
            let from = Ipv4Addr::new(127, 0, 2, host);
            let email = if is_right { "ada@example.com".to_owned() } else { format!("u{n}@example.com") };
            let password = if is_right { password.clone() } else { "wrong-wrong-wrong".to_owned() };
            all.spawn(login(server.address().to_owned(), from, email, password));
            if all.len() == 60 {
                all.join_next().await;
            }
        }
        let answers = all.join_all().await;
        ran += answers.iter().filter(|status| matches!(status, 200 | 401)).count();
        let resident = resident(&server);
        assert!(
            resident < RESIDENT_KIB_MAX,
            "{resident} KiB, right {is_right}, one address {is_one_address}"
        );
    }
    assert!(ran > LOGINS, "the limiter let {ran} logins through");
    assert!(server.stop());
}

/// An allocator that gives memory back at later requests held the area of the passphrase for as long as nobody asked.
#[test]
fn no_memory_of_a_key_derivation_stays_with_a_server_that_nobody_asks() {
    const AREA_KIB: u64 = 64 * 1024;
    let folder = vault();
    let slot = ["slot", "change", "--same", "--data", "v.redb", "--passphrase-file", "pass"];
    let changed = sealroom(folder.path(), &slot);
    assert!(changed.status.success(), "{}", stderr(&changed));
    let args = ["serve", "--data", "v.redb", "--passphrase-file", "pass", "--listen", "127.0.0.1:0"];
    let mut server = Serving::start(folder.path(), &args);
    let (peak, now) = (status(&server, "VmHWM:"), status(&server, "VmRSS:"));
    assert!(peak > AREA_KIB, "{peak} KiB: the derivation took no {AREA_KIB} KiB");
    assert!(now + AREA_KIB * 3 / 4 < peak, "{now} KiB of {peak} KiB at the peak");
    assert!(server.stop());
}
