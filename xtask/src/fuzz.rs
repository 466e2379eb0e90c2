//! `cargo xtask fuzz`: every target for a while.

use crate::{cargo, require, root, say, sh};

#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only this one
    #[arg(long)]
    target: Option<String>,
}

impl FuzzArgs {
    /// One target alone.
    pub(crate) fn only(target: &str, seconds: u32) -> Self {
        Self { seconds, target: Some(target.to_owned()) }
    }
}

pub(crate) fn run(args: &FuzzArgs) -> anyhow::Result<()> {
    require("fuzz")?;
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
