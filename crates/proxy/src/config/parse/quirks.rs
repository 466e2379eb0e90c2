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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::tests::{endpoint, problems_of_endpoint};

    fn quirks(keys: &str) -> Quirks {
        endpoint(&format!("quirks = {{ {keys} }}")).quirks
    }

    #[test]
    fn every_switch_turns_one_quirk_and_no_other() {
        let mut seen = Vec::new();
        for key in schema::QUIRKS.iter().filter(|key| key.kind == "true or false") {
            let usual = key.default == "true";
            assert_eq!(
                quirks(&format!("{} = {usual}", key.name)),
                Quirks::DEFAULT,
                "{}: its default",
                key.name
            );
            let turned = quirks(&format!("{} = {}", key.name, !usual));
            assert_ne!(turned, Quirks::DEFAULT, "{}", key.name);
            assert!(!seen.contains(&turned), "{} turns what another key turns", key.name);
            seen.push(turned);
        }
        assert_eq!(quirks("tool_choice = false").tool_choice, ToolChoiceSupport::AutoOnly);
    }

    #[test]
    fn every_word_of_the_reference_is_understood() {
        for name in ["reasoning", "echo_reasoning"] {
            let key = schema::QUIRKS.iter().find(|key| key.name == name).expect(name);
            let words: Vec<&str> =
                key.kind.split([',', ' ']).filter(|word| !matches!(*word, "" | "or")).collect();
            let read: Vec<Quirks> =
                words.iter().map(|word| quirks(&format!("{name} = \"{word}\""))).collect();
            for (place, quirks) in read.iter().enumerate() {
                assert!(
                    !read[..place].contains(quirks),
                    "{name}: {} is what an earlier word is",
                    words[place]
                );
            }
            assert_eq!(quirks(&format!("{name} = \"{}\"", key.default)), Quirks::DEFAULT);
        }
        let found = problems_of_endpoint("quirks = { reasoning = \"efort\" }");
        assert!(
            matches!(&found[..], [one] if one.starts_with("4:24: endpoint[0].quirks.reasoning: should be one of: none, effort,") && one.ends_with("did you mean \"effort\"?")),
            "{found:?}"
        );
    }

    #[test]
    fn a_presets_quirks_hold_but_for_those_that_the_file_names() {
        let preset = crate::config::presets::find("deepseek").expect("a preset");
        let own = endpoint("preset = \"deepseek\"\nquirks = { tools = false }").quirks;
        assert_eq!(own, Quirks { tools: false, ..preset.quirks.clone() });
    }
}
