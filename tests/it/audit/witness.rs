//! A vault as a witness: what it cosigns, and what it refuses, over HTTP as C2SP `tlog-witness` has it.

use base64::{Engine, engine::general_purpose::STANDARD};
use data_encoding::HEXLOWER;
use sealroom::{
    audit::{checkpoint, cosignature::WitnessKey},
    crypto::{digest::sha256, sign::LogKey},
    domain::{Actor, Event, Timestamp, minutes},
};

use crate::support::{
    foreign_log::{ForeignLog, body},
    server::{Reply, START, TestServer},
};

const PATH: &str = "/witness/add-checkpoint";

async fn add(t: &TestServer, body: &str) -> Reply {
    t.send_with("POST", PATH, "", "", body).await
}

async fn key(t: &TestServer) -> WitnessKey {
    let reply = t.send("GET", "/witness/key", "", "").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body.trim_end().parse().unwrap()
}

/// The checkpoint that the witness shows; none for a 404.
async fn shown(t: &TestServer, origin: &str) -> Option<String> {
    let path = format!("/witness/{}/checkpoint", HEXLOWER.encode(&sha256(origin.as_bytes())));
    let reply = t.send("GET", &path, "", "").await;
    assert!(matches!(reply.status, 200 | 404), "{}", reply.body);
    (reply.status == 200).then_some(reply.body)
}

fn now() -> Timestamp {
    Timestamp::from_millis(START)
}

#[tokio::test]
async fn a_witness_cosigns_each_checkpoint_that_continues_the_one_before() {
    let log = ForeignLog::new("example.com/log", 200);
    let t = TestServer::witnessing(vec![log.verifier()]).await;
    let key = key(&t).await;
    assert!(key.name().starts_with("sealroom/") && key.name().ends_with("/witness"), "{key}");
    assert_eq!(shown(&t, &log.origin).await, None, "nothing was cosigned yet");
    let mut old = 0;
    // The same one again, and steps of every shape: to and from a power of two, by one, by many.
    for size in [0, 1, 1, 2, 3, 8, 9, 64, 100, 100, 128, 200] {
        let reply = add(&t, &log.body(old, size)).await;
        assert_eq!(reply.status, 200, "{old} to {size}: {}", reply.body);
        let cosigned = log.note(size) + &reply.body;
        assert_eq!(key.cosigned(&cosigned, now()), Ok(Some(now())), "{cosigned}");
        assert_eq!(checkpoint::open(&cosigned, &[log.verifier()]).unwrap().size, size as u64);
        // The shown checkpoint has both signatures.
        let shown = shown(&t, &log.origin).await.unwrap();
        assert!(key.cosigned(&shown, now()).unwrap().is_some(), "{shown}");
        assert_eq!(checkpoint::open(&shown, &[log.verifier()]).unwrap().size, size as u64);
        old = size;
    }
    // A client that knows nothing learns the size.
    let reply = add(&t, &log.body(0, 200)).await;
    assert_eq!((reply.status, reply.body.as_str()), (409, "200\n"));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/x.tlog.size"));
    let audit = t.send("GET", "/sfp/api/audit", &t.owner, "").await.json();
    let events = audit.as_array().unwrap().len();
    add(&t, &log.body(200, 200)).await;
    let again = t.send("GET", "/sfp/api/audit", &t.owner, "").await.json();
    assert_eq!(
        again.as_array().unwrap().len(),
        events + 1,
        "a cosignature writes nothing into the vault's own log"
    );
}

/// Every way to have a second history, a smaller one or no history at all cosigned that a liar might try.
#[tokio::test]
async fn no_second_history_of_a_log_is_ever_cosigned() {
    let log = ForeignLog::new("example.com/log", 200);
    let other = ForeignLog::new("example.com/other", 200);
    let t = TestServer::witnessing(vec![log.verifier()]).await;
    let thief = LogKey::generate().unwrap();
    let good = log.body(100, 150);
    let hash = STANDARD.encode([7; 32]);
    assert_eq!(add(&t, &log.body(0, 100)).await.status, 200);
    let before = shown(&t, &log.origin).await.unwrap();
    let empty = checkpoint::note(&log.origin, 0, &[7; 32], &[], &[&log.key]);
    let proof = good.split_once("\n\n").unwrap().0.split_once('\n').unwrap().1.to_owned();
    let by_thief = log.note_of(&log.forked(200)[..150], &[&thief]);
    let cases: Vec<(&str, String, u16, &str)> = vec![
        ("another root of the same size", log.forked_body(99, 100, 100), 409, "forked_checkpoint"),
        ("another history, with its own proof", log.forked_body(50, 100, 150), 422, "unproven_checkpoint"),
        (
            "another history from the last record on",
            log.forked_body(99, 100, 150),
            422,
            "unproven_checkpoint",
        ),
        ("the right history without a proof", body(100, &[], &log.note(150)), 422, "unproven_checkpoint"),
        (
            "a proof with a step less",
            good.replacen(&format!("{}\n", proof.lines().next().unwrap()), "", 1),
            422,
            "unproven_checkpoint",
        ),
        (
            "a proof with a step more",
            good.replacen("\n\n", &format!("\n{hash}\n\n"), 1),
            422,
            "unproven_checkpoint",
        ),
        ("a proof for the same size", body(100, &[[7; 32]], &log.note(100)), 422, "unproven_checkpoint"),
        ("a smaller tree from its own size", log.body(50, 60), 409, ""),
        ("a smaller tree from the beginning", log.body(0, 60), 409, ""),
        ("another history from the beginning", log.forked_body(50, 0, 150), 409, ""),
        ("an empty tree", log.body(0, 0), 409, ""),
        ("an empty tree with another root", body(0, &[], &empty), 409, ""),
        ("a skipped checkpoint", log.body(120, 150), 409, ""),
        ("an old size above the new one", log.body(150, 100), 400, "malformed_checkpoint"),
        ("another log", other.body(0, 10), 404, "log_not_found"),
        (
            "another log, signed by this one's key",
            body(0, &[], &checkpoint::note(&other.origin, 1, &[7; 32], &[], &[&log.key])),
            404,
            "log_not_found",
        ),
        ("another key", body(100, &[], &by_thief), 403, "unsigned_checkpoint"),
        (
            "another root below a signature",
            good.replacen("\n150\n", "\n151\n", 1),
            403,
            "unsigned_checkpoint",
        ),
        ("no checkpoint", "old 100\n\nx\n".to_owned(), 400, "malformed_checkpoint"),
        (
            "no signature",
            format!("old 100\n\n{}\n", log.note(150).split_once("\n\n").unwrap().0),
            400,
            "malformed_checkpoint",
        ),
        ("nothing", String::new(), 400, "malformed_checkpoint"),
        ("line ends of another system", good.replace('\n', "\r\n"), 400, "malformed_checkpoint"),
        ("no base64", good.replacen(&proof[..4], "!!!!", 1), 400, "malformed_checkpoint"),
        (
            "64 lines of proof",
            good.replacen("\n\n", &format!("\n{}\n\n", [hash.as_str(); 64].join("\n")), 1),
            400,
            "malformed_checkpoint",
        ),
        (
            "another spelling of the old size",
            good.replacen("old 100", "old 0100", 1),
            400,
            "malformed_checkpoint",
        ),
        (
            "another spelling of the size",
            good.replacen("\n150\n", "\n0150\n", 1),
            400,
            "malformed_checkpoint",
        ),
    ];
    for (said, body, status, code) in cases {
        let reply = add(&t, &body).await;
        assert_eq!(reply.status, status, "{said}: {}", reply.body);
        match status {
            409 if code.is_empty() => assert_eq!(reply.body, "100\n", "{said}"),
            _ => assert_eq!(reply.json()["code"], code, "{said}"),
        }
        assert!(!reply.body.contains('—'), "{said}: a signature leaked");
        assert_eq!(shown(&t, &log.origin).await.as_ref(), Some(&before), "{said}: the witness moved");
    }
    assert_eq!(add(&t, &good).await.status, 200, "the right one still passes");
}

/// The race of C2SP `tlog-witness`: of two requests from one old size, checked at the same time, both once passed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_forks_that_arrive_at_the_same_moment_one_history_is_cosigned() {
    for round in 0..8 {
        let log = ForeignLog::new("example.com/log", 64);
        let t = TestServer::witnessing(vec![log.verifier()]).await;
        let key = key(&t).await;
        let old = if round % 2 == 0 { 0 } else { 10 };
        if old > 0 {
            assert_eq!(add(&t, &log.body(0, old)).await.status, 200);
        }
        // Twelve trees that continue the old one: six sizes, each of two histories.
        let bodies = (0..12).map(|n| {
            let size = 20 + n / 2;
            if n % 2 == 0 {
                (log.body(old, size), log.note(size))
            } else {
                let note = log.note_of(&log.forked(old)[..size], &[&log.key]);
                (log.forked_body(old, old, size), note)
            }
        });
        let asked: Vec<_> = bodies
            .map(|(body, note)| {
                let address = t.address.clone();
                tokio::spawn(async move {
                    let mut client = crate::support::server::Client::connect(&address).await;
                    let request = format!(
                        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    (client.raw(&request, "POST").await.expect("an answer"), note)
                })
            })
            .collect();
        let mut cosigned = Vec::new();
        for one in asked {
            let (reply, note) = one.await.unwrap();
            match reply.status {
                200 => cosigned.push(note + &reply.body),
                status => assert!(matches!(status, 409 | 503), "{}", reply.body),
            }
        }
        assert_eq!(cosigned.len(), 1, "one old size leads to one new one");
        assert!(key.cosigned(&cosigned[0], now()).unwrap().is_some());
        let shown = shown(&t, &log.origin).await.unwrap();
        assert_eq!(shown.split_once("\n\n").unwrap().0, cosigned[0].split_once("\n\n").unwrap().0);
    }
}

#[tokio::test]
async fn each_log_has_a_place_of_its_own_and_each_of_its_keys_counts() {
    let (one, two) = (ForeignLog::new("example.com/one", 50), ForeignLog::new("example.com/two", 50));
    let next = LogKey::generate().unwrap();
    let successor = checkpoint::VerifierKey::new(&one.origin, next.public());
    let t = TestServer::witnessing(vec![one.verifier(), two.verifier(), successor]).await;
    assert_eq!(add(&t, &one.body(0, 10)).await.status, 200);
    assert_eq!(add(&t, &two.body(0, 20)).await.status, 200);
    // A log goes on with a new key, and with the same history.
    let leaves = one.forked(50);
    let by_next = |size: usize| one.note_of(&leaves[..size], &[&next]);
    let old = one.body(10, 30);
    let body = old.split_once("\n\n").unwrap().0.to_owned() + "\n\n" + &by_next(30);
    assert_eq!(add(&t, &body).await.status, 200);
    assert_eq!(add(&t, &one.body(10, 40)).await.body, "30\n");
    assert_eq!(add(&t, &two.body(20, 40)).await.status, 200);
}

#[tokio::test]
async fn a_server_that_is_no_witness_has_no_such_route() {
    let t = TestServer::start().await;
    let log = ForeignLog::new("example.com/log", 5);
    for reply in [
        add(&t, &log.body(0, 5)).await,
        t.send("GET", "/witness/key", "", "").await,
        t.send("GET", &format!("/witness/{}/checkpoint", "0".repeat(64)), "", "").await,
    ] {
        assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("route_not_found")));
    }
}

#[tokio::test]
async fn a_locked_witness_cosigns_nothing_and_goes_on_after_the_unlock() {
    let log = ForeignLog::new("example.com/log", 50);
    let t = TestServer::witnessing(vec![log.verifier()]).await;
    let key = key(&t).await;
    assert_eq!(add(&t, &log.body(0, 10)).await.status, 200);
    let lock = Event::new(now(), Actor::host("test"), sealroom::domain::Action::VaultLock);
    t.vault.lock(lock).await.map_err(drop).unwrap();
    let reply = add(&t, &log.body(10, 20)).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("locked")));
    // Its last checkpoint and its key stay readable: they are public.
    assert!(shown(&t, &log.origin).await.unwrap().contains("\n10\n"));
    assert_eq!(self::key(&t).await, key);
    let passphrase = crate::support::server::secret(crate::support::server::PASSPHRASE);
    t.vault.unlock(passphrase, Actor::host("test"), now(), None).await.map_err(drop).unwrap();
    assert_eq!(add(&t, &log.body(10, 20)).await.status, 200);
}

#[tokio::test]
async fn a_witness_whose_disk_refuses_signs_nothing_and_says_so() {
    let log = ForeignLog::new("example.com/log", 50);
    let t = TestServer::witnessing(vec![log.verifier()]).await;
    assert_eq!(add(&t, &log.body(0, 10)).await.status, 200);
    // A folder stands where the next state would be written.
    let next = t.folder().join("test.redb.witness.new");
    std::fs::create_dir(&next).unwrap();
    let reply = add(&t, &log.body(10, 20)).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("witness_unavailable")));
    assert!(reply.header("retry-after").is_some());
    assert!(shown(&t, &log.origin).await.unwrap().contains("\n10\n"), "it has not moved");
    std::fs::remove_dir(&next).unwrap();
    assert_eq!(add(&t, &log.body(10, 20)).await.status, 200);
}

/// Anybody may ask a witness. A flood of checkpoints that are refused ends at one address, and costs no other one and
/// no log that behaves.
#[tokio::test]
async fn refused_checkpoints_of_one_address_are_bounded_and_good_ones_are_not() {
    let log = ForeignLog::new("example.com/log", 100);
    let t = TestServer::witnessing(vec![log.verifier()]).await;
    for size in 1..80 {
        assert_eq!(add(&t, &log.body(size - 1, size)).await.status, 200, "{size}");
    }
    let mut last = 0;
    for _ in 0..51 {
        last = add(&t, "old 0\n\nx\n").await.status;
    }
    assert_eq!(last, 429);
    let held = add(&t, &log.body(79, 80)).await;
    assert_eq!((held.status, held.json()["code"].as_str()), (429, Some("too_many_tries")));
    assert!(held.header("retry-after").is_some());
    t.clock.set(now().plus(minutes(5)));
    assert_eq!(add(&t, &log.body(79, 80)).await.status, 200);
}

#[tokio::test]
async fn a_body_past_the_limit_is_not_read_and_one_of_another_type_is() {
    let log = ForeignLog::new("example.com/log", 5);
    let t = TestServer::witnessing(vec![log.verifier()]).await;
    let long = format!("old 0\n\n{}", "x".repeat(64 * 1024));
    assert_eq!(add(&t, &long).await.status, 413);
    for kind in ["", "Content-Type: application/json\r\n", "Content-Type: application/octet-stream\r\n"] {
        assert_eq!(t.send_with("POST", PATH, "", kind, &log.body(0, 0)).await.status, 200, "{kind}");
    }
    assert_eq!(t.send_with("POST", &format!("{PATH}?x=1"), "", "", &log.body(0, 5)).await.status, 400);
    // A page in a browser of the host is no log.
    let page = "Origin: https://page.example.com\r\n";
    assert_eq!(t.send_with("POST", PATH, "", page, &log.body(0, 5)).await.status, 403);
}
