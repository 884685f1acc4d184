//! The sources as the tidy test reads them: tokens of whole files, without tests, attributes and literals.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    iter::Peekable,
    path::{Path, PathBuf},
    slice,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream};

/// Every Rust file below a folder of the project, with its path from there.
pub fn files(below: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let shown = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    paths.iter().map(|path| (shown(path), fs::read_to_string(path).unwrap())).collect()
}

/// A file's tokens, each item under `#[cfg(test)]` and every attribute left out.
pub struct Code(Vec<TokenTree>);

impl Code {
    pub fn of(text: &str) -> Self {
        Self(without_tests(text.parse().unwrap()))
    }

    /// The code with one space between words and none elsewhere; each literal is `""`.
    pub fn spelt(&self) -> String {
        let mut out = String::new();
        spell(&self.0, &mut out);
        out
    }

    /// Each path that begins with `crate`, `super` or `self`, the groups of `use` taken apart.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        find_paths(&self.0, &["crate", "super", "self"], &mut found);
        found
    }

    /// The modules of the crate's root that it names.
    pub fn rooms(&self) -> BTreeSet<String> {
        let paths = self.paths().into_iter().filter(|path| path[0] == "crate");
        paths.filter_map(|path| path.into_iter().nth(1)).collect()
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let (mut kept, mut is_test) = (Vec::new(), false);
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if is_punct(&token, '#') {
            tokens.next_if(|next| is_punct(next, '!'));
            let attribute = tokens.next().map(|group| group.to_string().replace(' ', "")).unwrap_or_default();
            is_test |= attribute == "[cfg(test)]" || attribute.starts_with("[cfg(all(test");
        } else if std::mem::take(&mut is_test) {
            skip_item(token, &mut tokens);
        } else if let TokenTree::Group(group) = token {
            let inside = without_tests(group.stream()).into_iter().collect();
            kept.push(proc_macro2::Group::new(group.delimiter(), inside).into());
        } else {
            kept.push(token);
        }
    }
    kept
}

/// Skips the rest of an item, to its body or semicolon; of a field or variant, to its comma.
fn skip_item(first: TokenTree, tokens: &mut Peekable<token_stream::IntoIter>) {
    const ITEMS: [&str; 12] =
        ["pub", "fn", "mod", "impl", "use", "struct", "enum", "const", "static", "type", "trait", "async"];
    let is_item = ITEMS.contains(&first.to_string().as_str());
    let mut token = Some(first);
    while let Some(one) = token {
        match &one {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                return drop(tokens.next_if(|next| is_punct(next, ';')));
            }
            end if is_punct(end, ';') || (!is_item && is_punct(end, ',')) => return,
            _ => token = tokens.next(),
        }
    }
}

fn spell(tokens: &[TokenTree], out: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                out.push_str(open);
                spell(&group.stream().into_iter().collect::<Vec<_>>(), out);
                out.push_str(close);
            }
            TokenTree::Ident(ident) => {
                if out.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
                    out.push(' ');
                }
                out.push_str(&ident.to_string());
            }
            TokenTree::Punct(punct) => out.push(punct.as_char()),
            TokenTree::Literal(_) => out.push_str("\"\""),
        }
    }
}

fn find_paths(tokens: &[TokenTree], begins: &[&str], found: &mut Vec<Vec<String>>) {
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        match token {
            // A visibility, `pub(in crate::a)`, uses nothing.
            TokenTree::Group(group) if group.to_string().starts_with("(in ") => {}
            TokenTree::Group(group) => {
                find_paths(&group.stream().into_iter().collect::<Vec<_>>(), begins, found);
            }
            // Within an inline module `super` is the file.
            TokenTree::Ident(ident) if *ident == "mod" => {
                if let [TokenTree::Ident(_), TokenTree::Group(group), ..] = rest.as_slice() {
                    let mut inside = Vec::new();
                    find_paths(&group.stream().into_iter().collect::<Vec<_>>(), begins, &mut inside);
                    let in_file = |mut path: Vec<String>| {
                        if path[0] == "super" {
                            path[0] = "self".to_owned();
                        }
                        path
                    };
                    found.extend(inside.into_iter().map(in_file));
                    rest.nth(1);
                }
            }
            TokenTree::Ident(ident) if begins.contains(&ident.to_string().as_str()) => {
                follow(vec![ident.to_string()], &mut rest, found);
            }
            _ => {}
        }
    }
}

/// Follows `::name` and `::{…}` for as long as they go on.
fn follow(mut path: Vec<String>, rest: &mut slice::Iter<'_, TokenTree>, found: &mut Vec<Vec<String>>) {
    while let [colon, second, next, ..] = rest.as_slice()
        && is_punct(colon, ':')
        && is_punct(second, ':')
    {
        match next {
            TokenTree::Ident(name) => path.push(name.to_string()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inside: Vec<_> = group.stream().into_iter().collect();
                for one in inside.split(|token| is_punct(token, ',')).filter(|one| !one.is_empty()) {
                    let name = one[0].to_string();
                    let mut branch = path.clone();
                    if name != "self" {
                        branch.push(name);
                    }
                    follow(branch, &mut one[1..].iter(), found);
                }
                rest.nth(2);
                return;
            }
            _ => break,
        }
        rest.nth(2);
    }
    if path.len() > 1 {
        found.push(path);
    }
}

/// The files of the crate that each file uses: names that a `mod.rs` hands on lead to the file that has them.
pub struct Uses {
    modules: BTreeMap<Vec<String>, String>,
    handed_on: BTreeMap<Vec<String>, Vec<String>>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Uses {
    pub fn of(files: &[(String, String)]) -> Self {
        let modules = files.iter().map(|(path, _)| (module(path), path.clone())).collect();
        let mut this = Self { modules, handed_on: BTreeMap::new(), edges: BTreeMap::new() };
        let codes: Vec<_> = files.iter().map(|(path, text)| (path, Code::of(text))).collect();
        for (path, code) in &codes {
            this.note_handed_on(&module(path), &code.0);
        }
        for (path, code) in &codes {
            let mut found = code.paths();
            let children = this.children(&module(path));
            let children: Vec<&str> = children.iter().map(String::as_str).collect();
            find_paths(&without_handed_on(&code.0), &children, &mut found);
            let used = found.iter().filter_map(|used| this.file(&this.absolute(&module(path), used)));
            let used = used.filter(|used| used != *path && room(used) == room(path)).collect();
            this.edges.insert((*path).clone(), used);
        }
        this
    }

    fn children(&self, of: &[String]) -> Vec<String> {
        let is_child = |path: &&Vec<String>| path.len() == of.len() + 1 && path.starts_with(of);
        self.modules.keys().filter(is_child).map(|path| path[of.len()].clone()).collect()
    }

    fn note_handed_on(&mut self, module: &[String], tokens: &[TokenTree]) {
        let children = self.children(module);
        for item in handed_on(tokens) {
            let (mut found, first) = (Vec::new(), item[0].to_string());
            if !children.contains(&first) && !["self", "super", "crate"].contains(&first.as_str()) {
                continue;
            }
            follow(vec![first], &mut item[1..].iter(), &mut found);
            for path in found {
                let name = [module, &[path.last().unwrap().clone()]].concat();
                self.handed_on.insert(name, self.absolute(module, &path));
            }
        }
    }

    fn absolute(&self, module: &[String], path: &[String]) -> Vec<String> {
        match path[0].as_str() {
            "crate" => path[1..].to_vec(),
            "self" => [module, &path[1..]].concat(),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                [&module[..module.len().saturating_sub(ups)], &path[ups..]].concat()
            }
            _ => [module, path].concat(),
        }
    }

    /// The file that a path leads into.
    fn file(&self, path: &[String]) -> Option<String> {
        for length in (0..=path.len()).rev() {
            if let Some(onward) = self.handed_on.get(&path[..length]) {
                return self.file(onward);
            }
            if let Some(file) = self.modules.get(&path[..length]) {
                return Some(file.clone());
            }
        }
        None
    }

    /// The files of one room that use each other in a circle: each with what it uses of them.
    pub fn circles(&self) -> Vec<BTreeMap<String, BTreeSet<String>>> {
        let of = |circle: &BTreeSet<String>, file: &String| {
            self.edges[file].intersection(circle).cloned().collect()
        };
        let circles = self.sets();
        circles
            .iter()
            .map(|circle| circle.iter().map(|file| (file.clone(), of(circle, file))).collect())
            .collect()
    }

    fn sets(&self) -> Vec<BTreeSet<String>> {
        let reach: BTreeMap<_, _> = self.edges.keys().map(|file| (file, self.reachable(file))).collect();
        let mut circles: Vec<BTreeSet<String>> = Vec::new();
        for (file, reached) in &reach {
            let circle: BTreeSet<_> =
                reached.iter().filter(|other| reach[other].contains(*file)).cloned().collect();
            if circle.len() > 1 && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }

    fn reachable(&self, from: &str) -> BTreeSet<String> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = next.pop() {
            next.extend(self.edges[&file].iter().filter(|used| seen.insert((*used).clone())).cloned());
        }
        seen
    }
}

fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|name| !["lib", "main", "mod"].contains(name)).map(str::to_owned).collect()
}

fn room(path: &str) -> &str {
    path.split('/').next().unwrap()
}

/// The trees of each `pub use …;`, of whatever visibility.
fn handed_on(tokens: &[TokenTree]) -> Vec<&[TokenTree]> {
    statements(tokens).filter_map(|statement| hands_on(statement).map(|at| &statement[at..])).collect()
}

fn without_handed_on(tokens: &[TokenTree]) -> Vec<TokenTree> {
    statements(tokens).filter(|statement| hands_on(statement).is_none()).flatten().cloned().collect()
}

fn statements(tokens: &[TokenTree]) -> impl Iterator<Item = &[TokenTree]> {
    tokens.split(|token| is_punct(token, ';')).filter(|statement| !statement.is_empty())
}

/// Returns the start of a `pub use` tree.
fn hands_on(statement: &[TokenTree]) -> Option<usize> {
    let is = |at: usize, word: &str| statement.get(at).is_some_and(|token| token.to_string() == word);
    let at = if is(1, "use") { 2 } else { 3 };
    (is(0, "pub") && is(at - 1, "use") && statement.len() > at).then_some(at)
}
