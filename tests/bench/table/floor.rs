//! The floor: hyper, one thread that commits, and nothing else. No server that answers after a durable row of its own
//! can be faster with these two crates; the distance to it is what sealroom's own work costs.

use std::path::Path;

use bytes::Bytes;
use redb::{Database, Durability, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use super::{process::Running, servers};

const ROWS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("rows");
/// The length of a read's audit record.
const ROW: [u8; 350] = [7; 350];
/// The server's own limit of one commit.
const BATCH_MAX: usize = 1024;

/// Starts one over a file in that folder, whose answers have so many bytes.
pub fn start(folder: &Path, answer: usize) -> servers::Server {
    let file = folder.join("floor.redb");
    let body = answer.saturating_sub(servers::HEAD).to_string();
    servers::Server::of(Running::own(&["--floor", file.to_str().unwrap(), "--bare", &body]))
}

/// A child: answers everything with that many bytes, after a durable row.
pub fn serve(file: &Path, bytes: usize) {
    let database = Database::builder().set_cache_size(4 << 20).create(file).unwrap();
    let body = Bytes::from(vec![b'x'; bytes]);
    let (jobs, queue) = mpsc::channel(8192);
    std::thread::spawn(move || commit(&database, queue));
    servers::serve(async || {
        move |_| {
            let (jobs, body) = (jobs.clone(), body.clone());
            async move {
                let (durable, answer) = oneshot::channel();
                jobs.send(durable).await.unwrap();
                answer.await.unwrap();
                body
            }
        }
    });
}

/// Commits all that waits in one transaction of one sync, again and again.
fn commit(database: &Database, mut queue: mpsc::Receiver<oneshot::Sender<()>>) {
    let (mut batch, mut key) = (Vec::new(), 0_u64);
    while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let mut txn = database.begin_write().unwrap();
        txn.set_durability(Durability::Immediate).unwrap();
        let mut rows = txn.open_table(ROWS).unwrap();
        for _ in &batch {
            rows.insert(key, &ROW[..]).unwrap();
            key += 1;
        }
        drop(rows);
        txn.commit().unwrap();
        for durable in batch.drain(..) {
            let _ = durable.send(());
        }
    }
}
