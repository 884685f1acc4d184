//! A witness killed at any moment: what it answered, it still knows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rustix::process::Signal;

use crate::{
    lab::kills::request,
    support::{
        binary::{Serving, vault},
        foreign_log::ForeignLog,
    },
};

const ROUNDS: usize = 6;
const RECORDS: usize = 4_000;
const PATH: &str = "/witness/add-checkpoint";

#[test]
fn no_checkpoint_that_was_cosigned_is_forgotten_by_a_kill() {
    let home = vault();
    let log = Arc::new(ForeignLog::new("example.com/log", RECORDS));
    let key = log.verifier().to_string();
    let serve = [
        "serve",
        "--json",
        "--data",
        "v.redb",
        "--listen",
        "127.0.0.1:0",
        "--passphrase-file",
        "pass",
        "--witness-for",
        &key,
    ];
    let acknowledged = Arc::new(AtomicU64::new(0));
    for round in 0..=ROUNDS {
        let server = Serving::start(home.path(), &serve);
        let address = server.address().to_owned();
        let known = acknowledged.load(Ordering::SeqCst);
        if round > 0 {
            // A client that knows nothing learns the size.
            let (status, _, stated) = request(&address, "POST", PATH, "", &log.body(0, RECORDS)).unwrap();
            let stated = stated.as_u64().unwrap();
            assert_eq!(status, 409);
            // The last one may have been kept without its answer.
            assert!(stated >= known, "round {round}: {stated} is before {known}, which was cosigned");
            acknowledged.store(stated, Ordering::SeqCst);
        }
        if round == ROUNDS {
            break;
        }
        let asking = {
            let (log, acknowledged) = (Arc::clone(&log), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for _ in 0..500 {
                    let old = acknowledged.load(Ordering::SeqCst);
                    let next = old + 1;
                    let body = log.body(usize::try_from(old).unwrap(), usize::try_from(next).unwrap());
                    match request(&address, "POST", PATH, "", &body) {
                        Some((200, ..)) => acknowledged.store(next, Ordering::SeqCst),
                        Some((status, _, body)) => panic!("{status}: {body}"),
                        None => return,
                    }
                }
            })
        };
        // At another moment of the work in each round, and while it is under way.
        let until = known + 3 + 2 * round as u64;
        while acknowledged.load(Ordering::SeqCst) < until && !asking.is_finished() {
            thread::yield_now();
        }
        server.signal(Signal::KILL);
        drop(server);
        asking.join().unwrap();
    }
}
