//! Starts a server on a temporary file, speaks to it as a client, and prints each step.
//!
//! `cargo run --example roundtrip`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc};

use sealroom::{
    auth::password,
    clock::Clock,
    crypto::kdf::KdfParams,
    disk::NewFile,
    domain::{Actor, Secret},
    http::{Limits, Listener, Server},
    vault::{InitPlan, Settings, Vault},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(run())
}

/// The whole round trip; an error where any step is not as it should be.
///
/// # Errors
/// A step went wrong.
pub async fn run() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("example.redb");
    let clock = Clock::system();
    let passphrase = password::generate()?;
    let password = String::from_utf8(password::generate()?.expose().to_vec())?;
    let plan = InitPlan {
        owner: "ada@example.com".parse()?,
        password: Secret::from(password.clone()),
        passphrase: Secret::new(passphrase.expose().to_vec()),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: Actor::host("example"),
        now: clock.now(),
    };
    let new = NewFile::begin(&data)?;
    let created = Vault::create(new.medium(), 1 << 20, &plan)?;
    let file = new.publish()?;
    println!("made a vault; its log is signed by {}", created.audit_key);

    let settings = Settings {
        password_kdf: KdfParams::LIGHT,
        disk_low_bytes: 0,
        ..Settings::new(Actor::host("example"), sealroom::clock::monotonic)
    };
    let vault = Arc::new(Vault::open(file.medium(), settings)?);
    vault.unlock(passphrase, Actor::host("example"), clock.now(), None).await?;
    let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
    let address = listener.url()?.replace("http://", "");
    println!("unlocked and listening on {address}");
    tokio::spawn(Server::new(vault, clock, Limits::STANDARD, false).run(listener, std::future::pending()));

    let login = format!(r#"{{"email":"ada@example.com","password":"{password}"}}"#);
    let owner = field(&call(&address, "POST /sfp/api/auth/login", "", &login).await?, "access_token")?;
    let project = r#"{"identifier":"acme/app","remoteUrl":"https://github.com/acme/app"}"#;
    println!("project:     {}", call(&address, "POST /sfp/api/projects", &owner, project).await?);
    let credential = r#"{"provider":"github","authType":"pat","credentials":{"token":"ghp_example"},"projects":["acme/app"]}"#;
    let stored = call(&address, "POST /sfp/api/integrations", &owner, credential).await?;
    println!("stored:      {stored}");
    let token = call(&address, "POST /sfp/api/application-tokens", &owner, r#"{"name":"pipeline"}"#).await?;
    let application = field(&token, "token")?;
    let read = "GET /sfp/api/integrations/credentials?provider=github&project=acme/app";
    let fetched = call(&address, read, &application, "").await?;
    println!("fetched:     {fetched}");
    let log = call(&address, "GET /sfp/api/audit?action=credentials.read", &owner, "").await?;
    println!("on record:   {log}");
    let actor = format!("app:{}", field(&token, "id")?);
    if !fetched.contains("ghp_example") || !log.contains(&actor) {
        return Err("the disclosure or its record is not there".into());
    }
    let delete = format!("DELETE /sfp/api/integrations/{}", field(&stored, "id")?);
    println!("deleted:     {}", call(&address, &delete, &owner, "").await?);
    match call(&address, read, &application, "").await {
        Err(gone) => println!("and gone:    {gone}"),
        Ok(_) => return Err("a deleted credential was disclosed".into()),
    }
    Ok(())
}

/// One request on a connection of its own; an answer that is no success is an error.
async fn call(address: &str, request: &str, token: &str, body: &str) -> Outcome<String> {
    let mut socket = TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if head.starts_with("HTTP/1.1 2") { Ok(body.to_owned()) } else { Err(body.into()) }
}

fn field(json: &str, name: &str) -> Outcome<String> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    Ok(value[name].as_str().ok_or("a field is missing")?.to_owned())
}
