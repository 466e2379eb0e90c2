//! What a scripted provider answers, as data: made with builders, or read from a JSON file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// What a provider answers to the requests it gets.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The n-th request gets the n-th answer of those without a `when`; the last one repeats.
    pub answers: Vec<ScriptedAnswer>,
    /// What `GET /v1/models` lists.
    #[serde(default = "default_models")]
    pub models: Vec<String>,
    /// Whether requests are kept for [`Provider::requests`](super::Provider::requests); off for benches.
    #[serde(default = "yes")]
    pub record: bool,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedAnswer {
    /// Answer only requests whose last user or tool message contains this text; goes before the order.
    pub when: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// Further response headers, sent as they are.
    pub headers: Vec<(String, String)>,
    /// The content type; empty sends none. By default it follows from the steps.
    pub content_type: Option<String>,
    /// Silence before the head, in milliseconds.
    pub delay_ms: u64,
    /// Pause after each byte of the head, in milliseconds.
    pub head_gap_ms: u64,
    /// How the end of the body is told.
    pub framing: Framing,
    /// How the body is compressed, asked for or not.
    pub encoding: Option<Encoding>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// The true length for a lone [`Step::Body`], chunks for everything else.
    #[default]
    Auto,
    /// Chunked transfer coding.
    Chunked,
    /// No length: the connection closes.
    Close,
    /// This length, true or not.
    Length(u64),
    /// No head at all: [`Step::Wire`] steps say everything.
    Headless,
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As in RFC 1952.
    Gzip,
    /// In a zlib frame.
    Deflate,
}

/// Which name a provider has for readable thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// DeepSeek, Kimi and most others.
    #[default]
    ReasoningContent,
    /// OpenRouter, Ollama, Groq.
    Reasoning,
}

/// Bytes that a JSON file spells in base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes64(pub Vec<u8>);

/// One thing that happens in an answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Answer text, cut into `pieces` chunks.
    Text {
        /// The text.
        text: String,
        /// Number of chunks; 0 counts as 1.
        #[serde(default)]
        pieces: usize,
        /// Pause before each chunk, in microseconds.
        #[serde(default)]
        gap_us: u64,
    },
    /// Readable thoughts, cut into `pieces` chunks.
    Reasoning {
        /// The thoughts.
        text: String,
        /// Number of chunks; 0 counts as 1.
        #[serde(default)]
        pieces: usize,
        /// Pause before each chunk, in microseconds.
        #[serde(default)]
        gap_us: u64,
        /// The field they travel in.
        #[serde(default)]
        field: ReasoningField,
    },
    /// A tool call: one chunk with its id and name, then its arguments in `pieces` chunks.
    Call {
        /// The upstream's id.
        id: String,
        /// The tool.
        name: String,
        /// JSON text, right or wrong.
        arguments: String,
        /// Number of chunks for the arguments; 0 counts as 1.
        #[serde(default)]
        pieces: usize,
        /// Pause before each chunk, in microseconds.
        #[serde(default)]
        gap_us: u64,
        /// Which call of the answer.
        #[serde(default)]
        index: u32,
    },
    /// A frame with this JSON.
    Chunk {
        /// The JSON.
        json: Value,
    },
    /// The usage chunk, with no choices.
    Usage {
        /// Prompt tokens.
        input: u64,
        /// Completion tokens.
        output: u64,
        /// Prompt tokens read from a cache.
        #[serde(default)]
        cached: u64,
        /// Completion tokens spent on thoughts.
        #[serde(default)]
        reasoning: u64,
    },
    /// The chunk with the finish reason.
    Finish {
        /// As the provider spells it.
        reason: String,
    },
    /// The end marker, `data: [DONE]`.
    Done,
    /// A comment line.
    Comment {
        /// What follows the colon.
        #[serde(default)]
        text: String,
    },
    /// Text inside the body's framing, as it is: garbage, cut frames, odd line ends.
    Raw {
        /// The text.
        text: String,
    },
    /// Bytes inside the body's framing, as they are.
    RawBytes {
        /// The bytes.
        base64: Bytes64,
    },
    /// Text on the socket itself, outside of any framing.
    Wire {
        /// The text.
        text: String,
    },
    /// Bytes on the socket itself, outside of any framing.
    WireBytes {
        /// The bytes.
        base64: Bytes64,
    },
    /// One JSON document, for answers that are no stream.
    Body {
        /// The document.
        json: Value,
    },
    /// A pause.
    Sleep {
        /// In milliseconds.
        ms: u64,
    },
    /// The same steps again and again.
    Repeat {
        /// How often.
        times: u64,
        /// What.
        steps: Vec<Step>,
    },
    /// The connection closes here, in the middle of whatever it was.
    Cut,
    /// The connection is reset here.
    Reset,
    /// Silence until the client leaves.
    Stall,
    /// The body ends here, properly. Implied after the last step.
    End,
}

impl Scenario {
    /// A scenario with these answers.
    pub fn new(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self { answers: answers.into_iter().collect(), models: default_models(), record: true }
    }

    /// Reads a scenario file.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The same without remembering requests, for benches.
    #[must_use]
    pub fn without_record(self) -> Self {
        Self { record: false, ..self }
    }
}

impl Default for ScriptedAnswer {
    fn default() -> Self {
        Self {
            when: None,
            status: 200,
            headers: Vec::new(),
            content_type: None,
            delay_ms: 0,
            head_gap_ms: 0,
            framing: Framing::Auto,
            encoding: None,
            steps: Vec::new(),
        }
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
        super::render::payloads(self)
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

impl<'de> Deserialize<'de> for Bytes64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

fn default_models() -> Vec<String> {
    vec!["scripted".to_owned()]
}

fn yes() -> bool {
    true
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

    #[test]
    fn a_misspelt_field_is_an_error() {
        let error = Scenario::from_json(r#"{"answers": [{"staus": 200}]}"#).expect_err("misspelt");
        assert!(error.to_string().contains("staus"), "{error}");
        let error =
            Scenario::from_json(r#"{"answers": [{"steps": [{"type": "sleeep"}]}]}"#).expect_err("misspelt");
        assert!(error.to_string().contains("sleeep"), "{error}");
    }
}
