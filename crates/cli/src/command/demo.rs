//! `latimer demo`: a whole turn, with every side of it shown. No key, no network, no configuration.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use latimer_adapters::scripted::{Provider, ReasoningField, Scenario, ScriptedAnswer, Step};
use latimer_protocol::turn::SealKey;
use latimer_proxy::config::watch::Live;
use latimer_proxy::lifecycle::phase::StopRequest;
use latimer_proxy::server::Proxy;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::clock;
use crate::configuration::load_text;
use crate::runtime::runtime;
use crate::terminal::{print_line, print_lines};

/// What the demonstrated call prints, as Codex would report it.
const LISTING: &str = "Process exited with code 0\nOutput:\nCargo.toml\nREADME.md\nsrc\n";

/// Characters of a line without `--full`.
const SHORT_WIDTH: usize = 110;

#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Example:\n  latimer demo\n\nStarts a scripted Chat Completions provider and the proxy on free loopback ports, plays the part of Codex for two requests, and shows what each side saw."
)]
pub(crate) struct DemoArgs {
    /// Show every event whole instead of its first characters
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let width = if args.full { usize::MAX } else { SHORT_WIDTH };
    runtime()?.block_on(demo(width))
}

async fn demo(width: usize) -> anyhow::Result<ExitCode> {
    let transcript = Transcript { width };
    let started_at = clock::now();
    let answers = scripted_answers();
    let provider =
        Provider::start(Scenario::new(answers.clone())).await.context("starting the scripted provider")?;
    let (url, stop, serving) = start_proxy(&provider.base_url()).await?;
    title("1. Two processes in one: a scripted provider and the proxy")?;
    transcript.line(&format!("provider  {}   (speaks only Chat Completions)", provider.base_url()))?;
    transcript.line(&format!("proxy     {url}/v1   (speaks Responses, as Codex does)"))?;

    let mut input = vec![
        json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "You are a coding agent."}]}),
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is in this folder?"}]}),
    ];
    title("2. The client asks, in the Responses protocol")?;
    let first = ask(&url, &transcript, &input).await?;
    transcript.provider_side(&provider, 0, &answers[0])?;
    transcript.client_side(&first)?;
    let call = first.item("function_call").context("the model should have called a tool")?.clone();

    title("3. The client runs the call and sends its output")?;
    let name = call.get("name").and_then(Value::as_str).unwrap_or_default();
    let arguments = call.get("arguments").and_then(Value::as_str).unwrap_or_default();
    ensure!(name == "exec_command", "the call should be to exec_command, not {name}");
    transcript.line(&format!("call      {name} {arguments}"))?;
    transcript.line(&format!("answered  {LISTING:?}"))?;
    input.extend(first.items.iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": LISTING}));
    let second = ask(&url, &transcript, &input).await?;
    transcript.provider_side(&provider, 1, &answers[1])?;
    transcript.client_side(&second)?;

    title("4. Timing")?;
    for (name, turn) in [("first turn", &first), ("second turn", &second)] {
        transcript.line(&format!(
            "{name:12}first event after {:.2} ms, {} events in {:.2} ms",
            millis(turn.first_event),
            turn.events.len(),
            millis(turn.total)
        ))?;
    }
    transcript.line(&format!(
        "{:12}{:.0} ms from start to end",
        "everything",
        millis(started_at.elapsed())
    ))?;
    stop.send(StopRequest::Drain).await.context("stopping the proxy")?;
    serving.await.context("the proxy's task")??;
    print_line("")?;
    print_line("The same with your provider:  latimer init")?;
    print_line("and then with Codex:          latimer launch codex")?;
    Ok(ExitCode::SUCCESS)
}

fn scripted_answers() -> [ScriptedAnswer; 2] {
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
    let loaded = load_text(&text).map_err(|problems| {
        anyhow::anyhow!("{}", latimer_proxy::config::check::report(&problems, "demo.toml".as_ref()))
    })?;
    let listener = tokio::net::TcpListener::bind(loaded.config.server.listen).await.context("a free port")?;
    let url = format!("http://{}", listener.local_addr().context("the proxy's address")?);
    let (stop, stopped) = mpsc::channel(1);
    let proxy = Proxy::new(Arc::new(Live::new(loaded.config, None)), None, SealKey::default(), None);
    Ok((url, stop, tokio::spawn(proxy.serve(listener, stopped))))
}

/// What a turn looked like to the client.
struct DemoTurn {
    events: Vec<Value>,
    items: Vec<Value>,
    first_event: Duration,
    total: Duration,
}

impl DemoTurn {
    fn item(&self, kind: &str) -> Option<&Value> {
        self.items.iter().find(|item| item.get("type").and_then(Value::as_str) == Some(kind))
    }
}

async fn ask(url: &str, transcript: &Transcript, input: &[Value]) -> anyhow::Result<DemoTurn> {
    let body = json!({
        "model": "demo-model", "stream": true, "store": false, "input": input, "tool_choice": "auto", "parallel_tool_calls": true,
        "tools": [{
            "type": "function", "name": "exec_command", "description": "Runs a shell command.", "strict": false,
            "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"], "additionalProperties": false},
        }],
    });
    for item in input {
        transcript.line(&format!("input     {item}"))?;
    }
    let request = Request::post(format!("{url}/v1/responses"))
        .header("content-type", "application/json")
        .header("accept", "text/event-stream")
        .header("originator", "codex_demo")
        .body(Full::new(Bytes::from(body.to_string())))
        .context("the request")?;
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let started_at = clock::now();
    let response = client.request(request).await.context("asking the proxy")?;
    ensure!(response.status().is_success(), "the proxy answered {}", response.status());
    let mut body = response.into_body();
    let (mut bytes, mut first_event) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.context("reading the stream")?.into_data() {
            first_event.get_or_insert_with(|| started_at.elapsed());
            bytes.extend_from_slice(&data);
        }
    }
    let total = started_at.elapsed();
    let events = read_events(&String::from_utf8(bytes).context("the stream is UTF-8")?)?;
    let items = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| event["item"].clone())
        .collect();
    Ok(DemoTurn { events, items, first_event: first_event.unwrap_or_default(), total })
}

/// The events of a stream that ended well.
fn read_events(stream: &str) -> anyhow::Result<Vec<Value>> {
    let events: Vec<Value> = stream
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
    Ok(events)
}

/// Prints the transcript.
struct Transcript {
    width: usize,
}

impl Transcript {
    fn line(&self, line: &str) -> anyhow::Result<()> {
        print_line(&format!("  {}", clip(line, self.width)))
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
            self.line(&format!("chunk     {}", preview(&chunk)))?;
        }
        Ok(())
    }

    fn client_side(&self, turn: &DemoTurn) -> anyhow::Result<()> {
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

/// The first characters of a line.
fn clip(line: &str, width: usize) -> String {
    let mut clipped: String = line.chars().take(width).collect();
    if clipped.len() < line.len() {
        clipped.push('…');
    }
    clipped
}

/// The part of a chunk that changes from one to the next.
fn preview(chunk: &str) -> String {
    let value = serde_json::from_str::<Value>(chunk).unwrap_or_default();
    let usage = value.get("usage").filter(|usage| !usage.is_null());
    let delta = value.pointer("/choices/0").map(|choice| match &choice["finish_reason"] {
        Value::Null => &choice["delta"],
        _ => choice,
    });
    usage.or(delta).map_or_else(|| chunk.to_owned(), Value::to_string)
}

fn title(title: &str) -> anyhow::Result<()> {
    print_lines(["", title])
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_what_changes_from_chunk_to_chunk() {
        let delta = r#"{"id":"c","choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}"#;
        assert_eq!(preview(delta), r#"{"content":"Hi"}"#);
        let usage = r#"{"id":"c","choices":[],"usage":{"total_tokens":7}}"#;
        assert_eq!(preview(usage), r#"{"total_tokens":7}"#);
        assert_eq!(preview("[DONE]"), "[DONE]");
    }

    #[test]
    fn a_long_line_is_clipped_between_characters() {
        assert_eq!((clip("añb", 2).as_str(), clip("añb", 3).as_str()), ("añ…", "añb"));
    }

    #[test]
    fn a_stream_must_end_with_a_completed_response() {
        let stream = "event: x\ndata: {\"type\":\"response.completed\"}\n\ndata: [DONE]\n\n";
        assert_eq!(read_events(stream).expect("a stream").len(), 1);
        assert!(read_events("data: {\"type\":\"response.failed\"}\n\n").is_err());
    }
}
