//! `cargo xtask fuzz`: every target for a while.

use anyhow::bail;

use crate::{cargo, root, say, sh};

#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only this one
    #[arg(long)]
    target: Option<String>,
}

pub(crate) fn run(args: &FuzzArgs) -> anyhow::Result<()> {
    let installed = cargo(&["fuzz", "--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        bail!("cargo-fuzz is not installed; `cargo install cargo-fuzz` installs it");
    }
    for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        let Some(target) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if args.target.as_deref().is_some_and(|only| only != target) {
            continue;
        }
        say(&format!("== {target}, {} s", args.seconds));
        let time = format!("-max_total_time={}", args.seconds);
        // The stable toolchain has no sanitizers; the invariants are asserted all the same.
        let mut command = cargo(&["fuzz", "run", "--sanitizer", "none", target, "--", &time, "-timeout=10"]);
        sh(command.env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}
