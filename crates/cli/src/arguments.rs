//! The words of the command line, before they are parsed: `--json` may stand before the command as well as behind it.

use std::ffi::OsString;

/// Flags before a command that have a value as the next word.
const WITH_VALUE: [&str; 3] = ["--config", "--state-dir", "--color"];

/// The same words with a `--json` that stands before the command right behind it. What stands behind is left alone: a launched client may have
/// such a flag of its own.
pub(crate) fn in_order(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let mut place = 1;
    let mut is_json = false;
    while let Some(word) = words.get(place) {
        if word == "--json" {
            words.remove(place);
            is_json = true;
        } else if WITH_VALUE.iter().any(|flag| word == flag) {
            place += 2;
        } else if word.to_string_lossy().starts_with('-') {
            place += 1;
        } else {
            break;
        }
    }
    if is_json {
        // Without a command it stays at the end, and is refused there.
        words.insert((place + 1).min(words.len()), "--json".into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_behind_the_command() {
        let cases = [
            ("latimer --json status", "latimer status --json"),
            (
                "latimer --config a --json -q endpoints show x",
                "latimer --config a -q endpoints --json show x",
            ),
            ("latimer launch codex exec --json", "latimer launch codex exec --json"),
            ("latimer --version --json", "latimer --version --json"),
            ("latimer --json", "latimer --json"),
            ("latimer", "latimer"),
        ];
        for (line, want) in cases {
            let words = in_order(line.split(' ').map(OsString::from));
            let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            assert_eq!(text.join(" "), want);
        }
    }
}
