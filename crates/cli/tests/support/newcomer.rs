//! Commands of a person with an empty home: no configuration, no variable of a provider.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use super::{latimer, output, wait_until};

/// `latimer` with an empty home and no variable of a provider.
pub(crate) fn newcomer(home: &Path, args: &[&str]) -> Command {
    let mut command = latimer();
    command
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}

/// What a command printed, both streams, and its exit code.
pub(crate) fn said(output: &Output) -> (i32, String) {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text)
}

/// Runs a command of a newcomer to its end.
pub(crate) fn run(home: &Path, args: &[&str]) -> (i32, String) {
    said(&output(&mut newcomer(home, args)))
}

/// The same with this on stdin.
pub(crate) fn run_with(home: &Path, args: &[&str], input: &str) -> (i32, String) {
    let mut child = newcomer(home, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("latimer runs");
    // A command that refuses early reads nothing.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    said(&child.wait_with_output().expect("ended"))
}

/// Where the configuration of a newcomer is.
pub(crate) fn config_path(home: &Path) -> PathBuf {
    home.join(".config/latimer/config.toml")
}

/// The configuration file of a newcomer.
pub(crate) fn config_text(home: &Path) -> String {
    std::fs::read_to_string(config_path(home)).expect("a configuration")
}

/// A program that is a script, in a folder that is made for it.
pub(crate) fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(dir).expect("made");
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    path
}

/// A bare proxy of a newcomer, and where it listens.
pub(crate) fn serving(home: &Path) -> (Child, String) {
    let mut child = newcomer(home, &["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("latimer runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("latimer listening on ").expect("a URL").to_owned();
    (child, url)
}

/// A command on a terminal of its own, at which a person types. The terminal is that of util-linux's `script`.
pub(crate) struct Terminal {
    child: Child,
    input: ChildStdin,
    shown: Arc<Mutex<String>>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    /// Runs a command of a newcomer; `None` where this machine has no `script`.
    pub(crate) fn run(home: &Path, args: &[&str]) -> Option<Self> {
        let program = latimer().get_program().to_string_lossy().into_owned();
        let words: Vec<String> = std::iter::once(program.as_str())
            .chain(args.iter().copied())
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .collect();
        let typescript = home.join("typescript");
        let mut child = Command::new("script")
            .args(["-qefc", &words.join(" ")])
            .arg(typescript)
            .env_clear()
            .env("HOME", home)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let input = child.stdin.take().expect("piped");
        let mut out = child.stdout.take().expect("piped");
        let shown: Arc<Mutex<String>> = Arc::default();
        let reader = std::thread::spawn({
            let shown = Arc::clone(&shown);
            move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = out.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
                    shown.lock().expect("a lock").push_str(&text);
                }
            }
        });
        Some(Self { child, input, shown, reader })
    }

    /// Everything that stands on the screen.
    pub(crate) fn screen(&self) -> String {
        self.shown.lock().expect("a lock").clone()
    }

    /// Waits for a question and answers it.
    pub(crate) fn answer(&mut self, question: &str, words: &str) {
        let shown = Arc::clone(&self.shown);
        wait_until(&format!("it asks `{question}`"), || shown.lock().expect("a lock").contains(question));
        self.input.write_all(format!("{words}\n").as_bytes()).expect("typed");
    }

    /// Its exit code, and all that stood on the screen.
    pub(crate) fn end(mut self) -> (i32, String) {
        let status = self.child.wait().expect("ended");
        drop(self.input);
        self.reader.join().expect("read");
        let text = self.shown.lock().expect("a lock").clone();
        (status.code().unwrap_or(-1), text)
    }
}
