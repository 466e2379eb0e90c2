//! Events that differ from the one before in one text alone. Pure.
//!
//! Nearly all events of an answer are the same bytes around another piece of text: id, model, index, the names of the fields. What was read
//! once need not be read again: when an event has the same bytes before and after its text, and between them nothing but the inside of
//! a JSON string, reading it would give what the last one gave, with this text.

/// After so many events in a row that were not the same, nothing is remembered any more: this provider's events differ.
const MAX_MISSES: u8 = 8;

/// The bytes around the text of the last event.
#[derive(Debug, Default)]
pub(crate) struct RepeatedShape {
    before: String,
    after: String,
    misses: u8,
}

impl RepeatedShape {
    /// The text of an event that is otherwise the one that was remembered: as it stands, without escapes, and not empty.
    pub(crate) fn text<'d>(&mut self, data: &'d str) -> Option<&'d str> {
        if self.before.is_empty() {
            return None;
        }
        let text = data.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let is_bare = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.is_empty() || !text.bytes().all(is_bare) {
            return None;
        }
        self.misses = 0;
        Some(text)
    }

    /// Remembers an event of which nothing but `text` matters, a part of `data`: one that holds `text` in quotation marks and without
    /// escapes. Others are passed over.
    pub(crate) fn remember(&mut self, data: &str, text: &str) {
        let at = (text.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
        let parts = at.checked_add(text.len()).and_then(|end| Some((data.get(..at)?, data.get(end..)?)));
        let Some((before, after)) =
            parts.filter(|(before, after)| before.ends_with('"') && after.starts_with('"'))
        else {
            return;
        };
        if self.misses == MAX_MISSES {
            return;
        }
        self.misses += 1;
        before.clone_into(&mut self.before);
        after.clone_into(&mut self.after);
    }
}

#[cfg(test)]
impl RepeatedShape {
    /// One that remembers nothing, to compare with.
    pub(crate) fn forgetful() -> Self {
        Self { misses: MAX_MISSES, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"a":1,"text":"one","b":"x"}"#;

    fn shape() -> RepeatedShape {
        let mut shape = RepeatedShape::default();
        shape.remember(FIRST, &FIRST[15..18]);
        shape
    }

    #[test]
    fn the_same_bytes_around_another_text_are_known_again() {
        let mut shape = shape();
        assert_eq!(shape.text(r#"{"a":1,"text":"zwei, ü","b":"x"}"#), Some("zwei, ü"));
        for other in [
            r#"{"a":2,"text":"two","b":"x"}"#,
            r#"{"a":1,"text":"two","b":"y"}"#,
            r#"{"a":1,"text":"","b":"x"}"#,
            r#"{"a":1,"text":"t\n","b":"x"}"#,
            r#"{"a":1,"text":"t","text":"u","b":"x"}"#,
            "{\"a\":1,\"text\":\"t\u{1}\",\"b\":\"x\"}",
            r#"{"a":1,"text":"b":"x"}"#,
            r#"{"a":1,"text":"#,
            "",
        ] {
            assert_eq!(shape.text(other), None, "{other}");
        }
    }

    #[test]
    fn what_stands_elsewhere_is_not_remembered() {
        let mut shape = RepeatedShape::default();
        shape.remember(FIRST, "one");
        shape.remember(FIRST, &FIRST[1..4]);
        shape.remember(FIRST, &FIRST[5..6]);
        assert_eq!(shape.text(FIRST), None);
    }

    #[test]
    fn a_provider_whose_events_differ_is_left_alone() {
        let mut shape = RepeatedShape::default();
        let events: Vec<String> = (0..20).map(|number| format!(r#"{{"id":{number},"t":"x"}}"#)).collect();
        for event in &events {
            assert_eq!(shape.text(event), None);
            let at = event.len() - 3;
            shape.remember(event, &event[at..=at]);
        }
        assert!(shape.before.contains(":7,"), "{}", shape.before);
    }
}
