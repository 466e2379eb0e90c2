//! `cargo xtask dist`: everything that a release is made of, into one folder.
//!
//! A staged tree (programs, pages, completions, unit, licences) is made once; the tarball, the Debian package, the npm package and the image
//! are made of it. The templates are in `packaging/`. Nothing is uploaded.

mod bom;
mod build;
mod docker;
mod packages;
mod stage;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{root, say};

#[derive(Debug, Default, clap::Args)]
pub(crate) struct DistArgs {
    /// The profile to build with
    #[arg(long, default_value = "release")]
    profile: String,
    /// Take `latimer` and `latimer-watchdog` from this folder instead of building them
    #[arg(long, value_name = "DIR")]
    binary_dir: Option<PathBuf>,
    /// The target triple [default: static musl where it and its C compiler are installed, else this machine's]
    #[arg(long)]
    target: Option<String>,
    /// Where everything goes [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What a release is called and where it goes.
struct Release {
    version: String,
    repository: String,
    target: String,
    out: PathBuf,
}

impl Release {
    /// The name of the staged tree and of the tarball.
    fn name(&self) -> String {
        format!("latimer-{}-{}", self.version, self.target)
    }

    /// The staged tree.
    fn stage(&self) -> PathBuf {
        self.out.join(self.name())
    }

    /// A template of `packaging/` with the words filled in that stand between `@`.
    fn template(&self, path: &str, more: &[(&str, &str)]) -> anyhow::Result<String> {
        let path = root().join("packaging").join(path);
        let mut text =
            std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let usual =
            [("VERSION", &*self.version), ("REPOSITORY", &*self.repository), ("TARGET", &*self.target)];
        for (word, value) in usual.iter().chain(more) {
            text = text.replace(&format!("@{word}@"), value);
        }
        Ok(text)
    }
}

pub(crate) fn run(args: &DistArgs) -> anyhow::Result<()> {
    let metadata = bom::metadata()?;
    let package = bom::package(&metadata, "latimer").context("the workspace has no package `latimer`")?;
    let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
    let target = args.target.clone().map_or_else(|| build::usual_target(args.binary_dir.is_some()), Ok)?;
    let out = args.out.clone().unwrap_or_else(|| root().join("target/dist"));
    let release = Release { version: text("version"), repository: text("repository"), target, out };
    if release.out.exists() {
        std::fs::remove_dir_all(&release.out).context("removing what was made last time")?;
    }
    std::fs::create_dir_all(&release.out).context("making the folder of the release")?;
    let binaries = match &args.binary_dir {
        Some(folder) => folder.clone(),
        None => build::build(&release.target, &args.profile)?,
    };
    stage::stage(&release, &binaries, &metadata)?;
    let tarball = packages::tarball(&release)?;
    packages::deb(&release)?;
    packages::npm(&release)?;
    docker::image(&release)?;
    packages::formula(&release, &tarball)?;
    let bom = release.out.join(format!("latimer-{}.cdx.json", release.version));
    write(&bom, &bom::bom(&metadata)?)?;
    checksums(&release.out)?;
    say(&format!("the release is in {}", release.out.display()));
    Ok(())
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    std::fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// `SHA256SUMS` as `sha256sum --check` reads it, over every file of the folder.
fn checksums(out: &Path) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(out).context("reading the folder of the release")? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            lines.push(format!("{}  {name}\n", sha256(&path)?));
        }
    }
    lines.sort_by(|one, other| one[64..].cmp(&other[64..]));
    write(&out.join("SHA256SUMS"), lines.concat())
}
