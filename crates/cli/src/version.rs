//! `--version --json`: which program this is, for machines.

use std::ffi::OsString;

use latimer_proxy::config::presets::KnownModels;
use serde_json::{Value, json};

/// What a program says of itself, where the line asks for its version as JSON and for nothing else: the parser itself would end the
/// process at `--version`, before it has seen what stands behind.
pub(crate) fn asked_for(words: impl Iterator<Item = OsString>, name: &str) -> Option<Value> {
    let words: Vec<OsString> = words.skip(1).collect();
    let is_version = |word: &OsString| word == "--version" || word == "-V";
    let is_asked =
        words.len() == 2 && words.iter().any(is_version) && words.iter().any(|word| word == "--json");
    is_asked.then(|| document(name))
}

fn document(name: &str) -> Value {
    json!({
        "schema_version": 1,
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "libc": libc(),
        "debug": cfg!(debug_assertions),
        // Set where a release is built.
        "commit": option_env!("LATIMER_COMMIT"),
        // The day of the table of models.
        "models_seen": KnownModels::get().seen,
    })
}

/// The C library that the program was built for; `None` where there is no choice.
fn libc() -> Option<&'static str> {
    if cfg!(target_env = "musl") {
        Some("musl")
    } else if cfg!(target_env = "gnu") {
        Some("gnu")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_as_json_is_answered_here() {
        let of = |line: &str| asked_for(line.split(' ').map(OsString::from), "latimer");
        for line in ["latimer --version --json", "latimer --json --version", "latimer -V --json"] {
            let said = of(line).expect(line);
            assert_eq!(
                (&said["name"], &said["version"]),
                (&json!("latimer"), &json!(env!("CARGO_PKG_VERSION")))
            );
        }
        for line in
            ["latimer --version", "latimer --json", "latimer usage --json", "latimer --version --json x"]
        {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
