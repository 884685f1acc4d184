//! `--env FIELD=NAME`: `config.env` of an integration, the names of its fields in an environment.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::credentials::{is_variable, steers};

/// The flag of `integration add` and `update`.
#[derive(Debug, clap::Args)]
pub(super) struct EnvFlags {
    /// Call a field so in an environment, such as `url=DATABASE_URL`; `verbatim` calls each by its own name.
    #[arg(long = "env", value_name = "FIELD=NAME|verbatim")]
    names: Vec<EnvName>,
}

/// One field's name, or the rule for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EnvName {
    Verbatim,
    Of { field: String, name: String },
}

/// The error of a text that names no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoEnvName {
    #[error("it must be FIELD=NAME, such as url=DATABASE_URL, or verbatim")]
    Shape,
    #[error("a variable of this name changes how programs run, and is refused when it is read")]
    Steers,
}

impl FromStr for EnvName {
    type Err = NoEnvName;

    fn from_str(text: &str) -> Result<Self, NoEnvName> {
        if text == "verbatim" {
            return Ok(Self::Verbatim);
        }
        // A field may have an equals sign in its name, a variable none.
        match text.rsplit_once('=') {
            Some((field, name)) if !field.is_empty() && is_variable(name) => {
                if steers(name) {
                    return Err(NoEnvName::Steers);
                }
                Ok(Self::Of { field: field.to_owned(), name: name.to_owned() })
            }
            _ => Err(NoEnvName::Shape),
        }
    }
}

impl EnvFlags {
    /// Returns whether the flag was given.
    pub(super) fn is_given(&self) -> bool {
        !self.names.is_empty()
    }

    /// Returns a config with these names, over the other options and names of the stored one; `None` if neither has
    /// any.
    pub(super) fn over(&self, stored: Option<&Value>) -> Option<Value> {
        let mut config = stored.and_then(Value::as_object).cloned().unwrap_or_default();
        for one in &self.names {
            match one {
                EnvName::Verbatim => {
                    config.insert("env".to_owned(), json!("verbatim"));
                }
                EnvName::Of { field, name } => {
                    let env = config.entry("env").or_insert_with(|| Value::Object(Map::new()));
                    if !env.is_object() {
                        *env = Value::Object(Map::new());
                    }
                    env[field.as_str()] = json!(name);
                }
            }
        }
        (!config.is_empty()).then_some(Value::Object(config))
    }
}

/// Returns the stored names of a config, for people; `None` if it has none.
pub(super) fn description(config: &Value) -> Option<String> {
    match config.get("env")? {
        Value::Object(names) => {
            let pair = |(field, name): (&String, &Value)| format!("{field}={}", name.as_str().unwrap_or("?"));
            Some(names.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        word => word.as_str().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_every_read_would_refuse_is_never_stored() {
        for (text, good) in [
            ("url=DATABASE_URL", true),
            ("verbatim", true),
            ("a=b=C", true),
            ("url=PATH", false),
            ("url=LD_PRELOAD", false),
            ("url=http_proxy", false),
            ("url=", false),
            ("=X", false),
            ("url", false),
            ("url=A B", false),
        ] {
            assert_eq!(text.parse::<EnvName>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn names_go_over_those_that_are_stored_and_leave_the_other_options() {
        let flags =
            |names: &[&str]| EnvFlags { names: names.iter().map(|one| one.parse().unwrap()).collect() };
        let stored = json!({"region": "eu", "env": {"url": "OLD", "user": "PGUSER"}});
        assert_eq!(
            flags(&["url=NEW"]).over(Some(&stored)),
            Some(json!({"region": "eu", "env": {"url": "NEW", "user": "PGUSER"}}))
        );
        assert_eq!(flags(&["verbatim"]).over(None), Some(json!({"env": "verbatim"})));
        assert_eq!(flags(&["a=B"]).over(Some(&json!({"env": "verbatim"}))), Some(json!({"env": {"a": "B"}})));
        assert_eq!(flags(&[]).over(None), None);
    }
}
