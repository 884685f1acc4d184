//! YAML, as `sops decrypt`, Infisical and Doppler write it: one document of nested mappings and texts.
//!
//! Reads events and not values, so that each scalar keeps its own spelling: `0123` and `1e3` are passwords as often as
//! numbers. Anchors, aliases and tags are refused: nothing is expanded.

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};
use zeroize::Zeroizing;

use super::found::{DEPTH_MAX, Members, Node, Unreadable};

/// Parses one document whose root is a mapping.
///
/// # Errors
/// [`Unreadable`].
pub(super) fn parse(text: &str) -> Result<Members, Unreadable> {
    let mut events = Events { parser: Parser::new_from_str(text), line: 1 };
    let root = loop {
        match events.next()? {
            Event::MappingStart(anchor, tag) => {
                events.plain(anchor, tag.is_some())?;
                break events.mapping(1)?;
            }
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Members::new()),
            // An empty document is a scalar without text.
            Event::Scalar(text, ScalarStyle::Plain, 0, None) if text.is_empty() || &*text == "~" => {}
            _ => return Err(Unreadable::at(events.line, "begins no mapping of names to values")),
        }
    };
    loop {
        match events.next()? {
            Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => return Ok(root),
            _ => return Err(Unreadable::at(events.line, "begins a second document")),
        }
    }
}

struct Events<'a> {
    parser: Parser<'a, StrInput<'a>>,
    line: usize,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<Event<'a>, Unreadable> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            // The scanner's own text may quote the input.
            Some(Err(error)) => Err(broken(&error)),
            None => Ok(Event::StreamEnd),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Members, Unreadable> {
        let (mut members, mut known) = (Members::new(), HashSet::new());
        loop {
            let name = match self.next()? {
                Event::MappingEnd => return Ok(members),
                Event::Scalar(name, _, anchor, tag) => {
                    self.plain(anchor, tag.is_some())?;
                    name.into_owned()
                }
                _ => return Err(Unreadable::at(self.line, "has a name that is no text")),
            };
            let line = self.line;
            let node = self.node(depth)?;
            if !known.insert(name.clone()) {
                return Err(Unreadable::at(line, "repeats a name of the same mapping"));
            }
            members.push((name, node));
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node, Unreadable> {
        let event = self.next()?;
        self.valued(event, depth)
    }

    fn valued(&mut self, event: Event<'a>, depth: usize) -> Result<Node, Unreadable> {
        let deeper = || if depth < DEPTH_MAX { Ok(depth + 1) } else { Err(()) };
        let too_deep = Unreadable::at(self.line, "is nested more than 16 levels deep");
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain(anchor, tag.is_some())?;
                let text = Zeroizing::new(text.into_owned());
                Ok(if style == ScalarStyle::Plain { Node::Plain(text) } else { Node::Text(text) })
            }
            Event::MappingStart(anchor, tag) => {
                self.plain(anchor, tag.is_some())?;
                self.mapping(deeper().map_err(|()| too_deep)?).map(Node::Map)
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain(anchor, tag.is_some())?;
                let depth = deeper().map_err(|()| too_deep)?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Node::List(items)),
                        event => items.push(self.valued(event, depth)?),
                    }
                }
            }
            Event::Alias(_) => Err(Unreadable::at(self.line, "has an alias: write the value itself")),
            _ => Err(Unreadable::at(self.line, "ends where a value is expected")),
        }
    }

    fn plain(&self, anchor: usize, is_tagged: bool) -> Result<(), Unreadable> {
        match (anchor, is_tagged) {
            (0, false) => Ok(()),
            (0, true) => Err(Unreadable::at(self.line, "has a tag: write the value as plain text")),
            _ => Err(Unreadable::at(self.line, "has an anchor: write the value itself where it is used")),
        }
    }
}

fn broken(error: &ScanError) -> Unreadable {
    Unreadable::at(error.marker().line(), "is not valid YAML")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flat(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().map(|(name, node)| (name, node.into_text().to_string())).collect()
    }

    fn one(text: &str) -> String {
        let all = flat(text);
        assert_eq!(all.len(), 1, "{text}");
        all.into_iter().next().unwrap().1
    }

    #[test]
    fn a_scalar_keeps_its_spelling() {
        for (text, value) in [
            ("A: x", "x"),
            ("A: 0123", "0123"),
            ("A: 1e3", "1e3"),
            ("A: yes", "yes"),
            ("A: 'it''s'", "it's"),
            ("A: \"a\\nb\"", "a\nb"),
            ("A: |-\n  two\n  lines\n", "two\nlines"),
            ("A: |\n  two\n  lines\n", "two\nlines\n"),
            ("A: null", ""),
            ("A: \"null\"", "null"),
            ("A:", ""),
            ("A: [a, 'b\"']", "[\"a\",\"b\\\"\"]"),
            (
                "A: [1, -1.50, 1e3, True, false, ~, null, {b: 2}]",
                r#"[1,-1.50,1e3,true,false,null,null,{"b":2}]"#,
            ),
            (
                "A: ['1', \"true\", 0123, 0x1F, +1, .5, yes, 1.2.3, 1 2]",
                r#"["1","true","0123","0x1F","+1",".5","yes","1.2.3","1 2"]"#,
            ),
            ("A:\n- \n- 2026-01-01\n- |-\n  3\n", r#"[null,"2026-01-01","3"]"#),
            ("A: {b: {c: d}}", "{\"b\":{\"c\":\"d\"}}"),
            ("---\nA: x\n...\n", "x"),
        ] {
            assert_eq!(one(text), value, "{text:?}");
        }
        assert!(flat("").is_empty() && flat("{}\n").is_empty() && flat("# a comment\n").is_empty());
    }

    #[test]
    fn what_is_not_read_is_named_by_its_line_and_never_repeated() {
        let deep = format!("A: {}", "[".repeat(40));
        for (text, line, flaw) in [
            ("A: x\nA: zq1", 2, "repeats"),
            ("A: &zq1 x\nB: *zq1", 1, "anchor"),
            ("A: *zq1", 1, "valid"),
            ("A: !!binary zq1", 1, "tag"),
            ("A: x\n---\nB: zq1", 2, "second"),
            ("- zq1", 1, "no mapping"),
            ("zq1", 1, "no mapping"),
            ("? [zq1]\n: x", 1, "no text"),
            ("A: \"zq1", 1, "valid"),
            ("A: x\n B: zq1\n\tC", 2, ""),
            (deep.as_str(), 1, "16 levels"),
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.line >= line && error.flaw.contains(flaw), "{text:?}: {error}");
            assert!(!error.to_string().contains("zq1"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"[a-zA-Z:\-'"|>&*!#%@{}\[\], \n\t\u{feff}é?~]{0,60}"#) {
            drop(parse(&text));
        }

        #[test]
        fn any_unicode_is_read_or_refused(text in "\\PC{0,60}") {
            drop(parse(&text));
        }
    }
}
