//! Pages of credentials: as many as were asked for, each once, and an end.

use sealroom::{
    http::Limits,
    vault::{CallerLimits, Settings, Vault},
};

use crate::support::{
    memory_disk::shared,
    server::{TestServer, plan, settings},
};

const CREDENTIALS: &str = "/sfp/api/integrations/credentials";

async fn server() -> TestServer {
    let (_, medium) = shared(&[]);
    Vault::create(medium.clone(), 1 << 20, &plan()).unwrap();
    let vault = Vault::open(medium, Settings { callers: CallerLimits::NONE, ..settings() }).unwrap();
    TestServer::over(vault, Limits::STANDARD, "127.0.0.1:0", false).await
}

/// The ids of a page, and the cursor of the next one.
async fn page(t: &TestServer, query: &str) -> (Vec<String>, Option<String>) {
    let reply = t.send("GET", &format!("{CREDENTIALS}{query}"), &t.app, "").await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.body);
    let json = reply.json();
    let ids = json.as_array().unwrap().iter().map(|one| one["integration_id"].as_str().unwrap().to_owned());
    (ids.collect(), reply.header("x-next-cursor"))
}

#[tokio::test]
async fn a_page_has_what_was_asked_for_and_a_cursor_only_where_something_follows() {
    let t = server().await;
    let nothing = t.send("GET", CREDENTIALS, &t.app, "").await;
    assert_eq!(nothing.status, 404, "{}", nothing.body);
    let mut all = Vec::new();
    for n in 0..4 {
        all.push(t.github(&format!("ghp_example_{n}"), r#""isGlobal":true"#).await);
    }
    all.sort_unstable_by(|one, other| other.cmp(one));
    for (query, ids, goes_on) in [
        ("", 0..4, false),
        ("?limit=4", 0..4, false),
        ("?limit=5", 0..4, false),
        ("?limit=1000", 0..4, false),
        ("?limit=3", 0..3, true),
        ("?limit=1", 0..1, true),
    ] {
        let (found, next) = page(&t, query).await;
        assert_eq!(found, all[ids.clone()], "{query}: newest first");
        assert_eq!(next, goes_on.then(|| all[ids.end - 1].clone()), "{query}: the last one's id");
    }
    let (rest, next) = page(&t, &format!("?limit=2&cursor={}", all[1])).await;
    assert_eq!((&rest[..], next), (&all[2..], None));
    let (rest, next) = page(&t, &format!("?cursor={}", all[0])).await;
    assert_eq!((&rest[..], next), (&all[1..], None));
    // Behind the last one there is nothing, which is no error: somebody deleted it meanwhile.
    let (rest, next) = page(&t, &format!("?limit=2&cursor={}", all[3])).await;
    assert_eq!((rest, next), (Vec::new(), None));
}
