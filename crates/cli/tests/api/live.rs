//! The stream of what happens.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::Value;

use crate::support::{Harness, WAIT_TIMEOUT};

/// Listens to `/api/v1/live`.
struct Listener {
    stream: TcpStream,
    text: String,
}

impl Listener {
    fn new(harness: &Harness) -> Self {
        let mut stream = TcpStream::connect(harness.url.trim_start_matches("http://")).expect("connected");
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
        stream.write_all(harness.get("/api/v1/live").as_bytes()).expect("sent");
        Self { stream, text: String::new() }
    }

    /// Reads on until an event is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut buffer = vec![0; 65536];
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if let Some(event) = data.and_then(|data| serde_json::from_str::<Value>(&data).ok())
                    && is_so(&event)
                {
                    return event;
                }
            }
            let read = self.stream.read(&mut buffer).expect("read");
            assert!(read > 0, "the stream ended before {what}");
            // Sizes of chunks stand on lines of their own, which belong to no event.
            self.text.push_str(&String::from_utf8_lossy(&buffer[..read]).replace("\r\n", ""));
        }
    }
}

#[test]
fn a_turn_is_told_from_its_beginning_to_its_end() {
    let slow = ScriptedAnswer::steps([
        Step::text("half"),
        Step::sleep(1500),
        Step::text(" done"),
        Step::finish("stop"),
        Step::usage(20, 3),
        Step::Done,
    ]);
    let harness = Harness::new("live", [slow]);
    let mut live = Listener::new(&harness);
    let idle = live.until("the state of this moment", |_| true);
    assert_eq!((&idle["turns_open"], &idle["schema_version"]), (&0.into(), &1.into()));
    assert_eq!(idle["endpoints"][0]["name"], "lab");
    let (_stream, _) = harness.open_stream("half");
    let running = live.until("the turn streams", |event| event["running"][0]["state"] == "streaming");
    let turn = &running["running"][0];
    assert_eq!(
        (&turn["id"], &turn["model"], &turn["endpoint"]),
        (&"t1".into(), &"glm-5".into(), &"lab".into())
    );
    let over = live.until("the turn is over", |event| event["finished"][0]["id"] == "t1");
    assert_eq!((&over["running"], &over["finished"][0]["finish"]), (&serde_json::json!([]), &"stop".into()));
    assert_eq!((&over["month"]["turns"], &over["month"]["input"]), (&1.into(), &20.into()), "no lag");
}

/// Resident memory of the proxy, in bytes.
fn memory(harness: &Harness) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", harness.proxy.id())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn five_pages_and_twenty_that_do_not_read_share_what_they_are_told() {
    const TURNS: usize = 150;
    let harness = Harness::new("live-many", [ScriptedAnswer::text("ready")]);
    let turns = || {
        for _ in 0..TURNS {
            harness.post(r#"{"model":"glm-5","input":"hello"}"#, "");
        }
    };
    // What the turns themselves leave behind is there before.
    turns();
    turns();
    let before = memory(&harness);
    let silent: Vec<Listener> = (0..20).map(|_| Listener::new(&harness)).collect();
    let mut pages: Vec<Listener> = (0..5).map(|_| Listener::new(&harness)).collect();
    let bytes: u64 = std::thread::scope(|scope| {
        let total = u64::try_from(3 * TURNS).expect("few");
        let read: Vec<_> = pages
            .iter_mut()
            .map(|page| {
                scope.spawn(move || {
                    let bytes = std::cell::Cell::new(0);
                    page.until("all turns are over", |event| {
                        bytes.set(bytes.get() + u64::try_from(event.to_string().len()).expect("few"));
                        event["month"]["turns"].as_u64() == Some(total)
                    });
                    bytes.get()
                })
            })
            .collect();
        turns();
        read.into_iter().map(|page| page.join().expect("read")).sum()
    });
    let grown = memory(&harness).saturating_sub(before);
    // Not `eprintln!`: it would be captured, and this is what the test measures.
    let _ = writeln!(
        std::io::stderr(),
        "five pages and twenty silent ones, {TURNS} turns: {bytes} bytes told, {grown} bytes of memory more"
    );
    assert!(grown < 20 << 20, "{grown}");
    drop(silent);
}
