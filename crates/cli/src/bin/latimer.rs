//! The `latimer` binary; everything lives in the library.

fn main() -> std::process::ExitCode {
    latimer_cli::latimer_main()
}
