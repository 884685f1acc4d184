//! A page of headings, sentences and tables, as Markdown or as HTML without scripts.
//!
//! All text is untrusted: names come from users. It is escaped here, and nowhere else.

use crate::cli::terminal::visible::on_one_line;

/// The style of a page; nothing else is loaded or run.
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#111;background:#fff}\
table{border-collapse:collapse;margin:1em 0}th,td{border:1px solid #bbb;padding:.25em .6em;text-align:left;vertical-align:top;\
overflow-wrap:anywhere}th{background:#eee}pre{background:#eee;padding:1em;white-space:pre-wrap;overflow-wrap:anywhere}";
/// Forbids every script and every request.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A part of a page.
pub(super) enum Block {
    Heading(&'static str),
    Text(String),
    Table(Vec<&'static str>, Vec<Vec<String>>),
    Code(String),
}

/// A page.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

impl Page {
    pub(super) fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n", in_markdown(&self.title));
        for block in &self.blocks {
            text.push('\n');
            match block {
                Block::Heading(heading) => text.extend(["## ", heading, "\n"]),
                Block::Text(sentence) => text.extend([&in_markdown(sentence), "\n"]),
                Block::Table(headings, rows) => {
                    let rule = vec!["---".to_owned(); headings.len()];
                    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
                    for row in [&headings, &rule] {
                        text.extend(["| ", &row.join(" | "), " |\n"]);
                    }
                    for row in rows {
                        let cells: Vec<String> = row.iter().map(|cell| in_markdown(cell)).collect();
                        text.extend(["| ", &cells.join(" | "), " |\n"]);
                    }
                }
                // Indented, since no text can end such a block.
                Block::Code(lines) => {
                    lines.lines().for_each(|line| text.extend(["    ", &on_one_line(line), "\n"]));
                }
            }
        }
        text
    }

    pub(super) fn to_html(&self) -> String {
        let title = in_html(&self.title);
        let mut text = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
             content=\"{POLICY}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n"
        );
        for block in &self.blocks {
            match block {
                Block::Heading(heading) => text.extend(["<h2>", heading, "</h2>\n"]),
                Block::Text(sentence) => text.extend(["<p>", &in_html(sentence), "</p>\n"]),
                Block::Table(headings, rows) => {
                    let row = |cells: Vec<String>, tag: &str| {
                        let cell = |cell: String| format!("<{tag}>{cell}</{tag}>");
                        format!("<tr>{}</tr>\n", cells.into_iter().map(cell).collect::<String>())
                    };
                    text.push_str("<table>\n");
                    text.push_str(&row(headings.iter().map(|text| in_html(text)).collect(), "th"));
                    for cells in rows {
                        text.push_str(&row(cells.iter().map(|cell| in_html(cell)).collect(), "td"));
                    }
                    text.push_str("</table>\n");
                }
                Block::Code(lines) => {
                    let lines: Vec<String> = lines.lines().map(in_html).collect();
                    text.extend(["<pre>", &lines.join("\n"), "</pre>\n"]);
                }
            }
        }
        text + "</html>\n"
    }
}

fn in_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in on_one_line(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '!' | '$') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn in_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in on_one_line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_add_markup_a_row_or_a_script_to_a_page() {
        for hostile in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "a | b |\n| forged | row |",
            "[x](javascript:alert(1))",
            "![x](http://example.com/x.png)",
            "`</code>` **b** _i_ ~~s~~ &lt; $x$",
            "\n# heading\n    code",
            "\u{202e}reversed",
            "</pre></table>",
        ] {
            let of = |block: Block| Page { title: hostile.to_owned(), blocks: vec![block] };
            let cells = || vec![vec![hostile.to_owned(), "after".to_owned()]];
            for page in [
                of(Block::Text(hostile.to_owned())),
                of(Block::Table(vec!["A", "B"], cells())),
                of(Block::Code(hostile.to_owned())),
            ] {
                let html = page.to_html();
                for tag in ["<script", "<img", "<b", "\u{202e}"] {
                    assert!(!html[html.find("<h1>").unwrap()..].contains(tag), "{hostile:?}: {html}");
                }
                assert_eq!(html.matches("<tr>").count(), html.matches("</tr>").count());
                assert_eq!(html.matches("</pre>").count(), html.matches("<pre>").count());
                let markdown = page.to_markdown();
                let rows = markdown.lines().filter(|line| line.starts_with('|')).count();
                assert!(rows == 0 || rows == 3, "{hostile:?}: {markdown}");
                assert_eq!(markdown.lines().filter(|line| line.starts_with('#')).count(), 1, "{markdown}");
                let table = markdown.lines().find(|line| line.ends_with("after |"));
                let bars = |line: &str| line.replace("\\|", "").matches('|').count();
                assert!(table.is_none_or(|line| bars(line) == 3), "{markdown}");
                let text = markdown.replace("\\[", "").replace("\\<", "").replace("\\`", "");
                assert!(
                    matches!(page.blocks[0], Block::Code(_)) || !text.contains(['[', '<', '`']),
                    "{markdown}"
                );
            }
        }
    }
}
