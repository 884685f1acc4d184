//! The same job done with PostgreSQL: a token's digest is looked up, the credential is decrypted by pgcrypto, a row of
//! an audit table is committed durably, and the answer leaves.
//!
//! Every choice is the faster one for it: one prepared statement for all of the job, so one round trip and one commit
//! for each read; a pool as large as the load; a unix socket. The credential is opened in two ways: with
//! `pgp_sym_decrypt`, which notices a change as our sealing does and is what pgcrypto's manual tells to use, and with
//! plain AES-CBC, which notices nothing and is the fastest that pgcrypto has. The audit table is neither chained nor
//! signed.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bytes::Bytes;
use tokio::{net::UnixStream, sync::Semaphore};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::{
    process::{Running, User, run},
    servers::{self, Server},
};

/// The number of connections of the largest load.
const POOL: usize = 64;
const PORT: u16 = 5432;
const TOKEN: &str = "sfp_app_0123456789abcdefghijABCDEFGHIJ0123456789abcde";
const KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
/// The number of attempts to reach a starting database, and the pause after each.
const TRIES: (u32, Duration) = (200, Duration::from_millis(50));

const SCHEMA: &str = "
    CREATE EXTENSION pgcrypto;
    CREATE TABLE tokens (digest bytea PRIMARY KEY, id uuid NOT NULL, expires_at timestamptz NOT NULL);
    CREATE TABLE integrations (id uuid PRIMARY KEY, project text NOT NULL, provider text NOT NULL,
        auth_type text NOT NULL, iv bytea NOT NULL, raw bytea NOT NULL, pgp bytea NOT NULL);
    CREATE INDEX ON integrations (project, provider);
    CREATE TABLE audit (sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        time timestamptz NOT NULL DEFAULT now(), actor uuid NOT NULL, action text NOT NULL, outcome text NOT NULL,
        integration uuid NOT NULL, provider text NOT NULL, project text NOT NULL, peer text NOT NULL);
";

/// The decryption by pgcrypto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Pgp,
    Raw,
}

impl Way {
    pub const ALL: [Self; 2] = [Self::Pgp, Self::Raw];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pgp => "pgp_sym_decrypt",
            Self::Raw => "decrypt_iv, unauthenticated",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Pgp => "/pgp",
            Self::Raw => "/raw",
        }
    }

    fn statement(self) -> String {
        let opened = match self {
            Self::Pgp => "pgp_sym_decrypt(i.pgp, encode($2::bytea, 'hex'))",
            Self::Raw => "convert_from(decrypt_iv(i.raw, $2::bytea, i.iv, 'aes-cbc'), 'UTF8')",
        };
        READ.replace("OPENED", opened)
    }
}

const READ: &str = "
    WITH who AS (SELECT id FROM tokens WHERE digest = sha256($1::bytea) AND expires_at > now()),
    found AS (
        SELECT i.id, i.auth_type, OPENED AS body
        FROM integrations i, who WHERE i.project = $3::text AND i.provider = $4::text
    ),
    logged AS (
        INSERT INTO audit (actor, action, outcome, integration, provider, project, peer)
        SELECT who.id, 'credentials.read', 'allowed', found.id, $4::text, $3::text, '127.0.0.1' FROM who, found
        RETURNING sequence
    )
    SELECT found.id::text, found.auth_type, found.body, logged.sequence FROM found, logged
";

/// A database of its own, and the front that asks it.
pub struct Postgres {
    pub version: String,
    pub front: Server,
    _database: Running,
    /// Dropped last, when nobody writes there any more.
    _folders: [tempfile::TempDir; 2],
}

impl Postgres {
    /// Starts both, with the data in `beside`'s file system where the database's user can go there.
    ///
    /// # Errors
    /// One line why there is none: not installed, most likely.
    pub fn start(beside: &Path) -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL is not installed (Debian: postgresql-15)")?;
        let user = user();
        let (data, sockets) = folders(beside, user)?;
        let (at, socket) = (data.path().join("data"), sockets.path().to_str().unwrap());
        let program = |name: &str| programs.join(name).to_str().unwrap().to_owned();
        let init =
            ["-D", at.to_str().unwrap(), "-A", "trust", "-U", "bench", "-E", "UTF8", "--locale=C", "-N"];
        run(user, &program("initdb"), &init)?;
        let settings = ["listen_addresses=", "fsync=on", "synchronous_commit=on", "log_min_messages=panic"];
        let mut args = vec!["-D", at.to_str().unwrap(), "-k", socket];
        args.extend(settings.iter().flat_map(|setting| ["-c", setting]));
        let database = Running::start(user, &program("postgres"), &args);
        let version = runtime().block_on(set_up(sockets.path()))?;
        let front = Server::of(Running::own(&["--front", socket]));
        Ok(Self { version, front, _database: database, _folders: [data, sockets] })
    }

    pub fn request(way: Way) -> Vec<u8> {
        let path = way.path();
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
            .into_bytes()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The folder of the newest server programs, as Debian lays them out.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let numbered =
        versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    // The version that the figures to reach name, where there are several.
    let folder = numbered.max_by_key(|(version, _)| (*version == 15, *version))?.1.join("bin");
    folder.join("initdb").exists().then_some(folder)
}

/// PostgreSQL refuses to run as root.
fn user() -> Option<User> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some(User { uid: numbers.next()?.ok()?, gid: numbers.next()?.ok()? })
    };
    find("postgres").or_else(|| find("nobody"))
}

/// A folder for the data, and a short one for the socket, whose path has 107 bytes at most.
fn folders(beside: &Path, user: Option<User>) -> Result<(tempfile::TempDir, tempfile::TempDir), String> {
    let parent = beside.parent().unwrap();
    let parent = if user.is_none() || reachable(parent) { parent } else { Path::new("/var/tmp") };
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    if device(parent) != device(beside) {
        return Err("PostgreSQL's user cannot go to this file system".to_owned());
    }
    let folders = (tempfile::tempdir_in(parent), tempfile::tempdir());
    let (Ok(data), Ok(sockets)) = folders else { return Err("no folder for PostgreSQL".to_owned()) };
    if let Some(User { uid, gid }) = user {
        for folder in [&data, &sockets] {
            chown(folder.path(), Some(uid), Some(gid)).map_err(|error| error.to_string())?;
        }
    }
    Ok((data, sockets))
}

/// Returns whether every user can enter the folder.
fn reachable(folder: &Path) -> bool {
    let open = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 1 == 1);
    folder.canonicalize().is_ok_and(|folder| folder.ancestors().all(open))
}

async fn connect(socket: &Path) -> Result<Client, String> {
    let mut error = String::new();
    for _ in 0..TRIES.0 {
        let path = socket.join(format!(".s.PGSQL.{PORT}"));
        match UnixStream::connect(path).await {
            Ok(stream) => {
                match Config::new().user("bench").dbname("postgres").connect_raw(stream, NoTls).await {
                    Ok((client, connection)) => {
                        tokio::spawn(connection);
                        return Ok(client);
                    }
                    Err(refused) => error = refused.to_string(),
                }
            }
            Err(refused) => error = refused.to_string(),
        }
        thread::sleep(TRIES.1);
    }
    Err(format!("PostgreSQL does not answer: {error}"))
}

async fn set_up(socket: &Path) -> Result<String, String> {
    let failed = |error: tokio_postgres::Error| format!("PostgreSQL: {:?}", error.as_db_error());
    let client = connect(socket).await?;
    client.batch_execute(SCHEMA).await.map_err(failed)?;
    let key: &[u8] = KEY;
    client
        .execute(
            "INSERT INTO tokens VALUES (sha256($1::bytea), gen_random_uuid(), now() + interval '30 days')",
            &[&TOKEN.as_bytes()],
        )
        .await
        .map_err(failed)?;
    client
        .execute(
            "INSERT INTO integrations SELECT gen_random_uuid(), 'acme/app-0', 'github', 'pat', iv,
             encrypt_iv(convert_to(body, 'UTF8'), $1::bytea, iv, 'aes-cbc'),
             pgp_sym_encrypt(body, encode($1::bytea, 'hex'), 'cipher-algo=aes256')
             FROM gen_random_bytes(16) AS iv, (VALUES ('{\"token\":\"ghp_example\"}')) AS made (body)",
            &[&key],
        )
        .await
        .map_err(failed)?;
    client.batch_execute("VACUUM ANALYZE").await.map_err(failed)?;
    let row = client.query_one("SHOW server_version", &[]).await.map_err(failed)?;
    let version: String = row.get(0);
    Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or("?")))
}

/// Connections that are taken and given back, each with its prepared statements.
struct Pool {
    free: Mutex<Vec<(Client, [Statement; 2])>>,
    places: Semaphore,
}

impl Pool {
    async fn new(socket: &Path) -> Self {
        let mut free = Vec::new();
        for _ in 0..POOL {
            let client = connect(socket).await.unwrap();
            let [pgp, raw] = Way::ALL.map(Way::statement);
            let statements = [client.prepare(&pgp).await.unwrap(), client.prepare(&raw).await.unwrap()];
            free.push((client, statements));
        }
        Self { free: Mutex::new(free), places: Semaphore::new(POOL) }
    }

    async fn read(&self, way: Way, token: &str) -> Bytes {
        let _place = self.places.acquire().await.unwrap();
        let (client, statements) = self.free.lock().unwrap().pop().unwrap();
        let key: &[u8] = KEY;
        let statement = &statements[usize::from(way == Way::Raw)];
        let row = client.query_one(statement, &[&token.as_bytes(), &key, &"acme/app-0", &"github"]).await;
        self.free.lock().unwrap().push((client, statements));
        let row = row.unwrap();
        let (id, kind, body, _sequence): (&str, &str, &str, i64) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        Bytes::from(format!(
            r#"[{{"integration_id":"{id}","provider":"github","auth_type":"{kind}","credentials":{body}}}]"#
        ))
    }
}

/// A child: the bare hyper server in front of the database.
pub fn front(socket: &Path) {
    servers::serve(async || {
        let pool = Arc::new(Pool::new(socket).await);
        move |request: hyper::Request<hyper::body::Incoming>| {
            let pool = Arc::clone(&pool);
            async move {
                let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
                let way = if request.uri().path() == Way::Raw.path() { Way::Raw } else { Way::Pgp };
                pool.read(way, header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default())
                    .await
            }
        }
    });
}
