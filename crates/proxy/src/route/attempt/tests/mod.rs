//! One row for each way a turn can fail, move and succeed, without a network and without waiting. In the manner of the tests of
//! quinn-proto: a scene is played, and its transcript is the whole truth.

mod answering;
mod lessons;
mod resting;
mod sending;
mod util;

use self::util::Scene;

const ONE: &str = r#"
[[endpoint]]
name = "a"
base_url = "http://127.0.0.1:1"
models = ["m"]
api_key = "k1"
"#;

const TWO_KEYS: &str = r#"
[[endpoint]]
name = "a"
base_url = "http://127.0.0.1:1"
models = ["m"]
api_key = ["k1", "k2"]
"#;

const ROUTE: &str = r#"
[[endpoint]]
name = "a"
base_url = "http://127.0.0.1:1"
models = ["m"]

[[endpoint]]
name = "b"
base_url = "http://127.0.0.1:2"
models = ["m"]

[[route]]
name = "r"
targets = ["a/m", "b/m"]
"#;

/// Plays each scene and compares its transcript.
fn check<const N: usize>(rows: [(&str, Scene, &str); N]) {
    let mut wrong = Vec::new();
    for (name, scenario, expected) in rows {
        let transcript = scenario.play();
        let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
        if transcript.lines().collect::<Vec<_>>() != expected {
            wrong.push(format!("== {name}\n{transcript}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
