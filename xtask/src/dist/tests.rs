//! A whole release out of programs that are built already, installed, run and removed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use super::{DistArgs, bom, docker, packages, run};
use crate::{cargo, root, sh};

/// A release of the programs that `cargo test` builds anyway, made once for all tests.
fn release() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        sh(&mut cargo(&["build", "--quiet", "--package", "latimer"])).expect("built");
        let out = root().join("target/dist-test");
        let args = DistArgs {
            binary_dir: Some(root().join("target/debug")),
            out: Some(out.clone()),
            ..DistArgs::default()
        };
        run(&args).expect("a release");
        out
    })
}

/// The one file of the release whose name begins and ends so.
fn file(begin: &str, end: &str) -> PathBuf {
    let entries =
        std::fs::read_dir(release()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(begin) && name.ends_with(end)
    };
    let found: Vec<PathBuf> = entries.filter(is_meant).collect();
    assert_eq!(found.len(), 1, "{begin}…{end}: {found:?}");
    found.into_iter().next().expect("one")
}

fn output(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let output = command.output().expect(&shown);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}: {}{said}", String::from_utf8_lossy(&output.stdout));
    output
}

/// What a program says when it is asked for its version.
fn version_of(program: &mut Command) -> String {
    let said: Value =
        serde_json::from_slice(&output(program.args(["--version", "--json"])).stdout).expect("JSON");
    said["version"].as_str().expect("a version").to_owned()
}

const VERSION: &str = "0.1.0";

#[test]
fn the_tarball_has_everything_and_runs_from_anywhere() {
    let dir = tempfile::tempdir().expect("a directory");
    output(Command::new("tar").current_dir(dir.path()).arg("-xzf").arg(file("latimer-", ".tar.gz")));
    let top = std::fs::read_dir(dir.path()).expect("a folder").next().expect("one").expect("an entry").path();
    for path in [
        "bin/latimer-watchdog",
        "share/man/man1/latimer.1",
        "share/man/man1/latimer-watchdog-run.1",
        "share/bash-completion/completions/latimer",
        "share/zsh/site-functions/_latimer",
        "share/fish/vendor_completions.d/latimer.fish",
        "lib/systemd/user/latimer.service",
        "share/doc/latimer/LICENSE-MIT",
        "share/doc/latimer/LICENSE-APACHE",
    ] {
        assert!(top.join(path).is_file(), "{path}");
    }
    let third =
        std::fs::read_to_string(top.join("share/doc/latimer/THIRD-PARTY-LICENSES.txt")).expect("licences");
    assert!(
        third.contains("\ntokio 1.") && third.contains("Permission is hereby granted"),
        "licences of what is built in"
    );
    assert!(!third.contains("\nproptest "), "what only tests need is not built in");
    assert_eq!(version_of(&mut Command::new(top.join("bin/latimer"))), VERSION);
    let demo = output(Command::new(top.join("bin/latimer")).arg("demo"));
    assert!(!demo.stdout.is_empty());
}

#[test]
fn the_debian_package_is_installed_runs_and_is_removed() {
    let deb = file("latimer_", ".deb");
    let fields = output(Command::new("dpkg-deb").arg("--field").arg(&deb));
    let fields = String::from_utf8_lossy(&fields.stdout).into_owned();
    assert!(
        fields.contains(&format!("Version: {VERSION}\n")) && fields.contains("Depends: libc6 (>= 2."),
        "{fields}"
    );
    let dir = tempfile::tempdir().expect("a directory");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
        std::fs::create_dir_all(dir.path().join(folder)).expect("a folder");
    }
    std::fs::write(dir.path().join("var/lib/dpkg/status"), "").expect("written");
    let dpkg = |args: &[&str], what: &Path| {
        // Into a root of its own: this machine's packages stay as they are, and its C library is not in that root.
        let log = dir.path().join("dpkg.log");
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", dir.path().display())).arg(format!("--log={}", log.display()));
        command.args(["--force-not-root", "--force-depends", "--force-bad-path"]).args(args).arg(what);
        output(&mut command)
    };
    dpkg(&["--install"], &deb);
    let program = dir.path().join("usr/bin/latimer");
    assert_eq!(version_of(&mut Command::new(&program)), VERSION);
    let unit =
        std::fs::read_to_string(dir.path().join("usr/lib/systemd/user/latimer.service")).expect("a unit");
    let started = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/")).expect("a program");
    let mut words = started.split(' ');
    let watchdog = dir.path().join(words.next().expect("a program"));
    // The words of the unit are words of the program.
    output(Command::new(watchdog).args(words).arg("--help"));
    dpkg(&["--remove"], Path::new("latimer"));
    assert!(!program.exists() && !dir.path().join("usr/share/doc/latimer").exists());
}

#[test]
fn the_npm_package_is_installed_from_its_file_and_runs_the_program() {
    let dir = tempfile::tempdir().expect("a directory");
    let npm = |args: &[&str]| {
        let mut command = Command::new("npm");
        command.current_dir(dir.path()).args(args).env("npm_config_cache", dir.path().join("cache"));
        command
    };
    std::fs::write(dir.path().join("package.json"), "{\"private\":true}").expect("written");
    let packed = file("latimer-npm-", ".tgz");
    output(npm(&["install", "--offline", "--no-audit", "--no-fund"]).arg(packed));
    let npx = |args: &[&str]| {
        let mut command = Command::new("npx");
        command.current_dir(dir.path()).args(["--no-install", "--offline", "latimer"]).args(args);
        command.env("npm_config_cache", dir.path().join("cache"));
        command
    };
    assert_eq!(version_of(&mut npx(&[])), VERSION);
    let wrong = npx(&["no-such-command"]).output().expect("run");
    assert_eq!(wrong.status.code(), Some(2), "the program's own exit code");
    // A signal reaches the program, and how it ended is told.
    let script = "exec node node_modules/latimer/bin/latimer.js serve --config none.toml --state-dir state";
    std::fs::write(dir.path().join("none.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").expect("written");
    let mut serve = Command::new("sh");
    serve.current_dir(dir.path()).args(["-c", script]).stdout(std::process::Stdio::piped());
    let mut serve = serve.spawn().expect("run");
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(serve.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut reader, &mut line).expect("a line");
    assert!(line.contains("listening"), "{line}");
    output(Command::new("kill").args(["-TERM", &serve.id().to_string()]));
    assert!(serve.wait().expect("ended").code().is_some_and(|code| code == 0), "the proxy stopped by itself");
}

#[test]
fn sums_formula_and_bill_of_materials_belong_together() {
    output(Command::new("sha256sum").current_dir(release()).args(["--check", "--strict", "SHA256SUMS"]));
    let sums = std::fs::read_to_string(release().join("SHA256SUMS")).expect("sums");
    let formula = std::fs::read_to_string(release().join("latimer.rb")).expect("a formula");
    let tarball = sums.lines().find(|line| line.ends_with(".tar.gz")).and_then(|line| line.split(' ').next());
    assert!(formula.contains(&format!("sha256 \"{}\"", tarball.expect("a sum"))), "{formula}");
    assert!(!formula.contains('@'), "every word is filled in");
    let bill: Value =
        serde_json::from_slice(&std::fs::read(file("latimer-", ".cdx.json")).expect("a bill")).expect("JSON");
    assert_eq!((bill["bomFormat"].as_str(), bill["specVersion"].as_str()), (Some("CycloneDX"), Some("1.5")));
    let components = bill["components"].as_array().expect("components");
    let tokio = components.iter().find(|component| component["name"] == "tokio").expect("tokio");
    assert_eq!(tokio["hashes"][0]["alg"], "SHA-256");
    assert!(
        components
            .iter()
            .all(|component| component["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/")))
    );
    assert!(
        !components.iter().any(|component| component["name"] == "proptest" || component["name"] == "xtask")
    );
    let known: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    for dependency in bill["dependencies"].as_array().expect("dependencies") {
        for needs in dependency["dependsOn"].as_array().expect("a list") {
            assert!(known.contains(&needs), "{needs} is in the graph and not in the list");
        }
    }
    let metadata = bom::metadata().expect("metadata");
    assert_eq!(bom::bom(&metadata).expect("a bill"), bom::bom(&metadata).expect("a bill"));
}

#[test]
fn a_dockerfile_is_read_for_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("there"), "").expect("written");
    let faults = |text: &str| docker::faults(text, dir.path()).join("\n");
    assert_eq!(faults("FROM debian:13-slim\nCOPY there /x\nUSER 1\nENTRYPOINT [\"/x\"]\n"), "");
    for (text, fault) in [
        ("FROM debian\nUSER 1", "should name a version"),
        ("FROM debian:latest\nUSER 1", "should name a version"),
        ("FROM a:1\nCOPY there gone /x\nUSER 1", "COPY gone: there is no such file"),
        ("FROM a:1\nUSER 1\nCMD serve", "should be a JSON list"),
        ("FROM a:1\nRUN apt-get install x\nUSER 1", "no recommendations"),
        ("FROM a:1\nUSER root", "not root"),
        ("FROM a:1\nCOPPY there /x\nUSER 1", "there is no instruction COPPY"),
        ("USER 1", "should begin with FROM"),
    ] {
        assert!(faults(text).contains(fault), "{text}: {}", faults(text));
    }
}

#[test]
fn the_newest_c_library_that_is_needed_is_found() {
    assert_eq!(packages::newest_glibc(b"xGLIBC_2.9\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.2.5\0"), (2, 34));
    assert_eq!(packages::newest_glibc(b"static"), (0, 0));
}
