//! Equality of two JSON texts: other white space, another order of names and other escapes change nothing,
//! another spelling of a number does.

use serde_json::value::RawValue;

use crate::api::Members;

/// Returns whether the two state the same value.
pub(super) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_ascii(), other.trim_ascii());
    if one == other {
        return true;
    }
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'"'), Some(b'"')) => {
            text(one).is_some_and(|one| text(other).is_some_and(|other| *one == *other))
        }
        (Some(b'{'), Some(b'{')) => {
            let (Some(one), Some(other)) = (members(one), members(other)) else { return false };
            one.len() == other.len()
                && one
                    .iter()
                    .zip(&other)
                    .all(|(one, other)| one.0 == other.0 && same(one.1.get(), other.1.get()))
        }
        (Some(b'['), Some(b'[')) => {
            let (Some(one), Some(other)) = (items(one), items(other)) else { return false };
            one.len() == other.len()
                && one.iter().zip(&other).all(|(one, other)| same(one.get(), other.get()))
        }
        _ => false,
    }
}

fn text(json: &str) -> Option<zeroize::Zeroizing<String>> {
    serde_json::from_str(json).ok().map(zeroize::Zeroizing::new)
}

/// Returns an object's members by name.
fn members(json: &str) -> Option<Vec<(String, &RawValue)>> {
    let Members(mut members) = serde_json::from_str(json).ok()?;
    members.sort_by(|one, other| one.0.cmp(&other.0));
    Some(members)
}

fn items(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spelling_differs() {
        for (one, other, is_same) in [
            (r#"{"a":"x","b":1}"#, "{ \"b\" : 1,\n \"a\":\"\\u0078\" }", true),
            (r#"{"a":[1, {"b":"<"}]}"#, r#"{"a":[1,{"b":"\u003c"}]}"#, true),
            (r#"{"a":1e999}"#, r#"{"a":1e999}"#, true),
            (r#"{"a":1e999}"#, r#"{ "a":1e999 }"#, true),
            (r#"{"a":1.0}"#, r#"{"a":1}"#, false),
            (r#"{"a":"1"}"#, r#"{"a":1}"#, false),
            (r#"{"a":"x"}"#, r#"{"a":"x","b":1}"#, false),
            (r#"{"a":"x"}"#, r#"{"b":"x"}"#, false),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false),
            (r#"{"a":[1]}"#, r#"{"a":{"0":1}}"#, false),
            ("{}", "[]", false),
        ] {
            assert_eq!(same(one, other), is_same, "{one} {other}");
            assert_eq!(same(other, one), is_same, "{one} {other}");
        }
    }
}
