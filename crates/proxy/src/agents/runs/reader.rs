//! Reads the answer to a turn of a run: events of the Responses API in, events of the run out. Pure.

use std::borrow::Cow;

use latimer_protocol::sse::SseDecoder;
use serde::Deserialize;

use super::event::RunEvent;
use crate::agents::run::{MAX_RESULT, RunError, RunUsage};
use crate::text::beginning;

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TurnEnd {
    /// With this answer.
    Answer(String),
    /// Without one.
    Failed(RunError),
}

/// Reads one answer.
#[derive(Debug, Default)]
pub(super) struct AnswerReader {
    decoder: SseDecoder,
    state: Answer,
}

#[derive(Debug, Default)]
struct Answer {
    /// The name by which the turn can be gone on with.
    id: Option<String>,
    /// Whether the model has said or done anything: from then on it knows what it was told.
    has_begun: bool,
    /// The last whole message.
    text: Option<String>,
    usage: RunUsage,
    end: Option<TurnEnd>,
}

/// An event of the Responses API, as far as a run needs it.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    delta: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    item_id: Option<Cow<'a, str>>,
    #[serde(default)]
    item: Option<Item>,
    #[serde(default)]
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    content: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    id: String,
    #[serde(default)]
    output: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<Refused>,
    #[serde(default)]
    incomplete_details: Option<Incomplete>,
}

/// Why an answer was cut off.
#[derive(Deserialize)]
struct Incomplete {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: u64,
}

#[derive(Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: u64,
}

/// A refusal, or the error of an answer that failed.
#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    code: Option<String>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct RefusedBody {
    error: Refused,
}

impl Refused {
    fn error(self) -> RunError {
        let code = self.code.or(self.kind).unwrap_or_else(|| "upstream_error".to_owned());
        RunError::new(code, self.message)
    }
}

/// What a refusal says that came instead of a stream.
pub(super) fn refusal(status: u16, body: &[u8]) -> RunError {
    match serde_json::from_slice::<RefusedBody>(body) {
        Ok(body) => body.error.error(),
        Err(_) => RunError::new("upstream_error", format!("the turn was refused with status {status}")),
    }
}

impl AnswerReader {
    /// Reads on.
    pub(super) fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(&RunEvent<'_>)) {
        let Self { decoder, state } = self;
        let mut read = |frame: latimer_protocol::sse::SseFrame<'_>| state.frame(frame.data, tell);
        if decoder.push(bytes, &mut read).is_err() {
            state.end.get_or_insert_with(|| {
                TurnEnd::Failed(RunError::new("too_large", "the answer holds an event of more than 16 MiB"))
            });
        }
    }

    /// The name by which the turn can be gone on with.
    pub(super) fn id(&self) -> Option<&str> {
        self.state.id.as_deref()
    }

    /// Whether the model has said or done anything.
    pub(super) fn has_begun(&self) -> bool {
        self.state.has_begun
    }

    /// What the turn used.
    pub(super) fn usage(&self) -> RunUsage {
        self.state.usage
    }

    /// How it ended, when no more bytes come.
    pub(super) fn end(self) -> TurnEnd {
        self.state.end.unwrap_or_else(|| {
            TurnEnd::Failed(RunError::new("interrupted", "the answer broke off before its end"))
        })
    }
}

impl Answer {
    fn frame(&mut self, data: &[u8], tell: &mut dyn FnMut(&RunEvent<'_>)) {
        // What is no event of ours, such as `[DONE]`, says nothing.
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else { return };
        let (item, delta) = (event.item_id.unwrap_or_default(), event.delta.unwrap_or_default());
        match &*event.kind {
            "response.created" => {
                let id = event.response.map(|response| response.id).unwrap_or_default();
                if self.id.is_none() && !id.is_empty() {
                    tell(&RunEvent::Init { continuation: &id });
                    self.id = Some(id);
                }
            }
            "response.in_progress" => {}
            "response.output_text.delta" => {
                self.has_begun = true;
                tell(&RunEvent::TextDelta { item: &item, text: &delta });
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.has_begun = true;
                tell(&RunEvent::ReasoningDelta { item: &item, text: &delta });
            }
            "response.output_item.done" => {
                self.has_begun = true;
                if let Some(item) = event.item.filter(|item| item.kind == "message") {
                    let text = item.text();
                    tell(&RunEvent::TextDone { item: &item.id, text: &text });
                    self.text = Some(text);
                }
            }
            "response.completed" | "response.incomplete" => self.completed(event.response, tell),
            "response.failed" => {
                let error = event.response.and_then(|response| response.error).map(Refused::error);
                let error = error.unwrap_or_else(|| RunError::new("upstream_error", "the turn failed"));
                self.end = Some(TurnEnd::Failed(error));
            }
            _ => self.has_begun = true,
        }
    }

    fn completed(&mut self, response: Option<Response>, tell: &mut dyn FnMut(&RunEvent<'_>)) {
        self.has_begun = true;
        let Some(response) = response else { return };
        if let Some(usage) = response.usage {
            self.usage = RunUsage {
                turns: 1,
                input_tokens: usage.input_tokens,
                cached_tokens: usage.input_tokens_details.map_or(0, |details| details.cached_tokens),
                output_tokens: usage.output_tokens,
                reasoning_tokens: usage.output_tokens_details.map_or(0, |details| details.reasoning_tokens),
            };
        } else {
            self.usage.turns = 1;
        }
        let last = response.output.iter().rev().find(|item| item.kind == "message").map(Item::text);
        let mut text = last.or_else(|| self.text.take()).unwrap_or_default();
        if let Some(Incomplete { reason }) = response.incomplete_details
            && (text.is_empty() || reason == "content_filter")
        {
            let words = format!("the answer was cut off ({reason}) before it was one");
            self.end = Some(TurnEnd::Failed(RunError::new(reason, words)));
            return;
        }
        text.truncate(beginning(&text, MAX_RESULT).len());
        tell(&RunEvent::Result { text: &text });
        self.end = Some(TurnEnd::Answer(text));
    }
}

impl Item {
    fn text(&self) -> String {
        self.content.iter().filter_map(|part| part.text.as_deref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &str) -> (AnswerReader, Vec<String>) {
        let mut reader = AnswerReader::default();
        let mut events = Vec::new();
        // Cut anywhere.
        for piece in stream.as_bytes().chunks(7) {
            reader.push(piece, &mut |event| events.push(serde_json::to_string(event).expect("JSON")));
        }
        (reader, events)
    }

    #[test]
    fn an_answer_of_two_messages_has_the_last_one_as_its_result() {
        let (reader, events) = read(concat!(
            "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n: ping\n\n",
            "data: {\"type\":\"response.reasoning_summary_text.delta\",\"item_id\":\"r\",\"delta\":\"Hm.\"}\n\n",
            "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"a\",\"delta\":\"One \\\"quoted\\\"\"}\n\n",
            "data: {\"type\":\"response.output_item.done\",\"item\":{\"id\":\"a\",\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"One\"}]}}\n\n",
            "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"output\":[{\"type\":\"message\",\"content\":[{\"text\":\"One\"}]},{\"type\":\"message\",\"content\":[{\"text\":\"Two\"}]}],",
            "\"usage\":{\"input_tokens\":9,\"output_tokens\":4,\"input_tokens_details\":{\"cached_tokens\":3}}}}\n\n",
        ));
        assert_eq!(reader.id(), Some("resp_1"));
        assert!(reader.has_begun());
        let usage = reader.usage();
        assert_eq!((usage.turns, usage.input_tokens, usage.cached_tokens, usage.output_tokens), (1, 9, 3, 4));
        assert_eq!(reader.end(), TurnEnd::Answer("Two".to_owned()));
        assert_eq!(
            events,
            [
                r#"{"type":"init","continuation":"resp_1"}"#,
                r#"{"type":"reasoning_delta","item":"r","text":"Hm."}"#,
                r#"{"type":"text_delta","item":"a","text":"One \"quoted\""}"#,
                r#"{"type":"text_done","item":"a","text":"One"}"#,
                r#"{"type":"result","text":"Two"}"#,
            ]
        );
    }

    #[test]
    fn a_failure_and_a_broken_off_answer_are_errors_and_nothing_has_begun() {
        let failed = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"later\"}}}\n\n";
        let (reader, _) = read(failed);
        assert!(!reader.has_begun());
        assert_eq!(reader.end(), TurnEnd::Failed(RunError::new("rate_limit_exceeded", "later")));
        let (reader, _) = read("data: [DONE]\n\n");
        assert!(matches!(reader.end(), TurnEnd::Failed(error) if error.code == "interrupted"));
        let cut = |reason: &str, text: &str| {
            let stream = format!(
                "data: {{\"type\":\"response.incomplete\",\"response\":{{\"output\":[{{\"type\":\"message\",\"content\":[{{\"text\":\"{text}\"}}]}}],\"incomplete_details\":{{\"reason\":\"{reason}\"}}}}}}\n\n"
            );
            read(&stream).0.end()
        };
        assert_eq!(cut("max_output_tokens", "Half"), TurnEnd::Answer("Half".to_owned()));
        assert!(
            matches!(cut("max_output_tokens", ""), TurnEnd::Failed(error) if error.code == "max_output_tokens")
        );
        assert!(matches!(cut("content_filter", "Half"), TurnEnd::Failed(_)));
        let body = br#"{"error":{"message":"no such model","type":"invalid_request_error","code":"model_not_found"}}"#;
        assert_eq!(refusal(404, body), RunError::new("model_not_found", "no such model"));
        assert_eq!(refusal(502, b"<html>").code, "upstream_error");
    }
}
