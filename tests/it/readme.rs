//! The README's blocks, run: what it shows is what a user sees.
//!
//! A block's language says how it is held to be true. `console`: each line that begins with `$ ` is run, in order, by
//! one shell at a real terminal, with the lines after it that are indented by four, and the rest is what it prints; `…`
//! stands for anything within a line, or alone for any lines. `text`: nothing is run, and no line begins with `$ `, which
//! the page says once.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{
    binary::secret_file,
    patterns::{all_fit, veiled},
    ports::free_port,
    pty::{Typing, terminal},
    tls::has,
};

/// The time limit of a command.
const PATIENCE: Duration = Duration::from_secs(60);
/// The separator between the outputs of two commands.
const END: char = '\x1e';
/// The sentence that says which blocks are not run.
const NOT_RUN: &str = "A block without a `$` is not run by the tests";

/// An editor in which a user types a passphrase.
pub(crate) const EDITOR: &str = "#!/bin/sh\necho 'a long passphrase of your own' > \"$1\"\n";

struct Block {
    line: usize,
    language: String,
    before: String,
    lines: Vec<String>,
}

struct Step {
    line: usize,
    command: String,
    shown: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a Markdown text, each with the paragraph before it.
fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut before) = (Vec::new(), None::<Block>, String::new());
    for (number, line) in text.lines().enumerate() {
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (language, before) = (language.trim().to_owned(), std::mem::take(&mut before));
                open = Some(Block { line: number + 1, language, before, lines: Vec::new() });
            }
            (None, None) if line.is_empty() => {}
            (None, None) => before = line.to_owned(),
            (Some(block), Some(_)) => blocks.push(block),
            (Some(mut block), None) => {
                block.lines.push(line.to_owned());
                open = Some(block);
            }
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for (number, line) in block.lines.iter().enumerate() {
        let line_of_file = block.line + number + 1;
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: line_of_file, command: command.to_owned(), shown: Vec::new() });
            continue;
        }
        let step =
            steps.last_mut().unwrap_or_else(|| panic!("README.md:{line_of_file}: nothing printed this"));
        if step.shown.is_empty() && line.starts_with("    ") {
            step.command = format!("{}\n{line}", step.command);
        } else {
            step.shown.push(line.to_owned());
        }
    }
    steps
}

/// The reason why nothing holds a block to be true; none where something does.
fn unheld(block: &Block) -> Option<String> {
    let at = format!("README.md:{}", block.line);
    match block.language.as_str() {
        "console" if block.lines.first().is_some_and(|line| line.starts_with("$ ")) => None,
        "yaml" if is_of_an_example(block) => None,
        "text" if block.lines.iter().any(|line| line.starts_with("$ ")) => {
            Some(format!("{at}: commands as text"))
        }
        "text" => None,
        language => Some(format!("{at}: nothing runs this block of {language:?}, and nothing says so")),
    }
}

/// Returns whether the block stands in the file that the text before links to; `cli::recipes` runs those files.
fn is_of_an_example(block: &Block) -> bool {
    let linked = block.before.rsplit_once("](examples/").and_then(|(_, rest)| rest.split_once(')'));
    let text = linked.map(|(path, _)| fs::read_to_string(root().join("examples").join(path)));
    text.is_some_and(|text| text.is_ok_and(|text| text.contains(&block.lines.join("\n"))))
}

#[test]
fn every_block_says_how_it_is_held_to_be_true() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let wrong: Vec<String> = blocks(&readme).iter().filter_map(unheld).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let words = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(NOT_RUN) && words.matches("not run by the tests").count() == 1);
    for (block, held) in [
        ("```console\n$ true\n```", true),
        ("```console\ntrue\n```", false),
        ("```\n$ true\n```", false),
        ("```bash\n$ true\n```", false),
        ("```sh\ncargo test   # all\n```", false),
        ("As in ([x](examples/ci/gitlab-ci.yml)).\n\n```yaml\n  script:\n```", true),
        ("As in ([x](examples/ci/gitlab-ci.yml)).\n\n```yaml\n  scripts:\n```", false),
        ("As in ([x](examples/ci/none.yml)).\n\n```yaml\n  script:\n```", false),
        ("And so:\n\n```yaml\n  script:\n```", false),
        ("```text\ndocker compose up\n```", true),
        ("```text\n$ docker compose up\n```", false),
    ] {
        assert_eq!(unheld(&blocks(block)[0]).is_none(), held, "{block}");
    }
}

/// The targets of a text's links in round brackets.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The anchor that a heading gets where Markdown is rendered: lower-case words with hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || "- ".contains(*c)).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_of_the_readme_leads_to_a_heading_or_a_file() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let headings =
        readme.lines().filter_map(|line| line.split_once("## ")).map(|(_, heading)| anchor(heading));
    let headings: Vec<String> = headings.collect();
    let broken: Vec<&str> = links(&readme)
        .filter(|link| match link.strip_prefix('#') {
            Some(link) => !headings.iter().any(|heading| heading == link),
            None => !link.starts_with("https://") && !root().join(link).exists(),
        })
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert!(links(&readme).count() > 30);
}

/// Replaces parts that vary from run to run by `[..]`: ids, times, tokens, ports, and words as long as a hash.
fn plain(line: &str) -> String {
    let line = veiled(line.trim_end(), &[]).replace('…', "[..]");
    let (mut out, mut word) = (String::new(), String::new());
    for c in line.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || "+/=_-".contains(c) {
            word.push(c);
            continue;
        }
        let port = out.ends_with("127.0.0.1:") || out.ends_with("0.0.0.0:");
        let varies = word.len() >= 40 || port && word.chars().all(|c| c.is_ascii_digit());
        out.push_str(if varies { "[..]" } else { &word });
        word.clear();
        out.push(c);
    }
    out.trim_end().to_owned()
}

/// A shell at a terminal, which is fed its commands beside it.
struct Shell {
    typing: Typing,
    feed: File,
    answers: Vec<(&'static str, String)>,
    /// The output of the last command.
    printed: String,
}

impl Shell {
    fn start(folder: &Path, ports: &[(&str, String)]) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_sealroom"));
        // The binary under test replaces the build.
        let cargo = "#!/bin/bash\nwhile [ \"$1\" != -- ]; do shift; done; shift; exec sealroom \"$@\"\n";
        fs::create_dir_all(folder.join("bin")).unwrap();
        secret_file(&folder.join("bin"), "cargo", cargo, 0o755);
        secret_file(&folder.join("bin"), "editor", EDITOR, 0o755);
        fs::create_dir_all(folder.join("target/release")).unwrap();
        symlink(binary, folder.join("target/release/sealroom")).unwrap();
        symlink(root().join("examples"), folder.join("examples")).unwrap();
        assert!(Command::new("mkfifo").arg(folder.join("feed")).status().unwrap().success());
        let (master, slave) = terminal();
        tcsetwinsize(&slave, Winsize { ws_row: 60, ws_col: 180, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", "exec 3<feed; while IFS= read -r -d '' line <&3; do eval \"$line\"; printf '\\036%d\\036' $?; done"]);
        bash.current_dir(folder).env_clear().env("HOME", folder).env("TZ", "UTC").env("USER", "tester");
        bash.env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8").env("TMPDIR", folder).env("TERM", "xterm");
        bash.env("SEALROOM_LISTEN", format!("127.0.0.1:{}", ports[0].1));
        let folders =
            [folder.join("bin"), binary.parent().unwrap().to_owned()].map(|path| path.display().to_string());
        bash.env("PATH", format!("{}:/usr/bin:/bin", folders.join(":")));
        bash.stdin(slave.try_clone().unwrap()).stdout(Stdio::from(slave.try_clone().unwrap()));
        let child = bash.stderr(slave.try_clone().unwrap()).spawn().unwrap();
        let typing =
            Typing { child, master, slave: slave.into(), screen: String::new(), out: folder.join("stdout") };
        let feed = File::options().write(true).open(folder.join("feed")).unwrap();
        Self { typing, feed, answers: Vec::new(), printed: String::new() }
    }

    /// Returns the output of a command until it ends, or in the background until it is as `shown`, and the exit code.
    fn run(&mut self, command: &str, shown: &[String]) -> (Vec<String>, i32) {
        self.typing.screen.clear();
        self.feed.write_all(format!("{command}\0").as_bytes()).unwrap();
        let (began, mut answered) = (Instant::now(), 0);
        loop {
            self.typing.read(20);
            // A reader does not see that a question asks the terminal to bracket pastes.
            let screen = self.typing.screen.replace("\x1b[?2004h", "").replace("\x1b[?2004l", "");
            let screen = without_erased(&screen.replace('\r', ""));
            let ends: Vec<usize> = screen.match_indices(END).map(|(at, _)| at).collect();
            if let [first, second, ..] = ends[..] {
                // A command in the background prints on both sides of the shell's word, and right beside it.
                self.printed = [&screen[..first], &screen[second + 1..]].concat();
                let lines: Vec<String> = self.printed.lines().map(plain).collect();
                let late = began.elapsed() > PATIENCE;
                if late || !command.ends_with('&') || all_fit(shown, &lines) {
                    return (lines, screen[first + 1..second].parse().unwrap());
                }
            } else if let Some(rest) = screen.get(answered..).filter(|rest| !rest.is_empty()) {
                let asked = self.answers.iter().find(|(prompt, _)| rest.ends_with(prompt)).cloned();
                if let Some((prompt, answer)) = asked {
                    self.typing.prompted(prompt);
                    self.typing.keys(&format!("{answer}\n"));
                    answered = screen.len();
                }
            }
            assert!(began.elapsed() < PATIENCE * 2, "{command} does not end: {screen}");
        }
    }
}

impl Drop for Shell {
    /// A test that failed leaves no server behind.
    fn drop(&mut self) {
        drop(self.feed.write_all(b"kill $(jobs -p) 2> /dev/null; wait; exit\0"));
        drop(self.typing.child.wait());
    }
}

/// Drops what a progress bar wrote and erased again: on a loaded machine a command lasts long enough for one.
fn without_erased(screen: &str) -> String {
    let lines = screen.split('\n').map(|line| line.rsplit("\x1b[2K").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_the_readme_shows_is_what_a_user_sees() {
    if !["openssl", "curl", "jq", "python3"].iter().all(|program| has(program)) {
        eprintln!("skipped: openssl, curl, jq and python3 are needed");
        return;
    }
    let proves = Command::new("python3").args(["-c", "import cryptography"]).output();
    let proves = proves.is_ok_and(|output| output.status.success());
    let folder = tempfile::tempdir().unwrap();
    let ports = ["3029", "8443", "3030"].map(|written| (written, free_port().to_string()));
    let mut shell = Shell::start(folder.path(), &ports);
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let consoles: Vec<Block> =
        blocks(&readme).into_iter().filter(|block| block.language == "console").collect();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for step in consoles.iter().flat_map(steps) {
        if step.command.starts_with("python3") && !proves {
            continue;
        }
        let mut command = step.command.clone();
        for (written, free) in &ports {
            command = command.replace(&format!(":{written}"), &format!(":{free}"));
        }
        let is_first = command.starts_with("cargo run");
        if is_first {
            // It has a terminal of its own.
            command.push_str(" 2> first.log &");
        }
        let any = |line: &String| if line == "…" { "...".to_owned() } else { plain(line) };
        let shown: Vec<String> = step.shown.iter().map(any).collect();
        let (lines, code) = shell.run(&command, &shown);
        count += 1;
        let fails = shown.iter().any(|line| line.starts_with("error: "));
        if !all_fit(&shown, &lines)
            || (code != 0) != fails
            || lines.iter().any(|line| line.contains("panicked"))
        {
            let (shown, lines) = (shown.join("\n"), lines.join("\n"));
            wrong.push(format!(
                "README.md:{}: $ {command}\nshown:\n{shown}\nprinted ({code}):\n{lines}\n",
                step.line
            ));
        }
        if is_first {
            // Follow the text: paste the printed line, and type the password at its prompt.
            let screen = shell.printed.clone();
            let password = screen.split("password ").nth(1).unwrap().lines().next().unwrap().to_owned();
            shell.answers = vec![("Password: ", password), ("token: ", "ghp_example".to_owned())];
            let export = screen.lines().find(|line| line.starts_with("export ")).unwrap().to_owned();
            shell.run(&export, &[]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 30, "{count} commands were run");
}
