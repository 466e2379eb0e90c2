//! The Gemini reader alone: payloads in, turn events out; and the schemas of tools, which are lowered for each request.

use divan::counter::ItemsCount;
use latimer_adapters::gemini::schema;
use latimer_adapters::gemini::stream::{ArgumentRule, GeminiReader};
use latimer_adapters::reader::{BodyEnd, Reader as _, ReaderContext};
use latimer_protocol::turn::TurnEvent;
use serde_json::{Value, json};

const COUNT: usize = 1024;

fn main() {
    divan::main();
}

fn event(part: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{part}],"role":"model"}},"index":0}}],"modelVersion":"gemini-3-flash","responseId":"r1"}}"#
    )
}

/// One answer of 1,024 events of one kind.
#[divan::bench(args = ["text", "escaped", "enveloped", "reasoning", "call", "signed call"])]
fn events(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let payload = match kind {
        "text" => event(r#"{"text":"sixteen bytes.. "}"#),
        "escaped" => event(r#"{"text":"say \"sixteen\"\n"}"#),
        "enveloped" => {
            format!(r#"{{"response":{},"traceId":"t1"}}"#, event(r#"{"text":"sixteen bytes.. "}"#))
        }
        "reasoning" => event(r#"{"text":"sixteen bytes.. ","thought":true}"#),
        "call" => event(r#"{"functionCall":{"name":"exec","args":{"cmd":"sixteen bytes.. "}}}"#),
        _ => event(
            r#"{"functionCall":{"name":"exec","args":{"cmd":"sixteen bytes.. "}},"thoughtSignature":"c2lnbmF0dXJl"}"#,
        ),
    };
    bencher.counter(ItemsCount::new(COUNT)).bench(|| {
        let mut reader = Box::new(GeminiReader::new(ReaderContext::default(), ArgumentRule::AsWritten));
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

/// A tool with references, alternatives and limits.
#[divan::bench]
fn schema_of_a_tool(bencher: divan::Bencher<'_, '_>) {
    let node: Value = json!({
        "type": "object", "required": ["id"],
        "properties": {
            "id": { "type": "string", "minLength": 1 },
            "kind": { "anyOf": [{ "const": "file" }, { "const": "folder" }] },
            "size": { "type": ["integer", "null"], "minimum": 0 },
            "children": { "type": "array", "items": { "$ref": "#/$defs/node" } },
        },
    });
    let schema = json!({
        "$schema": "x", "type": "object", "additionalProperties": false, "$defs": { "node": node },
        "properties": { "root": { "$ref": "#/$defs/node" }, "depth": { "type": "integer", "default": 3 } },
    });
    bencher.bench(|| schema::rewrite(divan::black_box(&schema)));
}
