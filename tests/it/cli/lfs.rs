//! `sealroom git-credential` under real git-lfs, against a small LFS server beside the git server.

use std::{fs, net::TcpStream, path::Path, process::Command};

use serde_json::{Value, json};

use super::{
    exec::Stage,
    git::{BACKEND, GitServer, TOKEN, done, git},
};

/// `x-access-token:ghp_git_example`, as HTTP's basic authentication has it.
const BASIC: &str = "Basic eC1hY2Nlc3MtdG9rZW46Z2hwX2dpdF9leGFtcGxl";

/// Answers a request of LFS, which came with the password: the batch API and the basic transfer. Objects are files.
pub fn answer(method: &str, path: &str, body: &[u8], root: &Path, stream: &TcpStream) -> Option<Vec<u8>> {
    let reply = |status: &str, kind: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Some([head.as_bytes(), body].concat())
    };
    let kind = "application/vnd.git-lfs+json";
    if let Some(oid) = path.strip_prefix("/lfs-objects/") {
        let file = root.join(oid);
        return match method {
            "PUT" => {
                fs::write(file, body).unwrap();
                reply("200 OK", kind, b"")
            }
            _ => reply("200 OK", "application/octet-stream", &fs::read(file).unwrap()),
        };
    }
    let (_, rest) = path.split_once("/info/lfs/")?;
    if rest != "objects/batch" {
        return reply("404 Not Found", kind, b"{\"message\":\"no locks here\"}");
    }
    let asked: Value = serde_json::from_slice(body).unwrap();
    let origin = format!("http://{}", stream.local_addr().unwrap());
    let objects = asked["objects"].as_array().unwrap().iter().map(|object| {
        let oid = object["oid"].as_str().unwrap();
        let action =
            json!({ "href": format!("{origin}/lfs-objects/{oid}"), "header": { "Authorization": BASIC } });
        let operation = asked["operation"].as_str().unwrap();
        json!({ "oid": oid, "size": object["size"], "authenticated": true, "actions": { operation: action } })
    });
    let batch = json!({ "transfer": "basic", "objects": objects.collect::<Vec<_>>() });
    reply("200 OK", kind, batch.to_string().as_bytes())
}

#[test]
fn git_lfs_pushes_and_fetches_with_a_stored_credential_and_sends_it_nowhere_else() {
    let lfs = Command::new("git").args(["lfs", "version"]).output();
    if !Path::new(BACKEND).exists() || !lfs.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: git http-backend and git-lfs are needed");
        return;
    }
    let stage = Stage::start();
    let root = stage.path().join("served");
    let bare = root.join("acme/app.git");
    done(&git(&stage, stage.path(), &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]));
    done(&git(&stage, &bare, &["config", "http.receivepack", "true"]));
    let server = GitServer::start(&root, &[TOKEN]);
    let url = server.url("127.0.0.1", "acme/app.git");
    let end = stage.run(&["project", "register", "acme/app", &url, "--platform", "github"]);
    assert_eq!(end.code, 0, "{}", end.err);
    stage.store("github/pat", &json!({ "token": TOKEN }), &[]);
    let mut install = stage.command(&["git-credential", "--provider", "github", "install", "--global"]);
    install.env("GIT_CONFIG_NOSYSTEM", "1");
    assert_eq!(stage.end(install).code, 0);
    done(&git(&stage, stage.path(), &["lfs", "install", "--skip-repo"]));
    let at = |name: &str| stage.path().join(name);
    done(&git(&stage, stage.path(), &["clone", "-q", &url, "app"]));
    done(&git(&stage, &at("app"), &["lfs", "install", "--local"]));
    done(&git(&stage, &at("app"), &["lfs", "track", "*.bin"]));
    let large = "large file ".repeat(10_000);
    fs::write(at("app/a.bin"), &large).unwrap();
    done(&git(&stage, &at("app"), &["add", "."]));
    done(&git(&stage, &at("app"), &["commit", "-qm", "first"]));
    done(&git(&stage, &at("app"), &["push", "-q", "origin", "HEAD:main"]));
    assert!(fs::read_dir(&root).unwrap().count() > 1, "the object is at the server, beside the repositories");
    done(&git(&stage, stage.path(), &["clone", "-q", &url, "again"]));
    assert_eq!(fs::read_to_string(at("again/a.bin")).unwrap(), large);
    // An LFS server elsewhere, which a repository names itself, gets nothing. On the remote's own host git-lfs asks for
    // the remote, whatever the path.
    let elsewhere = GitServer::start(&root, &[TOKEN]);
    for host in ["127.0.0.1", "localhost"] {
        done(&git(&stage, &at("app"), &["config", "lfs.url", &elsewhere.url(host, "acme/app.git/info/lfs")]));
        assert!(!git(&stage, &at("app"), &["lfs", "push", "--all", "origin"]).status.success(), "{host}");
    }
    assert_eq!(*elsewhere.seen.lock().unwrap(), Vec::<String>::new());
}
