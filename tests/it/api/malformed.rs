//! Requests that no client should send, byte for byte on a raw socket.
//!
//! Each row is one connection: its bytes, how the client goes on, and the status of each answer until the server
//! closes. "hyper's" marks what hyper decides and we only note; the rest the contract fixes, or the RFCs.

use std::time::Duration;

use sealroom::http::Limits;

use crate::support::{
    raw::{CREDENTIALS, PING, Stage, TOKENS, Then, each, row},
    server::{OWNER, PASSWORD},
};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_head_out_of_form_is_refused_before_anybody_is_let_in() {
    let t = Stage::new(Limits::STANDARD).await;
    let header = |line: &str| t.get(CREDENTIALS, &format!("{line}\r\n"));
    let line = |line: &str| format!("{line}\r\nHost: localhost\r\n{}Connection: close\r\n\r\n", t.app());
    let version = |version: &str| line(&format!("GET {CREDENTIALS} {version}"));
    let ping = |headers: &str| t.get(PING, headers);
    // Header blocks beyond 16 KiB, or of more than 100 lines, are a 431; so are long targets, where a 414 would do too.
    let rows = [
        row("bare CR everywhere", t.smuggled().replace("\r\n", "\r"), &[400]),
        row("folded", header("X-A: a\r\n b"), &[400]),
        row("folded first", version("HTTP/1.1").replacen("Host", " Host", 1), &[400]),
        row("two authorizations", header(t.owner().trim_end()), &[401]),
        row("token with a NUL", t.smuggled().replace("Bearer ", "Bearer \0"), &[400]),
        row("101 headers", header("X-A: a\r\n".repeat(98).trim_end()), &[431]),
        row("15 KiB of headers", ping(&format!("X-A: {}\r\n", "a".repeat(160)).repeat(90)), &[200]),
        row("17 KiB of headers", ping(&format!("X-A: {}\r\n", "a".repeat(190)).repeat(90)), &[431]),
        row("endless headers", header(&"X-A: a\r\n".repeat(MIB)), &[431]),
        row("a header of 10 MiB", header(&format!("X-A: {}", "a".repeat(10 * MIB))), &[431]),
        row("a name of 10 MiB", header(&format!("{}: a", "a".repeat(10 * MIB))), &[431]),
        row("a method of 10 MiB", "A".repeat(10 * MIB), &[431]),
        row("HTTP/0.9", format!("GET {CREDENTIALS}\r\n\r\n"), &[400]),
        row("lower-case method", line(&format!("get {CREDENTIALS} HTTP/1.1")), &[405]),
        row("TLS", &b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n"[..], &[400]),
        row("noise", (0..=255).rev().collect::<Vec<u8>>(), &[400]),
        // hyper's: it knows the preface, and closes without a word.
        row("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &[]),
        // hyper's, and harmless: RFC 9112 §2.2 and RFC 9110 §5.5 allow the first three.
        row("bare LF", ping("").replace("\r\n", "\n"), &[200]),
        row("empty lines first", format!("\r\n\r\n{}", ping("")), &[200]),
        row("obs-text in a value", ping("X-A: \u{e9}\r\n"), &[200]),
        row("100 headers", ping(&"X-A: a\r\n".repeat(97)), &[200]),
        row("HTTP/1.0 without a host", format!("GET {PING} HTTP/1.0\r\n\r\n"), &[200]),
        // One host and no other (RFC 9112 §3.2); hyper does not look.
        row("no host", ping("").replacen("Host: localhost\r\n", "", 1), &[400]),
        row("two hosts", ping("Host: y\r\n"), &[400]),
        row("a host with a path", ping("").replacen("Host: localhost", "Host: x/y", 1), &[400]),
        row("a host with a user", ping("").replacen("Host: localhost", "Host: a b", 1), &[400]),
    ];
    let lines = "X-A: a\rb|X-A: a\rX-B: b|X A: a|X-A : a|X\0A: a|X-A: a\0b|X-A|: a|X-A: \x7f|X-\u{e9}: a";
    let versions = "HTTP/0.9|HTTP/1.2|HTTP/2.0|HTTP/3.0|HTTP/11|http/1.1||HTTP/1.1 x";
    let starts = " /|GET  /|GET\t/|G\0T /|G\u{e9}T /|GET, /|\0";
    let start = |start: &str| line(&format!("{start}sfp/api/ping HTTP/1.1"));
    let refused = each(lines, header, &[400]).chain(each(versions, version, &[400]));
    t.run(rows.into_iter().chain(refused).chain(each(starts, start, &[400]))).await;
}

#[tokio::test]
async fn a_length_that_lies_never_makes_a_second_request() {
    let t = Stage::new(Limits::STANDARD).await;
    let smuggled = t.smuggled();
    let long = smuggled.len();
    let (body, last) = (r#"{"name":"smuggled"}"#, t.get(PING, ""));
    let post = |headers: &str| t.post(TOKENS, &format!("{headers}\r\n"), &smuggled);
    let sent = |length: usize| t.post(TOKENS, &format!("Content-Length: {length}\r\n"), body);
    // The body is a whole request, and another one follows: two answers, if the body is taken for a body.
    let hidden = |start: &str| format!("{start}Content-Length: {long}\r\n\r\n{smuggled}{last}");
    let chunk = format!("{long:x}\r\n{smuggled}\r\n0\r\n\r\n{last}");
    let refusal = format!("POST {TOKENS} HTTP/1.1\r\nHost: localhost\r\n");
    let get = format!("GET {PING} HTTP/1.1\r\nHost: localhost\r\n");
    let spaces = " ".repeat(50_000 - long);
    let hidden_deep = format!("{refusal}Content-Length: 50000\r\n\r\n{spaces}{smuggled}{last}");
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let rows = [
        row("too long, half-closed", sent(20), &[400]).then(Then::HalfCloses),
        row("too short", sent(18), &[400, 400]),
        row("too short by all", sent(0), &[400, 400]),
        row("no length", t.post(TOKENS, "", body), &[400, 400]),
        row("two lengths", post(&format!("Content-Length: 0\r\nContent-Length: {long}")), &[400]),
        row("the same twice", t.post(TOKENS, &"Content-Length: 2\r\n".repeat(2), "{}") + &last, &[400, 200]),
        row("two lengths in a list", post(&format!("Content-Length: 0, {long}")), &[400]),
        row("more than the limit", post("Content-Length: 65537"), &[413]),
        row("u64", post("Content-Length: 18446744073709551615"), &[431]), // hyper's
        row("spaces around", t.post(TOKENS, "Content-Length:   2  \r\n", "{}") + &last, &[400, 200]),
        // Chunked goes before a length (RFC 9112 §6.3), and the connection ends.
        row("length, then chunked", post("Content-Length: 0\r\nTransfer-Encoding: chunked"), &[400]),
        row("chunked, then length", post("Transfer-Encoding: chunked\r\nContent-Length: 0"), &[400]),
        row("whole, beside a length", t.post(TOKENS, both, &format!("0\r\n\r\n{smuggled}")), &[400]),
        row("body on a GET", hidden(&get), &[200, 200]),
        row("chunks on a GET", format!("{get}Transfer-Encoding: chunked\r\n\r\n{chunk}"), &[200, 200]),
        row("body on a 401", hidden(&refusal), &[401, 200]),
        row("chunks on a 401", format!("{refusal}Transfer-Encoding: chunked\r\n\r\n{chunk}"), &[401, 200]),
        row("long body on a 401", hidden_deep, &[401]), // hyper's: not read at once, so it closes
        row("body on a 404", hidden("POST /x HTTP/1.1\r\nHost: localhost\r\n"), &[404, 200]),
        row("body on a 405", hidden(&format!("BREW {TOKENS} HTTP/1.1\r\nHost: localhost\r\n")), &[405, 200]),
        row("body on a 415", hidden(&format!("{refusal}{}", t.owner())), &[415, 200]),
    ];
    let lengths =
        "+0|-0|-1|0 0|0x0|zero||0.0|0\0|\x0b0|\u{665}|0;0|18446744073709551616|99999999999999999999999";
    let length = |length: &str| post(&format!("Content-Length: {length}"));
    t.run(rows.into_iter().chain(each(lengths, length, &[400]))).await;
}

#[tokio::test]
async fn chunks_out_of_form_are_a_400_and_the_last_of_their_connection() {
    let t = Stage::new(Limits::STANDARD).await;
    let (smuggled, last) = (t.smuggled(), t.get(PING, ""));
    let coded = |coding: &str, rest: &str| t.post(TOKENS, &format!("Transfer-Encoding: {coding}\r\n"), rest);
    let chunks = |body: &str| coded("chunked", &format!("{body}0\r\n\r\n{smuggled}"));
    let whole = |body: &str| coded("chunked", &format!("{body}0\r\n\r\n{last}"));
    let large = |body: &str| coded("chunked\r\nConnection: close", &format!("{body}0\r\n\r\n"));
    let extension = "x".repeat(100_000);
    let rows = [
        row("u64", chunks("ffffffffffffffff\r\n{}\r\n"), &[400]).then(Then::HalfCloses),
        row("an extension of 100 KB", chunks(&format!("2;{extension}\r\n{{}}\r\n")), &[400]),
        row("100 KB of extensions", chunks(&"1;x=0123456789\r\n \r\n".repeat(7000)), &[400]),
        row("trailers of 100 KB", chunks(&format!("0\r\nX: {extension}\r\n\r\n")), &[400]),
        row("10,000 trailers", chunks(&format!("0\r\n{}\r\n", "X: x\r\n".repeat(10_000))), &[400]),
        row("broken trailer", chunks("0\r\nX\0\r\n\r\n"), &[400]),
        row("no last chunk", coded("chunked", "2\r\n{}\r\n"), &[400]).then(Then::HalfCloses),
        row("in HTTP/1.0", chunks("").replacen("HTTP/1.1", "HTTP/1.0", 1), &[400]),
        row("more than the limit", large(&format!("10001\r\n{}\r\n", " ".repeat(65_537))), &[413]),
        row("more than the limit in single bytes", large(&"1\r\n \r\n".repeat(65_537)), &[413]),
        // Whole after all: the body is judged, and the connection goes on behind it.
        row("leading zeros", whole(&format!("{}2\r\n{{}}\r\n", "0".repeat(100))), &[400, 200]),
        // hyper's: it sets no end to zeros, reads over an extension, and looks only at the last of the codings.
        row("a size of 1 MiB", whole(&format!("{}2\r\n{{}}\r\n", "0".repeat(MIB))), &[400, 200]),
        row("NUL in an extension", whole("2;\0\r\n{}\r\n"), &[400, 200]),
        row("gzip, then chunked", coded("gzip, chunked", &format!("0\r\n\r\n{last}")), &[400, 200]),
        row("chunked twice", coded("chunked, chunked", &format!("0\r\n\r\n{last}")), &[400, 200]),
    ];
    let sizes = "\r\n{}\r\n|g\r\n{}\r\n|0x2\r\n{}\r\n|-2\r\n{}\r\n|+2\r\n{}\r\n|0 2\r\n{}\r\n|0_2\r\n{}\r\n|2\0\r\n{}\r\n\
                 |2{}\r\n|2\r\n{}|2\n{}\r\n|2\r\n{}\n|2\r{}\r\n|2;\n{}\r\n|1\r\n{}\r\n|3\r\n{}\r\n|10000000000000000\r\n{}\r\n";
    let codings = "gzip|identity|xchunked|chunked, gzip|chunked;q=1|chunked,|\x0bchunked|\"chunked\"|";
    let coding = |coding: &str| coded(coding, &format!("0\r\n\r\n{smuggled}"));
    t.run(rows.into_iter().chain(each(sizes, chunks, &[400])).chain(each(codings, coding, &[400]))).await;
}

#[tokio::test]
async fn a_target_out_of_form_leads_nowhere() {
    let t = Stage::new(Limits::STANDARD).await;
    let get = |path: &str| t.get(path, "");
    let raw = |path: &[u8]| [b"GET /sfp/api/", path, &get("").as_bytes()["GET ".len()..]].concat();
    let project = |name: &str| get(&format!("/sfp/api/projects/{name}"));
    let id = |id: &str| get(&format!("/sfp/api/integrations/{id}")).replace(&t.server.app, &t.server.owner);
    let query = |text: &str| get(&format!("{CREDENTIALS}?{text}"));
    let rows = [
        row("overlong", raw(b"projects/acme\xc0\xafapp"), &[400]),
        row("lone continuation", raw(b"projects/acme/\x80"), &[400]),
        row("query overlong", raw(b"integrations/credentials?provider=\xc0\xaf"), &[400]),
        row("query lone continuation", raw(b"integrations/credentials?provider=\x80"), &[400]),
        row("path of 10 MiB", get(&"/a".repeat(5 * MIB)), &[431]),
        row("query of 10 MiB", query(&"a".repeat(10 * MIB)), &[431]),
        row("query of 15 KiB", query(&"a=&".repeat(5000)), &[400]),
        row("CONNECT", get("x:80").replace("GET", "CONNECT"), &[404]),
        row("CONNECT with a path", get(CREDENTIALS).replace("GET", "CONNECT"), &[405]),
        row("OPTIONS *", get("*").replace("GET", "OPTIONS"), &[404]),
        row("TRACE", get(CREDENTIALS).replace("GET", "TRACE"), &[405]),
        row("%2F", project("acme%2Fapp"), &[200]),
        // The absolute form is to be taken (RFC 9112 §3.2.2), for this host; that a fragment is cut off is hyper's.
        row("absolute form", get(&format!("http://localhost{PING}")), &[200]),
        row("absolute form of another host", get(&format!("http://y{PING}")), &[400]),
        row("absolute form with a user", get("http://a:b@localhost/sfp/api/ping"), &[400]),
        row("fragment", get("/sfp/api/ping#credentials"), &[200]),
    ];
    let missing = "*|x:80|http://x|//sfp/api/integrations|/sfp//api/integrations|/SFP/API/integrations|/sfp/api/\"ping\"\
                   |/sfp/api%2Fintegrations%2Fcredentials|/sfp/api/%69ntegrations/credentials|/sfp/api/int\u{e9}grations\
                   |/sfp/api/health/../integrations/credentials|/sfp/api/health/%2e%2e/integrations/credentials\
                   |/sfp/api/./integrations/credentials|/sfp\\api\\integrations\\credentials";
    let refused = "|sfp/api/ping|/sfp/api/<ping>|/sfp/api/ping /x|/sfp/api/ping\0|file:///sfp/api/ping|http:///sfp/api/ping";
    let projects = "%|%zz|acme/app%00|acme/app\0|acme/app%0d%0aX:y|acme/app%20|acme%252Fapp|acme/%2e%2e|%2e%2e/app|%2e/app\
                    |../integrations/credentials|./app|acme/.|acme/..|acme//app|acme%2F%2Fapp|%20acme|acme%20/app\
                    |acme%c0%afapp|acme/%80|acme/%ed%a0%80|acme/\u{e9}|acme/%c3%a9|a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a";
    // Names that are well formed, and nobody's: a backslash is no slash.
    let nobodys = "acme\\app|acme%5capp|a/b/c/d|acme|acme%20app";
    let ids = "%00|%|%2F%2F|..|%2e%2e|credentials;x|credentials%00|credentials%2F|%63redentials|01A21198";
    let queries = "name=\0|name=%00|provider=%zz|provider=%c0%af|project=acme%c0%afapp|project=acme/%80|project=acme/..\
                   |project=acme%2F%2e%2e|project=acme%255capp|project=%|=github|?provider=github|provider=github;name=x|&x\
                   |limit=99999999999999999999999999|limit=-1|limit=+1|limit=1e1|limit=0x1|limit=%31%00|Provider=github\
                   |limit=%2B1|name=%80|name=a%8|name=%e2%82";
    let rows = rows.into_iter().chain(each(missing, get, &[404])).chain(each(refused, get, &[400]));
    let rows = rows.chain(each(projects, project, &[400])).chain(each(ids, id, &[400]));
    let rows = rows.chain(each(nobodys, project, &[404])).chain(each("project=acme\\app", query, &[404]));
    t.run(rows.chain(each(queries, query, &[400]))).await;
}

#[tokio::test]
async fn a_body_out_of_form_is_a_400_and_stores_nothing() {
    let t = Stage::new(Limits::STANDARD).await;
    let sent = |path: &str, body: &[u8]| {
        let head = t.post(path, &format!("Content-Length: {}\r\nConnection: close\r\n", body.len()), "");
        [head.as_bytes(), body].concat()
    };
    let token = |body: &str| sent(TOKENS, body.as_bytes());
    let create = |member: &str| {
        let body = format!(r#"{{"provider":"npm","authType":"pat","credentials":{{"token":"x"}},{member}}}"#);
        sent("/sfp/api/integrations", body.as_bytes())
    };
    let project = |name: &str| {
        let body = format!(r#"{{"identifier":"{name}","remoteUrl":"https://github.com/acme/web"}}"#);
        sent("/sfp/api/projects", body.as_bytes())
    };
    let rollback = format!("/sfp/api/integrations/{}/rollback", t.id);
    let days = |number: &str| token(&format!(r#"{{"name":"ci","expiresIn":{number}}}"#));
    let revision = |number: &str| sent(&rollback, format!(r#"{{"revision":{number}}}"#).as_bytes());
    let deep = r#"{"a":"#.repeat(16) + "1" + &"}".repeat(16);
    let typed = |name: &str| {
        t.post(TOKENS, "Connection: close\r\nContent-Length: 2\r\n", "{}").replace("application/json", name)
    };
    let rows = [
        row("depth 17", create(&format!(r#""isGlobal":true,"config":{deep}"#)), &[400]),
        row("depth 30,000", token(&"[".repeat(30_000)), &[400]),
        row("a key twice below", create(r#""isGlobal":true,"config":{"a":1,"a":2}"#), &[400]),
        row("both spellings", create(r#""isGlobal":true,"is_global":true"#), &[400]),
        row("60,000 digits", days(&"9".repeat(60_000)), &[400]),
        row("60,000 digits of a revision", revision(&"9".repeat(60_000)), &[400]),
        row("a revision of u64", revision("18446744073709551615"), &[404]),
        row("UTF-16", sent(TOKENS, b"\xff\xfe{\0}\0"), &[400]),
        row("overlong", sent(TOKENS, b"{\"name\":\"\xc0\xaf\"}"), &[400]),
        row("lone continuation", sent(TOKENS, b"{\"name\":\"\x80\"}"), &[400]),
        row("64 KiB", token(&" ".repeat(65_536)), &[400]),
        row("64 KiB and one", token(&" ".repeat(65_537)), &[413]),
        row("10 MiB", token(&" ".repeat(10 * MIB)), &[413]),
    ];
    let bodies = r#"| |{"name":"a","name":"b"}|{"name":"a","\u006eame":"b"}|{"name":"\ud800"}|{"name":"\u0000"}|["name"]|null
                    |{"name":"ci"}{"name":"ci"}|name=ci|{"name":"ci"|{'name':'ci'}|{"name":"ci",}|{"name":1e999}|//"#;
    let bodies = format!("{bodies}|\u{feff}{{\"name\":\"ci\"}}|{{\"name\":\"\0\"}}|{{\"name\":\"ci\"}}\0");
    let numbers =
        r#"0|-0|-1|1.5|1e1|1e999|-1e999|18446744073709551616|NaN|Infinity|0x1|01|+1|"1"|[1]|{}|true"#;
    let projects = r"acme/..|../web|./web|acme%2Fweb|acme%20web|%|acme/\u0000|acme/web\n|acme/\u00e9|/web|acme/|acme /web|acme/ web| acme";
    let types = "text/plain|application/jsonp|application/x-www-form-urlencoded|application|json|\u{e9}|";
    let rows = rows.into_iter().chain(each(&bodies, token, &[400])).chain(each(numbers, days, &[400]));
    let rows = rows.chain(each(numbers, revision, &[400])).chain(each(projects, project, &[400]));
    t.run(rows.chain(each(types, typed, &[415]))).await;
}

#[tokio::test]
async fn a_client_that_stalls_is_closed_at_the_limit() {
    let limit = Duration::from_millis(250);
    let t = Stage::new(Limits { header_timeout: limit, request_timeout: limit, ..Limits::STANDARD }).await;
    let get = t.smuggled();
    let cut = |length: usize| get.as_bytes()[..length].to_vec();
    let sized = |body: &str| t.post(TOKENS, "Content-Length: 19\r\n", body);
    let chunks = |body: &str| t.post(TOKENS, "Transfer-Encoding: chunked\r\n", body);
    let whole = "13\r\n{\"name\":\"smuggled\"}\r\n";
    let unread = format!("GET {PING} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19\r\n\r\n");
    let long_unread = unread.replace("19", "60000");
    t.run([
        row("nothing", "", &[]),
        row("half a line", cut(10), &[]),
        row("half a header", cut(60), &[]),
        row("no empty line", cut(get.len() - 2), &[]),
        row("after an answer", format!("GET {PING} HTTP/1.1\r\nHost: localhost\r\n\r\n"), &[200]),
        row("no body", sized(""), &[408]),
        row("half a body", sized(r#"{"name":"#), &[408]),
        row("no chunk", chunks(""), &[408]),
        row("half a chunk", chunks("13\r\n{\"name\":"), &[408]),
        row("a huge chunk", chunks("fffffffffffffff\r\n{}"), &[408]),
        row("no last chunk", chunks(whole), &[408]),
        row("no end of the trailers", chunks(&format!("{whole}0\r\nX: x\r\n")), &[408]),
        row(
            "no body after a 100",
            sized("").replace("19\r\n", "19\r\nExpect: 100-continue\r\n"),
            &[100, 408],
        ),
        row("no body where none is read", unread, &[200]),
        // A limit is for the whole: a little now and then does not put it off.
        row("empty lines on and on", "", &[]).then(Then::Trickles(b"\r\n")),
        row("a header on and on", cut(60), &[]).then(Then::Trickles(b"a")),
        row("headers on and on", cut(get.len() - 2), &[]).then(Then::Trickles(b"X: x\r\n")),
        row("a body on and on", t.post(TOKENS, "Content-Length: 60000\r\n", ""), &[408])
            .then(Then::Trickles(b" ")),
        row("a chunk's size on and on", chunks(""), &[408]).then(Then::Trickles(b"0")),
        row("chunks on and on", chunks(""), &[408]).then(Then::Trickles(b"1\r\n \r\n")),
        row("trailers on and on", chunks(&format!("{whole}0\r\n")), &[408]).then(Then::Trickles(b"X: x\r\n")),
        row("an unread body on and on", long_unread, &[200]).then(Then::Trickles(b" ")),
    ])
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let t = Stage::new(Limits::STANDARD).await;
    let get = t.smuggled();
    let cut = |length: usize| get.as_bytes()[..length].to_vec();
    let sized = |body: &str| t.post(TOKENS, "Content-Length: 19\r\n", body);
    let chunk = t.post(TOKENS, "Transfer-Encoding: chunked\r\n", "13\r\n{\"na");
    let mut rows = Vec::new();
    for (then, broken) in [(Then::HangsUp, &[][..]), (Then::HalfCloses, &[400][..])] {
        rows.extend([
            row("at once", "", &[]).then(then),
            row("in the request line", cut(10), &[]).then(then),
            row("in a header", cut(60), &[]).then(then),
            row("before the empty line", cut(get.len() - 2), &[]).then(then),
            row("before the body", sized(""), broken).then(then),
            row("in the body", sized(r#"{"name":"#), broken).then(then),
            row("in a chunk", chunk.clone(), broken).then(then),
        ]);
    }
    rows.extend((0..20).map(|_| row("while an answer is awaited", get.clone(), &[]).then(Then::HangsUp)));
    // hyper's, with `half_close(false)`: whoever closes its side before the answer does not get it.
    rows.push(row("half-closed after the request", get.clone(), &[]).then(Then::HalfCloses));
    t.run(rows).await;
}

#[tokio::test]
async fn no_upgrade_is_taken_up_and_a_100_invites_only_a_body_that_is_wanted() {
    let t = Stage::new(Limits::STANDARD).await;
    let upgrade = |to: &str| {
        let headers = format!("Upgrade: {to}\r\nSec-WebSocket-Version: 13\r\nHTTP2-Settings: AAAA\r\n");
        t.get(PING, &headers).replace("close", "Upgrade, HTTP2-Settings, close")
    };
    let login = format!(r#"{{"email":"{OWNER}","password":"{PASSWORD}"}}"#);
    let expect = |length: usize, body: &str| {
        let headers = format!("Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n");
        t.post("/sfp/api/auth/login", &headers, body)
    };
    let whole = expect(login.len(), &login);
    let rows = [
        row(
            "h2c on a POST",
            t.post(TOKENS, "Upgrade: h2c\r\nContent-Length: 2\r\n", "{}") + &upgrade("h2c"),
            &[400, 200],
        ),
        row("wanted", whole.clone(), &[100, 200]),
        row("too large", expect(65_537, ""), &[413]),
        row("another type", expect(10, "").replace("json", "xml"), &[415]),
        row("of nobody", expect(10, "").replace("auth/login", "projects").replace("Bearer", "Basic"), &[401]),
        row("in HTTP/1.0", whole.replace("HTTP/1.1", "HTTP/1.0"), &[200]),
        row("another expectation", whole.replace("100-continue", "canary"), &[200]),
    ];
    t.run(rows.into_iter().chain(each("websocket|h2c|TLS/1.3|HTTP/2.0|x/1, h2c", upgrade, &[200]))).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_the_first_malformed_one() {
    let t = Stage::new(Limits::STANDARD).await;
    let keep = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let (ping, last, smuggled) = (keep(PING, ""), t.get(PING, ""), t.smuggled());
    let bad = keep(PING, "Content-Length: +1\r\n");
    t.run([
        row("three", format!("{ping}{}{last}", keep("/x", "")), &[200, 404, 200]),
        row("ten", format!("{}{last}", ping.repeat(9)), &[200; 10]),
        row("with empty lines between", format!("{ping}\r\n\r\n{last}"), &[200, 200]),
        row("after a body", t.post(TOKENS, "Content-Length: 2\r\n", "{}") + &last, &[400, 200]),
        row("after a refusal", keep(CREDENTIALS, "") + &last, &[401, 200]),
        row("after a close", format!("{last}{smuggled}"), &[200]),
        row("after HTTP/1.0", ping.replace("HTTP/1.1", "HTTP/1.0") + &smuggled, &[200]),
        row("after a malformed line", format!("{ping}G\0T / HTTP/1.1\r\n\r\n{smuggled}"), &[200, 400]),
        row("after a malformed length", format!("{ping}{bad}{smuggled}"), &[200, 400]),
    ])
    .await;
}
