//! Requests that clients make on their own, beside the person's turns: how they are known, and what they can be told without
//! any provider. Pure.

use latimer_protocol::turn::{Content, EventSink, FinishReason, Format, Item, Role, TurnEvent, TurnRequest};
use serde::Deserialize;
use serde_json::json;

use super::tools::HostedTools;
use crate::text::shown;

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestKind {
    /// Somebody wants an answer.
    #[default]
    Turn,
    /// Another conversation began this one: Claude Code's sub-tasks.
    Subtask,
    /// A title for the session is wanted, as JSON; a cheap model is good enough.
    Title,
    /// Only a search of the web is wanted, by Anthropic's own tool.
    Search,
}

/// How Claude Code words a search.
const SEARCH: &str = "Perform a web search for the query:";
/// The longest query that is repeated in an answer, in characters.
const MAX_QUERY: usize = 200;
/// The longest title, in characters and in words.
const MAX_TITLE: (usize, usize) = (60, 7);

impl RequestKind {
    /// Tells the kind from what a request holds and lacks. `lists_tools` says that the field `tools` is there at all.
    pub(super) fn of(turn: &TurnRequest, hosted: &HostedTools, lists_tools: bool, subtask: bool) -> Self {
        if hosted.searches && hosted.count == 1 {
            return Self::Search;
        }
        let thinks = turn.reasoning.effort.as_deref().is_some_and(|effort| effort != "none");
        if lists_tools && hosted.count == 0 && !thinks && wants_a_title(&turn.format) {
            return Self::Title;
        }
        if subtask { Self::Subtask } else { Self::Turn }
    }

    /// What a request of this kind can be told without a provider; `None` for what only a model can answer. An upstream that
    /// gets the client's own request does better: it has the search.
    ///
    /// A title is made of the first words that the person wrote. A search is answered with words that say there is none: the
    /// model on the other side then goes on without it, where an error would end its turn.
    pub fn local_answer(self, turn: &TurnRequest) -> Option<String> {
        match self {
            Self::Turn | Self::Subtask => None,
            Self::Title => Some(json!({ "title": title(last_words(turn)) }).to_string()),
            Self::Search => {
                let words = last_words(turn);
                let query = words.trim().strip_prefix(SEARCH).unwrap_or(words).trim();
                let query = shown(query, MAX_QUERY);
                Some(format!(
                    "The search for \"{query}\" was not run: no web search is available here. Asking again gives the same \
                     answer. Fetch a page whose address is known, or go on with what is known."
                ))
            }
        }
    }
}

/// Plays an answer that no provider gave, as one would have. Nothing said is nothing: not an empty message.
pub fn play(answer: &str, sink: &mut dyn EventSink) {
    sink.event(TurnEvent::Started);
    if !answer.is_empty() {
        sink.event(TurnEvent::Text(answer));
    }
    sink.event(TurnEvent::Finished(FinishReason::Stop));
}

/// A schema with nothing but a `title` that is a string.
fn wants_a_title(format: &Format) -> bool {
    #[derive(Deserialize)]
    struct Schema {
        properties: std::collections::BTreeMap<String, Property>,
    }
    #[derive(Deserialize)]
    struct Property {
        #[serde(rename = "type")]
        kind: String,
    }
    let Format::JsonSchema { schema, .. } = format else { return false };
    let Ok(schema) = serde_json::from_str::<Schema>(schema.get()) else { return false };
    schema.properties.len() == 1 && schema.properties.get("title").is_some_and(|title| title.kind == "string")
}

/// The last words of the person.
fn last_words(turn: &TurnRequest) -> &str {
    let messages = turn.items.iter().rev().filter_map(|item| match item {
        Item::Message(message) if message.role == Role::User => Some(&message.content),
        _ => None,
    });
    let mut parts = messages.flat_map(|content| content.iter().rev());
    parts
        .find_map(|part| if let Content::Text(text) = part { Some(text.as_str()) } else { None })
        .unwrap_or_default()
}

/// The first words, between the marks that Claude Code sets around the session.
fn title(words: &str) -> String {
    let session = words.split_once("<session>").map_or(words, |(_, rest)| rest);
    let session = session.split_once("</session>").map_or(session, |(inside, _)| inside);
    let line = session.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let first: Vec<&str> = line.split_whitespace().take(MAX_TITLE.1).collect();
    let words = shown(&first.join(" "), MAX_TITLE.0);
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => "New session".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_short_and_never_empty() {
        let cases = [
            (
                "<session>\nfix the flaky test in ci please and thank you\n</session>\n\nWrite it",
                "Fix the flaky test in ci please",
            ),
            ("ąę", "Ąę"),
            ("<session></session>", "New session"),
            ("", "New session"),
        ];
        for (words, want) in cases {
            assert_eq!(title(words), want, "{words}");
        }
        assert_eq!(title(&"x".repeat(500)).chars().count(), 60);
    }
}
