//! `sealroom git-credential` under real git, over HTTP against a real `git http-backend`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::exec::Stage;

/// The only password that the git server lets in.
pub(super) const TOKEN: &str = "ghp_git_example";
pub(super) const BACKEND: &str = "/usr/lib/git-core/git-http-backend";

/// A git server that asks for a password.
pub(super) struct GitServer {
    port: u16,
    /// The Authorization headers that came.
    pub(super) seen: Arc<Mutex<Vec<String>>>,
}

impl GitServer {
    /// Serves the repositories below a folder to `x-access-token` with one of these passwords.
    pub(super) fn start(root: &Path, passwords: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (root, kept) = (root.to_owned(), Arc::clone(&seen));
        let basic =
            |password: &&str| format!("Basic {}", STANDARD.encode(format!("x-access-token:{password}")));
        let allowed: Arc<[String]> = passwords.iter().map(basic).collect();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, kept, allowed) = (root.clone(), Arc::clone(&kept), Arc::clone(&allowed));
                thread::spawn(move || answer(stream.unwrap(), &root, &kept, &allowed));
            }
        });
        Self { port, seen }
    }

    pub(super) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}/{path}", self.port)
    }
}

/// Answers one request as a CGI server does.
fn answer(stream: TcpStream, root: &Path, seen: &Mutex<Vec<String>>, allowed: &[String]) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace();
    let (method, target) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let (mut length, mut kind, mut authorization, mut encoding) =
        (0, String::new(), String::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "content-type" => kind = value,
            "content-encoding" => encoding = value,
            "authorization" => authorization = value,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if !authorization.is_empty() {
        seen.lock().unwrap().push(authorization.clone());
    }
    if !allowed.contains(&authorization) {
        let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        drop(stream.write_all(head.as_bytes()));
        return;
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if let Some(answer) = super::lfs::answer(&method, path, &body, root, &stream) {
        drop(stream.write_all(&answer));
        return;
    }
    let mut backend = Command::new(BACKEND);
    backend
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env("REQUEST_METHOD", &method).env("PATH_INFO", path).env("QUERY_STRING", query);
    backend.env("CONTENT_TYPE", &kind).env("CONTENT_LENGTH", length.to_string()).env("REMOTE_USER", "x");
    backend.env("HTTP_CONTENT_ENCODING", encoding).env("REMOTE_ADDR", "127.0.0.1").env("HOME", root);
    backend
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&body).unwrap();
    let said = child.wait_with_output().unwrap().stdout;
    let end = said.windows(4).position(|at| at == b"\r\n\r\n").unwrap_or(said.len());
    let head = String::from_utf8_lossy(&said[..end]);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let rest = head.lines().filter(|line| !line.starts_with("Status: ")).collect::<Vec<_>>().join("\r\n");
    drop(stream.write_all(format!("HTTP/1.1 {status}\r\n{rest}\r\nConnection: close\r\n\r\n").as_bytes()));
    drop(stream.write_all(said.get(end + 4..).unwrap_or_default()));
}

pub(super) fn git(stage: &Stage, folder: &Path, args: &[&str]) -> Output {
    let mut git = Command::new("git");
    git.args(args).current_dir(folder).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    git.env("HOME", stage.path()).env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
    git.env("SFP_SERVER_URL", &stage.server.url).env("SFP_SERVER_TOKEN_FILE", stage.path().join("app.token"));
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.com");
    }
    git.stdin(Stdio::null()).output().unwrap()
}

pub(super) fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Asks the helper itself.
fn ask(stage: &Stage, operation: &str, question: &str) -> (i32, String) {
    let mut command = stage.command(&["git-credential", operation]);
    command
        .env("SFP_SERVER_TOKEN_FILE", "app.token")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(question.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn git_clones_and_pushes_with_a_stored_credential_and_sends_it_nowhere_else() {
    if !Path::new(BACKEND).exists() {
        eprintln!("skipped: git http-backend is needed");
        return;
    }
    let stage = Stage::start();
    let root = stage.path().join("served");
    for repository in ["acme/app.git", "acme/lib.git", "other/x.git"] {
        done(&git(
            &stage,
            stage.path(),
            &["init", "-q", "--bare", "-b", "main", root.join(repository).to_str().unwrap()],
        ));
        let bare = root.join(repository);
        done(&git(&stage, &bare, &["config", "http.receivepack", "true"]));
    }
    let server = GitServer::start(&root, &[TOKEN]);
    for name in ["acme/app", "acme/lib"] {
        let url = server.url("127.0.0.1", &format!("{name}.git"));
        let end = stage.run(&["project", "register", name, &url, "--platform", "github"]);
        assert_eq!(end.code, 0, "{}", end.err);
    }
    stage.store("github/pat", &json!({"token": TOKEN}), &[]);
    let mut install = stage.command(&["git-credential", "--provider", "github", "install", "--global"]);
    install.env("GIT_CONFIG_NOSYSTEM", "1");
    let end = stage.end(install);
    assert_eq!(end.code, 0, "{}", end.err);
    let at = |name: &str| stage.path().join(name);
    let url = server.url("127.0.0.1", "acme/app.git");
    done(&git(&stage, stage.path(), &["clone", "-q", &url, "app"]));
    std::fs::write(at("app/file"), "text").unwrap();
    done(&git(&stage, &at("app"), &["add", "."]));
    done(&git(&stage, &at("app"), &["commit", "-qm", "first"]));
    done(&git(&stage, &at("app"), &["push", "-q", "origin", "HEAD:main"]));
    done(&git(&stage, &at("app"), &["fetch", "-q"]));
    // A submodule is a project of its own.
    done(&git(&stage, stage.path(), &["clone", "-q", &server.url("127.0.0.1", "acme/lib.git"), "lib"]));
    done(&git(&stage, &at("lib"), &["commit", "-q", "--allow-empty", "-m", "first"]));
    done(&git(&stage, &at("lib"), &["push", "-q", "origin", "HEAD:main"]));
    done(&git(&stage, &at("app"), &["submodule", "--quiet", "add", "../lib.git", "lib"]));
    done(&git(&stage, &at("app"), &["commit", "-qm", "sub"]));
    done(&git(&stage, &at("app"), &["push", "-q", "origin", "HEAD:main"]));
    done(&git(&stage, stage.path(), &["clone", "-q", "--recurse-submodules", &url, "again"]));
    assert!(at("again/lib/.git").exists());
    // A helper that somebody chose is neither replaced nor removed.
    let own = stage.path().join("own");
    std::fs::create_dir(&own).unwrap();
    done(&git(&stage, &own, &["init", "-q"]));
    let key = format!("credential.{}.helper", server.url("127.0.0.1", "").trim_end_matches('/'));
    done(&git(&stage, &own, &["config", "--local", &key, "mine"]));
    for (operation, code) in [("install", 1), ("uninstall", 0)] {
        let mut command = stage.command(&["git-credential", operation, "--local"]);
        command.current_dir(&own).env("SFP_SERVER_TOKEN_FILE", "../owner.token");
        assert_eq!(stage.end(command).code, code, "{operation}");
    }
    assert_eq!(git(&stage, &own, &["config", "--local", &key]).stdout, b"mine\n");
    // Elsewhere git gets nothing, and sends nothing.
    server.seen.lock().unwrap().clear();
    for url in [
        server.url("localhost", "acme/app.git"),
        server.url("127.0.0.1", "other/x.git"),
        server.url("127.0.0.1", "acme/app2.git"),
        server.url("127.0.0.1.", "acme/app.git"),
    ] {
        assert!(!git(&stage, stage.path(), &["clone", "-q", &url, "never"]).status.success(), "{url}");
    }
    assert_eq!(*server.seen.lock().unwrap(), Vec::<String>::new());
    // git's own files hold no token.
    for file in [".gitconfig", "app/.git/config"] {
        assert!(!std::fs::read_to_string(at(file)).unwrap().contains(TOKEN), "{file}");
    }
    let before = std::fs::read_to_string(at(".gitconfig")).unwrap();
    assert!(before.contains("git-credential"), "{before}");
    let end = stage.end({
        let mut uninstall = stage.command(&["git-credential", "uninstall", "--global"]);
        uninstall.env("GIT_CONFIG_NOSYSTEM", "1");
        uninstall
    });
    assert_eq!(end.code, 0, "{}", end.err);
    assert!(!std::fs::read_to_string(at(".gitconfig")).unwrap().contains("sealroom"));
    assert!(!git(&stage, stage.path(), &["clone", "-q", &url, "never"]).status.success());
}

#[test]
fn a_question_without_an_answer_is_answered_with_silence() {
    let stage = Stage::start();
    for (name, url) in
        [("acme/app", "https://github.com/acme/app"), ("acme/web", "https://github.com/acme/web")]
    {
        assert_eq!(stage.run(&["project", "register", name, url]).code, 0);
    }
    let question = |rest: &str| format!("protocol=https\nhost=github.com\n{rest}\n");
    let nothing = (0, String::new());
    assert_eq!(ask(&stage, "get", &question("path=acme/app.git\n")), nothing, "no credential");
    stage.store("github/pat", &json!({"token": TOKEN}), &["--expires-at", "2099-01-31T00:00:00Z"]);
    let answer = format!("username=x-access-token\npassword={TOKEN}\npassword_expiry_utc=4073500800\n");
    for (rest, answer) in [
        ("path=acme/app.git\n", answer.clone()),
        ("path=acme/app.git/info/lfs\n", answer.clone()),
        ("", answer.clone()),
        (
            "capability[]=authtype\npath=acme/app.git\n",
            format!("capability[]=authtype\nephemeral=1\n{answer}"),
        ),
        ("username=ada\npath=acme/app.git\n", answer.replace("x-access-token", "ada")),
        ("path=acme/none.git\n", String::new()),
    ] {
        assert_eq!(ask(&stage, "get", &question(rest)), (0, answer), "{rest}");
    }
    for operation in ["store", "erase"] {
        let given = question(&format!("path=acme/app.git\nusername=x\npassword={TOKEN}\n"));
        assert_eq!(ask(&stage, operation, &given), nothing, "{operation}");
    }
    for bad in
        ["", "\n", "protocol", "host=github.com\n\n", "protocol=ssh\nhost=github.com\npath=acme/app\n\n"]
    {
        assert_eq!(ask(&stage, "get", bad), nothing, "{bad}");
    }
    // A host whose projects have different credentials is not answered without a path.
    let path = stage.path().join("own.json");
    crate::support::binary::secret_file(
        stage.path(),
        "own.json",
        &json!({"token": "own_example"}).to_string(),
        0o600,
    );
    let add =
        ["integration", "add", "github/pat", "--project", "acme/web", "--from-json", path.to_str().unwrap()];
    assert_eq!(stage.run(&add).code, 0);
    assert_eq!(ask(&stage, "get", &question("")), nothing);
    assert!(ask(&stage, "get", &question("path=acme/web\n")).1.contains("own_example"));
}

#[test]
fn another_programs_helper_is_never_replaced_or_removed() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("skipped: git is needed");
        return;
    }
    let stage = Stage::start();
    assert_eq!(stage.run(&["project", "register", "acme/app", "https://github.com/acme/app"]).code, 0);
    done(&git(&stage, stage.path(), &["init", "-q"]));
    let key = "credential.https://github.com.helper";
    let set = || {
        String::from_utf8(git(&stage, stage.path(), &["config", "--local", "--get-all", key]).stdout).unwrap()
    };
    let local = |operation: &str| stage.run(&["git-credential", operation, "--local"]).code;
    for other in [
        "!gh auth git-credential",
        "!/usr/bin/gh auth git-credential",
        "!echo sealroom git-credential",
        "store",
    ] {
        done(&git(&stage, stage.path(), &["config", "--local", key, other]));
        for (operation, code) in [("install", 1), ("uninstall", 0)] {
            assert_eq!((local(operation), set()), (code, format!("{other}\n")), "{operation} over {other}");
        }
        done(&git(&stage, stage.path(), &["config", "--local", "--unset-all", key]));
    }
    // Ours is replaced by ours, and removed; one beside it stays.
    assert_eq!((local("install"), local("install")), (0, 0));
    assert_eq!(set().lines().count(), 2, "{}", set());
    done(&git(&stage, stage.path(), &["config", "--local", "--add", key, "!gh auth git-credential"]));
    assert_eq!(local("install"), 1);
    assert_eq!((local("uninstall"), set().as_str()), (0, "\n!gh auth git-credential\n"));
    done(&git(&stage, stage.path(), &["config", "--local", "--unset-all", key]));
    assert_eq!((local("install"), local("uninstall"), set()), (0, 0, String::new()));
}

/// `uninstall` without a place printed `--unset-all` with no value, and `install` `--replace-all`: whoever ran the lines
/// lost the helper of another program for that host.
#[test]
fn printed_commands_can_never_remove_another_programs_helper() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("skipped: git is needed");
        return;
    }
    let stage = Stage::start();
    for (name, url) in [("acme/app", "https://github.com/acme/app"), ("a/b", "https://gitlab.com/a/b")] {
        assert_eq!(stage.run(&["project", "register", name, url]).code, 0);
    }
    let key = "credential.https://github.com.helper";
    let config = |args: &[&str]| {
        let output = git(&stage, stage.path(), &[&["config", "--global"], args].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = |args: &[&str]| {
        let mut command = stage.command(&[&["git-credential"], args].concat());
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        stage.end(command)
    };
    let run = |lines: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", lines]).current_dir(stage.path()).env_clear();
        shell.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", stage.path());
        done(&shell.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap());
    };
    for other in ["!gh auth git-credential", "!/opt/sealroom auth git-credential", "store", ""] {
        // Before, after, and twice.
        for (before, after) in [(1, 0), (0, 1), (2, 0), (0, 2)] {
            (0..before).for_each(|_| drop(config(&["--add", key, other])));
            config(&["--add", key, "!/usr/bin/sealroom git-credential"]);
            config(&["--add", key, "!'/a b/sealroom' git-credential --provider github"]);
            (0..after).for_each(|_| drop(config(&["--add", key, other])));
            let kept =
                if other.is_empty() { String::new() } else { format!("{other}\n").repeat(before + after) };
            let removal = printed(&["uninstall"]);
            assert_eq!(removal.code, 0, "{}", removal.err);
            // Another program comes between the printing and the run.
            config(&["--add", key, "late"]);
            run(&removal
                .out
                .lines()
                .filter(|line| line.contains("github.com"))
                .collect::<Vec<_>>()
                .join("\n"));
            assert_eq!(config(&["--get-all", key]), format!("{kept}late\n"), "{other}: {}", removal.out);
            let install = printed(&["install"]);
            assert!(install.code == 1 && install.out.is_empty(), "{}", install.out);
            config(&["--unset-all", key]);
        }
    }
    // Ours alone goes whole.
    for provider in [&[][..], &["--provider", "github"]] {
        run(&printed(&[provider, &["install"]].concat()).out);
        assert_eq!(config(&["--get-all", key]).lines().count(), 2);
        run(&printed(&["uninstall"]).out);
        assert_eq!(config(&["--list"]), "");
    }
}
