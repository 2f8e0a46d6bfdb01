//! The `hkfr` command: see [`hkfr::cli`].

fn main() -> std::process::ExitCode {
    hkfr::cli::main()
}
