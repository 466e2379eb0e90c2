//! `quirks` of an endpoint.

use latimer_adapters::chat::quirks::{Echo, Quirks, ReasoningStyle, ToolChoiceSupport};

use crate::config::read::{ProblemCollector, Table};
use crate::config::schema;

/// Overrides single quirks by what the file says.
pub(super) fn override_by(quirks: &mut Quirks, table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) {
    const REASONING: [(&str, ReasoningStyle); 7] = [
        ("none", ReasoningStyle::None),
        ("effort", ReasoningStyle::Effort),
        ("thinking", ReasoningStyle::ThinkingObject),
        ("thinking_and_effort", ReasoningStyle::ThinkingAndEffort),
        ("enable_thinking", ReasoningStyle::EnableThinking),
        ("chat_template", ReasoningStyle::ChatTemplate),
        ("openrouter", ReasoningStyle::OpenRouter),
    ];
    const ECHO: [(&str, Echo); 4] = [
        ("never", Echo::Never),
        ("with_calls", Echo::WithCalls),
        ("always", Echo::Always),
        ("details", Echo::Details),
    ];
    table.only(&schema::QUIRKS, notes);
    if let Some(style) = table.word("reasoning", &REASONING, notes) {
        quirks.reasoning = style;
    }
    if let Some(echo) = table.word("echo_reasoning", &ECHO, notes) {
        quirks.echo = echo;
    }
    if let Some(full) = table.boolean("tool_choice", notes) {
        quirks.tool_choice = if full { ToolChoiceSupport::Full } else { ToolChoiceSupport::AutoOnly };
    }
    let switches: [(&str, &mut bool); 13] = [
        ("max_completion_tokens", &mut quirks.max_completion_tokens),
        ("developer_role", &mut quirks.developer_role),
        ("single_system", &mut quirks.single_system),
        ("null_content", &mut quirks.null_content),
        ("stream_options", &mut quirks.stream_options),
        ("tools", &mut quirks.tools),
        ("parallel_tool_calls", &mut quirks.parallel_tool_calls),
        ("sampling", &mut quirks.sampling),
        ("nine_character_call_ids", &mut quirks.nine_character_call_ids),
        ("json_schema", &mut quirks.json_schema),
        ("prompt_cache_key", &mut quirks.prompt_cache_key),
        ("images", &mut quirks.images),
        ("tool_images", &mut quirks.tool_images),
    ];
    for (name, switch) in switches {
        if let Some(on) = table.boolean(name, notes) {
            *switch = on;
        }
    }
}
