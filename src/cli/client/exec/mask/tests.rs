use proptest::prelude::*;

use super::*;

fn masker(values: &[&str]) -> Masker {
    Masker::new(Arc::new(Mask::new(Needles::new(values.iter().copied()))))
}

fn masked(values: &[&str], pieces: &[&[u8]]) -> String {
    let mut masker = masker(values);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| masker.push(piece, &mut out));
    masker.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_value_is_never_shown_wherever_the_stream_is_cut() {
    let values = ["ghp_example", "ample_secret", "example", "aaaa", "line one\nline two\n"];
    for (text, expected) in [
        ("x ghp_example y", "x *** y"),
        ("ghp_example_secret!", "***!"),
        ("exampleexample", "***"),
        ("ghp_exampl", "ghp_exampl"),
        ("aaaaaaaaaaaaaaaaaaab", "***b"),
        ("aaa", "aaa"),
        ("line one\r\nline two\r\n", "***\r\n***\r\n"),
        ("at line two.", "at ***."),
        ("Z2hwX2V4YW1wbGU=", "***"),
        ("ghp_ghp_ghp_example", "ghp_ghp_***"),
    ] {
        assert_eq!(masked(&values, &[text.as_bytes()]).replace("******", "***"), expected, "{text}");
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(masked(&values, &bytes).replace("******", "***"), expected, "{text}, byte by byte");
        for at in 0..text.len() {
            let pieces = [&text.as_bytes()[..at], &text.as_bytes()[at..]];
            assert_eq!(masked(&values, &pieces).replace("******", "***"), expected, "{text}, cut at {at}");
        }
    }
}

#[test]
fn a_long_value_is_masked_also_where_its_copy_was_cut_off() {
    let letter = |n: u64| char::from(b'a' + u8::try_from(((n * n * 2_654_435_761) >> 7) % 26).unwrap());
    let value: String = (0..60_000).map(letter).collect();
    let pieces: Vec<&[u8]> = value.as_bytes().chunks(4_096).collect();
    assert_eq!(masked(&[&value], &pieces), "***");
    assert_eq!(masked(&[&value], &[&value.as_bytes()[..40], b" and more"]), "*** and more");
    assert_eq!(masked(&[&value], &[&value.as_bytes()[..40]]), "***");
}

/// A value that repeats itself agrees with itself everywhere: comparing all of it took minutes.
#[test]
fn a_value_that_repeats_itself_never_holds_the_output_up() {
    let value = "abcdefgh".repeat(7_500);
    let text = format!("{value}{value} end");
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(65_536).collect();
    let shown = masked(&[&value], &pieces);
    assert!(shown.starts_with("***") && shown.len() < 20 && !shown.contains("abcd"), "{shown}");
}

#[test]
fn a_stream_of_matches_is_not_held_back() {
    let mut masker = masker(&["aaaa"]);
    let mut out = Vec::new();
    for _ in 0..1_000 {
        masker.push(&[b'a'; 1_000], &mut out);
        assert!(masker.held.len() < 1_010, "{} bytes are held", masker.held.len());
    }
    masker.finish(&mut out);
    assert_eq!(out, MASK);
}

#[test]
fn a_quiet_terminal_shows_what_only_begins_like_a_value_and_masks_the_rest_of_one() {
    let mut masker = masker(&["secret-example"]);
    let mut out = Vec::new();
    masker.push(b"user: s", &mut out);
    assert!(out == b"user: " && masker.is_waiting());
    masker.idle(&mut out);
    assert_eq!(out, b"user: s");
    masker.push(b"am\n", &mut out);
    assert_eq!(out, b"user: sam\n");
    masker.push(b"sec", &mut out);
    masker.idle(&mut out);
    masker.push(b"ret-example\n", &mut out);
    assert_eq!(out, b"user: sam\nsec***\n");
    masker.push(b"secr", &mut out);
    assert!(!masker.is_waiting(), "more of a value is not shown");
    masker.finish(&mut out);
    assert!(out.ends_with(b"\nsecr"));
}

#[test]
fn a_value_that_is_learned_while_output_flows_is_masked_wherever_it_began() {
    for at in 0.."second-example".len() {
        let mask = Arc::new(Mask::new(Needles::new(["first-example"].into_iter())));
        let (mut masker, mut out) = (Masker::new(Arc::clone(&mask)), Vec::new());
        masker.push(b"first-example fir", &mut out);
        mask.set(Needles::new(["first-example", "second-example"].into_iter()));
        masker.push(b"st-example ", &mut out);
        masker.push(&b"second-example"[..at], &mut out);
        masker.push(&b"second-example"[at..], &mut out);
        masker.finish(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "*** *** ***", "cut at {at}");
    }
}

#[test]
fn nothing_to_mask_changes_nothing() {
    assert_eq!(masked(&[], &[b"as it ", b"is"]), "as it is");
    assert_eq!(masked(&["abc", ""], &[b"abc"]), "abc");
}

proptest! {
    /// Held against the plain definition: no value stands in what is shown, and what holds none is unchanged.
    #[test]
    fn over_any_values_texts_and_cuts_no_value_is_shown(
        values in prop::collection::vec("[ab]{4,9}", 1..4),
        text in "[abc]{0,60}",
        cuts in prop::collection::vec(0usize..60, 0..5),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < text.len()).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&text.as_bytes()[from..cut]);
            from = cut;
        }
        pieces.push(&text.as_bytes()[from..]);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let shown = masked(&values, &pieces);
        prop_assert_eq!(values.iter().find(|value| shown.contains(**value)), None, "{}", shown);
        if !values.iter().any(|value| text.contains(value)) {
            prop_assert_eq!(shown, text);
        }
    }
}
