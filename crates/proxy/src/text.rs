//! Text from outside, made fit to be shown again in an error, a note or a log line. Pure.

/// The most characters of a field's value or a type's name that are echoed.
pub(crate) const MAX_WORD: usize = 40;
/// The most characters of a name that the client chose, such as a model, a path or an id, that are echoed.
pub(crate) const MAX_NAME: usize = 80;

/// The first `max` characters of a text that came from outside, without control characters: what is echoed can neither fill a log nor
/// move a terminal's cursor.
pub(crate) fn shown(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_short_and_holds_no_control_characters() {
        assert_eq!(shown("a\u{1b}[2J\nb", 40), "a[2Jb");
        assert_eq!(shown(&"ä".repeat(100), MAX_WORD), "ä".repeat(40));
        assert_eq!(shown("\n\n\nabc", 2), "ab", "what is left out does not count");
        assert_eq!(shown("", 40), "");
    }
}
