//! The command line.

fn main() -> std::process::ExitCode {
    trishade::cli::run()
}
