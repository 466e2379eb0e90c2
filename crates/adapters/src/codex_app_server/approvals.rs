//! What a request of the app-server to us is answered. Every one is: without an answer its turn would hang. Pure.

use serde_json::{Value, json};

use crate::agents::settings::Approvals;

/// What is sent back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A result.
    Result(Value),
    /// An error in these words.
    Error(String),
    /// The client decides: a call of one of its tools.
    Client,
}

/// The answer to a request. `has_tool` says whether a tool of this name was registered by the client.
pub fn answer(method: &str, params: &Value, policy: Approvals, has_tool: impl Fn(&str) -> bool) -> Answer {
    let yes = policy == Approvals::Accept;
    let choose = |accepted: &str, declined: &str| {
        Answer::Result(json!({ "decision": if yes { accepted } else { declined } }))
    };
    match method {
        "item/commandExecution/requestApproval" | "item/fileChange/requestApproval" => {
            choose("accept", "decline")
        }
        "execCommandApproval" | "applyPatchApproval" => choose("approved", "denied"),
        "item/permissions/requestApproval" => {
            let asked = params.get("permissions").cloned().unwrap_or_else(|| json!({}));
            let given = if yes { asked } else { json!({}) };
            Answer::Result(json!({ "permissions": given, "scope": "turn" }))
        }
        "item/tool/requestUserInput" => Answer::Result(json!({ "answers": {} })),
        "mcpServer/elicitation/request" => Answer::Result(elicitation(params, yes)),
        "item/tool/call" => {
            let tool = params.get("tool").and_then(Value::as_str).unwrap_or_default();
            if has_tool(tool) {
                Answer::Client
            } else {
                Answer::Result(json!({ "success": false, "contentItems": [] }))
            }
        }
        _ => {
            let name: String = method.chars().take(100).collect();
            Answer::Error(format!("latimer does not answer `{name}`"))
        }
    }
}

/// The approval of an MCP server's tool is an elicitation too; what a server asks a person is cancelled, for nobody is there.
fn elicitation(params: &Value, yes: bool) -> Value {
    let is_approval = ["_meta", "meta"].iter().any(|meta| {
        params.get(*meta).and_then(|meta| meta.get("codex_approval_kind")).and_then(Value::as_str)
            == Some("mcp_tool_call")
    });
    match (is_approval, yes) {
        (true, true) => json!({ "action": "accept", "content": {}, "_meta": null }),
        (true, false) => json!({ "action": "decline", "content": null, "_meta": null }),
        (false, _) => json!({ "action": "cancel", "content": null, "_meta": null }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_its_answer_by_both_policies() {
        let mcp = json!({ "_meta": { "codex_approval_kind": "mcp_tool_call" } });
        let asked = json!({ "permissions": { "network": true } });
        let none = json!({});
        let decision = |word: &str| json!({ "decision": word });
        for (method, params, declined, accepted) in [
            ("item/commandExecution/requestApproval", &none, decision("decline"), decision("accept")),
            ("item/fileChange/requestApproval", &none, decision("decline"), decision("accept")),
            ("execCommandApproval", &none, decision("denied"), decision("approved")),
            ("applyPatchApproval", &none, decision("denied"), decision("approved")),
            (
                "item/permissions/requestApproval",
                &asked,
                json!({ "permissions": {}, "scope": "turn" }),
                json!({ "permissions": { "network": true }, "scope": "turn" }),
            ),
            ("item/tool/requestUserInput", &none, json!({ "answers": {} }), json!({ "answers": {} })),
            (
                "mcpServer/elicitation/request",
                &mcp,
                json!({ "action": "decline", "content": null, "_meta": null }),
                json!({ "action": "accept", "content": {}, "_meta": null }),
            ),
            (
                "mcpServer/elicitation/request",
                &none,
                json!({ "action": "cancel", "content": null, "_meta": null }),
                json!({ "action": "cancel", "content": null, "_meta": null }),
            ),
            (
                "item/tool/call",
                &none,
                json!({ "success": false, "contentItems": [] }),
                json!({ "success": false, "contentItems": [] }),
            ),
        ] {
            for (policy, wanted) in [(Approvals::Decline, declined), (Approvals::Accept, accepted)] {
                assert_eq!(answer(method, params, policy, |_| false), Answer::Result(wanted), "{method}");
            }
        }
        for method in
            ["account/chatgptAuthTokens/refresh", "attestation/generate", "currentTime/read", "new/one"]
        {
            let Answer::Error(words) = answer(method, &none, Approvals::Accept, |_| true) else {
                panic!("{method}")
            };
            assert!(words.contains(method), "{words}");
        }
        let call = json!({ "tool": "f" });
        assert_eq!(answer("item/tool/call", &call, Approvals::Decline, |tool| tool == "f"), Answer::Client);
    }
}
