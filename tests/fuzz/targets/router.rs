//! Targets of requests: a method, a path and a query in three lines.

use super::{MARK, assert_silent};
use crate::http::{
    probe,
    routes::{Found, ROUTES, find},
};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, path, query) = (line(), line(), line());
    match find(method, path) {
        Found::Route(route, argument) => {
            assert!(method == route.method || (method == "HEAD" && route.method == "GET"));
            assert!(method != "HEAD" || !route.endpoint.discloses(), "HEAD of a disclosure");
            assert!(path.contains(argument), "an argument that the path does not have");
            assert_eq!(argument.is_empty(), !route.path.contains('{'));
            assert!(argument.contains('/') <= route.path.contains("..."), "a slash in one segment");
        }
        Found::OtherMethod(allow) => {
            assert!(!allow.is_empty() && !allow.split(", ").any(|one| one == method));
            assert!(
                allow.split(", ").all(|one| ROUTES.iter().any(|route| route.method == one) || one == "HEAD")
            );
        }
        Found::Nothing => assert!(ROUTES.iter().all(|route| route.path != path)),
    }
    for error in probe::query(query).into_iter().chain(probe::arguments(path)).chain(probe::edge(path, query))
    {
        assert_silent(&error);
    }
    if let Ok(project) = probe::project(path) {
        assert!(!project.as_str().contains(MARK), "a project with a % in it");
    }
}
