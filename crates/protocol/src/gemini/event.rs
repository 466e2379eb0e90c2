//! What an upstream sends: pieces of a `GenerateContentResponse`, bare or in an envelope.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{LenientCount, LenientFew, LenientObject, LenientText};
use crate::turn::Usage;

/// One piece of an answer, or a whole one.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a", rename_all = "camelCase")]
pub struct GeminiResponse<'a> {
    /// The envelope of Code Assist.
    #[serde(default)]
    pub response: LenientObject<Box<GeminiResponse<'a>>>,
    /// The alternatives; latimer asks for one.
    #[serde(default)]
    pub candidates: LenientFew<GeminiCandidate<'a>>,
    /// Why there is no answer at all.
    #[serde(default)]
    pub prompt_feedback: LenientObject<GeminiPromptFeedback<'a>>,
    /// Tokens so far.
    #[serde(default)]
    pub usage_metadata: LenientObject<GeminiUsage>,
    /// A failure, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
}

/// One alternative.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a", rename_all = "camelCase")]
pub struct GeminiCandidate<'a> {
    /// Its parts.
    #[serde(default)]
    pub content: LenientObject<GeminiCandidateContent<'a>>,
    /// Why it ended, once it has.
    #[serde(default)]
    pub finish_reason: LenientText<'a>,
}

/// The parts of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct GeminiCandidateContent<'a> {
    /// In order.
    #[serde(default)]
    pub parts: LenientFew<GeminiCandidatePart<'a>>,
}

/// One part: words, thoughts or a call.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a", rename_all = "camelCase")]
pub struct GeminiCandidatePart<'a> {
    /// Words, or thoughts.
    #[serde(default)]
    pub text: LenientText<'a>,
    /// `true` for thoughts.
    #[serde(default, borrow)]
    pub thought: Option<&'a RawValue>,
    /// State that belongs to exactly this part.
    #[serde(default)]
    pub thought_signature: LenientText<'a>,
    /// A call, whole.
    #[serde(default)]
    pub function_call: LenientObject<GeminiCandidateCall<'a>>,
    /// A picture or other data.
    #[serde(default, borrow)]
    pub inline_data: Option<&'a RawValue>,
    /// Code the provider runs itself.
    #[serde(default, borrow)]
    pub executable_code: Option<&'a RawValue>,
    /// What came of it.
    #[serde(default, borrow)]
    pub code_execution_result: Option<&'a RawValue>,
}

/// Which function the model wants run, whole: this wire never streams arguments.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct GeminiCandidateCall<'a> {
    /// Links it to its response; often absent.
    #[serde(default)]
    pub id: LenientText<'a>,
    /// The function.
    #[serde(default)]
    pub name: LenientText<'a>,
    /// The arguments, an object.
    #[serde(default, borrow)]
    pub args: Option<&'a RawValue>,
}

/// Why there is no answer at all.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a", rename_all = "camelCase")]
pub struct GeminiPromptFeedback<'a> {
    /// `SAFETY` and others.
    #[serde(default)]
    pub block_reason: LenientText<'a>,
}

/// Tokens.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeminiUsage {
    #[serde(default)]
    prompt_token_count: LenientCount,
    #[serde(default)]
    cached_content_token_count: LenientCount,
    #[serde(default)]
    candidates_token_count: LenientCount,
    #[serde(default)]
    thoughts_token_count: LenientCount,
}

impl GeminiUsage {
    /// In the hub's words: output holds the thoughts. `None` when it holds no number.
    pub fn to_turn(self) -> Option<Usage> {
        let output = match (self.candidates_token_count.0, self.thoughts_token_count.0) {
            (None, None) => None,
            (visible, thought) => Some(visible.unwrap_or(0).saturating_add(thought.unwrap_or(0))),
        };
        let usage = Usage {
            input: self.prompt_token_count.0,
            cached: self.cached_content_token_count.0,
            cache_write: None,
            output,
            reasoning: self.thoughts_token_count.0,
        };
        (usage != Usage::default()).then_some(usage)
    }
}
