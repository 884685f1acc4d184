//! A GitHub that says what a test tells it to, over real TLS, and checks what every call of an App must have.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sealroom::outgoing::Outgoing;
use serde_json::{Value, json};

use super::tls::{LEAF, has, issue};

/// The installation that the default script knows.
pub const INSTALLATION: u64 = 42;
/// The id of the App.
pub const APP_ID: u64 = 12_345;

/// A call, its token verified.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /path`.
    pub line: String,
    pub body: Value,
    /// The claims of its token.
    pub claims: Value,
    pub headers: Vec<(String, String)>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The provider's answers.
#[derive(Debug, Clone)]
pub enum Says {
    Json(u16, Value),
    Raw(u16, Vec<(&'static str, String)>, Vec<u8>),
    Hangup,
    /// Nothing, until the vault gives up.
    Never,
}

type Script = dyn Fn(&Asked) -> Says + Send + Sync;

/// A running provider.
pub struct GitHub {
    pub port: u16,
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Arc<Script>>>,
    wrong: Arc<Mutex<Vec<String>>>,
}

/// The App's key as PKCS#8 and PKCS#1, made once; `None` without openssl.
pub fn keys() -> Option<&'static (String, String)> {
    static KEYS: OnceLock<Option<(String, String)>> = OnceLock::new();
    let make = || {
        if !has("openssl") {
            return None;
        }
        let eight =
            openssl(&["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "");
        let one = openssl(&["rsa", "-traditional"], &eight);
        Some((eight, one))
    };
    KEYS.get_or_init(make).as_ref()
}

pub fn openssl(args: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The credential of the App, with that spelling of its key.
pub fn app(key: &str) -> Value {
    json!({ "app_id": APP_ID, "private_key": key })
}

/// A token of that text for the repository of that name, which ends at `end`.
pub fn grants(token: &str, repository: &str, end: &str) -> Says {
    let repositories = json!([{ "id": 1, "name": repository.rsplit('/').next(), "full_name": repository }]);
    Says::Json(
        201,
        json!({ "token": token, "expires_at": end, "permissions": { "contents": "read" },
            "repository_selection": "selected", "repositories": repositories }),
    )
}

impl GitHub {
    /// Starts one that answers as GitHub does for an App that is installed in `acme`; tokens end at `end`. `None`
    /// without openssl.
    pub fn start(end: &str) -> Option<Self> {
        keys()?;
        let folder = tempfile::tempdir().unwrap();
        issue(folder.path(), "github", "/CN=github", &["subjectAltName=IP:127.0.0.1", LEAF]);
        let config = Arc::new(tls(folder.path(), "github"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(usual(end.to_owned()))));
        let (asked, wrong) = (Arc::default(), Arc::default());
        let this = Self { port, folder, asked, script, wrong };
        let (asked, script, wrong) =
            (Arc::clone(&this.asked), Arc::clone(&this.script), Arc::clone(&this.wrong));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, script, wrong) = (Arc::clone(&asked), Arc::clone(&script), Arc::clone(&wrong));
                let config = Arc::clone(&config);
                std::thread::spawn(move || serve(stream, config, &asked, &script, &wrong));
            }
        });
        Some(this)
    }

    /// The base URL, as `config.api_base_url`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate, which is its own authority.
    pub fn ca(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("github.crt")).unwrap()
    }

    /// The permission to call it.
    pub fn allowed(&self) -> Outgoing {
        self.allowed_for(Duration::from_secs(30))
    }

    pub fn allowed_for(&self, timeout: Duration) -> Outgoing {
        Outgoing::new(vec![self.host().parse().unwrap()], Some(&self.ca()), timeout).unwrap()
    }

    /// Replaces the script.
    pub fn says(&self, script: impl Fn(&Asked) -> Says + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// Behaves as at first again.
    pub fn recovers(&self, end: &str) {
        *self.script.lock().unwrap() = Arc::new(usual(end.to_owned()));
    }

    /// The calls so far; each had a valid token.
    pub fn asked(&self) -> Vec<Asked> {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
        self.asked.lock().unwrap().clone()
    }

    /// The calls whose line ends so.
    pub fn count(&self, line: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line.ends_with(line)).count()
    }

    /// The tokens that were asked for.
    pub fn mints(&self) -> usize {
        self.count("/access_tokens")
    }

    /// Waits until that many calls have come.
    pub async fn called(&self, times: usize) {
        while self.asked().len() < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// GitHub itself, with one installation, of which `acme` is the owner. Each token differs.
fn usual(end: String) -> impl Fn(&Asked) -> Says + Send + Sync {
    let count = Mutex::new(0);
    move |asked| {
        let words: Vec<&str> = asked.line.split(['/', ' ']).collect();
        match words.as_slice() {
            ["GET", "", "repos", "acme", _, "installation"] => Says::Json(200, json!({ "id": INSTALLATION })),
            ["POST", "", "app", "installations", "42", "access_tokens"] => {
                let name = asked.body["repositories"][0].as_str().unwrap();
                let mut count = count.lock().unwrap();
                *count += 1;
                grants(&format!("ghs_example_{name}_{count}"), &format!("acme/{name}"), &end)
            }
            _ => Says::Json(404, json!({ "message": "Not Found" })),
        }
    }
}

fn tls(folder: &Path, name: &str) -> ServerConfig {
    let read = |ending: &str| fs::read(folder.join(format!("{name}.{ending}"))).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&read("crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&read("key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

type Encrypted = BufReader<StreamOwned<ServerConnection, TcpStream>>;

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    record: &Mutex<Vec<Asked>>,
    script: &Mutex<Arc<Script>>,
    wrong: &Mutex<Vec<String>>,
) {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    while let Some(read) = read(&mut stream) {
        let asked = match read {
            Ok(asked) => asked,
            Err(fault) => return wrong.lock().unwrap().push(fault),
        };
        let script = Arc::clone(&script.lock().unwrap());
        record.lock().unwrap().push(asked.clone());
        let (status, headers, body) = match script(&asked) {
            Says::Json(status, body) => (status, Vec::new(), body.to_string().into_bytes()),
            Says::Raw(status, headers, body) => (status, headers, body),
            Says::Hangup => return,
            Says::Never => {
                // Returns when the vault hangs up.
                drop(stream.read(&mut [0; 1]));
                return;
            }
        };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
        let stream = stream.get_mut();
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

/// Reads and checks a request; `None` at the end of the connection.
fn read(stream: &mut Encrypted) -> Option<Result<Asked, String>> {
    let (mut line, mut headers) = (String::new(), Vec::new());
    loop {
        let mut text = String::new();
        if stream.read_line(&mut text).unwrap_or(0) == 0 {
            return None;
        }
        let text = text.trim_end();
        if line.is_empty() {
            line = text.rsplit_once(' ')?.0.to_owned();
        } else if let Some((name, value)) = text.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        } else {
            break;
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let asked = Asked { line, body, claims: Value::Null, headers };
    Some(claims(&asked).map(|claims| Asked { claims, ..asked }))
}

/// Verifies a call's token (RFC 7515), and returns its claims.
fn claims(asked: &Asked) -> Result<Value, String> {
    for (name, value) in [("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")] {
        if asked.header(name) != Some(value) {
            return Err(format!("{name} is missing: {asked:?}"));
        }
    }
    if !asked.header("user-agent").is_some_and(|agent| agent.starts_with("sealroom/")) {
        return Err("GitHub refuses a call without a User-Agent".to_owned());
    }
    let token = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let (signed, signature) = token.and_then(|token| token.rsplit_once('.')).ok_or("no token")?;
    let (header, claims) = signed.split_once('.').ok_or("no claims")?;
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|error| error.to_string());
    let eight = &keys().unwrap().0;
    let key = RsaKeyPair::from_pkcs8(PrivateKeyDer::from_pem_slice(eight.as_bytes()).unwrap().secret_der())
        .unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    key.verify(signed.as_bytes(), &decoded(signature)?).map_err(|_| "not signed by the App's key")?;
    let header: Value = serde_json::from_slice(&decoded(header)?).map_err(|error| error.to_string())?;
    if header != json!({ "alg": "RS256", "typ": "JWT" }) {
        return Err(header.to_string());
    }
    serde_json::from_slice(&decoded(claims)?).map_err(|error| error.to_string())
}
