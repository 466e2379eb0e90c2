//! What an upstream sends: chunks of a stream, or one whole completion. Every spelling seen in the wild is accepted.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{LenientCount, LenientFew, LenientList, LenientObject, LenientText, TextOrParts};
use crate::turn::Usage;

/// One `data:` line of a stream, or a whole `chat.completion`.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ChatChunk<'a> {
    /// The alternatives; latimer asks for one.
    #[serde(default)]
    pub choices: LenientFew<ChatChoice<'a>>,
    /// Tokens; in the last chunk, in every chunk, or nowhere.
    #[serde(default)]
    pub usage: LenientObject<ChatUsage>,
    /// Groq's place for usage.
    #[serde(default)]
    pub x_groq: LenientObject<ChatGroqExtra>,
    /// A failure in mid-stream, in any shape. `null` is none.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
}

/// One alternative.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ChatChoice<'a> {
    /// 0 for the only one latimer asks for.
    #[serde(default)]
    pub index: LenientCount,
    /// A piece of the message, in a stream.
    #[serde(default)]
    pub delta: LenientObject<ChatDelta<'a>>,
    /// The whole message, outside of a stream.
    #[serde(default)]
    pub message: LenientObject<Box<ChatDelta<'a>>>,
    /// Why it ended, once it has.
    #[serde(default)]
    pub finish_reason: LenientText<'a>,
    /// Moonshot's place for usage.
    #[serde(default)]
    pub usage: LenientObject<ChatUsage>,
}

/// A piece of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ChatDelta<'a> {
    /// Words.
    #[serde(default)]
    pub content: TextOrParts<'a>,
    /// Thoughts: DeepSeek, Kimi, Z.ai, vLLM, xAI and others.
    #[serde(default)]
    pub reasoning_content: LenientText<'a>,
    /// Thoughts: OpenRouter, Ollama, Groq, Cerebras and others. Some servers send both spellings with the same text.
    #[serde(default)]
    pub reasoning: LenientText<'a>,
    /// OpenRouter's structured thoughts, which it wants back unchanged.
    #[serde(default, borrow)]
    pub reasoning_details: Option<&'a RawValue>,
    /// A piece of the words in which the model declines; `null` beside ordinary words.
    #[serde(default)]
    pub refusal: LenientText<'a>,
    /// Pieces of calls.
    #[serde(default)]
    pub tool_calls: LenientList<ChatToolCallDelta<'a>>,
    /// The single call of the API's first form.
    #[serde(default)]
    pub function_call: LenientObject<ChatFunctionDelta<'a>>,
}

/// A piece of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ChatToolCallDelta<'a> {
    /// Which call; missing or always 0 at some providers.
    #[serde(default)]
    pub index: LenientCount,
    /// In the first piece; empty or missing at some providers.
    #[serde(default)]
    pub id: LenientText<'a>,
    /// The name and a piece of the arguments.
    #[serde(default)]
    pub function: LenientObject<ChatFunctionDelta<'a>>,
}

/// The name and a piece of the arguments of a call.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ChatFunctionDelta<'a> {
    /// In the first piece; repeated in each at some providers.
    #[serde(default)]
    pub name: LenientText<'a>,
    /// A piece of JSON text; some providers send the object itself.
    #[serde(default, borrow)]
    pub arguments: Option<&'a RawValue>,
}

/// Tokens in every place and spelling.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct ChatUsage {
    #[serde(default)]
    prompt_tokens: LenientCount,
    #[serde(default)]
    completion_tokens: LenientCount,
    #[serde(default)]
    prompt_tokens_details: LenientObject<InputDetails>,
    #[serde(default)]
    completion_tokens_details: LenientObject<OutputDetails>,
    /// DeepSeek.
    #[serde(default)]
    prompt_cache_hit_tokens: LenientCount,
    /// Moonshot.
    #[serde(default)]
    cached_tokens: LenientCount,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: LenientCount,
    #[serde(default)]
    cache_write_tokens: LenientCount,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: LenientCount,
}

/// Groq's extra field.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct ChatGroqExtra {
    /// Tokens.
    #[serde(default)]
    pub usage: LenientObject<ChatUsage>,
}

impl ChatUsage {
    /// As the hub says it; `None` when it holds no number.
    pub fn to_turn(self) -> Option<Usage> {
        let input_details = self.prompt_tokens_details.0.unwrap_or_default();
        let usage = Usage {
            input: self.prompt_tokens.0,
            cached: input_details.cached_tokens.0.or(self.prompt_cache_hit_tokens.0).or(self.cached_tokens.0),
            cache_write: input_details.cache_write_tokens.0,
            output: self.completion_tokens.0,
            reasoning: self.completion_tokens_details.0.and_then(|details| details.reasoning_tokens.0),
        };
        (usage != Usage::default()).then_some(usage)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        let chunk: ChatChunk<'_> = serde_json::from_str(
            r#"{"choices":[{"index":0,"delta":{"content":"plain","role":"assistant"}}]}"#,
        )
        .expect("a chunk");
        let delta = chunk.choices[0].delta.0.as_ref().expect("a delta");
        assert!(matches!(delta.content.text.0, Some(Cow::Borrowed("plain"))));
    }

    #[test]
    fn wrong_types_do_not_take_the_text_along() {
        let bodies = [
            r#"{"choices":[{"index":"0","delta":{"content":"kept","tool_calls":{},"reasoning":7},"finish_reason":[]}],"usage":"no"}"#,
            r#"{"choices":[null,{"delta":{"content":[{"type":"text","text":"kept"},3,{"type":"x"}],"refusal":null}}],"x_groq":1,"error":null}"#,
            r#"{"choices":[{"index":0.0,"delta":{"content":"kept","tool_calls":[null,3],"function_call":"f"}}],"usage":{"prompt_tokens":"7"}}"#,
        ];
        for body in bodies {
            let chunk: ChatChunk<'_> = serde_json::from_str(body).expect(body);
            let delta = chunk.choices[0].delta.0.as_ref().expect("a delta");
            assert_eq!(delta.content.text.some(), Some("kept"), "{body}");
        }
    }

    #[test]
    fn thinking_parts_are_told_apart() {
        let body = r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"yes"}]}"#;
        let delta: ChatDelta<'_> = serde_json::from_str(body).expect("a delta");
        assert_eq!((delta.content.thinking.as_str(), delta.content.text.some()), ("hm", Some("yes")));
    }
}
