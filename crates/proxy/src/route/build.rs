//! From an endpoint as configured to what speaks its protocol.

use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use latimer_adapters::adapter::Adapter;
use latimer_adapters::by_model::ByModel;
use latimer_adapters::chat::Chat;
use latimer_adapters::codebuff::Codebuff;
use latimer_adapters::command_code::CommandCode;
use latimer_adapters::endpoint_client::EndpointClient;
use latimer_adapters::gemini::{self, Flavour, Gemini};
use latimer_adapters::messages::Messages;
use latimer_adapters::responses::Responses;
use latimer_adapters::transport::http::{Http, HttpOptions};

use crate::config::{Endpoint, Protocol};

/// What speaks the endpoint's protocol, with connections of its own.
pub(super) fn adapter(endpoint: &Endpoint) -> Adapter {
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
        http: Http::new(HttpOptions {
            connect: endpoint.timeouts.connect,
            ca_file: endpoint.ca_file.clone(),
        }),
    }
}
