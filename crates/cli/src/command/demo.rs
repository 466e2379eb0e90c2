//! `latimer demo`: a whole turn, with every side of it shown. No key, no network, no configuration.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use latimer_adapters::scripted::{Provider, ReasoningField, Scenario, ScriptedAnswer, Step};
use latimer_protocol::turn::Seal;
use latimer_proxy::config::watch::Live;
use latimer_proxy::lifecycle::phase::StopRequest;
use latimer_proxy::server::Proxy;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::setup;

/// What the demonstrated call prints, as Codex would report it.
const LISTING: &str = "Process exited with code 0\nOutput:\nCargo.toml\nREADME.md\nsrc\n";

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latimer demo\n\nStarts a scripted Chat Completions provider and the proxy on free loopback ports, plays the part of Codex for two requests, and shows what each side saw."
)]
pub(crate) struct Args {
    /// Show every event whole instead of its first characters
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let width = if args.full { usize::MAX } else { 110 };
    setup::runtime()?.block_on(demo(width))
}

async fn demo(width: usize) -> anyhow::Result<ExitCode> {
    let show = Show { width };
    let begun = Instant::now();
    let answers = answers();
    let provider =
        Provider::start(Scenario::new(answers.clone())).await.context("starting the scripted provider")?;
    let (url, stop, serving) = start_proxy(&provider.base_url()).await?;
    title("1. Two processes in one: a scripted provider and the proxy")?;
    show.line(&format!("provider  {}   (speaks only Chat Completions)", provider.base_url()))?;
    show.line(&format!("proxy     {url}/v1   (speaks Responses, as Codex does)"))?;

    let mut input = vec![
        json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "You are a coding agent."}]}),
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is in this folder?"}]}),
    ];
    title("2. The client asks, in the Responses protocol")?;
    let first = ask(&url, &show, &input).await?;
    show.provider_side(&provider, 0, &answers[0])?;
    show.client_side(&first)?;
    let call = first.item("function_call").context("the model should have called a tool")?.clone();

    title("3. The client runs the call and sends its output")?;
    let name = call.get("name").and_then(Value::as_str).unwrap_or_default();
    let arguments = call.get("arguments").and_then(Value::as_str).unwrap_or_default();
    ensure!(name == "exec_command", "the call should be to exec_command, not {name}");
    show.line(&format!("call      {name} {arguments}"))?;
    show.line(&format!("answered  {LISTING:?}"))?;
    input.extend(first.items.iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": LISTING}));
    let second = ask(&url, &show, &input).await?;
    show.provider_side(&provider, 1, &answers[1])?;
    show.client_side(&second)?;

    title("4. Timing")?;
    for (name, turn) in [("first turn", &first), ("second turn", &second)] {
        show.line(&format!(
            "{name:12}first event after {:.2} ms, {} events in {:.2} ms",
            millis(turn.first_event),
            turn.events.len(),
            millis(turn.total)
        ))?;
    }
    show.line(&format!("{:12}{:.0} ms from start to end", "everything", millis(begun.elapsed())))?;
    stop.send(StopRequest::Drain).await.context("stopping the proxy")?;
    serving.await.context("the proxy's task")??;
    setup::say(
        "\nThe same with Codex and your provider: see \"Codex on your provider in three lines\" in README.md",
    )?;
    Ok(ExitCode::SUCCESS)
}

fn answers() -> [ScriptedAnswer; 2] {
    let text = |text: &str, pieces| Step::Text { text: text.to_owned(), pieces, gap_us: 0 };
    let first = ScriptedAnswer::turn([
        Step::Reasoning {
            text: "The person wants a listing. One command is enough.".to_owned(),
            pieces: 4,
            gap_us: 0,
            field: ReasoningField::default(),
        },
        text("I'll look at the folder.", 5),
        Step::Call {
            id: "call_demo_1".to_owned(),
            name: "exec_command".to_owned(),
            arguments: "{\"cmd\":\"ls\"}".to_owned(),
            pieces: 3,
            gap_us: 0,
            index: 0,
        },
    ]);
    [
        first,
        ScriptedAnswer::turn([text("The folder holds a Rust project: `Cargo.toml`, a README and `src`.", 8)]),
    ]
}

/// A proxy on a free port, configured as a person would: with the text of a configuration file.
async fn start_proxy(
    provider: &str,
) -> anyhow::Result<(String, mpsc::Sender<StopRequest>, tokio::task::JoinHandle<std::io::Result<()>>)> {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\n\n[[endpoint]]\nname = \"scripted\"\nprotocol = \"chat\"\nbase_url = \"{provider}\"\nmodels = [\"demo-model\"]\n"
    );
    let loaded = setup::load_text(&text).map_err(|problems| {
        anyhow::anyhow!("{}", latimer_proxy::config::check::report(&problems, "demo.toml".as_ref()))
    })?;
    let listener = tokio::net::TcpListener::bind(loaded.config.server.listen).await.context("a free port")?;
    let url = format!("http://{}", listener.local_addr().context("the proxy's address")?);
    let (stop, stopped) = mpsc::channel(1);
    let proxy = Proxy::new(Arc::new(Live::new(loaded.config, None)), None, Seal::default(), None);
    Ok((url, stop, tokio::spawn(proxy.serve(listener, stopped))))
}

/// What a turn looked like to the client.
struct Turn {
    events: Vec<Value>,
    items: Vec<Value>,
    first_event: Duration,
    total: Duration,
}

impl Turn {
    fn item(&self, kind: &str) -> Option<&Value> {
        self.items.iter().find(|item| item.get("type").and_then(Value::as_str) == Some(kind))
    }
}

async fn ask(url: &str, show: &Show, input: &[Value]) -> anyhow::Result<Turn> {
    let body = json!({
        "model": "demo-model", "stream": true, "store": false, "input": input, "tool_choice": "auto", "parallel_tool_calls": true,
        "tools": [{
            "type": "function", "name": "exec_command", "description": "Runs a shell command.", "strict": false,
            "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"], "additionalProperties": false},
        }],
    });
    for item in input {
        show.line(&format!("input     {item}"))?;
    }
    let request = Request::post(format!("{url}/v1/responses"))
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .header("originator", "codex_demo")
        .body(Full::new(Bytes::from(body.to_string())))
        .context("the request")?;
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let begun = Instant::now();
    let response = client.request(request).await.context("asking the proxy")?;
    ensure!(response.status().is_success(), "the proxy answered {}", response.status());
    let mut body = response.into_body();
    let (mut bytes, mut first_event) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.context("reading the stream")?.into_data() {
            first_event.get_or_insert_with(|| begun.elapsed());
            bytes.extend_from_slice(&data);
        }
    }
    let total = begun.elapsed();
    let text = String::from_utf8(bytes).context("the stream is UTF-8")?;
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).context("every event is JSON"))
        .collect::<anyhow::Result<_>>()?;
    let last = events.last().and_then(|event| event.get("type")).and_then(Value::as_str);
    ensure!(
        last == Some("response.completed"),
        "the stream should end with response.completed, not {last:?}"
    );
    let items = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| event["item"].clone())
        .collect();
    Ok(Turn { events, items, first_event: first_event.unwrap_or_default(), total })
}

/// Prints the transcript.
struct Show {
    width: usize,
}

impl Show {
    fn line(&self, line: &str) -> anyhow::Result<()> {
        let mut shown: String = line.chars().take(self.width).collect();
        if shown.len() < line.len() {
            shown.push('…');
        }
        setup::say(&format!("  {shown}"))
    }

    fn provider_side(
        &self,
        provider: &Provider,
        number: usize,
        answer: &ScriptedAnswer,
    ) -> anyhow::Result<()> {
        let requests = provider.requests();
        let request = requests.get(number).context("the provider received nothing")?;
        self.line("")?;
        self.line(&format!("the provider received POST {}", request.path))?;
        for message in request.body.get("messages").and_then(Value::as_array).into_iter().flatten() {
            self.line(&format!("message   {message}"))?;
        }
        for tool in request.body.get("tools").and_then(Value::as_array).into_iter().flatten() {
            self.line(&format!("tool      {tool}"))?;
        }
        self.line("")?;
        self.line("the provider streamed")?;
        for chunk in answer.payloads() {
            self.line(&format!("chunk     {}", essence(&chunk)))?;
        }
        Ok(())
    }

    fn client_side(&self, turn: &Turn) -> anyhow::Result<()> {
        self.line("")?;
        self.line("the client got")?;
        for event in &turn.events {
            let kind = event.get("type").and_then(Value::as_str).unwrap_or("?");
            let detail = ["delta", "item", "text", "arguments", "part"].iter().find_map(|key| event.get(key));
            self.line(&format!("{:42}{}", kind, detail.map(Value::to_string).unwrap_or_default()))?;
        }
        Ok(())
    }
}

/// The part of a chunk that changes from one to the next.
fn essence(chunk: &str) -> String {
    let value = serde_json::from_str::<Value>(chunk).unwrap_or_default();
    let usage = value.get("usage").filter(|usage| !usage.is_null());
    let delta = value.pointer("/choices/0").map(|choice| match &choice["finish_reason"] {
        Value::Null => &choice["delta"],
        _ => choice,
    });
    usage.or(delta).map_or_else(|| chunk.to_owned(), Value::to_string)
}

fn title(title: &str) -> anyhow::Result<()> {
    setup::say(&format!("\n{title}"))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
