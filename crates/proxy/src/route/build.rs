//! From an endpoint as configured to what speaks its protocol.

use std::path::Path;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_adapters::adapter::Adapter;
use latimer_adapters::agents::settings::{AgentProgram, AgentSettings};
use latimer_adapters::by_model::ByModel;
use latimer_adapters::chat::Chat;
use latimer_adapters::claude_code::ClaudeCode;
use latimer_adapters::codebuff::Codebuff;
use latimer_adapters::codex_app_server::CodexAppServer;
use latimer_adapters::codex_exec::CodexExec;
use latimer_adapters::command_code::CommandCode;
use latimer_adapters::endpoint_client::EndpointClient;
use latimer_adapters::gemini::{self, Flavour, Gemini};
use latimer_adapters::messages::Messages;
use latimer_adapters::opencode::OpenCode;
use latimer_adapters::responses::Responses;
use latimer_adapters::transport::http::{Http, HttpOptions};

use crate::config::{Endpoint, Protocol};

/// What speaks the endpoint's protocol, with connections of its own. Agents live below the folder `agents`.
pub(super) fn adapter(endpoint: &Endpoint, agents: &Path) -> Adapter {
    if let Some(settings) = &endpoint.agent {
        return agent(endpoint, settings, agents);
    }
    let client = Arc::new(client(endpoint));
    let chat = |client| Chat { client, path: "", quirks: endpoint.quirks.clone() };
    let options = &endpoint.options;
    match endpoint.protocol {
        Protocol::Chat => Adapter::Chat(chat(client)),
        Protocol::Messages => Adapter::Messages(Messages { client, bearer_keys: options.bearer_keys }),
        Protocol::Responses => Adapter::Responses(Responses { client, profile: endpoint.profile.clone() }),
        Protocol::Gemini => Adapter::Gemini(gemini(client, Flavour::Native, endpoint)),
        Protocol::CodeAssist => Adapter::Gemini(gemini(client, Flavour::CodeAssist, endpoint)),
        Protocol::Antigravity => Adapter::Gemini(gemini(client, Flavour::Antigravity, endpoint)),
        Protocol::CommandCode => Adapter::CommandCode(CommandCode {
            client,
            version: options.command_code_version.clone(),
            structured: options.structured,
            zero_retention: options.zero_retention,
        }),
        Protocol::ByModel => {
            Adapter::ByModel(ByModel::new(&client, endpoint.quirks.clone(), endpoint.profile.clone()))
        }
        Protocol::Codebuff => {
            let chat = Chat { path: "/api/v1", ..chat(Arc::clone(&client)) };
            Adapter::Codebuff(Codebuff::new(client, chat))
        }
        // Its settings are there, so that this is not reached.
        Protocol::Agent(program) => agent(endpoint, &AgentSettings::usual(program), agents),
    }
}

fn agent(endpoint: &Endpoint, settings: &AgentSettings, agents: &Path) -> Adapter {
    let (agents, name, settings) = (agents.to_owned(), endpoint.name.as_str(), settings.clone());
    match settings.program {
        AgentProgram::CodexExec => Adapter::CodexExec(Box::new(CodexExec::new(agents, name, settings))),
        AgentProgram::CodexAppServer => {
            Adapter::CodexAppServer(Box::new(CodexAppServer::new(agents, name, settings)))
        }
        AgentProgram::ClaudeCode => Adapter::ClaudeCode(Box::new(ClaudeCode::new(agents, name, settings))),
        AgentProgram::OpenCode => Adapter::OpenCode(Box::new(OpenCode::new(agents, name, settings))),
    }
}

fn gemini(client: Arc<EndpointClient>, flavour: Flavour, endpoint: &Endpoint) -> Gemini {
    let options = gemini::Options {
        hosts: endpoint.options.hosts.clone(),
        version: endpoint.options.antigravity_version.clone(),
        version_urls: Vec::new(),
        edit_nudge: endpoint.options.edit_nudge,
    };
    Gemini::new(client, flavour, options)
}

fn client(endpoint: &Endpoint) -> EndpointClient {
    let header = |(name, value): &(String, String)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    EndpointClient {
        name: endpoint.name.to_string(),
        base_url: endpoint.base_url.clone(),
        provider: endpoint.preset.map_or_else(|| endpoint.name.to_string(), str::to_owned),
        headers: endpoint.headers.iter().filter_map(header).collect(),
        first_byte: endpoint.timeouts.first_byte,
        idle: endpoint.timeouts.idle,
        content: endpoint.timeouts.content,
        http: Http::new(HttpOptions {
            outbound: endpoint.outbound.clone(),
            connect: endpoint.timeouts.connect,
            ca_file: endpoint.ca_file.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latimer_adapters::credential::Credential;
    use latimer_adapters::limitation::Limitations;
    use latimer_adapters::prepared_request::{PreparedRequest, TurnInput, WireProtocol};
    use latimer_adapters::scripted::{Provider, RecordedRequest, Scenario, ScriptedAnswer, Service};
    use latimer_protocol::secret::Secret;
    use latimer_protocol::turn::{Content, Item, Message, Role, TurnRequest};
    use serde_json::json;

    use super::*;

    /// What speaks the endpoint's protocol; no agent of it is ever asked here.
    fn adapter(endpoint: &Endpoint) -> Adapter {
        super::adapter(endpoint, Path::new("/nonexistent"))
    }
    use crate::config::parse::config_of;

    fn endpoint(keys: &str) -> Endpoint {
        config_of(&format!("[[endpoint]]\nname = \"lab\"\n{keys}")).endpoints.remove(0)
    }

    fn at(protocol: &str, base_url: &str, keys: &str) -> Endpoint {
        endpoint(&format!("protocol = \"{protocol}\"\nbase_url = \"{base_url}\"\n{keys}"))
    }

    fn prepared(adapter: &Adapter, model: &str, words: &str) -> PreparedRequest {
        let content = vec![Content::Text(words.to_owned())];
        let items = vec![Item::Message(Message { role: Role::User, content })];
        let turn = TurnRequest { model: model.to_owned(), items, ..TurnRequest::default() };
        adapter.prepare(&TurnInput::new(&turn, &Limitations::default()))
    }

    /// What a provider gets when a turn is sent to an endpoint at its address.
    async fn sent(endpoint: impl FnOnce(&str) -> Endpoint) -> RecordedRequest {
        let provider = Provider::start(Scenario::new([ScriptedAnswer::text("hi")])).await.expect("a port");
        let base = provider.base_url();
        let adapter = adapter(&endpoint(base.trim_end_matches("/v1")));
        let account = Credential::access_token("me", Secret::new("at"));
        let account = Credential { project: Some("p-1".to_owned()), ..account };
        let opened = adapter.open(&prepared(&adapter, "m", "hi"), Some(&account)).await;
        opened.expect("a provider that answers everything");
        provider.requests().remove(0)
    }

    #[test]
    fn every_protocol_of_the_file_is_spoken() {
        for (name, protocol) in Protocol::NAMES {
            let adapter = match protocol {
                Protocol::Agent(_) => adapter(&endpoint(&format!("protocol = \"{name}\"\n"))),
                _ => adapter(&at(name, "https://lab.test/v1", "")),
            };
            let wire = match protocol {
                Protocol::Chat | Protocol::Codebuff | Protocol::ByModel => WireProtocol::Chat,
                Protocol::Messages => WireProtocol::Messages,
                Protocol::Responses => WireProtocol::Responses,
                Protocol::Gemini | Protocol::CodeAssist | Protocol::Antigravity => WireProtocol::Gemini,
                Protocol::CommandCode => WireProtocol::CommandCode,
                Protocol::Agent(_) => WireProtocol::Agent,
            };
            assert_eq!(prepared(&adapter, "m", "hi").protocol, wire, "{name}");
            let is_own = match protocol {
                Protocol::Codebuff => matches!(adapter, Adapter::Codebuff(_)),
                Protocol::ByModel => matches!(adapter, Adapter::ByModel(_)),
                _ => !matches!(adapter, Adapter::Codebuff(_) | Adapter::ByModel(_)),
            };
            assert!(is_own, "{name}");
        }
        let gateway = adapter(&at("by_model", "https://lab.test/v1", ""));
        assert_eq!(prepared(&gateway, "claude-x", "hi").protocol, WireProtocol::Messages);
        assert_eq!(prepared(&gateway, "gpt-5.5", "hi").protocol, WireProtocol::Responses);
    }

    #[test]
    fn what_a_file_says_of_an_endpoint_reaches_what_speaks_to_it() {
        let keys = "headers = { \"x-lab\" = \"7\" }\ntimeouts = { first_byte = \"7s\", idle = \"9s\" }\nquirks = { tools = false }\n";
        let endpoint = at("chat", "https://lab.test/v1/", keys);
        let Adapter::Chat(chat) = adapter(&endpoint) else { panic!("chat") };
        assert_eq!((chat.path, &chat.quirks), ("", &endpoint.quirks));
        assert!(!chat.quirks.tools);
        let client = &chat.client;
        assert_eq!((client.name.as_str(), client.base_url.as_str()), ("lab", "https://lab.test/v1"));
        assert_eq!((client.first_byte, client.idle), (Duration::from_secs(7), Duration::from_secs(9)));
        assert_eq!(client.headers, [(HeaderName::from_static("x-lab"), HeaderValue::from_static("7"))]);
    }

    #[test]
    fn opaque_state_belongs_to_the_provider_and_not_to_the_name_in_the_file() {
        let owner = |keys: &str| prepared(&adapter(&endpoint(keys)), "m", "hi").owner.provider;
        assert_eq!(owner("base_url = \"https://lab.test\"\n"), "lab");
        assert_eq!(owner("preset = \"deepseek\"\n"), "deepseek");
    }

    #[test]
    fn settings_of_single_protocols_reach_them() {
        for bearer in [true, false] {
            let keys = format!("options = {{ bearer_keys = {bearer} }}\n");
            let Adapter::Messages(messages) = adapter(&at("anthropic", "https://lab.test", &keys)) else {
                panic!("messages")
            };
            assert_eq!(messages.bearer_keys, bearer);
        }
        let chatgpt = endpoint("preset = \"chatgpt\"\n");
        let Adapter::Responses(responses) = adapter(&chatgpt) else { panic!("responses") };
        assert_eq!(responses.profile, chatgpt.profile);
        assert_ne!(chatgpt.profile, latimer_adapters::responses::profile::Profile::PLAIN);
        let keys =
            "options = { command_code_version = \"9.1\", structured = false, zero_retention = true }\n";
        let Adapter::CommandCode(own) = adapter(&at("command_code", "https://lab.test", keys)) else {
            panic!("command code")
        };
        assert_eq!((own.version.as_str(), own.structured, own.zero_retention), ("9.1", false, true));
    }

    #[test]
    fn a_nudge_to_edit_is_given_where_the_file_wants_it() {
        for nudge in [true, false] {
            let keys = format!("options = {{ edit_nudge = {nudge} }}\n");
            let adapter = adapter(&at("gemini", "https://lab.test/v1beta", &keys));
            let mut turn = TurnRequest { model: "m".to_owned(), ..TurnRequest::default() };
            let content = vec![Content::Text("please edit the file main.rs".to_owned())];
            turn.items = vec![Item::Message(Message { role: Role::User, content })];
            turn.tools = vec![latimer_protocol::turn::Tool {
                name: "edit".to_owned(),
                description: None,
                parameters: None,
                strict: None,
            }];
            let body = adapter.prepare(&TurnInput::new(&turn, &Limitations::default())).body;
            let is_nudged = memchr::memmem::find(&body, b"asks for a change").is_some();
            assert_eq!(is_nudged, nudge, "{}", String::from_utf8_lossy(&body));
        }
    }

    #[tokio::test]
    async fn each_flavour_of_gemini_has_its_own_path() {
        let native = sent(|base| at("gemini", &format!("{base}/v1beta"), "")).await;
        assert_eq!(native.path, "/v1beta/models/m:streamGenerateContent?alt=sse");
        let code_assist = sent(|base| at("code_assist", base, "")).await;
        assert_eq!(code_assist.path, "/v1internal:streamGenerateContent?alt=sse");
        assert_eq!(code_assist.body["project"], "p-1");
        let keys = "options = { antigravity_version = \"7.7.7\" }\n";
        let antigravity = sent(|base| at("antigravity", base, keys)).await;
        assert_eq!(antigravity.path, "/v1internal:streamGenerateContent?alt=sse");
        let agent = antigravity.header("user-agent").expect("an agent");
        assert!(agent.contains("7.7.7"), "{agent}");
        assert_ne!(code_assist.header("user-agent"), Some(agent));
    }

    #[tokio::test]
    async fn hosts_of_the_file_go_before_the_base() {
        let sent = sent(|base| {
            let keys = format!("options = {{ hosts = [\"{base}\"] }}\n");
            at("code_assist", "http://127.0.0.1:1", &keys)
        });
        assert_eq!(sent.await.path, "/v1internal:streamGenerateContent?alt=sse");
    }

    #[tokio::test]
    async fn codebuff_has_its_chat_below_a_path_of_its_own() {
        let run = ("START", 200, json!({ "runId": "r-1" }));
        let session = (
            "freebuff/session",
            200,
            json!({ "status": "active", "instanceId": "i-1", "remainingMs": 600_000 }),
        );
        let service = Service::start(vec![run, session]).await.expect("a port");
        let adapter = adapter(&at("codebuff", &service.base, ""));
        let account = Credential::access_token("me", Secret::new("at"));
        let request = prepared(&adapter, "deepseek/deepseek-v4-flash", "hi");
        // The script knows no chat: only where it is looked for counts.
        let _ = adapter.open(&request, Some(&account)).await;
        let lines: Vec<String> = service.requests().into_iter().map(|request| request.line).collect();
        assert!(lines.iter().any(|line| line.starts_with("POST /api/v1/chat/completions")), "{lines:?}");
    }
}
