//! Storms of connections and of refused requests: others get in, and the log stays small.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::{
    host::exhaustion::{SERVE, Squeezed, stocked, vault},
    lab::kills::request,
    support::binary::{Serving, command},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server whose shell set these limits first.
fn limited(folder: &Path, limits: &str, args: &[&str]) -> Serving {
    let like = command(folder, args);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")])
        .arg(like.get_program())
        .args(like.get_args());
    shell.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
    shell.stdin(std::process::Stdio::null());
    Serving::spawn(shell, folder)
}

fn open_files(serving: &Serving) -> u64 {
    let pid = Some(Pid::from_child(&serving.child));
    rustix::process::prlimit(pid, Resource::Nofile, getrlimit(Resource::Nofile)).unwrap().current.unwrap()
}

/// This process holds the other ends.
fn many_files() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(4096, |maximum| maximum.min(4096));
    if limit.current.is_some_and(|soft| soft < current) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum }).unwrap();
    }
}

/// The status of `/health` for a peer at that loopback address.
fn health(serving: &Serving, from: Ipv4Addr) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = serving.address().parse().unwrap();
    let socket = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(address).await.ok()?.into_std().ok()
    })?;
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (&socket).write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    (&socket).read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}

fn log(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("server.log")).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the number of times that a line was logged, and that it was only counted.
fn logged(log: &[Value], is: impl Fn(&Value) -> bool, what: &str) -> (u64, u64) {
    let lines = log.iter().filter(|line| is(line)).count() as u64;
    let counts = log.iter().filter(|line| line["message"] == "repeated");
    let counts = counts.filter(|line| line["what"].as_str().unwrap().starts_with(what));
    (lines, counts.map(|line| line["times"].as_u64().unwrap()).sum())
}

/// With a soft limit of 256 (or the usual 1,024) idle connections of one or two addresses used all descriptors up:
/// health checks timed out, and the log got twenty lines a second.
#[test]
fn idle_connections_never_use_up_the_descriptors_of_others() {
    let other = Ipv4Addr::new(127, 0, 0, 2);
    many_files();
    let folder = vault();
    let mut serving = limited(folder.path(), "ulimit -Sn 256", SERVE);
    assert!(open_files(&serving) >= 1024 + 32, "raised to what connections_max needs");
    let crowd: Vec<_> = (0..300).map(|_| TcpStream::connect(serving.address()).unwrap()).collect();
    assert_eq!(health(&serving, other).as_deref(), Some("HTTP/1.1 200 OK"));
    drop(crowd);
    assert!(serving.stop());
    let mut warned = log(folder.path());
    warned.retain(|line| {
        line["level"] == "WARN" && !line["message"].as_str().unwrap().contains("this server runs as root")
    });
    assert!(warned.is_empty(), "{warned:?}");
}

#[test]
fn a_low_hard_limit_lowers_the_connections_and_says_so() {
    let other = Ipv4Addr::new(127, 0, 0, 2);
    many_files();
    let folder = vault();
    let socket = [&SERVE[..SERVE.len() - 1], &["unix:api.sock"]].concat();
    let dev = ["serve", "--dev", "--listen", "127.0.0.1:0"];
    let wide = [SERVE, &["--connections-max", "4000000"]].concat();
    for (args, limits, says) in [
        (SERVE, "ulimit -n 200", "connections_max is 136 and not 1024"),
        (&wide, "ulimit -n 300", "connections_max is 236 and not 4000000"),
        (&dev, "ulimit -n 200", "connections_max is 136 and not 1024"),
        (&socket, "ulimit -n 200", "connections_max is 136 and not 1024"),
    ] {
        let mut serving = limited(folder.path(), limits, args);
        let line = serving.logged("connections_max is");
        assert!(line.contains(says) && line.contains("LimitNOFILE"), "{line}");
        if args.contains(&"unix:api.sock") {
            // Behind a socket all places are anybody's: more than there are get none, and none of them an error.
            let crowd: Vec<_> =
                (0..250).map(|_| UnixStream::connect(folder.path().join("api.sock")).unwrap()).collect();
            let lock = command(folder.path(), &["lock", "--data", "v.redb"]).output().unwrap();
            assert!(lock.status.success(), "the local socket has its own room");
            drop(crowd);
        } else {
            let crowd: Vec<_> = (0..300).map(|_| TcpStream::connect(serving.address()).unwrap()).collect();
            assert_eq!(health(&serving, other).as_deref(), Some("HTTP/1.1 200 OK"), "{args:?}");
            drop(crowd);
        }
        assert!(serving.stop());
        let log = log(folder.path());
        assert!(log.iter().all(|line| line["message"] != "a connection could not be accepted"), "{log:?}");
    }
}

/// Twenty lines a second, for as long as it lasted.
#[test]
fn a_condition_that_goes_on_never_fills_the_log() {
    for listen in ["127.0.0.1:0", "unix:api.sock"] {
        let folder = vault();
        let args = [&SERVE[..SERVE.len() - 1], &[listen]].concat();
        let mut serving = Serving::start(folder.path(), &args);
        // Those that are open stay so.
        let squeezed = Squeezed::to(&serving, Resource::Nofile, 3);
        // None of them gets in: each stays where it is, and the listener finds that out again and again.
        let path = folder.path().join("api.sock");
        let tcp: Vec<_> = (0..20).filter_map(|_| TcpStream::connect(serving.address()).ok()).collect();
        let unix: Vec<_> = (0..20).filter_map(|_| UnixStream::connect(&path).ok()).collect();
        assert_eq!(tcp.len() + unix.len(), 20);
        let control = UnixStream::connect(folder.path().join("v.redb.sock")).unwrap();
        serving.logged("a connection could not be accepted");
        serving.logged("a connection to the local socket could not be accepted");
        // Long enough for some more of them.
        for _ in 0..40 {
            assert!(command(folder.path(), &["completions", "bash"]).output().unwrap().status.success());
        }
        drop(squeezed);
        drop((tcp, unix, control));
        assert!(serving.stop());
        let log = log(folder.path());
        for message in
            ["a connection could not be accepted", "a connection to the local socket could not be accepted"]
        {
            let (lines, times) = logged(&log, |line| line["message"] == message, message);
            assert_eq!(lines, 1, "{message}");
            assert!(times > 1, "{message} was told {times} times more");
        }
    }
}

/// Pipelined requests with a bad token wrote 10.7 MiB a second, on the vault's own disk.
#[test]
fn strangers_never_fill_the_log_and_admitted_callers_keep_the_line_of_every_change() {
    const EACH: usize = 400;
    let folder = vault();
    let mut serving = Serving::start(folder.path(), SERVE);
    let owner = stocked(&serving);
    let ways = [
        "GET /sfp/api/integrations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sfp_app_example\r\n\r\n",
        "GET /sfp/api/integrations HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /sfp/api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
    ];
    for way in ways {
        let mut socket = TcpStream::connect(serving.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = socket.try_clone().unwrap();
        let answered = std::thread::spawn(move || {
            let mut text = String::new();
            drop(reader.read_to_string(&mut text));
            text.matches("HTTP/1.1 ").count()
        });
        for _ in 1..EACH {
            socket.write_all(way.as_bytes()).unwrap();
        }
        let last = way.replace("Host: localhost\r\n", "Host: localhost\r\nConnection: close\r\n");
        socket.write_all(last.as_bytes()).unwrap();
        assert_eq!(answered.join().unwrap(), EACH, "{way}");
    }
    for _ in 0..100 {
        let read =
            request(serving.address(), "GET", "/sfp/api/integrations/credentials", &owner, "").unwrap();
        assert_eq!(read.0, 200);
    }
    assert!(serving.stop());
    let log = log(folder.path());
    let answered = |line: &Value| line["message"] == "answered";
    let stranger = |line: &Value| answered(line) && line["caller"] == "nobody";
    let (lines, times) = logged(&log, stranger, "requests of unauthenticated clients");
    // The health checks succeed, so they are counted with the reads.
    assert_eq!(lines + times, (EACH * (ways.len() - 1)) as u64);
    assert!(lines <= 60 * 2, "{lines} lines, even where a minute ends in between");
    let own = log.iter().filter(|line| answered(line) && line["caller"] == "user:ada@example.com").count();
    assert_eq!(own, 2, "the login and the create");
    let reads = log.iter().filter(|line| line["message"] == "answered reads");
    let reads: u64 = reads.map(|line| line["reads"].as_u64().unwrap()).sum();
    assert_eq!(reads, 100 + EACH as u64, "and the reads");
}
