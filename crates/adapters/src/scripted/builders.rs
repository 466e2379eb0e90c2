//! Scenarios, answers and steps in short, for tests and benches.

use serde_json::Value;

use super::render;
use super::scenario::{
    Bytes64, Encoding, Framing, ReasoningField, Scenario, ScriptedAnswer, Step, default_models,
};

impl Scenario {
    /// A scenario with these answers.
    pub fn new(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self { answers: answers.into_iter().collect(), models: default_models(), record: true }
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    /// Where the text is no JSON, or holds a field that does not exist.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The same without remembering requests, for benches.
    #[must_use]
    pub fn without_record(self) -> Self {
        Self { record: false, ..self }
    }
}

impl ScriptedAnswer {
    /// A stream of exactly these steps.
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }

    /// A stream of these steps and a proper end: finish reason, usage, end marker.
    pub fn turn(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut answer = Self::steps(steps);
        let calls = answer.steps.iter().any(|step| matches!(step, Step::Call { .. }));
        let reason = if calls { "tool_calls" } else { "stop" };
        answer.steps.extend([Step::finish(reason), Step::usage(10, 5), Step::Done]);
        answer
    }

    /// The payloads of the `data:` lines this answer streams, for transcripts.
    pub fn payloads(&self) -> Vec<String> {
        render::payloads(self)
    }

    /// A whole turn that says this.
    pub fn text(text: impl Into<String>) -> Self {
        Self::turn([Step::text(text)])
    }

    /// A whole turn that calls one tool.
    #[expect(clippy::needless_pass_by_value, reason = "callers write json!(…) in place")]
    pub fn call(id: &str, name: &str, arguments: Value) -> Self {
        Self::turn([Step::call(id, name, arguments.to_string())])
    }

    /// One JSON document with a status, such as an error.
    pub fn error(status: u16, json: Value) -> Self {
        Self { status, ..Self::steps([Step::Body { json }]) }
    }

    /// One JSON document instead of a stream.
    pub fn whole(json: Value) -> Self {
        Self::error(200, json)
    }

    /// These bytes instead of an HTTP answer; then the connection closes.
    pub fn raw_tcp(bytes: impl Into<Vec<u8>>) -> Self {
        let wire = Step::WireBytes { base64: Bytes64(bytes.into()) };
        Self { framing: Framing::Headless, ..Self::steps([wire, Step::Cut]) }
    }

    /// The connection closes without an answer.
    pub fn close() -> Self {
        Self { framing: Framing::Headless, ..Self::steps([Step::Cut]) }
    }

    /// The connection is reset without an answer.
    pub fn reset() -> Self {
        Self { framing: Framing::Headless, ..Self::steps([Step::Reset]) }
    }

    /// No answer, and the connection stays open.
    pub fn silence() -> Self {
        Self { framing: Framing::Headless, ..Self::steps([Step::Stall]) }
    }

    /// With a further response header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With another status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// With another content type; empty sends none.
    #[must_use]
    pub fn content_type(self, content_type: &str) -> Self {
        Self { content_type: Some(content_type.to_owned()), ..self }
    }

    /// Only for requests whose last user or tool message contains this text.
    #[must_use]
    pub fn when(self, text: &str) -> Self {
        Self { when: Some(text.to_owned()), ..self }
    }

    /// After a silence.
    #[must_use]
    pub fn delay_ms(self, delay_ms: u64) -> Self {
        Self { delay_ms, ..self }
    }

    /// With a head that comes byte by byte.
    #[must_use]
    pub fn head_gap_ms(self, head_gap_ms: u64) -> Self {
        Self { head_gap_ms, ..self }
    }

    /// With another framing.
    #[must_use]
    pub fn framing(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// Compressed.
    #[must_use]
    pub fn encoding(self, encoding: Encoding) -> Self {
        Self { encoding: Some(encoding), ..self }
    }
}

impl Step {
    /// Text in one chunk.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), pieces: 1, gap_us: 0 }
    }

    /// Thoughts in one chunk.
    pub fn reasoning(text: impl Into<String>) -> Self {
        Self::Reasoning { text: text.into(), pieces: 1, gap_us: 0, field: ReasoningField::default() }
    }

    /// A call with its arguments in one chunk; of several calls, set `index` in the variant itself.
    pub fn call(id: &str, name: &str, arguments: impl Into<String>) -> Self {
        let (id, name) = (id.to_owned(), name.to_owned());
        Self::Call { id, name, arguments: arguments.into(), pieces: 1, gap_us: 0, index: 0 }
    }

    /// The finish reason.
    pub fn finish(reason: &str) -> Self {
        Self::Finish { reason: reason.to_owned() }
    }

    /// Usage without details.
    pub fn usage(input: u64, output: u64) -> Self {
        Self::Usage { input, output, cached: 0, reasoning: 0 }
    }

    /// Text inside the framing, as it is.
    pub fn raw(text: impl Into<String>) -> Self {
        Self::Raw { text: text.into() }
    }

    /// Text on the socket itself.
    pub fn wire(text: impl Into<String>) -> Self {
        Self::Wire { text: text.into() }
    }

    /// A comment line.
    pub fn comment(text: impl Into<String>) -> Self {
        Self::Comment { text: text.into() }
    }

    /// A pause.
    pub fn sleep(ms: u64) -> Self {
        Self::Sleep { ms }
    }

    /// These steps, `times` times.
    pub fn repeat(times: u64, steps: impl IntoIterator<Item = Self>) -> Self {
        Self::Repeat { times, steps: steps.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_and_the_builders_say_the_same() {
        let file = r#"{"answers": [
            {"status": 429, "headers": [["retry-after", "1"]], "steps": [{"type": "body", "json": {"error": {}}}]},
            {"when": "tests", "steps": [
                {"type": "text", "text": "on it", "pieces": 1},
                {"type": "call", "id": "c1", "name": "exec", "arguments": "{}", "pieces": 1},
                {"type": "finish", "reason": "tool_calls"}, {"type": "usage", "input": 10, "output": 5}, {"type": "done"}
            ]},
            {"framing": {"length": 99}, "encoding": "gzip", "steps": [
                {"type": "raw_bytes", "base64": "AAE="},
                {"type": "repeat", "times": 3, "steps": [{"type": "comment"}, {"type": "sleep", "ms": 5}]},
                {"type": "cut"}
            ]}
        ]}"#;
        let built = Scenario::new([
            ScriptedAnswer::error(429, json!({"error": {}})).header("retry-after", "1"),
            ScriptedAnswer::turn([Step::text("on it"), Step::call("c1", "exec", "{}")]).when("tests"),
            ScriptedAnswer::steps([
                Step::RawBytes { base64: Bytes64(vec![0, 1]) },
                Step::repeat(3, [Step::comment(""), Step::sleep(5)]),
                Step::Cut,
            ])
            .framing(Framing::Length(99))
            .encoding(Encoding::Gzip),
        ]);
        assert_eq!(Scenario::from_json(file).expect("valid"), built);
    }
}
