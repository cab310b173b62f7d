//! The `petspark-cli` binary: the built-in commands and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    petspark_cli::App::standard().main()
}
