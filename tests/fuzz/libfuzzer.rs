//! Runs one of sealroom's fuzz targets, the one that `FUZZ_TARGET` names, under libFuzzer. Built by `tests/fuzz/run`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    use std::sync::LazyLock;

    static TARGET: LazyLock<&sealroom::fuzz::Target> = LazyLock::new(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        sealroom::fuzz::named(&name).expect("FUZZ_TARGET names a target")
    });
    (TARGET.run)(input);
});

/// Without `--cfg fuzzing` the targets are not in the library.
#[cfg(not(fuzzing))]
fn main() {
    eprintln!("build it with tests/fuzz/run");
}
