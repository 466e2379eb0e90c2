//! A client's own Chat Completions request, for a provider that takes it as it is: everything latimer has no reason to touch goes
//! out byte for byte, so that also fields which only this provider knows arrive. Pure.

use latimer_protocol::turn::{Content, Item, Role, TurnRequest};
use serde_json::Value;
use serde_json::value::RawValue;

use super::quirks::{Quirks, ToolChoiceSupport};
use crate::fields::{Fields, is_no_choice};
use crate::pairing::{is_paired, lacks_user};
use crate::schema::lower_declarations;

/// The request with the provider's name for the model. `None` when anything in it has to be changed for this provider, or when it
/// holds state that must find its owner: then the turn is translated.
pub fn rewrite(body: &[u8], turn: &TurnRequest, quirks: &Quirks) -> Option<Vec<u8>> {
    let Fields(fields) = serde_json::from_slice(body).ok()?;
    let fits = takes_everything(quirks) && turn.items.iter().all(|item| fits(item, quirks));
    if !fits || !systems_fit(turn, quirks) || !is_paired(&turn.items) || lacks_user(&turn.items) {
        return None;
    }
    let mut out = b"{".to_vec();
    let mut put = |name: &str, value: &str| {
        out.extend_from_slice(if out.len() > 1 { b"," } else { b"" });
        out.extend_from_slice(Value::from(name).to_string().as_bytes());
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    };
    put("model", &Value::from(turn.model.as_str()).to_string());
    // Usage is recorded also where the client does not ask for it.
    put("stream_options", "{\"include_usage\":true}");
    let limit = if quirks.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    let mut streams = false;
    for (name, value) in &fields {
        match name.as_ref() {
            "model" | "stream_options" => {}
            "stream" => {
                streams = value.get() == "true";
                put(name, value.get());
            }
            // Its first form, and what other protocols call their fields: not every provider knows them.
            "functions" | "function_call" | "system" => return None,
            "tools" if !plain_tools(value, turn) => return None,
            "tools" => put(name, &lower_declarations(value)),
            "messages" if !plain_messages(value, quirks) => return None,
            "tool_choice" if is_no_choice(value) => {}
            "prompt_cache_key" if !quirks.prompt_cache_key => {}
            "max_tokens" | "max_completion_tokens" => {
                if name != limit && fields.iter().any(|(other, _)| other == limit) {
                    continue;
                }
                put(limit, value.get());
            }
            _ => put(name, value.get()),
        }
    }
    out.push(b'}');
    // One object at the end is made by latimer, and for that it has to read the answer.
    streams.then_some(out)
}

/// The provider takes all that the API documents.
fn takes_everything(quirks: &Quirks) -> bool {
    quirks.stream_options
        && quirks.tools
        && quirks.parallel_tool_calls
        && quirks.sampling
        && quirks.json_schema
        && quirks.images
        && quirks.null_content
        && quirks.tool_choice == ToolChoiceSupport::Full
        && !quirks.nine_character_call_ids
        && !quirks.alternate_roles
        && quirks.least_tokens.is_none()
        && quirks.extra_body.is_none()
}

/// Thoughts may hold state, which the client carries sealed; and pictures inside of outputs are moved for most providers.
fn fits(item: &Item, quirks: &Quirks) -> bool {
    match item {
        Item::Reasoning(_) => false,
        Item::Output(output) => {
            quirks.tool_images || output.content.iter().all(|part| matches!(part, Content::Text(_)))
        }
        Item::Message(_) | Item::Call(_) => true,
    }
}

/// System texts stand where the provider takes them.
fn systems_fit(turn: &TurnRequest, quirks: &Quirks) -> bool {
    let is_system = |item: &Item| matches!(item, Item::Message(message) if message.role == Role::System);
    !quirks.single_system || turn.items.iter().skip(1).all(|item| !is_system(item))
}

/// Functions in the documented form, with names that needed no change.
fn plain_tools(raw: &RawValue, turn: &TurnRequest) -> bool {
    let Ok(tools) = serde_json::from_str::<Vec<Value>>(raw.get()) else { return false };
    let plain = |tool: &Value| {
        let name = tool.get("function").and_then(|function| function.get("name")).and_then(Value::as_str);
        tool.get("type").and_then(Value::as_str) == Some("function")
            && name.is_some_and(|name| turn.tools.iter().any(|tool| tool.name == name))
    };
    tools.len() == turn.tools.len() && tools.iter().all(plain)
}

/// Messages of the documented roles, with the fields that every provider knows. Their content is not looked at: parts are the
/// provider's to refuse.
fn plain_messages(raw: &RawValue, quirks: &Quirks) -> bool {
    const FIELDS: [&str; 6] = ["role", "content", "name", "tool_calls", "tool_call_id", "refusal"];
    let Ok(messages) = serde_json::from_str::<Vec<Fields<'_>>>(raw.get()) else { return false };
    messages.iter().all(|Fields(fields)| {
        fields.iter().all(|(name, value)| match name.as_ref() {
            "role" => match value.get() {
                "\"system\"" | "\"user\"" | "\"assistant\"" | "\"tool\"" => true,
                role => role == "\"developer\"" && quirks.developer_role,
            },
            "tool_calls" => serde_json::from_str::<Vec<Value>>(value.get()).is_ok_and(|calls| {
                calls.iter().all(|call| {
                    let arguments = call.get("function").and_then(|function| function.get("arguments"));
                    call.get("id").is_some_and(Value::is_string) && arguments.is_some_and(Value::is_string)
                })
            }),
            name => FIELDS.contains(&name),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::{Message, ReasoningItem, Tool};

    fn turn() -> TurnRequest {
        let said =
            |role, text: &str| Item::Message(Message { role, content: vec![Content::Text(text.into())] });
        let tool = |name: &str| Tool { name: name.into(), description: None, parameters: None, strict: None };
        TurnRequest {
            model: "real".to_owned(),
            items: vec![said(Role::System, "be brief"), said(Role::User, "go")],
            tools: vec![tool("bash")],
            ..TurnRequest::default()
        }
    }

    const BODY: &str = r#"{"model":"alias","stream" : true,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"żółw"}],"tools":[{"type":"function","function":{"name":"bash"}}],"max_completion_tokens":9,"prompt_cache_key":"k","top_k": 40,"provider":{"order":["a"]}}"#;

    #[test]
    fn what_needs_no_change_goes_out_as_it_came() {
        let rewritten = rewrite(BODY.as_bytes(), &turn(), &Quirks::DEFAULT).expect("passes");
        assert_eq!(
            String::from_utf8_lossy(&rewritten),
            r#"{"model":"real","stream_options":{"include_usage":true},"stream":true,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"żółw"}],"tools":[{"type":"function","function":{"name":"bash"}}],"max_tokens":9,"top_k":40,"provider":{"order":["a"]}}"#
        );
    }

    #[test]
    fn what_needs_a_change_is_translated() {
        let changed = |from: &str, to: &str| BODY.replace(from, to);
        let bodies = [
            changed("\"stream\" : true", "\"stream\":false"),
            changed("\"stream\" : true,", ""),
            changed("\"tools\":[", "\"functions\":[],\"tools\":["),
            changed("\"name\":\"bash\"", "\"name\":\"a b\""),
            changed("\"type\":\"function\"", "\"type\":\"custom\""),
            changed("\"role\":\"system\"", "\"role\":\"developer\""),
            changed("\"role\":\"user\"", "\"role\":\"function\""),
            changed("\"content\":\"żółw\"", "\"content\":\"\",\"reasoning_details\":[]"),
            changed("\"content\":\"żółw\"", "\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]"),
            "[]".to_owned(),
        ];
        for body in bodies {
            assert_eq!(rewrite(body.as_bytes(), &turn(), &Quirks::DEFAULT), None, "{body}");
        }
        let mut thoughtful = turn();
        thoughtful.items.push(Item::Reasoning(ReasoningItem::default()));
        assert_eq!(rewrite(BODY.as_bytes(), &thoughtful, &Quirks::DEFAULT), None);
        let mut late = turn();
        late.items.reverse();
        assert_eq!(rewrite(BODY.as_bytes(), &late, &Quirks::DEFAULT), None);
        let picky = Quirks { nine_character_call_ids: true, ..Quirks::DEFAULT };
        assert_eq!(rewrite(BODY.as_bytes(), &turn(), &picky), None);
    }
}
