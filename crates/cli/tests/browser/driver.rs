//! Runs a scene in a real browser: starts its script, does what it asks for, and fails with every fault that it tells.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Harness, latimer_in, output, program};

/// The browser.
const CHROMIUM: &str = "LATIMER_CHROMIUM";
/// The folder whose `node_modules` hold `playwright-core` and `axe-core`.
const MODULES: &str = "LATIMER_BROWSER_MODULES";
/// The key of the endpoint, which no screen may show.
pub(crate) const SECRET: &str = "upstream-key";
/// How long a scene waits for anything, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

/// What the scenes need of the machine.
pub(crate) struct Browser {
    chromium: String,
    modules: PathBuf,
}

impl Browser {
    /// `None` where the machine has none; the test says so then.
    pub(crate) fn find() -> Option<Self> {
        let (chromium, modules) = (program(CHROMIUM)?, program(MODULES)?);
        Some(Self { chromium, modules: modules.into() })
    }

    /// Plays a scene to its end on a proxy. Whatever it asks for besides codes and restarts is done by `answer`.
    pub(crate) fn play(
        &self,
        harness: &mut Harness,
        scene: &str,
        mut answer: impl FnMut(&mut Harness, &Value) -> Value,
    ) {
        let (url, token) = (harness.url.clone(), harness.token());
        self.run(scene, &url, &token, |asked| match asked["do"].as_str() {
            Some("code") => json!({ "code": code(&harness.dir) }),
            Some("restart") => {
                again_on_the_same_port(harness);
                json!({})
            }
            _ => answer(harness, asked),
        });
    }

    /// Plays a scene to its end; whatever it asks for is done by `answer`.
    pub(crate) fn run(&self, scene: &str, url: &str, token: &str, mut answer: impl FnMut(&Value) -> Value) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/scenes");
        let plan = json!({
            "url": url,
            "token": token,
            "secret": SECRET,
            "chromium": self.chromium,
            "modules": self.modules,
            "out": self.modules.join("screens"),
            "patience": PATIENCE_MS,
        });
        let mut child = Command::new("node")
            .arg(scripts.join(format!("{scene}.mjs")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let mut input = child.stdin.take().expect("piped");
        // Not as an argument: the token is in it.
        writeln!(input, "{plan}").expect("told");
        let mut faults: Vec<String> = Vec::new();
        let mut is_over = false;
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if line["do"].is_string() {
                writeln!(input, "{}", answer(&line)).expect("told");
            } else if line["end"] == true {
                is_over = true;
            } else if let Some(fault) = line["fault"].as_str() {
                faults.push(fault.to_owned());
            } else if let Some(text) = line["tell"].as_str() {
                // Not `eprintln!`: it would be captured, and this is what the test measured.
                let _ = writeln!(std::io::stderr(), "{scene}: {text}");
            }
        }
        let status = child.wait().expect("waited");
        faults.dedup();
        assert!(faults.is_empty(), "{scene}: {} faults:\n{}", faults.len(), faults.join("\n"));
        assert!(is_over && status.success(), "{scene} did not come to its end: {status}");
    }
}

/// A code that opens the page once.
pub(crate) fn code(dir: &Path) -> String {
    let run = output(latimer_in(dir, &["dashboard", "--no-open"]).stdin(Stdio::null()));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let (_, code) = text.trim_end().split_once("/ui/#").unwrap_or_else(|| {
        panic!("no address in {text:?}: {}", String::from_utf8_lossy(&run.stderr));
    });
    code.to_owned()
}

fn again_on_the_same_port(harness: &mut Harness) {
    let address = harness.url.trim_start_matches("http://").to_owned();
    harness.signal("KILL");
    harness.proxy.wait().expect("stopped");
    // Long enough for the page to see that nobody is there.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    (harness.proxy, harness.url) = crate::support::serve(&harness.dir, &["--listen", &address]);
}
