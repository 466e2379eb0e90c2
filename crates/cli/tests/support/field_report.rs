//! Replays `fixtures/field-reports/*.json`: a client's request, a provider that answers by rule, and what the client reads.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::transcript::{self, Transcript};
use super::{body, dechunk, folder, serve, status};

/// What a provider answers.
#[derive(Debug, Clone)]
pub(crate) struct ProviderAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl ProviderAnswer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: "application/json", body: body.to_string().into_bytes() }
    }

    /// A stream of these events: a text goes out as it is, an object as one event.
    pub(crate) fn stream(events: &[Value]) -> Self {
        let write = |event: &Value| match (event.as_str(), event["type"].as_str()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(kind)) => format!("event: {kind}\ndata: {event}\n\n"),
            (None, None) => format!("data: {event}\n\n"),
        };
        Self::raw_stream(events.iter().map(write).collect::<String>())
    }

    /// A stream of these bytes.
    pub(crate) fn raw_stream(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, content_type: "text/event-stream", body: body.into() }
    }

    /// A whole answer, `ok`, in the protocol of a provider.
    pub(crate) fn ok(protocol: &str) -> Self {
        let events = match protocol {
            "chat" => vec![
                json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m1", "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "ok" }, "finish_reason": "stop" }] }),
                json!("data: [DONE]\n\n"),
            ],
            "anthropic" => vec![
                json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "model": "m1", "content": [], "stop_reason": null, "usage": { "input_tokens": 1, "output_tokens": 1 } } }),
                json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
                json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "ok" } }),
                json!({ "type": "content_block_stop", "index": 0 }),
                json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 1 } }),
                json!({ "type": "message_stop" }),
            ],
            "responses" => {
                let item = json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": "ok", "annotations": [] }] });
                vec![
                    json!({ "type": "response.created", "sequence_number": 0, "response": { "id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": "m1", "output": [] } }),
                    json!({ "type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": { "type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": [] } }),
                    json!({ "type": "response.output_text.delta", "sequence_number": 2, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "ok" }),
                    json!({ "type": "response.output_item.done", "sequence_number": 3, "output_index": 0, "item": item }),
                    json!({ "type": "response.completed", "sequence_number": 4, "response": { "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m1", "output": [item] } }),
                ]
            }
            _ => vec![
                json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": "ok" }] }, "finishReason": "STOP" }] }),
            ],
        };
        Self::stream(&events)
    }

    fn read(answer: &Value) -> Self {
        let status =
            answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
        match answer["stream"].as_array() {
            Some(events) => Self { status, ..Self::stream(events) },
            None => Self::json(status, &answer["json"]),
        }
    }
}

/// A request as the provider got it.
#[derive(Debug, Clone)]
pub(crate) struct ProviderRequest {
    pub(crate) path: String,
    pub(crate) text: String,
    /// `Null` when the text is no JSON.
    pub(crate) body: Value,
}

/// A provider that answers each request by a rule. It counts only the requests of turns.
pub(crate) struct RuleProvider {
    pub(crate) base_url: String,
    requests: Arc<Mutex<Vec<ProviderRequest>>>,
}

impl RuleProvider {
    pub(crate) fn start(mut answer: impl FnMut(&ProviderRequest) -> ProviderAnswer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // Ends with the test's process: one connection after the other, one request on each.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read_request(&stream) else { continue };
                let answer = answer(&request);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                write_answer(&stream, &answer);
            }
        });
        Self { base_url, requests }
    }

    /// What was asked, in order.
    pub(crate) fn requests(&self) -> Vec<ProviderRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<ProviderRequest> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? == 0 || header == "\r\n" {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Some(ProviderRequest { path, text: String::from_utf8_lossy(&bytes).into_owned(), body })
}

fn write_answer(mut stream: &TcpStream, answer: &ProviderAnswer) {
    let head = format!(
        "HTTP/1.1 {} Answer\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer.body));
}

/// The names of all reports, in order.
pub(crate) fn names() -> Vec<String> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/field-reports");
    let files = std::fs::read_dir(dir).expect("the folder").flatten();
    let names = files.filter_map(|file| file.file_name().to_str()?.strip_suffix(".json").map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// One report.
pub(crate) struct FieldReport(Value);

impl FieldReport {
    /// The report of this name in `fixtures/field-reports`.
    pub(crate) fn load(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../fixtures/field-reports/{name}.json"));
        let text = std::fs::read_to_string(path).expect("the report");
        Self(serde_json::from_str(&text).expect("JSON"))
    }

    /// False for the reports that are about commands.
    pub(crate) fn is_a_turn(&self) -> bool {
        self.0["client"].is_object()
    }

    /// The client's request as it is sent to an endpoint called `lab`.
    pub(crate) fn request(&self) -> String {
        let model = format!("lab/{}", self.0["provider"]["model"].as_str().unwrap_or_default());
        match self.0["client_request_as_text"].as_str() {
            Some(text) => text.replace("$MODEL", &model),
            None => self.0["client_request"].to_string().replace("ENDPOINT/", "lab/"),
        }
    }

    /// The request of the next turn.
    pub(crate) fn second_request(&self) -> String {
        self.0["second_request"].to_string().replace("ENDPOINT/", "lab/")
    }

    fn path(&self) -> &str {
        self.0["client"]["asks"].as_str().and_then(|asks| asks.split(' ').nth(1)).expect("a path")
    }

    fn headers(&self) -> String {
        let headers = self.0["client"]["says_who_it_is_by"].as_object().expect("headers");
        headers.iter().fold(String::new(), |lines, (name, value)| {
            lines + name + ": " + value.as_str().unwrap_or_default() + "\r\n"
        })
    }

    fn protocol(&self) -> &'static str {
        match self.0["provider"]["speaks"].as_str() {
            Some("Anthropic Messages") => "anthropic",
            Some("OpenAI Responses") => "responses",
            Some("Gemini generateContent") => "gemini",
            _ => "chat",
        }
    }

    /// The provider of this report; `refuses` is the rule that `as_long_as` says in words.
    fn provider(&self, refuses: impl Fn(&Value) -> bool + Send + 'static) -> RuleProvider {
        let mut answers: VecDeque<Value> =
            self.0["provider_answers"].as_array().expect("answers").iter().cloned().collect();
        RuleProvider::start(move |request| {
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
                .expect("an answer");
            ProviderAnswer::read(match answer.get("as_long_as") {
                Some(_) if refuses(&request.body) => &answer["it_answers"],
                Some(_) => &answer["else"],
                None => &answer,
            })
        })
    }

    /// A proxy before the report's provider, with these lines under its endpoint.
    pub(crate) fn start(
        &self,
        endpoint: &str,
        refuses: impl Fn(&Value) -> bool + Send + 'static,
    ) -> FieldHarness {
        let model = self.0["provider"]["model"].as_str().expect("a model");
        FieldHarness::start(self.provider(refuses), self.protocol(), model, endpoint)
    }

    /// Sends the report's request, or another body in its place, as the report's client.
    pub(crate) fn ask(&self, harness: &FieldHarness, body: &str) -> ClientAnswer {
        harness.ask(self.path(), &self.headers(), body)
    }
}

/// A proxy before a provider that answers by rule.
pub(crate) struct FieldHarness {
    pub(crate) dir: PathBuf,
    pub(crate) provider: RuleProvider,
    proxy: Child,
    url: String,
}

impl FieldHarness {
    /// An endpoint `lab` of this protocol with one model, which sees pictures and thinks.
    pub(crate) fn start(provider: RuleProvider, protocol: &str, model: &str, endpoint: &str) -> Self {
        let dir = folder("field");
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nprotocol = \"{protocol}\"\nbase_url = \"{}\"\napi_key = \"upstream-key\"\nmodels = [{{ id = \"{model}\", reasoning = true, images = true }}]\n{endpoint}\n",
            provider.base_url
        );
        std::fs::write(dir.join("latimer.toml"), config).expect("written");
        let (proxy, url) = serve(&dir, &[]);
        Self { dir, provider, proxy, url }
    }

    /// A proxy that this command starts in a folder with a configuration.
    pub(crate) fn of(dir: PathBuf, provider: RuleProvider, command: &mut std::process::Command) -> Self {
        let mut proxy = command.stdout(std::process::Stdio::piped()).spawn().expect("latimer runs");
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("latimer listening on ").expect("it listens").to_owned();
        Self { dir, provider, proxy, url }
    }

    /// Stops the proxy and starts another one on the same state.
    pub(crate) fn restart(&mut self) {
        let pid = self.proxy.id().to_string();
        let _ = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        self.proxy.wait().expect("stopped");
        (self.proxy, self.url) = serve(&self.dir, &[]);
    }

    /// Sends a body to a path; the header lines end with `\r\n`.
    pub(crate) fn ask(&self, path: &str, headers: &str, request: &str) -> ClientAnswer {
        let token = std::fs::read_to_string(self.dir.join("state/token")).expect("a token");
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(super::WAIT_TIMEOUT)).expect("set");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            request.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(request.as_bytes())).expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        ClientAnswer::read(path, &String::from_utf8_lossy(&answer))
    }

    /// What the proxy answers to a `GET`, as it is on the wire.
    pub(crate) fn get(&self, path: &str) -> String {
        let token = std::fs::read_to_string(self.dir.join("state/token")).expect("a token");
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(super::WAIT_TIMEOUT)).expect("set");
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What the provider was asked, in order.
    pub(crate) fn requests(&self) -> Vec<ProviderRequest> {
        self.provider.requests()
    }
}

impl Drop for FieldHarness {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// What a client understands of an answer.
#[derive(Debug, Clone)]
pub(crate) struct ClientAnswer {
    pub(crate) status: u16,
    /// The body, without the chunks' sizes.
    pub(crate) body: String,
    pub(crate) transcript: Transcript,
    /// The code or type, and the message of a failure: of a refusal, or of a stream that ends in one.
    pub(crate) failure: Option<(String, String)>,
}

impl ClientAnswer {
    fn read(path: &str, answer: &str) -> Self {
        let chunked = dechunk(answer);
        let text = if chunked.is_empty() { body(answer).to_owned() } else { chunked };
        let client = match path {
            path if path.starts_with("/v1/responses") => "responses",
            path if path.starts_with("/v1/chat") => "chat",
            path if path.starts_with("/v1/messages") => "messages",
            _ => "gemini",
        };
        let events = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
        let mut values: Vec<Value> = events.filter_map(|data| serde_json::from_str(data).ok()).collect();
        values.extend(serde_json::from_str::<Value>(&text));
        let failure = values.iter().rev().find_map(|value| {
            let error =
                [&value["error"], &value["response"]["error"]].into_iter().find(|error| error.is_object())?;
            let code = [&error["code"], &error["status"], &error["type"]].into_iter().find_map(Value::as_str);
            let message = error["message"].as_str().unwrap_or_default();
            Some((code.unwrap_or_default().to_owned(), message.to_owned()))
        });
        Self { status: status(answer), transcript: transcript::read(client, &text), failure, body: text }
    }

    /// The calls that the client would make: name and arguments (the text of a freeform call).
    pub(crate) fn calls(&self) -> &[(String, Value)] {
        &self.transcript.calls
    }

    /// Asserts that the turn was completed, and that it is no failure.
    pub(crate) fn assert_completed(&self) {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(matches!(&*self.transcript.end, "stop" | "calls") && self.failure.is_none(), "{self:?}");
    }

    /// Asserts that the turn failed with these words, and that no call was given out.
    pub(crate) fn assert_failed(&self, words: &str) {
        let told = self.failure.as_ref().is_some_and(|(_, message)| message.contains(words));
        assert!(told && self.calls().is_empty(), "{words:?} are not told: {self:?}");
    }
}
