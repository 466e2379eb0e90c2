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

/// What the provider says to a request: a head, and steps that write the body.
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

impl<'de> Deserialize<'de> for Bytes64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

pub(super) fn default_models() -> Vec<String> {
    vec!["scripted".to_owned()]
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_an_error() {
        let error = Scenario::from_json(r#"{"answers": [{"staus": 200}]}"#).expect_err("misspelt");
        assert!(error.to_string().contains("staus"), "{error}");
        let error =
            Scenario::from_json(r#"{"answers": [{"steps": [{"type": "sleeep"}]}]}"#).expect_err("misspelt");
        assert!(error.to_string().contains("sleeep"), "{error}");
    }
}
