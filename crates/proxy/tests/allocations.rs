//! How often the thread that serves allocates: for a small request, and for each delta of an answer. Counts do not depend on the machine's
//! speed; what grows here makes every turn slower.
//!
//! A bound is what was counted when it was last looked at, and a tenth. When a change needs less, lower it. What is left for a hundred
//! deltas of Responses are the texts that grow, because its last events repeat them.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use allocation_counter::measure;
use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Step};
use latimer_protocol::turn::SealKey;
use latimer_proxy::config::parse::load;
use latimer_proxy::config::watch::Live;
use latimer_proxy::lifecycle::phase::StopRequest;
use latimer_proxy::server::Proxy;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Requests before it is counted: connections are made, tables are filled.
const WARM: usize = 4;
/// Requests that are counted.
const COUNTED: usize = 8;
/// Between two deltas, so that hardly any two arrive in one packet: those that do cost less.
const GAP_MS: u64 = 2;
/// Deltas of a long answer.
const DELTAS: u64 = 100;

/// A path of the proxy, and a request for it.
struct Front {
    name: &'static str,
    path: &'static str,
    body: &'static str,
    /// Allocations of a request, at most.
    per_request: u64,
    /// Allocations of a hundred deltas, at most.
    per_hundred_deltas: u64,
}

const FRONTS: [Front; 3] = [
    Front {
        name: "Responses",
        path: "/v1/responses",
        body: r#"{"model":"m","stream":true,"store":false,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]}],"tools":[{"type":"function","name":"exec_command","description":"Runs.","strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string"}}}}]}"#,
        per_request: 211,
        per_hundred_deltas: 59,
    },
    Front {
        name: "Chat Completions",
        path: "/v1/chat/completions",
        body: r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"go"}]}"#,
        per_request: 161,
        per_hundred_deltas: 4,
    },
    Front {
        name: "Messages",
        path: "/v1/messages",
        body: r#"{"model":"m","stream":true,"max_tokens":4000,"messages":[{"role":"user","content":"go"}]}"#,
        per_request: 169,
        per_hundred_deltas: 4,
    },
];

/// Sends the same request so many times over one connection, and reads each answer to its end.
fn ask(address: SocketAddr, front: &Front, times: usize) {
    let mut stream = TcpStream::connect(address).expect("connected");
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        front.path,
        front.body.len(),
        front.body
    );
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..times {
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n0\r\n\r\n") {
            let read = stream.read(&mut buffer).expect("read");
            assert!(read > 0, "an end: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// Allocations of the thread that serves while somebody asks so many times.
fn allocations(front: &Front, deltas: u64, times: usize) -> u64 {
    let far = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let far = far.expect("a runtime");
    let answer = ScriptedAnswer::turn([
        Step::repeat(deltas, [Step::text("sixteen bytes.. "), Step::sleep(GAP_MS)]),
        Step::finish("stop"),
    ]);
    let scenario = Scenario::new([answer]).without_record();
    let provider = far.block_on(Provider::start(scenario)).expect("a provider");
    let text = format!(
        "[server]\nauth = \"none\"\nworkers = 1\n[[endpoint]]\nname = \"far\"\nbase_url = \"{}\"\nmodels = [\"m\"]\n",
        provider.base_url()
    );
    let config = load(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
    let live = Arc::new(Live::new(config.expect("a configuration").config, None));
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (stop, stops) = mpsc::channel(1);
    let listener = here.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let proxy = here.block_on(async { Proxy::new(live, None, SealKey::default(), None) });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            ask(address, front, times);
            let _ = stop.blocking_send(StopRequest::Drain);
        });
        let counted = measure(|| here.block_on(proxy.serve(listener, stops)).expect("served"));
        counted.count_total
    })
}

/// Allocations of one request with so many deltas.
fn per_request(front: &Front, deltas: u64) -> u64 {
    let warm = allocations(front, deltas, WARM);
    allocations(front, deltas, WARM + COUNTED).saturating_sub(warm) / COUNTED as u64
}

#[test]
fn a_turn_allocates_no_more_than_it_did() {
    let counted = FRONTS.map(|front| {
        let (small, large) = (per_request(&front, 1), per_request(&front, 1 + DELTAS));
        (front, small, large.saturating_sub(small))
    });
    let said: Vec<String> = counted
        .iter()
        .map(|(front, request, deltas)| {
            format!("{}: {request} a request, {deltas} a hundred deltas", front.name)
        })
        .collect();
    for (front, request, deltas) in &counted {
        assert!(*request <= front.per_request && *deltas <= front.per_hundred_deltas, "{said:#?}");
    }
}
