//! Names and their spellings: whatever is sent, one name has one meaning.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::prelude::*;
use sealroom::{
    domain::{Email, Platform, ProjectId, RemoteUrl},
    http::routes::{Endpoint, Found, ROUTES, find},
};

fn found(method: &str, path: &str) -> Option<(Endpoint, String)> {
    match find(method, path) {
        Found::Route(route, argument) => Some((route.endpoint, argument.to_owned())),
        Found::OtherMethod(_) | Found::Nothing => None,
    }
}

/// Every letter that may stand encoded, some of them encoded.
fn spelt(text: &str, encode: &[bool]) -> String {
    let mut encode = encode.iter().cycle();
    text.chars()
        .map(|c| match encode.next() {
            Some(true) => utf8_percent_encode(&c.to_string(), NON_ALPHANUMERIC).to_string(),
            _ => c.to_string(),
        })
        .collect()
}

fn identifier() -> impl Strategy<Value = String> {
    let segment = r"[A-Za-z0-9_]([ -$&-.0-~]{0,18}[!-$&-.0-~])?";
    prop_oneof![
        (segment, segment).prop_map(|(org, repo)| format!("{org}/{repo}")),
        (segment, segment, segment).prop_map(|(org, project, repo)| format!("{org}/{project}/{repo}")),
        prop::collection::vec("[A-Za-z0-9_][A-Za-z0-9._-]{0,8}", 1..=20)
            .prop_map(|segments| segments.join("/")),
        "[1-9][0-9]{0,10}",
    ]
}

proptest! {
    #[test]
    fn any_path_is_looked_up_without_a_panic_and_only_itself_is_a_literal(path in "(/?[a-z%./\\\\ -]{0,12}){0,6}|\\PC{0,60}") {
        for method in ["GET", "HEAD", "POST", "DELETE", "BREW", ""] {
            if let Found::Route(route, argument) = find(method, &path) {
                let bare = path.strip_suffix('/').unwrap_or(&path);
                let (before, _) = route.path.split_once('{').unwrap_or((route.path, ""));
                prop_assert!(bare.starts_with(before), "{path} led to {}", route.path);
                prop_assert!(route.path.contains('{') || bare == route.path, "{path} led to {}", route.path);
                prop_assert!(route.path.contains("...") || !argument.contains('/'), "{path}");
            }
        }
    }

    #[test]
    fn a_project_is_the_same_however_its_path_is_encoded(name in identifier(), encode in prop::collection::vec(any::<bool>(), 1..8)) {
        let path = format!("/sfp/api/projects/{}", spelt(&name, &encode));
        for path in [path.clone(), format!("{path}/")] {
            let (endpoint, argument) = found("GET", &path).unwrap();
            let decoded = percent_decode_str(&argument).decode_utf8().unwrap();
            prop_assert_eq!((endpoint, &*decoded), (Endpoint::ReadProject, name.as_str()));
            let parsed: ProjectId = decoded.parse().unwrap();
            prop_assert_eq!(parsed.as_str(), name.as_str());
        }
    }

    #[test]
    fn an_identifier_is_exact_and_never_a_way_out_of_its_folder(text in "([a-zA-Z0-9. _%/\\\\-]{0,12}){0,4}|\\PC{0,40}") {
        if let Ok(id) = text.parse::<ProjectId>() {
            prop_assert_eq!(id.as_str(), text.as_str());
            prop_assert!(text.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
            prop_assert!(text.len() <= 200 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert!(!text.contains('%') && text.split('/').count() <= 20);
            prop_assert!(text.split('/').all(|segment| segment.trim() == segment));
            prop_assert_eq!(ProjectId::recorded(&text), Some(id.clone()), "what is let in is read again");
            let swapped: String = text.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
            if let Ok(other) = swapped.parse::<ProjectId>() {
                prop_assert_eq!(other == id, swapped == text, "case tells identifiers apart");
            }
        }
    }

    #[test]
    fn an_email_has_one_form(local in "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,20}", host in "[a-zA-Z0-9.-]{1,20}", blanks in "[ \t]{0,3}") {
        let text = format!("{local}@{host}");
        let email: Email = text.parse().unwrap();
        for spelling in [text.to_uppercase(), text.to_lowercase(), format!("{blanks}{text}{blanks}"), email.to_string()] {
            prop_assert_eq!(spelling.parse::<Email>().unwrap(), email.clone());
        }
        prop_assert!(!email.as_str().bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_whitespace()));
    }

    #[test]
    fn any_text_is_an_email_of_one_form_or_none(text in "\\PC{0,40}") {
        if let Ok(email) = text.parse::<Email>() {
            prop_assert!(email.as_str().is_ascii());
            prop_assert_eq!(email.as_str().parse::<Email>().unwrap(), email);
        }
    }

    #[test]
    fn a_remote_url_has_the_host_that_a_client_would_connect_to(
        host in "[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?(\\.[a-z]([a-z0-9-]{0,6}[a-z0-9])?){1,3}",
        port in prop::option::of(1_u16..),
        trap in prop::sample::select(vec!["", "github.com", "github.com/", "@github.com", "?github.com", "#@github.com", "\\@github.com"]),
    ) {
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let url: RemoteUrl = format!("https://{host}{port}/acme/app/{trap}").parse().unwrap();
        prop_assert_eq!(url.host(), host.to_lowercase());
        prop_assert_eq!(url.platform() == Platform::Github, host.split('.').any(|label| label.eq_ignore_ascii_case("github")));
        for text in [
            format!("https://github.com@{host}{port}/a/b"),
            format!("https://github.com:x@{host}{port}/a/b"),
            format!("ssh://git:x@{host}{port}/a/b"),
            format!("https://{host}{port}\r\n/a/b"),
            format!("https://{host} {port}/a/b"),
            format!("https:\t//{host}{port}/a/b"),
            format!("//{host}{port}/a/b"),
        ] {
            prop_assert!(text.parse::<RemoteUrl>().is_err(), "{}", text);
        }
    }

    #[test]
    fn any_text_is_a_remote_url_without_a_password_or_none(text in "(https?|ssh|git|HTTPS)://[a-z:@/\\\\.\\[\\]%0-9-]{0,30}|[a-z@:/.-]{0,30}|\\PC{0,40}") {
        if let Ok(url) = text.parse::<RemoteUrl>() {
            prop_assert_eq!(url.as_str(), text.as_str());
            prop_assert!(!url.host().is_empty() && url.host() == url.host().to_lowercase());
            let authority = text.split("://").nth(1).unwrap_or(&text).split(['/', '\\', '?', '#']).next().unwrap();
            if let Some((user, _)) = authority.rsplit_once('@') && text.contains("://") {
                prop_assert!(!user.contains(':') && text.to_lowercase().starts_with("ssh"), "{}", text);
            }
            if !text.contains("://") {
                let (user, _) = text.split_once('@').unwrap();
                prop_assert!(!user.is_empty() && !user.contains([':', '%', '/']), "{}", text);
            }
            prop_assert!(!url.host().starts_with('-'), "{}", text);
            prop_assert_eq!(RemoteUrl::recorded(text.clone()), Some(url), "what is let in is read again");
        }
    }

    #[test]
    fn an_scp_form_never_hides_a_password_nor_goes_without_a_user(
        user in "[a-z0-9._-]{1,12}",
        host in "([a-z0-9]{1,8}\\.){1,2}[a-z]{2,4}|\\[fe80::[1-9a-f][0-9a-f]{0,3}\\]",
        path in "[!-~]{1,30}",
        secret in "[!-~&&[^@/:]]{1,20}",
    ) {
        let good = format!("{user}@{host}:{path}");
        prop_assume!(!good.contains("://") && !user.starts_with('-'));
        let url: RemoteUrl = good.parse().unwrap();
        prop_assert_eq!(url.host(), host.as_str());
        for text in [
            format!("{user}:{secret}@{host}:{path}"),
            format!("{user}%3A{secret}@{host}:{path}"),
            format!("{user}:@{host}:{path}"),
            format!(":{secret}@{host}:{path}"),
            format!("@{host}:{path}"),
            format!("-{user}@{host}:{path}"),
            format!("{user}@{host}:"),
            format!("{user}@{host}"),
            format!("javascript:{secret}"),
            format!("ssh://{user}:{secret}@{host}/x"),
            format!("https://{user}@{host}/x"),
        ] {
            prop_assert!(text.parse::<RemoteUrl>().is_err(), "{}", text);
        }
    }
}

#[test]
fn look_alikes_of_a_host_are_another_host() {
    for (text, platform) in [
        ("https://github.com./a/b", Platform::Github),
        ("https://GITHUB.COM/a/b", Platform::Github),
        ("https://githüb.com/a/b", Platform::Other),
        ("https://xn--githb-mva.com/a/b", Platform::Other),
        ("https://github.com.evil.example/a/b", Platform::Github), // by its label; only a default for `platform`
        ("https://evilgithub.com/a/b", Platform::Other),
        ("https://evil.example/github.com/a", Platform::Other),
        ("https://[::1]/a/b", Platform::Other),
        ("https://0x7f.1/a/b", Platform::Other),
    ] {
        match text.parse::<RemoteUrl>() {
            Ok(url) => assert_eq!(url.platform(), platform, "{text}"),
            Err(_) => assert!(!text.is_ascii(), "{text}"),
        }
    }
}

#[test]
fn every_route_is_found_under_its_own_name() {
    for route in ROUTES {
        let path = route.path.replace("{identifier...}", "acme/app").replace(['{', '}'], "");
        let wanted = found(route.method, &path).unwrap_or_else(|| panic!("{} {path}", route.method));
        assert_eq!(wanted.0, route.endpoint);
        assert_eq!(found(route.method, &format!("{path}/")), Some(wanted), "one trailing slash is tolerated");
        assert!(found(route.method, &format!("{path}//")).is_none_or(|(endpoint, _)| endpoint
            == Endpoint::ReadProject
            || endpoint == Endpoint::DeleteProject));
        assert!(found(route.method, &format!("/{path}")).is_none());
        assert!(found(route.method, &path.to_uppercase()).is_none());
    }
}
