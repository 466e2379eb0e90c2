//! The `latimer-watchdog` binary; everything lives in the library.

fn main() -> std::process::ExitCode {
    latimer_cli::watchdog_main()
}
