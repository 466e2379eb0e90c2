//! `<think>…</think>` at the start of a message: thoughts in the wrong field (DeepSeek-R1 behind NIM, local models; fixture
//! chat/think-tag-at-the-start-nim.sse). Later it is text (chat/think-tag-later-is-text.sse).

use latimer_protocol::turn::{EventSink, TurnEvent};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Splits the pieces of a message's text. Only what may still become a tag is held back.
#[derive(Debug, Default)]
pub(crate) struct ThinkTagSplitter {
    state: State,
    /// The text that may become a tag.
    buffered: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space was seen.
    #[default]
    Start,
    /// Between the tags.
    Inside,
    /// Right behind the closing tag: line breaks there belong to neither side.
    After,
    /// Ordinary text to the end.
    Text,
}

impl ThinkTagSplitter {
    /// Hands on one piece.
    pub(crate) fn push(&mut self, text: &str, sink: &mut dyn EventSink) {
        if self.state == State::Text {
            return sink.event(TurnEvent::Text(text));
        }
        let mut joined = std::mem::take(&mut self.buffered);
        joined.push_str(text);
        self.advance(&joined, sink);
    }

    /// The message is over: what was held back is text after all.
    pub(crate) fn finish(&mut self, sink: &mut dyn EventSink) {
        let buffered = std::mem::take(&mut self.buffered);
        if buffered.is_empty() {
            return;
        }
        match self.state {
            State::Inside => sink.event(TurnEvent::Reasoning(&buffered)),
            State::After => {}
            State::Start | State::Text => sink.event(TurnEvent::Text(&buffered)),
        }
    }

    fn advance(&mut self, mut text: &str, sink: &mut dyn EventSink) {
        loop {
            match self.state {
                State::Start => {
                    let begin = text.trim_start();
                    if let Some(rest) = begin.strip_prefix(OPEN) {
                        self.state = State::Inside;
                        text = rest;
                    } else if OPEN.starts_with(begin) {
                        return self.buffered.push_str(text);
                    } else {
                        self.state = State::Text;
                    }
                }
                State::Inside => {
                    if let Some(end) = text.find(CLOSE) {
                        emit(&text[..end], sink, TurnEvent::Reasoning);
                        self.state = State::After;
                        text = &text[end + CLOSE.len()..];
                    } else {
                        let safe = text.len() - tail_that_may_close(text);
                        emit(&text[..safe], sink, TurnEvent::Reasoning);
                        return self.buffered.push_str(&text[safe..]);
                    }
                }
                State::After => {
                    text = text.trim_start_matches(['\n', '\r']);
                    if text.is_empty() {
                        return;
                    }
                    self.state = State::Text;
                }
                State::Text => return emit(text, sink, TurnEvent::Text),
            }
        }
    }
}

fn emit<'t>(text: &'t str, sink: &mut dyn EventSink, event: impl Fn(&'t str) -> TurnEvent<'t>) {
    if !text.is_empty() {
        sink.event(event(text));
    }
}

/// The length of the longest end of `text` that is a beginning of the closing tag.
fn tail_that_may_close(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|length| text.ends_with(&CLOSE[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let (mut thoughts, mut words) = (String::new(), String::new());
        let mut sink = |event: TurnEvent<'_>| match event {
            TurnEvent::Reasoning(text) => thoughts.push_str(text),
            TurnEvent::Text(text) => words.push_str(text),
            other => panic!("unexpected {other}"),
        };
        let mut split = ThinkTagSplitter::default();
        for piece in pieces {
            split.push(piece, &mut sink);
        }
        split.finish(&mut sink);
        (thoughts, words)
    }

    #[test]
    fn only_a_tag_at_the_start_counts_and_cuts_do_not_matter() {
        let cases = [
            ("<think>hm</think>\n\nyes", "hm", "yes"),
            ("\n<think>a < b</thin</think>c</think>", "a < b</thin", "c</think>"),
            ("no <think>x</think>", "", "no <think>x</think>"),
            ("<thinking", "", "<thinking"),
            ("<think>never closed", "never closed", ""),
            ("  ", "", "  "),
            ("<thi", "", "<thi"),
        ];
        for (text, thoughts, words) in cases {
            let want = (thoughts.to_owned(), words.to_owned());
            assert_eq!(split(&[text]), want, "{text:?}");
            let single: Vec<String> = text.chars().map(String::from).collect();
            let single: Vec<&str> = single.iter().map(String::as_str).collect();
            assert_eq!(split(&single), want, "{text:?} one by one");
        }
    }
}
