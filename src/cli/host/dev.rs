//! `sealroom serve --dev`: a vault that is deleted at exit, with generated users and tokens.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::Arc,
};

use rustls::pki_types::ServerName;
use serde_json::json;

use super::{
    bind::{bind, no_listener, url},
    control,
    host_actor::host_actor,
    runtime::{THREADS_WAIT, runtime},
    sandbox::{Access, Outgoing, Rules, Sandbox},
    settings::{Address, Plan},
    shutdown::{shut, stop_signal},
    tracing::Log,
    witness,
};
use crate::{
    api::requests::{Change, CreateToken, CreateUser},
    auth::{password, token},
    cli::{error::CliError, secrets::shown, terminal::output::Output},
    clock::Clock,
    crypto::{
        authority::{Authority, Validity},
        kdf::KdfParams,
        stack::leaving_nothing_async,
    },
    disk::NewFile,
    domain::{AccessScope, Action, Email, Event, Role, Secret, days},
    http::{Bound, Server, Tls},
    vault::{Context, InitPlan, SessionLife, Settings, Vault},
};

const OWNER: &str = "owner@example.com";
const MEMBER: &str = "member@example.com";

struct Dev {
    url: String,
    data: String,
    password: String,
    owner: String,
    member: String,
    application: String,
    /// The authority's certificate, if the server uses TLS.
    ca: Option<String>,
}

/// Serves a temporary vault with as few rights as any other.
pub(super) fn run(plan: &Plan, tls: bool, output: &Output) -> Result<(), CliError> {
    // The step that fails cheaply comes first.
    let listener = bind(&plan.address)?;
    let folder =
        tempfile::Builder::new().prefix("sealroom-dev-").tempdir().map_err(|error| failed(&error))?;
    let data = folder.path().join("dev.redb");
    let new = NewFile::begin(&data)?;
    let tls = tls.then(|| certify(&plan.address, &folder.path().join("ca.pem"))).transpose()?;
    let control = control::bind(&data)?;
    let sandbox = plan.sandbox.then(|| {
        let mut rules = Rules::new(Outgoing::Refused);
        rules.write(folder.path());
        folder.path().parent().into_iter().for_each(|above| rules.add(above, Access::Remove));
        Sandbox::enter(&rules)
    });
    let _log = Log::start(plan.log_level);
    Sandbox::tell(sandbox.as_ref());
    let runtime = runtime(plan)?;
    let served = serve((listener, control), tls.map(Arc::new), new, &data, plan, output);
    let ended = runtime.block_on(leaving_nothing_async(served));
    runtime.shutdown_timeout(THREADS_WAIT);
    ended
}

fn failed(error: &dyn std::fmt::Display) -> CliError {
    CliError::failed(format!("the temporary vault: {error}"), "try again")
}

/// Returns a certificate for this host, and writes that of its authority to `ca`; no file holds a key.
fn certify(address: &Address, ca: &Path) -> Result<Tls, CliError> {
    let Address::Tcp(address) = address else {
        return Err(CliError::usage(
            "--tls: a unix socket cannot use TLS",
            "omit it, or use --listen 127.0.0.1:PORT",
        ));
    };
    let mut names = vec![ServerName::try_from("localhost").expect("a constant that is a name")];
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let other = Some(address.ip()).filter(|address| !loopback.contains(address));
    names.extend(loopback.into_iter().chain(other).map(|address| ServerName::IpAddress(address.into())));
    let now = Clock::system().now();
    let validity = Validity { from: now.minus(days(1)), until: now.plus(days(31)) };
    let authority = Authority::generate().map_err(|error| failed(&error))?;
    let certificate = authority.certificate(&names, validity).map_err(|error| failed(&error))?;
    fs::write(ca, certificate).map_err(|error| failed(&error))?;
    let issued = authority.issue(&names, validity).map_err(|error| failed(&error))?;
    Tls::new(issued.certificate.as_bytes(), issued.key.expose()).map_err(|error| failed(&error))
}

async fn serve(
    (listener, control): (Bound, Bound),
    tls: Option<Arc<Tls>>,
    new: NewFile,
    data: &Path,
    plan: &Plan,
    output: &Output,
) -> Result<(), CliError> {
    let ca = tls.is_some().then(|| data.with_file_name("ca.pem").display().to_string());
    let listener = listener.listen(tls).map_err(|error| no_listener(&error))?;
    let control = control.listen(None).map_err(|error| no_listener(&error))?;
    let clock = Clock::system();
    let generate = || password::generate().map_err(|error| failed(&error));
    let (passphrase, owner, member) = (generate()?, generate()?, generate()?);
    let copy = |secret: &Secret| Secret::new(secret.expose().to_vec());
    let email: Email = OWNER.parse().map_err(|error| failed(&error))?;
    let init = InitPlan {
        owner: email,
        password: copy(&owner),
        passphrase: copy(&passphrase),
        kdf: KdfParams::LIGHT,
        password_kdf: KdfParams::LIGHT,
        actor: host_actor(),
        now: clock.now(),
    };
    Vault::create(new.medium(), 1 << 20, &init).map_err(|error| failed(&error))?;
    let file = Arc::new(new.publish()?);
    let scratch = file.path().parent().map(Path::to_owned);
    let settings = Settings {
        scratch,
        sessions: SessionLife::ENDLESS,
        password_kdf: KdfParams::LIGHT,
        witness: witness::open(file.path(), plan.witness.clone())?,
        ..plan.settings.clone()
    };
    let vault = Vault::open(file.medium(), settings).map_err(|error| CliError::open(data, &error))?;
    let vault = Arc::new(vault);
    let start = Event::new(clock.now(), host_actor(), Action::ServerStart);
    vault
        .unlock(passphrase, host_actor(), clock.now(), Some(start))
        .await
        .map_err(|error| CliError::unlock(&error))?;
    let password = shown(&owner);
    let tokens = tokens(&vault, &clock, owner, member).await.map_err(|error| failed(&error))?;
    let [owner, member, application] = tokens;
    let (url, data) = (url(&listener)?, data.display().to_string());
    let dev = Dev { url, data, password, owner, member, application, ca };
    let server = Server::new(Arc::clone(&vault), clock.clone(), plan.limits, false);
    let stop = stop_signal()?;
    let control = control::serve(control, Arc::clone(&vault), file, clock.clone(), None);
    let reported = report(&dev, output);
    if reported.is_ok() {
        tokio::select! {
            () = server.run(listener, stop) => {}
            () = witness::keep(&vault) => {}
        }
    }
    drop(control);
    // Delete the folder after the writer has stopped.
    shut(&vault, &clock).await;
    reported
}

/// Returns an owner's, a member's and an application's token, each from the vault's regular calls.
async fn tokens(
    vault: &Vault,
    clock: &Clock,
    owner: Secret,
    member: Secret,
) -> Result<[String; 3], crate::vault::Error> {
    let context = Context { now: clock.now(), request: None, peer: None };
    let copy = Secret::new(member.expose().to_vec());
    let owner = vault.login(&context, OWNER, owner).await?;
    let text = shown(&owner.access);
    let bearer = token::parse_bearer(&text).expect("a login gives a well-formed token");
    let caller = vault.authenticate(bearer, &context)?;
    let email: Email = MEMBER.parse().expect("a constant that is an e-mail address");
    let request = CreateUser {
        email,
        role: Role::Member,
        first_name: None,
        last_name: None,
        password: Some(copy),
        projects: Change::Clear,
    };
    vault.create_user(&context, &caller, request).await?;
    let member = vault.login(&context, MEMBER, member).await?;
    let request = CreateToken {
        name: "dev".parse().expect("a constant that is a name"),
        expires_in_days: 3_650,
        role: Role::Application,
        scope: AccessScope::default(),
    };
    let (_, application) = vault.create_token(&context, &caller, request).await?;
    Ok([text, shown(&member.access), shown(&application)])
}

fn report(dev: &Dev, output: &Output) -> Result<(), CliError> {
    let Dev { url, data, password, owner, member, application, ca } = dev;
    let (curl, trust) = match ca {
        Some(ca) => {
            (format!("curl -sS --cacert '{ca}'"), format!(" CURL_CA_BUNDLE='{ca}' SEALROOM_CA_FILE='{ca}'"))
        }
        None => ("curl -sS".to_owned(), String::new()),
    };
    let lines = format!(
        "listening on {url}\n\
         Temporary vault, deleted on exit: {data}\n\n\
         owner        {OWNER}  password {password}\n\
         owner token  {owner}\n\
         member token {member}\n\
         application  {application}\n\n\
         As shell variables:\n\n\
         export URL={url} OWNER={owner} APPLICATION={application} DATA='{data}'{trust}\n\n\
         Store a credential, read it as a machine does, and see who read it:\n\n\
         {curl} {url}/sfp/api/integrations -H 'Authorization: Bearer {owner}' -H 'Content-Type: application/json' \
         -d '{{\"provider\":\"github\",\"authType\":\"pat\",\"credentials\":{{\"token\":\"ghp_example\"}},\"isGlobal\":true}}'\n\
         {curl} '{url}/sfp/api/integrations/credentials?provider=github' -H 'Authorization: Bearer {application}'\n\
         {curl} '{url}/sfp/api/audit?limit=3' -H 'Authorization: Bearer {owner}'\n"
    );
    let mut value = json!({
        "url": url,
        "data": data,
        "owner_email": OWNER,
        "owner_password": password,
        "owner_token": owner,
        "member_token": member,
        "application_token": application,
    });
    if let Some(ca) = ca {
        value["ca_file"] = json!(ca);
    }
    output.once("the tokens", &lines, &value).map_err(|lost| {
        CliError::failed(
            lost.to_string(),
            "the vault was deleted; run it again with a reader on standard output",
        )
    })
}
