//! The tools of a turn in words, for the form of plain strings, which has no field for them: how they are called, and which of
//! them must be. Pure.

use latimer_protocol::turn::{Tool, ToolChoice, TurnRequest};

use crate::schema;
use crate::tool_names::ToolNames;

/// The most of the list of tools with their schemas, in bytes; a longer one holds names and descriptions only.
const MAX_TOOL_LIST: usize = 32 * 1024;
/// The most of one description, in characters.
const MAX_DESCRIPTION: usize = 600;
/// How a call is written. The provider's own way of showing earlier calls, so that the model sees one way only; `arguments` may
/// be the object itself, which models write with fewer slips than JSON inside of a string.
const CALL_SYNTAX: &str = "To use a tool, write one JSON object on a line of its own, and nothing behind it: {\"type\":\"tool-call\",\"id\":\"call_1\",\"name\":\"TOOL\",\"arguments\":{…}}. The result comes in the next message.";

/// The tools and how one of them is called; `None` where no call is wanted.
pub(super) fn tools(turn: &TurnRequest, names: &ToolNames) -> Option<String> {
    if turn.tools.is_empty() || turn.tool_choice == ToolChoice::None {
        return None;
    }
    let whole = list(&turn.tools, names, true);
    let list = if whole.len() > MAX_TOOL_LIST { list(&turn.tools, names, false) } else { whole };
    let demand = match &turn.tool_choice {
        ToolChoice::Auto | ToolChoice::None => String::new(),
        ToolChoice::Required => " The next answer must use a tool.".to_owned(),
        ToolChoice::Function(name) => {
            format!(" The next answer must use the tool `{}`.", names.provider_name(name))
        }
    };
    Some(format!("{list}{CALL_SYNTAX}{demand}"))
}

fn list(tools: &[Tool], names: &ToolNames, schemas: bool) -> String {
    let mut text = String::from("These tools can be used:\n");
    for tool in tools {
        text.push_str("- ");
        text.push_str(names.provider_name(&tool.name));
        if let Some(description) = &tool.description {
            text.push_str(": ");
            text.extend(description.chars().take(MAX_DESCRIPTION));
        }
        if schemas && tool.parameters.is_some() {
            text.push_str("\n  arguments: ");
            text.push_str(schema::parameters(tool, &mut Vec::new()).get());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool_names::ToolNameRule;
    use serde_json::value::RawValue;
    use toolcall_parser::{Options, PieceKind, Tool as Known, parse};

    fn turn(schema: &str, choice: ToolChoice) -> TurnRequest {
        let tool = Tool {
            name: "shell".into(),
            description: Some("Runs a command.".into()),
            parameters: RawValue::from_string(schema.into()).ok(),
            strict: None,
        };
        TurnRequest { tools: vec![tool], tool_choice: choice, ..TurnRequest::default() }
    }

    fn prompt(schema: &str, choice: ToolChoice) -> Option<String> {
        let turn = turn(schema, choice);
        tools(&turn, &ToolNames::new(&turn, ToolNameRule::COMMON))
    }

    const SCHEMA: &str = r#"{"type":"object","properties":{"cmd":{"type":"string"}}}"#;

    #[test]
    fn tools_are_told_as_far_as_they_are_wanted() {
        let prompt_of = |choice| prompt(SCHEMA, choice).unwrap_or_default();
        let usual = prompt_of(ToolChoice::Auto);
        assert_eq!(
            usual,
            format!(
                "These tools can be used:\n- shell: Runs a command.\n  arguments: {SCHEMA}\n{CALL_SYNTAX}"
            )
        );
        assert_eq!(prompt(SCHEMA, ToolChoice::None), None);
        assert_eq!(prompt_of(ToolChoice::Required), format!("{usual} The next answer must use a tool."));
        let named = prompt_of(ToolChoice::Function("shell".into()));
        assert_eq!(named, format!("{usual} The next answer must use the tool `shell`."));
    }

    #[test]
    fn a_long_list_has_no_schemas() {
        let long = format!(r#"{{"type":"object","description":"{}"}}"#, "x".repeat(MAX_TOOL_LIST));
        let prompt = prompt(&long, ToolChoice::Auto).expect("told");
        assert_eq!(prompt, format!("These tools can be used:\n- shell: Runs a command.\n{CALL_SYNTAX}"));
    }

    #[test]
    fn a_call_as_announced_and_as_shown_in_the_history_is_read_as_that_call() {
        let announced =
            CALL_SYNTAX.split_once(": ").and_then(|(_, rest)| rest.split_once(". The")).expect("a pattern").0;
        let announced = announced.replace("TOOL", "shell").replace("{…}", r#"{"cmd":"ls"}"#);
        let shown = r#"{"type":"tool-call","id":"call_1","name":"shell","arguments":"{\"cmd\":\"ls\"}"}"#;
        for line in [announced.as_str(), shown] {
            for text in
                [line.to_owned(), format!("I will look.\n{line}"), format!("I will look.\n\n{line}\n")]
            {
                let calls: Vec<_> = parse(&text, &Options::new([Known::new("shell", SCHEMA)]))
                    .into_iter()
                    .filter_map(
                        |piece| if let PieceKind::Call(call) = piece.kind { Some(call) } else { None },
                    )
                    .map(|call| (call.name, call.arguments))
                    .collect();
                assert_eq!(calls, [("shell".to_owned(), r#"{"cmd":"ls"}"#.to_owned())], "{text}");
            }
        }
    }
}
