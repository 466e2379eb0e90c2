//! The tarball, the Debian package, the npm package and the formula, all of the staged tree.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::stage::{DOCUMENTS, PROGRAMS, THIRD_PARTY};
use super::{Release, copy, sha256, write};
use crate::{root, say, sh};

/// Runs a program with these arguments in a folder, with the day of the last commit as the time of whatever it writes.
fn within(folder: &Path, program: &str, args: &[&str]) -> anyhow::Result<()> {
    sh(Command::new(program)
        .current_dir(folder)
        .args(args)
        .env("SOURCE_DATE_EPOCH", commit_time())
        .stdout(Stdio::null()))
}

/// The time of the last commit in Unix seconds: the same sources make the same packages.
fn commit_time() -> String {
    let git = Command::new("git").current_dir(root()).args(["log", "-1", "--format=%ct"]).output();
    let time =
        git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if time.is_empty() { "0".to_owned() } else { time }
}

/// The staged tree as one file.
pub(super) fn tarball(release: &Release) -> anyhow::Result<PathBuf> {
    let name = format!("{}.tar.gz", release.name());
    let time = format!("--mtime=@{}", commit_time());
    let args =
        ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", &time, "-I", "gzip -n", "-cf", &name];
    within(&release.out, "tar", &[&args[..], &[&release.name()]].concat())?;
    Ok(release.out.join(name))
}

/// The package for Debian and what comes of it.
pub(super) fn deb(release: &Release) -> anyhow::Result<()> {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        say("no Debian package: dpkg-deb is not installed");
        return Ok(());
    }
    let tree = release.out.join("deb");
    for entry in files(&release.stage())? {
        copy(&release.stage().join(&entry), &tree.join("usr").join(&entry))?;
    }
    // Debian's own place for the licence of a package.
    let copyright = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nSource: {}\n\nFiles: *\nCopyright: the authors of latimer\nLicense: MIT or Apache-2.0\n The texts are beside this file.\n",
        release.repository
    );
    write(&tree.join("usr/share/doc/latimer/copyright"), copyright)?;
    let mut size = 0;
    for entry in files(&tree)? {
        let path = tree.join(&entry);
        size += std::fs::metadata(&path)?.len().div_ceil(1024);
        let mode = if entry.starts_with("usr/bin") { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    let (deb, _) = architectures(&release.target)?;
    let control = [("DEB_ARCH", deb), ("SIZE", &*size.to_string()), ("DEPENDS", &*libc(release)?)];
    let control = release.template("debian/control", &control)?;
    // A program without a C library depends on nothing.
    write(&tree.join("DEBIAN/control"), control.replace("Depends: \n", ""))?;
    let name = format!("latimer_{}_{deb}.deb", release.version);
    within(&release.out, "dpkg-deb", &["--root-owner-group", "-Zgzip", "--build", "deb", &name])?;
    std::fs::remove_dir_all(&tree).context("removing the tree of the Debian package")
}

/// The package that the programs need: the C library in the newest version that one of their symbols is from.
fn libc(release: &Release) -> anyhow::Result<String> {
    if release.target.ends_with("musl") {
        return Ok(String::new());
    }
    let mut newest = (2, 17);
    for program in PROGRAMS {
        let bytes = std::fs::read(release.stage().join("bin").join(program))?;
        newest = newest.max(newest_glibc(&bytes));
    }
    Ok(format!("libc6 (>= {}.{})", newest.0, newest.1))
}

/// The newest `GLIBC_x.y` that stands in a program.
pub(super) fn newest_glibc(program: &[u8]) -> (u32, u32) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(8)]).into_owned();
    let mark = b"GLIBC_";
    let places = program.windows(mark.len()).enumerate().filter(|(_, window)| window == mark);
    let versions = places.filter_map(|(place, _)| {
        let text = text(program.get(place + mark.len()..)?);
        let (major, rest) = text.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    versions.max().unwrap_or((0, 0))
}

/// The package for npm, which carries the programs.
pub(super) fn npm(release: &Release) -> anyhow::Result<()> {
    if Command::new("npm").arg("--version").output().is_err() {
        say("no npm package: npm is not installed");
        return Ok(());
    }
    let tree = release.out.join("npm");
    for name in ["run.js", "latimer.js", "latimer-watchdog.js"] {
        let to = tree.join("bin").join(name);
        copy(&root().join("packaging/npm/bin").join(name), &to)?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755))?;
    }
    for program in PROGRAMS {
        copy(&release.stage().join("bin").join(program), &tree.join("vendor").join(program))?;
    }
    let documents = release.stage().join("share/doc/latimer");
    for name in DOCUMENTS.iter().filter(|name| name.starts_with("LICENSE")).chain([&THIRD_PARTY]) {
        copy(&documents.join(name), &tree.join(name))?;
    }
    write(&tree.join("README.md"), release.template("npm/README.md", &[])?)?;
    let (_, cpu) = architectures(&release.target)?;
    let os = if release.target.contains("darwin") { "darwin" } else { "linux" };
    let manifest = release.template("npm/package.json", &[("NPM_OS", os), ("NPM_CPU", cpu)])?;
    write(&tree.join("package.json"), manifest)?;
    within(&tree, "npm", &["pack", "--silent", "--pack-destination", ".."])?;
    let packed = release.out.join(format!("latimer-{}.tgz", release.version));
    let name = format!("latimer-npm-{}-{os}-{cpu}.tgz", release.version);
    std::fs::rename(packed, release.out.join(name)).context("naming the npm package")?;
    std::fs::remove_dir_all(&tree).context("removing the tree of the npm package")
}

/// The formula for Homebrew, with the sum of the tarball.
pub(super) fn formula(release: &Release, tarball: &Path) -> anyhow::Result<()> {
    let name = format!("{}.tar.gz", release.name());
    let sum = sha256(tarball)?;
    let text = release.template("latimer.rb", &[("TARBALL", &name), ("SHA256", &sum)])?;
    write(&release.out.join("latimer.rb"), text)
}

/// How Debian and npm call the machine of a target.
fn architectures(target: &str) -> anyhow::Result<(&'static str, &'static str)> {
    match target.split('-').next() {
        Some("x86_64") => Ok(("amd64", "x64")),
        Some("aarch64") => Ok(("arm64", "arm64")),
        _ => bail!("no name is known for the machine of {target}"),
    }
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(inner) = open.pop() {
        for entry in std::fs::read_dir(&inner).with_context(|| format!("reading {}", inner.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}
