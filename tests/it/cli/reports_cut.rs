//! `audit report` behind a proxy that keeps records back.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Output,
    sync::Arc,
};

use serde_json::Value;

use super::{reports::busy, roundtrip::Vault};
use crate::support::{
    binary::{command, ended, stderr},
    fake::{Fake, Reply},
};

const EXPORT: &str = "/sfp/api/audit/export";
const CHECKPOINT: &str = "/sfp/api/audit/checkpoint";

type Lines = Vec<String>;

/// Returns a server's answer.
fn forward(address: &str, bearer: &str, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {bearer}\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (status, rest.to_owned());
    }
    let mut body = String::new();
    while let Some((length, chunk)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&chunk[..length]);
        rest = chunk[length..].trim_start_matches("\r\n");
    }
    (status, body)
}

/// A proxy in front of a server: `change` sees the lines of each export, and whether it is the range's own.
fn proxy(vault: &Vault, change: impl Fn(Lines, bool) -> Lines + Send + Sync + 'static) -> Fake {
    let address = vault.server.address().to_owned();
    let bearer = vault.said["owner_token"].as_str().unwrap().to_owned();
    Fake::start(move |request, _| {
        let (status, body) = forward(&address, &bearer, request);
        if status != 200 || !request.contains(EXPORT) {
            return Reply::Http(status, Vec::new(), body);
        }
        let lines = body.lines().map(|line| format!("{line}\n")).collect();
        Reply::Http(status, Vec::new(), change(lines, !request.contains("fromSequence")).concat())
    })
}

fn report(vault: &Vault, folder: &Path, url: &str, range: &[&str]) -> Output {
    let mut command = command(folder, &[&["audit", "report", "--key", "audit.key"], range].concat());
    command.env("SFP_SERVER_URL", url).env("HOME", folder).stdout(std::process::Stdio::piped());
    ended(command.env("SFP_SERVER_TOKEN", vault.said["owner_token"].as_str().unwrap()))
}

/// A vault with more than a hundred records, and the times of three of them.
fn long(folder: &Path) -> (Vault, Vec<String>, String) {
    let vault = busy(folder);
    std::fs::write(folder.join("audit.key"), vault.good(folder, &["audit", "key"])).unwrap();
    let bearer = vault.said["owner_token"].as_str().unwrap();
    for _ in 0..100 {
        assert_eq!(forward(vault.server.address(), bearer, "GET /sfp/api/audit?limit=1").0, 200);
    }
    let log = vault.good(folder, &["audit", "export"]);
    let time = |at: usize| {
        let record: Value = serde_json::from_str(log.lines().nth(at).unwrap()).unwrap();
        record["time"].as_str().unwrap().to_owned()
    };
    (vault, vec![time(25), time(75)], log.lines().next().unwrap().to_owned())
}

#[test]
fn no_record_that_is_kept_back_from_a_range_is_missed_wherever_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (vault, times, oldest) = long(folder);
    let cuts: [(&str, fn(Lines) -> Lines); 8] = [
        ("the first", |lines| lines[1..].to_vec()),
        ("the first 20", |lines| lines[20..].to_vec()),
        ("the last 12", |lines| lines[..lines.len() - 12].to_vec()),
        ("both ends", |lines| lines[20..lines.len() - 12].to_vec()),
        ("one in the middle", |lines| [&lines[..20], &lines[21..]].concat()),
        ("all but the middle", |lines| lines[20..21].to_vec()),
        ("every second", |lines| lines.into_iter().step_by(2).collect()),
        ("all", |_| Vec::new()),
    ];
    let (from, to) = (["--from", &times[0]], ["--to", &times[1]]);
    for range in [vec![], from.to_vec(), to.to_vec(), [from, to].concat()] {
        let honest = report(&vault, folder, &proxy(&vault, |lines, _| lines).url, &range);
        assert!(honest.status.success(), "{range:?}: {}", stderr(&honest));
        let page = String::from_utf8(honest.stdout).unwrap();
        assert!(page.contains("no record of the range is missing"), "{range:?}: {page}");
        for (what, cut) in cuts {
            let lies = proxy(&vault, move |lines, is_range| if is_range { cut(lines) } else { lines });
            let failed = report(&vault, folder, &lies.url, &range);
            assert!(!failed.status.success() && failed.stdout.is_empty(), "{what} of {range:?}");
            assert!(stderr(&failed).contains("did not come"), "{what} of {range:?}: {}", stderr(&failed));
        }
    }
    let range = [from, to].concat();
    let doubled = proxy(&vault, |lines, is_range| [&lines[..usize::from(is_range)], &lines[..]].concat());
    let other = proxy(&vault, move |lines, is_range| {
        let other = is_range.then(|| format!("{oldest}\n"));
        other.into_iter().chain(lines).collect()
    });
    for (proxy, message) in [(doubled, "came twice"), (other, "record 0 is not of the range")] {
        let failed = report(&vault, folder, &proxy.url, &range);
        assert!(stderr(&failed).contains(message), "{message}: {}", stderr(&failed));
    }
}

/// The neighbours of a range are proven too: whoever keeps records back cannot put others in their place.
#[test]
fn no_neighbour_that_was_changed_and_no_older_checkpoint_hides_a_record_of_a_range() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (vault, times, _) = long(folder);
    let times = Arc::new(times);
    let range = ["--from", &times[0], "--to", &times[1]];
    // A record of the range gets another time wherever it is asked for.
    let (from, to) = (times[0].clone(), times[1].clone());
    let forged = proxy(&vault, move |lines, is_range| {
        let is_of_range = |line: &String| {
            let record: Value = serde_json::from_str(line).unwrap();
            let time = record["time"].as_str().unwrap();
            (from.as_str()..to.as_str()).contains(&time)
        };
        let other = |line: String| {
            if !is_of_range(&line) {
                return line;
            }
            let record: Value = serde_json::from_str(&line).unwrap();
            line.replacen(record["time"].as_str().unwrap(), "2020-01-01T00:00:00.000Z", 1)
        };
        if is_range { lines[20..lines.len() - 12].to_vec() } else { lines.into_iter().map(other).collect() }
    });
    let failed = report(&vault, folder, &forged.url, &range);
    assert!(!failed.status.success() && failed.stdout.is_empty(), "{}", stderr(&failed));
    // No record at all, and every answer about the neighbours is forged in the same way.
    let empty = proxy(&vault, |lines, is_range| {
        let other = |line: String| {
            let record: Value = serde_json::from_str(&line).unwrap();
            line.replacen(record["time"].as_str().unwrap(), "2020-01-01T00:00:00.000Z", 1)
        };
        if is_range { Vec::new() } else { lines.into_iter().map(other).collect() }
    });
    let failed = report(&vault, folder, &empty.url, &range);
    assert!(!failed.status.success() && failed.stdout.is_empty(), "{}", stderr(&failed));
    // The checkpoint after the export is older than the one before it.
    let address = vault.server.address().to_owned();
    let bearer = vault.said["owner_token"].as_str().unwrap().to_owned();
    let old = forward(&address, &bearer, &format!("GET {CHECKPOINT}")).1;
    for _ in 0..20 {
        forward(&address, &bearer, "GET /sfp/api/audit?limit=1");
    }
    let rewound = Fake::start(move |request, count| {
        let (status, body) = forward(&address, &bearer, request);
        let is_again = request.ends_with(CHECKPOINT) && count > 0;
        Reply::Http(status, Vec::new(), if is_again { old.clone() } else { body })
    });
    let failed = report(&vault, folder, &rewound.url, &range);
    assert!(!failed.status.success() && failed.stdout.is_empty(), "{}", stderr(&failed));
}

#[test]
fn a_range_without_a_record_is_verified_by_its_neighbours_and_a_cut_one_never_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (vault, times, _) = long(folder);
    for range in [
        ["--from", &*times[0], "--to", &*times[0]],
        ["--from", "2999-01-01T00:00:00Z", "--to", "2999-01-02T00:00:00Z"],
        ["--from", "2019-01-01T00:00:00Z", "--to", "2020-01-01T00:00:00Z"],
    ] {
        let honest = report(&vault, folder, &vault.server.url, &[&range[..], &["--json"]].concat());
        assert!(honest.status.success(), "{range:?}: {}", stderr(&honest));
        let said: Value = serde_json::from_slice(&honest.stdout).unwrap();
        let page = said["report"].as_str().unwrap();
        assert!(said["verified"] == true && page.contains("The range has no record."), "{range:?}: {page}");
    }
}
