//! `--env NAME=SELECTOR`: a variable's name, given by the command itself.

use std::{fmt, str::FromStr};

/// A name, and the field that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli::client) struct Assignment {
    pub(super) name: String,
    /// `PROVIDER.FIELD`, `NAME.FIELD` or `ID.FIELD`; the name of a `custom` integration that is one value.
    pub(super) selector: String,
}

/// The error of a text that assigns no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must be NAME=SELECTOR, such as GH_TOKEN=github.token")]
pub(in crate::cli::client) struct NoAssignment;

impl FromStr for Assignment {
    type Err = NoAssignment;

    fn from_str(text: &str) -> Result<Self, NoAssignment> {
        match text.split_once('=') {
            Some((name, selector)) if is_variable(name) && !selector.is_empty() => {
                Ok(Self { name: name.to_owned(), selector: selector.to_owned() })
            }
            _ => Err(NoAssignment),
        }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.selector)
    }
}

/// Returns whether a shell accepts the name of a variable (POSIX XBD 3.216).
pub(in crate::cli::client) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_has_a_name_that_shells_accept_and_a_selector() {
        let good: Assignment = "GH_TOKEN=github.token".parse().unwrap();
        assert_eq!((good.name.as_str(), good.selector.as_str()), ("GH_TOKEN", "github.token"));
        assert_eq!("_a1=x=y.z".parse::<Assignment>().unwrap().selector, "x=y.z");
        for bad in ["", "A", "=x", "A=", "1A=x", "A-B=x", "Ä=x", "A B=x", "A\n=x"] {
            assert_eq!(bad.parse::<Assignment>(), Err(NoAssignment), "{bad}");
        }
    }
}
