//! Stored values as other programs read them, through `--format dotenv` and `--format env`.
//!
//! The programs are those that are installed: `sh` and `bash`; `node`; python-dotenv, of the interpreter that
//! `DOTENV_PYTHON` names or of `python3`; npm's dotenv, where `NODE_PATH` leads to it. `.ci/run` installs them all. For
//! `docker compose` its parser's rules stand in.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{
    binary::{TOKEN, command, stderr},
    fake::{Fake, Reply},
};

const ID: &str = "01a21198-0ea8-7d5a-987c-6ee7878c5901";

/// A server that discloses one `custom` credential named `x`, with these fields `v0`, `v1` and so on.
fn vault(values: &[String]) -> Fake {
    let field =
        |(index, value): (usize, &String)| format!(r#""v{index}":{}"#, serde_json::to_string(value).unwrap());
    let fields: Vec<String> = values.iter().enumerate().map(field).collect();
    let body = format!(
        r#"[{{"integration_id":"{ID}","provider":"custom","auth_type":"api_key","credentials":{{{}}},"name":"x"}}]"#,
        fields.join(",")
    );
    Fake::start(move |_, _| Reply::json(200, &body).with("audit-receipt", "7:x"))
}

fn read(folder: &Path, values: &[String], format: &str) -> Output {
    let fake = vault(values);
    command(folder, &["credentials", "--all", "--format", format])
        .env("SFP_SERVER_URL", &fake.url)
        .env("SFP_SERVER_TOKEN", TOKEN)
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Every text of up to two of the characters that mean something to a reader, and what people store.
fn hostile() -> Vec<String> {
    const ACTIVE: [char; 13] = ['\'', '"', '\\', '$', '`', '{', '}', '#', '\n', ' ', '\r', 'n', '!'];
    let one = ACTIVE.iter().map(char::to_string);
    let two = ACTIVE.iter().flat_map(|first| ACTIVE.map(|second| format!("{first}{second}")));
    let stored = PEOPLE_STORE.iter().map(|text| (*text).to_owned());
    let large = ["x".repeat(60_000), "'".repeat(50), "\n".repeat(50)];
    one.chain(two).chain(stored).chain(large).collect()
}

const PEOPLE_STORE: &[&str] = &[
    "",
    "$2b$12$abcdefghijklmnopqrstuu/./example",
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIExample+/=\n-----END PRIVATE KEY-----\n",
    r#"{"type":"service_account","private_key":"-----BEGIN\nx\n-----END\n"}"#,
    "say \"x\"",
    "it's",
    "it's \"x\"",
    "'x'",
    "\"x\"",
    "x`touch PWNED`y",
    "$(touch PWNED)",
    "'; touch PWNED; '",
    "'\ntouch PWNED\n'",
    "\ntouch PWNED\n",
    "p$w",
    "$HOME ${HOME} ${HOME:-x}",
    "a${b",
    "C:\\new\\table",
    "\\0\\x41\\u0041",
    "end\\",
    "\\\\server\\share",
    "a\\'b",
    "l1\r\nl2\r\n",
    "a\rb",
    "l1\n'x'\nl3",
    "l1\n\"x\"\nl3",
    "A='b'",
    "export A=b",
    "# x",
    "'# x",
    "x # y",
    " x ",
    "\tx\t",
    "a\u{1}b\u{7f}",
    "\u{1b}[2J\u{7}",
    "a\u{b}b\u{c}c",
    "\u{feff}x",
    "x\u{2028}y\u{85}",
    "x\u{2028}'y",
    "é 😀 密码",
    "%s %d %%",
    "~ * ? [a-z]",
    "a\0b",
];

/// Names them all, in their order.
fn names(values: &[String]) -> Vec<String> {
    (0..values.len()).map(|index| format!("X_V{index}")).collect()
}

/// A program that reads a `.env` file and prints the named variables, each with a NUL after it.
struct Reader {
    name: &'static str,
    program: String,
    /// Succeeds where the reader is installed.
    probe: &'static [&'static str],
    /// The file and the names follow.
    script: &'static [&'static str],
}

fn readers() -> Vec<Reader> {
    const SHELL: &str = r#". "$1"; shift; for name in "$@"; do eval "printf '%s\\0' \"\$$name\""; done"#;
    let python = std::env::var("DOTENV_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    vec![
        Reader { name: "sh", program: "sh".to_owned(), probe: &["-c", ":"], script: &["-c", SHELL, "sh"] },
        Reader {
            name: "bash",
            program: "bash".to_owned(),
            probe: &["-c", ":"],
            script: &["-c", SHELL, "bash"],
        },
        Reader {
            name: "python-dotenv",
            program: python,
            probe: &["-c", "import dotenv"],
            script: &[
                "-c",
                "import dotenv, sys\nread = dotenv.dotenv_values(sys.argv[1])\n\
                 for name in sys.argv[2:]: sys.stdout.buffer.write(read[name].encode() + b'\\0')",
            ],
        },
        Reader {
            name: "npm's dotenv",
            program: "node".to_owned(),
            probe: &["-e", "require('dotenv')"],
            script: &[
                "-e",
                "const [, file, ...names] = process.argv; const read = require('dotenv').parse(require('fs').readFileSync(file));\
                 process.stdout.write(names.map(name => read[name] + '\\0').join(''))",
            ],
        },
    ]
}

impl Reader {
    fn start(&self, arguments: &[&str]) -> std::io::Result<Output> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("X_")) {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::null()).output()
    }

    /// The values, or nothing where the reader is absent.
    fn read(&self, file: &Path, names: &[String]) -> Option<Vec<String>> {
        if !self.start(self.probe).is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: {} is not installed", self.name);
            return None;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let arguments = [self.script, &[file.to_str().unwrap()], &names].concat();
        Some(printed(self.name, &self.start(&arguments).unwrap()))
    }
}

/// `node --env-file=FILE`, which takes the file's name in the flag.
fn node(file: &Path, names: &[String]) -> Option<Vec<String>> {
    let flag = format!("--env-file={}", file.display());
    let script =
        "process.stdout.write(process.argv.slice(1).map(name => process.env[name] + '\\0').join(''))";
    let probe = Command::new("node").args(["--env-file=/dev/null", "-e", "0"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: node with --env-file is not installed");
        return None;
    }
    let output = Command::new("node").args([&flag, "-e", script]).args(names).output().unwrap();
    Some(printed("node --env-file", &output))
}

fn printed(reader: &str, output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{reader}: {}", stderr(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.strip_suffix('\0').unwrap_or(&text).split('\0').map(str::to_owned).collect()
}

/// The rules of compose-go's `dotenv/parser.go` (v2) for a file of quoted values, which `docker compose` reads by: a
/// backslash keeps a quote from being the end and stays before any other character; only double quotes expand.
fn compose(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let (mut rest, mut values) = (text.as_str(), Vec::new());
    while let Some((_, after)) = rest.split_once('=') {
        let quote = after.chars().next().unwrap();
        let (mut value, mut is_escaped, mut end) = (String::new(), false, None);
        for (at, c) in after.char_indices().skip(1) {
            match (c == quote, is_escaped) {
                (true, false) => {
                    end = Some(at);
                    break;
                }
                (true, true) => value.push(c),
                (false, false) if c == '\\' => {
                    is_escaped = true;
                    continue;
                }
                (false, true) => value.extend(['\\', c]),
                (false, false) => value.push(c),
            }
            is_escaped = false;
        }
        assert!(quote == '\'' || !value.contains(['\\', '$']), "double quotes would expand {value:?}");
        values.push(value);
        rest = after[end.expect("a quoted value ends") + 1..].trim_start();
    }
    values
}

fn same(reader: &str, got: Option<Vec<String>>, values: &[String]) {
    let Some(got) = got else { return };
    assert_eq!(got.len(), values.len(), "{reader}");
    for (got, value) in got.iter().zip(values) {
        assert!(got == value, "{reader} reads {got:?} where {value:?} is stored");
    }
}

/// `--format dotenv` wrote `$` as `\$`, which three readers of four take for two characters; a quote or a last
/// backslash cost them this value and the next. A back-tick ran where the file was sourced.
#[test]
fn a_dotenv_file_is_never_another_value_to_one_of_its_readers() {
    let folder = tempfile::tempdir().unwrap();
    let (mut carried, mut refused) = (Vec::new(), Vec::new());
    for value in hostile() {
        let output = read(folder.path(), std::slice::from_ref(&value), "dotenv");
        if output.status.success() {
            carried.push(value);
            continue;
        }
        let said = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{value:?}: {said}");
        assert!(said.contains(&format!("field 'v0' of custom/api_key {ID} (x)")), "{value:?}: {said}");
        assert!(said.contains("audit-receipt: 7:x"), "{value:?}: {said}");
        assert!(value.len() < 4 || !said.contains(&value), "{said}");
        refused.push(value);
    }
    assert!(carried.len() > 100, "{} are carried", carried.len());
    for value in PEOPLE_STORE.iter().filter(|value| value.starts_with('$') || value.starts_with("---")) {
        assert_eq!(carried.iter().any(|one| one == value), !value.contains("${"), "{value:?}");
    }
    for value in ["it's", "say \"x\"", "C:\\new\\table", "x`touch PWNED`y"] {
        assert!(carried.iter().any(|one| one == value), "{value:?}");
    }
    let backwards: Vec<String> = carried.iter().rev().cloned().collect();
    // The beginning of the next value must not change the end of this one: test each beside many.
    let spread: Vec<String> =
        (0..carried.len()).map(|index| carried[index * 7 % carried.len()].clone()).collect();
    for values in [&carried, &backwards, &spread] {
        let output = read(folder.path(), values, "dotenv");
        assert!(output.status.success(), "{}", stderr(&output));
        let file = folder.path().join(".env");
        fs::write(&file, &output.stdout).unwrap();
        let names = names(values);
        for reader in readers() {
            same(reader.name, reader.read(&file, &names), values);
        }
        same("node --env-file", node(&file, &names), values);
        same("compose-go's rules", Some(compose(&file)), values);
    }
    // One that no reader can have spoils the whole file, wherever it stands.
    for at in [0, 1, 2] {
        let mut values = vec!["ghp_example".to_owned(), "ghp_example2".to_owned()];
        values.insert(at, refused[0].clone());
        let output = read(folder.path(), &values, "dotenv");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        assert!(stderr(&output).contains(&format!("field 'v{at}'")), "{}", stderr(&output));
    }
}

#[test]
fn a_shell_evaluates_a_value_to_itself_and_runs_no_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (values, holed): (Vec<String>, Vec<String>) =
        hostile().into_iter().partition(|value| !value.contains('\0'));
    for format in ["env", "dotenv"] {
        let output = read(folder.path(), &holed, format);
        assert_eq!(output.status.code(), Some(1), "{format}");
        assert!(stderr(&output).contains("it has a NUL in it"), "{}", stderr(&output));
    }
    let output = read(folder.path(), &values, "env");
    assert!(output.status.success(), "{}", stderr(&output));
    let file = folder.path().join("lines");
    fs::write(&file, &output.stdout).unwrap();
    for shell in ["sh", "bash"] {
        let script = format!(
            "x=$(cat lines) && eval \"$x\" && for name in {}; do eval \"printf '%s\\0' \\\"\\$$name\\\"\"; done",
            names(&values).join(" ")
        );
        let ran = Command::new(shell).args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        same(shell, Some(printed(shell, &ran)), &values);
    }
    assert!(!folder.path().join("PWNED").exists(), "a stored text was run");
}
