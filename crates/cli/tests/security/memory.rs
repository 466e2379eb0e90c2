//! What memory an answer costs while it comes, and what is left of it afterwards: measured from outside, of the real process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;

use serde_json::{Value, json};

use crate::support::{WAIT_TIMEOUT, folder, serve, wait_until, websocket_client::WebSocketClient};

const MB: usize = 1 << 20;
/// What a model says again and again.
const WORDS: &str = "word and ";
/// Memory beside the answer itself, in bytes: the process, sockets, and pieces on their way.
const BESIDE: usize = 48 * MB;

/// What a provider streams: so many bytes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    Text,
    Thoughts,
    Arguments,
    /// A call that is written into the text and does not end.
    CallInText,
}

/// A provider of Chat Completions whose answer is as long as the request's last word says.
fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // It ends when the proxy has read enough, or when it has left.
            std::thread::spawn(move || {
                let _ = answer(&stream);
            });
        }
    });
    base_url
}

fn answer(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let (_, asked) = body.rsplit_once("stream ")?;
    let mut words = asked.split(['"', ' ', '\\']);
    let (flood, size) = (words.next()?, words.next()?.parse().ok()?);
    let flood = [Flood::Text, Flood::Thoughts, Flood::Arguments, Flood::CallInText]
        .into_iter()
        .find(|kind| format!("{kind:?}") == flood)?;
    write_flood(stream, flood, size).ok()
}

fn write_flood(mut stream: &TcpStream, flood: Flood, size: usize) -> std::io::Result<()> {
    let event = |delta: &Value, end: Option<&str>| {
        let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m1", "choices": [{ "index": 0, "delta": delta, "finish_reason": end }] });
        format!("data: {chunk}\n\n").into_bytes()
    };
    let arguments = |text: &str| json!({ "tool_calls": [{ "index": 0, "function": { "arguments": text } }] });
    let delta = |text: &str| match flood {
        Flood::Text | Flood::CallInText => json!({ "content": text }),
        Flood::Thoughts => json!({ "reasoning_content": text }),
        Flood::Arguments => arguments(text),
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
    match flood {
        Flood::Arguments => {
            let call = json!({ "tool_calls": [{ "index": 0, "id": "c1", "function": { "name": "shell", "arguments": "{\"command\":\"" } }] });
            stream.write_all(&event(&call, None))?;
        }
        Flood::CallInText => {
            let call = "<tool_call>\n{\"name\":\"shell\",\"arguments\":{\"command\":\"";
            stream.write_all(&event(&delta(call), None))?;
        }
        Flood::Text | Flood::Thoughts => {}
    }
    let piece = WORDS.repeat((32 << 10) / WORDS.len());
    let whole = event(&delta(&piece), None);
    for _ in 0..size / piece.len() {
        stream.write_all(&whole)?;
    }
    stream.write_all(&event(&delta(&piece[..size % piece.len()]), None))?;
    let end = match flood {
        Flood::Arguments => {
            stream.write_all(&event(&arguments("\"}"), None))?;
            "tool_calls"
        }
        Flood::Thoughts => {
            stream.write_all(&event(&json!({ "content": "Done." }), None))?;
            "stop"
        }
        Flood::Text | Flood::CallInText => "stop",
    };
    stream.write_all(&[event(&json!({}), Some(end)), b"data: [DONE]\n\n".to_vec()].concat())
}

/// A proxy before that provider.
struct Proxy {
    dir: PathBuf,
    child: Child,
    url: String,
}

/// What a client counted of an answer that it did not keep.
struct Counted {
    bytes: usize,
    /// The first and the last bytes of it.
    head: String,
    tail: String,
}

impl Proxy {
    fn start() -> Self {
        let dir = folder("memory");
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nwebsocket = true\n[[endpoint]]\nname = \"lab\"\nbase_url = \"{}\"\napi_key = \"upstream-key\"\nmodels = [{{ id = \"m1\", reasoning = true }}]\n",
            provider()
        );
        std::fs::write(dir.join("latimer.toml"), config).expect("written");
        let (child, url) = serve(&dir, &[]);
        let proxy = Self { dir, child, url };
        // What is made once and stays is there from now on.
        assert!(proxy.ask(Flood::Text, 100, true).tail.contains("[DONE]"));
        proxy
    }

    /// A figure of the process as Linux counts it, in bytes.
    fn memory(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
        let kilobytes: usize = line.split_whitespace().nth(1).expect("a figure").parse().expect("a number");
        kilobytes << 10
    }

    fn peak(&self) -> usize {
        self.memory("VmHWM:")
    }

    fn ask(&self, flood: Flood, size: usize, stream: bool) -> Counted {
        let input = format!("stream {flood:?} {size}");
        let tool = json!({ "type": "function", "name": "shell", "parameters": { "type": "object", "properties": { "command": { "type": "string" } } } });
        self.post(&json!({ "model": "m1", "stream": stream, "input": input, "tools": [tool] }))
    }

    fn post(&self, request: &Value) -> Counted {
        let token = std::fs::read_to_string(self.dir.join("state/token")).expect("a token");
        let body = request.to_string();
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
        let head = format!(
            "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let (mut head, mut tail, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = stream.read(&mut buffer).expect("read");
            if read == 0 {
                break;
            }
            bytes += read;
            head.extend_from_slice(&buffer[..read.min(4096_usize.saturating_sub(head.len()))]);
            tail.extend_from_slice(&buffer[..read]);
            tail.drain(..tail.len().saturating_sub(4096));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Counted { bytes, head: text(&head), tail: text(&tail) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The name of the answer.
fn id(counted: &Counted) -> String {
    let (_, rest) = counted.head.split_once("\"id\":\"resp_").expect("an answer");
    format!("resp_{}", rest.split('"').next().expect("its end"))
}

#[test]
fn an_answer_of_64_mb_is_held_once_however_it_is_given_out() {
    let size = 64 * MB;
    for flood in [Flood::Text, Flood::Thoughts] {
        for stream in [true, false] {
            let proxy = Proxy::start();
            let answer = proxy.ask(flood, size, stream);
            // The deltas and four whole copies, or one.
            let (copies, end) = if stream { (5, "data: [DONE]") } else { (1, "}") };
            assert!(answer.bytes > copies * size, "{flood:?} {stream}: {} bytes", answer.bytes);
            assert!(answer.tail.trim_end_matches(['0', '\r', '\n']).ends_with(end), "{}", answer.tail);
            let peak = proxy.peak();
            assert!(peak < 2 * size, "{flood:?} {stream}: {} MB", peak / MB);
        }
    }
}

#[test]
fn an_answer_of_250_mb_is_held_once() {
    let size = 250 * MB;
    let proxy = Proxy::start();
    let answer = proxy.ask(Flood::Text, size, true);
    assert!(answer.bytes > 5 * size && answer.tail.contains("[DONE]"), "{} bytes", answer.bytes);
    let peak = proxy.peak();
    assert!(peak < 2 * size, "{} MB", peak / MB);
}

#[test]
fn a_call_takes_a_few_times_its_text_and_one_that_is_too_large_is_refused() {
    let proxy = Proxy::start();
    let size = 15 * MB;
    let answer = proxy.ask(Flood::Arguments, size, true);
    assert!(answer.bytes > 4 * size && answer.tail.contains("[DONE]"), "{}", answer.tail);
    let peak = proxy.peak();
    // Held, read, mended, and given out: one after the other.
    assert!(peak < 5 * size + BESIDE, "{} MB", peak / MB);
    for flood in [Flood::Arguments, Flood::CallInText] {
        let proxy = Proxy::start();
        proxy.ask(flood, 64 * MB, true);
        let peak = proxy.peak();
        assert!(peak < 3 * 64 * MB, "{flood:?}: {} MB", peak / MB);
    }
}

#[test]
fn what_a_peak_took_goes_back() {
    let proxy = Proxy::start();
    let idle = proxy.memory("VmRSS:");
    assert!(proxy.ask(Flood::Text, 64 * MB, true).tail.contains("[DONE]"));
    let requests: Vec<_> = (0..40).map(|_| "x".repeat(2 * MB)).collect();
    std::thread::scope(|scope| {
        for text in &requests {
            let (proxy, input) = (&proxy, format!("{text} stream Text 400000"));
            scope.spawn(move || {
                let answer = proxy.post(&json!({ "model": "m1", "stream": true, "input": input }));
                assert!(answer.tail.contains("[DONE]"), "{}", answer.tail);
            });
        }
    });
    let peak = proxy.peak();
    assert!(peak > 3 * idle, "that was no peak: {} of {} MB", peak / MB, idle / MB);
    // A fifth above what it was, and what many threads keep of their own.
    let bound = idle + idle / 5 + 8 * MB;
    wait_until("the memory is given back", || proxy.memory("VmRSS:") < bound);
}

#[test]
fn a_large_answer_is_not_kept_and_a_long_one_is() {
    let proxy = Proxy::start();
    let go_on = |answer: &Counted| {
        proxy.post(&json!({ "model": "m1", "stream": true, "input": "stream Text 10", "previous_response_id": id(answer) }))
    };
    let long = proxy.ask(Flood::Text, 7 * MB, true);
    assert!(go_on(&long).head.starts_with("HTTP/1.1 200"));
    let large = proxy.ask(Flood::Text, 9 * MB, true);
    assert!(large.tail.contains("[DONE]"), "{}", large.tail);
    let refusal = go_on(&large);
    assert!(
        refusal.head.starts_with("HTTP/1.1 400")
            && refusal.head.contains("previous_response_not_found")
            && refusal.head.contains("up to 8 MB"),
        "{}",
        refusal.head
    );
    let lines = std::fs::read_to_string(proxy.dir.join("proxy.log")).expect("a log");
    assert!(lines.contains("\"event\":\"response.not_kept\""), "it is said");
}

#[test]
fn over_a_websocket_a_large_event_is_one_message() {
    let proxy = Proxy::start();
    let size = 16 * MB;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let events = runtime.block_on(async {
        let token = std::fs::read_to_string(proxy.dir.join("state/token")).expect("a token");
        let token = format!("Bearer {token}");
        let mut client = WebSocketClient::open(&proxy.url, "/v1/responses", &[("authorization", &token)])
            .await
            .expect("connected");
        client.create("x", json!({ "model": "m1", "input": format!("stream Text {size}") })).await;
        client.answer().await
    });
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    let of = |kind: &str| events.iter().find(|event| event["type"] == kind).expect(kind);
    assert_eq!(text(&of("response.output_text.done")["text"]), size);
    assert_eq!(text(&of("response.content_part.done")["part"]["text"]), size);
    assert_eq!(text(&of("response.output_item.done")["item"]["content"][0]["text"]), size);
    assert_eq!(text(&of("response.completed")["response"]["output"][0]["content"][0]["text"]), size);
    let numbers = events.iter().map(|event| event["sequence_number"].as_u64().expect("a number"));
    assert!(numbers.eq(0..events.len() as u64), "no event is lost");
    let peak = proxy.peak();
    assert!(peak < size + BESIDE, "{} MB", peak / MB);
}
