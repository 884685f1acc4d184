//! Identifiers that people write: projects, their URLs, e-mail addresses, names, ids.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::assert_silent;
use crate::{
    domain::{Email, IntegrationId, Name, ProjectId, Provider, RemoteUrl, Timestamp},
    http::probe,
};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<ProjectId>() {
        Ok(project) => {
            assert_eq!(project.as_str(), text);
            assert_eq!(ProjectId::recorded(text).as_ref(), Some(&project), "a stored project does not read");
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'%'));
            assert!(text.split('/').all(|segment| !matches!(segment, "" | "." | "..")));
            let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            assert_eq!(probe::project(&encoded).as_ref(), Ok(&project), "encoded it is another");
            assert_eq!(probe::project(text).as_ref(), Ok(&project), "with raw slashes it is another");
        }
        Err(error) => assert_silent(error),
    }
    match text.parse::<RemoteUrl>() {
        Ok(url) => {
            assert_eq!(url.as_str(), text);
            assert!(!url.host().is_empty() && !url.host().starts_with('-'), "{}", url.host());
            let again = RemoteUrl::recorded(text.to_owned()).expect("a stored URL reads");
            assert_eq!((again.host(), again.platform()), (url.host(), url.platform()));
        }
        Err(error) => assert_silent(error),
    }
    match text.parse::<Email>() {
        Ok(email) => {
            assert_eq!(email.as_str().parse::<Email>().as_ref(), Ok(&email), "it is normalised twice")
        }
        Err(error) => assert_silent(error),
    }
    match text.parse::<Name>() {
        Ok(name) => assert_eq!(Name::recorded(name.as_str()).as_ref(), Some(&name)),
        Err(error) => assert_silent(error),
    }
    match text.parse::<IntegrationId>() {
        Ok(id) => assert_eq!(id.to_string(), text.to_lowercase()),
        Err(error) => assert_silent(error),
    }
    match text.parse::<Provider>() {
        Ok(provider) => assert_eq!(provider.as_str(), text),
        Err(error) => assert_silent(error),
    }
    match text.parse::<Timestamp>() {
        Ok(time) => assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time)),
        Err(error) => assert_silent(error),
    }
}
