//! What `codex exec` and `codex app-server` share: their configuration, and what their failures mean. Pure.

pub mod config;
pub mod errors;

/// Efforts that Codex knows. It passes any other word on to the model, so they are checked here.
pub const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// An effort as Codex spells it; `None` for a word that it does not know.
pub fn effort(word: &str) -> Option<&'static str> {
    EFFORTS.into_iter().find(|known| known.eq_ignore_ascii_case(word.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_are_known_in_any_case_and_others_are_not_passed_on() {
        assert_eq!(effort("HIGH"), Some("high"));
        assert_eq!(effort(" xhigh "), Some("xhigh"));
        for word in ["ultra", "nonsense", ""] {
            assert_eq!(effort(word), None, "{word}");
        }
    }
}
