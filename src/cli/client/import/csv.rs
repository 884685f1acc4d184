//! The CSV of `infisical export --format=csv`: a heading `Key,Value`, a row for each secret.

use zeroize::Zeroizing;

use super::found::{Members, Node, Unreadable};

/// Returns whether the first line is the heading of such a file.
pub(super) fn is_heading(line: &str) -> bool {
    line.trim_end().eq_ignore_ascii_case("key,value")
}

/// Parses a whole file (RFC 4180).
///
/// # Errors
/// [`Unreadable`] for the first row that has another number of cells.
pub(super) fn parse(text: &str) -> Result<Members, Unreadable> {
    let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(text.as_bytes());
    let unequal = |line| Unreadable::at(line, "has not two cells, a key and a value");
    reader.headers().map_err(|_| unequal(1))?;
    let mut members = Members::new();
    let mut row = csv::StringRecord::new();
    loop {
        let line = usize::try_from(reader.position().line()).unwrap_or(0);
        match reader.read_record(&mut row) {
            Ok(false) => return Ok(members),
            Ok(true) if row.len() == 2 => {
                let value = Zeroizing::new(row[1].to_owned());
                members.push((row[0].to_owned(), Node::Text(value)));
            }
            // The error's own text quotes the row.
            Ok(true) | Err(_) => return Err(unequal(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let members = parse(text).unwrap().into_iter();
        members.map(|(name, node)| (name, node.into_text().to_string())).collect()
    }

    #[test]
    fn a_quoted_cell_keeps_its_commas_quotes_and_lines() {
        let all = read("Key,Value\nA,x\nB,\"a,\"\"b\"\"\nc\"\r\nC,\n");
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(all, [("A", "x"), ("B", "a,\"b\"\nc"), ("C", "")]);
        assert!(is_heading("key,value\r") && !is_heading("Key,Value,Note") && !is_heading("A=key,value"));
    }

    #[test]
    fn a_row_of_another_width_is_named_by_its_line() {
        let error = parse("Key,Value\nA,x\nB,zq1,zq1\n").err().unwrap();
        assert_eq!(error.to_string(), "line 3 has not two cells, a key and a value");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-zA-Z\",\n\r é\u{0}]{0,60}") {
            drop(parse(&format!("Key,Value\n{text}")));
        }
    }
}
