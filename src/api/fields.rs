//! The fields of an object, taken one by one and parsed at once.
//!
//! Owns the step from checked JSON to domain values, and the messages about fields. A value is borrowed
//! from the body until its type is known, so that a secret is copied once, into [`Secret`].

use std::{borrow::Cow, fmt, mem, ops::RangeInclusive, str::FromStr};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{
    bad_request::{BadRequest, DUPLICATE_FIELD},
    unescape::unescape,
};
use crate::domain::{Invalid, Json, Secret};

/// Old spellings that are still accepted, each with its replacement (contract §1).
const ALIASES: &[(&str, &str)] = &[("auth_type", "authType"), ("is_global", "isGlobal")];

/// The change that a PATCH or PUT makes to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// The field is absent; its value stays.
    Keep,
    /// The field is `null`; its value is removed.
    Clear,
    /// The field has this new value.
    Set(T),
}

impl<T> Change<T> {
    /// Returns whether the value stays.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Applies the change to a value.
    #[must_use]
    pub fn apply(self, to: Option<T>) -> Option<T> {
        match self {
            Self::Keep => to,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Change<U>, E> {
        Ok(match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(read(value)?),
        })
    }
}

/// The fields of an object that are not yet taken, by their current spelling.
pub struct Fields<'a> {
    left: Vec<(&'static str, &'a str)>,
    known: &'static [&'static str],
}

impl<'a> Fields<'a> {
    /// Reads a body that passed `strict::check`. Reports an unknown field before a missing one: it is usually the
    /// missing one, mistyped.
    pub(super) fn read(body: &'a str, known: &'static [&'static str]) -> Result<Self, BadRequest> {
        let Members(members) =
            serde_json::from_str(body).map_err(|_| BadRequest::invalid("the body", "a JSON object"))?;
        let mut left: Vec<(&'static str, &str)> = Vec::with_capacity(members.len());
        for (key, value) in &members {
            let present = ALIASES.iter().find(|(old, _)| old == key).map_or(&**key, |(_, new)| new);
            let Some(name) = known.iter().find(|name| **name == present) else {
                return Err(BadRequest::unknown(key, known));
            };
            if left.iter().any(|(taken, _)| taken == name) {
                return Err(BadRequest::new(DUPLICATE_FIELD, format!("{name} is given in both spellings")));
            }
            left.push((name, value.get()));
        }
        Ok(Self { left, known })
    }

    /// Takes a field, `null` included.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value<'a>> {
        debug_assert!(self.known.contains(&name), "{name} is not among the request's FIELDS");
        let at = self.left.iter().position(|(left, _)| *left == name)?;
        let (_, raw) = self.left.swap_remove(at);
        Some(Value { field: Cow::Borrowed(name), raw })
    }

    /// Takes an optional field; `null` counts as absent.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<Value<'a>> {
        self.take(name).filter(|value| !value.is_null())
    }

    pub(super) fn required(&mut self, name: &'static str) -> Result<Value<'a>, BadRequest> {
        self.optional(name).ok_or_else(|| BadRequest::missing(name))
    }

    /// Takes a field of a PATCH or PUT, where absent and `null` differ.
    pub(super) fn change<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value<'a>) -> Result<T, BadRequest>,
    ) -> Result<Change<T>, BadRequest> {
        let change = match self.take(name) {
            None => Change::Keep,
            Some(value) if value.is_null() => Change::Clear,
            Some(value) => Change::Set(value),
        };
        change.try_map(read)
    }

    /// Rejects a field that was not taken.
    pub(super) fn finish(self) -> Result<(), BadRequest> {
        self.left.first().map_or(Ok(()), |(name, _)| Err(BadRequest::unknown(name, self.known)))
    }
}

/// A field's value, as its text in the body.
pub(super) struct Value<'a> {
    field: Cow<'static, str>,
    raw: &'a str,
}

impl<'a> Value<'a> {
    pub(super) fn text(self) -> Result<Zeroizing<String>, BadRequest> {
        let inside = self.raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inside.and_then(unescape).ok_or_else(|| self.invalid("a string"))
    }

    pub(super) fn secret(self) -> Result<Secret, BadRequest> {
        let field = self.field.clone();
        let mut text = self.text()?;
        if text.is_empty() {
            return Err(BadRequest::invalid(&field, "a string that is not empty"));
        }
        Ok(Secret::from(mem::take(&mut *text)))
    }

    pub(super) fn parse<T: FromStr<Err = Invalid>>(self) -> Result<T, BadRequest> {
        let field = self.field.clone();
        self.text()?.parse().map_err(|invalid: Invalid| BadRequest::invalid(&field, invalid.rule))
    }

    pub(super) fn truth(self) -> Result<bool, BadRequest> {
        match self.raw {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.invalid("true or false")),
        }
    }

    /// Parses a number without fraction or exponent.
    pub(super) fn whole_number(self, range: RangeInclusive<u64>) -> Result<u64, BadRequest> {
        let number = self.raw.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            let rule = match *last {
                u64::MAX => format!("a whole number from {first}"),
                _ => format!("a whole number from {first} to {last}"),
            };
            self.invalid(&rule)
        })
    }

    /// Returns an object, verbatim.
    pub(super) fn object(self) -> Result<&'a str, BadRequest> {
        if self.raw.starts_with('{') { Ok(self.raw) } else { Err(self.invalid("an object")) }
    }

    pub(super) fn json_object(self) -> Result<Json, BadRequest> {
        self.object().map(|raw| Json::new_checked(raw.to_owned()))
    }

    /// Parses a list of 1 to `most` distinct values.
    pub(super) fn list<T>(self, most: usize) -> Result<Vec<T>, BadRequest>
    where
        T: FromStr<Err = Invalid> + PartialEq,
    {
        self.list_of(1..=most)
    }

    /// Parses a list of so many distinct values.
    pub(super) fn list_of<T>(self, count: RangeInclusive<usize>) -> Result<Vec<T>, BadRequest>
    where
        T: FromStr<Err = Invalid> + PartialEq,
    {
        let items: Vec<&RawValue> =
            serde_json::from_str(self.raw).map_err(|_| self.invalid("an array of strings"))?;
        if !count.contains(&items.len()) {
            let (least, most) = count.into_inner();
            return Err(self.invalid(&format!("an array of {least} to {most} strings")));
        }
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let field = Cow::Owned(format!("{}[{index}]", self.field));
            let value = Value { field, raw: item.get() }.parse()?;
            if list.contains(&value) {
                return Err(self.invalid("without duplicates"));
            }
            list.push(value);
        }
        Ok(list)
    }

    pub(super) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    pub(super) fn is_empty_array(&self) -> bool {
        self.raw.strip_prefix('[').is_some_and(|rest| rest.trim_ascii() == "]")
    }

    fn invalid(&self, rule: &str) -> BadRequest {
        BadRequest::invalid(&self.field, rule)
    }
}

/// An object's members in their order. Keys are not secret and copied; values are borrowed.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Name, ProjectId};

    const KNOWN: &[&str] = &["authType", "isGlobal", "name", "list", "count"];

    fn fields(body: &str) -> Result<Fields<'_>, BadRequest> {
        Fields::read(body, KNOWN)
    }

    fn message<T>(answer: Result<T, BadRequest>) -> String {
        answer.err().unwrap().message
    }

    fn value<'a>(name: &'static str, raw: &'a str) -> Value<'a> {
        Value { field: Cow::Borrowed(name), raw }
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["[]", "1", "\"x\"", "null"] {
            assert_eq!(message(fields(body)), "the body must be a JSON object");
        }
    }

    #[test]
    fn old_spellings_are_read_and_both_at_once_are_not() {
        assert!(fields(r#"{"auth_type":"pat"}"#).unwrap().take("authType").is_some());
        assert!(fields(r#"{"is\u005fglobal":true}"#).unwrap().take("isGlobal").unwrap().truth().unwrap());
        let both = fields(r#"{"isGlobal":true,"is_global":true}"#).err().unwrap();
        assert_eq!((both.code, &*both.message), (DUPLICATE_FIELD, "isGlobal is given in both spellings"));
        assert_eq!(Fields::read(r#"{"is_global":1}"#, &["name"]).err().unwrap().code, "unknown_field");
    }

    #[test]
    fn an_unknown_field_is_named_before_a_missing_one() {
        let message = message(fields(r#"{"nmae":"x"}"#));
        assert_eq!(message, "unknown field nmae; known are authType, isGlobal, name, list, count");
    }

    #[test]
    fn what_nobody_took_is_refused() {
        let mut fields = fields(r#"{"name":"x","count":1}"#).unwrap();
        fields.take("name");
        assert_eq!(fields.finish().unwrap_err().code, "unknown_field");
    }

    #[test]
    fn absent_and_null_are_one_for_a_request_and_two_for_a_change() {
        let mut body = fields(r#"{"name":null,"count":1}"#).unwrap();
        assert_eq!(body.change("name", Value::parse::<Name>), Ok(Change::Clear));
        assert_eq!(body.change("list", Value::parse::<Name>), Ok(Change::Keep));
        assert_eq!(body.change("count", |count| count.whole_number(1..=9)), Ok(Change::Set(1)));
        assert_eq!(message(fields(r#"{"name":null}"#).unwrap().required("name")), "name is required");
        assert!(fields(r#"{"name":null}"#).unwrap().optional("name").is_none());
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_field_and_type() {
        for raw in ["1", "true", "{}", "[]", "[\"x\"]"] {
            assert_eq!(message(value("name", raw).parse::<Name>()), "name must be a string");
            assert_eq!(message(value("name", raw).secret()), "name must be a string");
        }
        assert_eq!(message(value("name", "\"\"").secret()), "name must be a string that is not empty");
        assert_eq!(message(value("isGlobal", "\"true\"").truth()), "isGlobal must be true or false");
        assert_eq!(message(value("config", "[]").object()), "config must be an object");
        for raw in ["0", "3651", "1.0", "1e1", "-1", "\"1\"", "99999999999999999999"] {
            let refused = message(value("count", raw).whole_number(1..=3650));
            assert_eq!(refused, "count must be a whole number from 1 to 3650");
        }
    }

    #[test]
    fn a_list_is_short_without_duplicates_and_names_the_item_that_is_wrong() {
        let list = |raw: &str| value("list", raw).list::<ProjectId>(2);
        assert_eq!(list(r#"["a/b", "a\/c"]"#).unwrap().len(), 2);
        assert_eq!(message(list("[]")), "list must be an array of 1 to 2 strings");
        assert_eq!(message(list(r#"["a/b","a/c","a/d"]"#)), "list must be an array of 1 to 2 strings");
        assert_eq!(message(list("\"a/b\"")), "list must be an array of strings");
        assert_eq!(message(list("[1]")), "list[0] must be a string");
        assert_eq!(message(list(r#"["a/b","a\u002fb"]"#)), "list must be without duplicates");
        assert!(message(list(r#"["a/b","x//y"]"#)).starts_with("list[1] must be 1 to 20 segments"));
    }
}
