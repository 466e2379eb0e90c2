//! `cargo xtask ci`: the gates, in the order in which they fail fastest.

use crate::{cargo, e2e, say, sh, tidy};

pub(crate) fn run() -> anyhow::Result<()> {
    say("== fmt");
    sh(&mut cargo(&["fmt", "--all", "--check"]))?;
    say("== tidy");
    tidy::run()?;
    say("== clippy");
    sh(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    say("== doc");
    sh(cargo(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    say("== test");
    sh(&mut cargo(&["test", "--workspace"]))?;
    say("== e2e");
    e2e::run()
}
