//! The `latimer` binary; everything lives in the library.

/// `serve` runs for weeks: what a peak took goes back to the system, also when nothing happens afterwards. `Cargo.toml` says what was
/// measured.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    latimer_cli::latimer_main()
}
