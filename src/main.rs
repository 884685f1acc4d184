//! The `sealroom` binary.

fn main() -> std::process::ExitCode {
    sealroom::cli::main()
}
