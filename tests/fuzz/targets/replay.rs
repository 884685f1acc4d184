//! The committed corpora and a fixed number of mutations of them, on every machine and without a fuzzer.

use std::{fs, path::PathBuf};

use super::{MARK, TARGETS, Target, named, rng::Rng};

/// Mutations of a corpus; the dearest targets take a tenth of a millisecond to ten milliseconds for one.
const MUTATIONS: usize = 4_000;
/// Mutations for targets that open a vault.
const MUTATIONS_OF_VAULTS: usize = 60;
/// The longest input that a mutation makes.
const BYTES_MAX: usize = 4_096;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

/// The inputs of a corpus, by name.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn replay(name: &str) {
    let target = named(name).unwrap();
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for input in &corpus {
        judge(target, input);
    }
    let count = if matches!(name, "request" | "file" | "model") { MUTATIONS_OF_VAULTS } else { MUTATIONS };
    let mut rng = Rng::new(&[name.len() as u64, count as u64]);
    for _ in 0..count {
        judge(target, &mutated(&corpus, &mut rng));
    }
}

/// Runs one input; shows it if the target fails.
fn judge(target: &Target, input: &[u8]) {
    struct Shown<'a>(&'a [u8]);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input: {}", self.0.escape_ascii());
            }
        }
    }
    let _shown = Shown(input);
    (target.run)(input);
}

fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.of(corpus).unwrap().clone();
    for _ in 0..1 + rng.below(4) {
        let (at, end) = (rng.below(input.len() + 1), rng.below(input.len() + 1));
        let (at, end) = (at.min(end), at.max(end));
        match rng.below(6) {
            0 => drop(input.splice(at..at, MARK.bytes())),
            1 => drop(input.drain(at..end.min(at + 16))),
            2 => input.insert(at, rng.next() as u8),
            3 if at < input.len() => input[at] ^= 1 << rng.below(8),
            4 => {
                let other = rng.of(corpus).unwrap();
                let from = rng.below(other.len() + 1);
                let part = &other[from..other.len().min(from + 64)];
                drop(input.splice(at..at, part.iter().copied()));
            }
            _ => {
                let part = input[at..end.min(at + 64)].to_vec();
                drop(input.splice(end..end, part));
            }
        }
    }
    input.truncate(BYTES_MAX);
    input
}

macro_rules! replayed {
    ($($target:ident)+) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )+

        #[test]
        fn every_target_is_replayed_and_has_a_corpus_of_its_own() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($target)),+]);
            let folders = fs::read_dir(folder("")).unwrap().count();
            assert_eq!(folders, names.len(), "a corpus of no target");
        }
    };
}

replayed! { token project router row json config dotenv import record note proof request file model }

#[test]
fn the_corpora_are_small_and_hold_no_real_credential() {
    let mut bytes = 0;
    for input in TARGETS.iter().flat_map(|target| corpus(target.name)) {
        bytes += input.len();
        let text = String::from_utf8_lossy(&input);
        assert!(!text.contains("BEGIN RSA PRIVATE KEY") && !text.contains("AKIA"), "{text}");
    }
    assert!(bytes <= 300 * 1024, "the corpora have {bytes} bytes");
}
