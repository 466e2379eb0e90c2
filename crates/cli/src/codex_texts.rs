//! The base prompt of models that Codex does not know.
//!
//! A catalog entry cannot do without one, and the prompts Codex brings along introduce the model as one of OpenAI's.

use latimer_proxy::inbound::models::CodexTexts;

/// The texts `latimer launch codex` puts into the generated catalog.
pub(crate) fn codex_texts() -> CodexTexts {
    CodexTexts { base_instructions: include_str!("codex_instructions.md").trim_end().to_owned() }
}
