//! The config file, and the settings that are texts of a form of their own.

use super::assert_silent;
use crate::{
    config::FileConfig,
    http::{HostName, Network},
};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match FileConfig::parse(text) {
        Ok(config) => assert_eq!(FileConfig::parse(text).ok(), Some(config)),
        Err(error) => {
            let text = error.to_string();
            assert_silent(&text);
            assert!(!text.contains(['\n', '\r', '\u{1b}']), "an error of more than one line: {text:?}");
        }
    }
    match text.parse::<Network>() {
        Ok(network) => assert!(text.split('/').next().unwrap().parse().is_ok_and(|ip| network.contains(ip))),
        Err(error) => assert_silent(error),
    }
    if let Err(error) = text.parse::<HostName>() {
        assert_silent(error);
    }
}
