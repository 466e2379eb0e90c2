//! The Chat Completions reader alone: payloads in, turn events out.

use divan::counter::ItemsCount;
use latimer_adapters::chat::stream::ChatReader;
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::turn::TurnEvent;

const COUNT: usize = 1024;

fn main() {
    divan::main();
}

fn delta(field: &str) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"glm-5","choices":[{{"index":0,"delta":{{{field}}},"finish_reason":null}}]}}"#
    )
}

/// One answer of 1,024 deltas of one kind.
#[divan::bench(args = ["text", "escaped", "reasoning", "arguments"])]
fn deltas(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let field = match kind {
        "text" => r#""content":"sixteen bytes.. ""#,
        "escaped" => r#""content":"say \"sixteen\"\n""#,
        "reasoning" => r#""reasoning_content":"sixteen bytes.. ""#,
        _ => {
            r#""tool_calls":[{"index":0,"id":"c","function":{"name":"exec","arguments":" 16 bytes of it "}}]"#
        }
    };
    let payload = delta(field);
    bencher.counter(ItemsCount::new(COUNT)).bench(|| {
        let mut reader = Box::new(ChatReader::new(ReaderContext::default()));
        let mut events = 0usize;
        let mut sink = |event: TurnEvent<'_>| {
            divan::black_box(event);
            events += 1;
        };
        for _ in 0..COUNT {
            reader.push(divan::black_box(payload.as_bytes()), &mut sink);
        }
        reader.finish(BodyEnd::Clean, &mut sink);
        events
    });
}
