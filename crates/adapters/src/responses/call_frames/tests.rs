use super::*;
use latimer_protocol::turn::{RecordedEvents, Tool, TurnRequest};
use toolcall_parser::Rules;

fn frames() -> ResponsesCallFrames {
    let tool = |name: &str, schema: Value| Tool {
        name: name.to_owned(),
        description: None,
        parameters: serde_json::value::to_raw_value(&schema).ok(),
        strict: None,
    };
    let properties = json!({ "a": { "type": "integer" }, "b": { "type": "string" } });
    let tools = vec![
        tool("f", json!({ "type": "object", "properties": properties, "required": ["a"] })),
        tool(
            "apply_patch",
            json!({ "properties": { "input": { "type": "string" } }, "required": ["input"] }),
        ),
    ];
    ResponsesCallFrames::new(CallRules::new(
        Rules::Contents,
        &TurnRequest { tools, ..TurnRequest::default() },
    ))
}

/// The events that come out, and the tool of a broken call.
fn run(events: &[Value], reason: &FinishReason) -> (Vec<Value>, Option<String>) {
    let (mut record, mut frames) = (RecordedEvents::default(), frames());
    for (number, event) in (0u64..).zip(events) {
        let mut event = event.clone();
        event["sequence_number"] = json!(number);
        let (kind, data) = (event["type"].as_str().unwrap_or_default(), event.to_string());
        frames.frame(&PassthroughFrame { kind, data: &data, semantic: true, state_of: None }, &mut record);
    }
    let broken = frames.finish(reason, &mut record);
    let read = |line: &String| {
        let data = line.splitn(3, ' ').nth(2).expect("data");
        serde_json::from_str::<Value>(data).expect("JSON")
    };
    let out: Vec<Value> = record.lines.iter().map(read).collect();
    let numbers: Vec<u64> = out.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..out.len() as u64).collect::<Vec<u64>>(), "{out:?}");
    (out, broken)
}

fn call(index: u64, pieces: &[&str], done: &str) -> Vec<Value> {
    let id = format!("fc_{index}");
    let item = |arguments: &str, status: &str| json!({ "type": "function_call", "id": id, "call_id": format!("c{index}"), "name": "f", "arguments": arguments, "status": status });
    let mut events = vec![json!({ "type": ADDED, "output_index": index, "item": item("", "in_progress") })];
    events.extend(pieces.iter().map(|piece| json!({ "type": "response.function_call_arguments.delta", "item_id": id, "output_index": index, "delta": piece })));
    events.push(json!({ "type": "response.function_call_arguments.done", "item_id": id, "output_index": index, "arguments": done }));
    events.push(json!({ "type": DONE, "output_index": index, "item": item(done, "completed") }));
    events
}

fn completed(calls: &[&[Value]]) -> Value {
    let output: Vec<Value> = calls.iter().map(|events| events[events.len() - 1]["item"].clone()).collect();
    json!({ "type": "response.completed", "response": { "id": "r", "output": output } })
}

/// What each of the three kinds of clients makes of the stream.
fn as_clients_read(events: &[Value]) -> [Vec<String>; 3] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let done =
        events.iter().filter(|event| event["type"] == DONE && event["item"]["type"] == "function_call");
    let mut sums: Vec<(u64, String)> = Vec::new();
    for event in events.iter().filter(|event| event["type"] == "response.function_call_arguments.delta") {
        let index = event["output_index"].as_u64().expect("an index");
        match sums.iter_mut().find(|(known, _)| *known == index) {
            Some((_, sum)) => sum.push_str(&text(&event["delta"])),
            None => sums.push((index, text(&event["delta"]))),
        }
    }
    let output = events.iter().flat_map(|event| event["response"]["output"].as_array().into_iter().flatten());
    [
        done.map(|event| text(&event["item"]["arguments"])).collect(),
        sums.into_iter().map(|(_, sum)| sum).collect(),
        output.map(|item| text(&item["arguments"])).collect(),
    ]
}

const END: FinishReason = FinishReason::ToolCalls;

#[test]
fn right_calls_go_through_as_they_came() {
    let (a, b) = (call(0, &["{\"a\"", ":1}"], "{\"a\":1}"), call(1, &[], "{\"a\": 2}"));
    let end = completed(&[&a, &b]);
    let all = [a, b, vec![end]].concat();
    let (out, broken) = run(&all, &END);
    let strip = |event: &Value| {
        let mut event = event.clone();
        event.as_object_mut().expect("an object").remove("sequence_number");
        event
    };
    assert_eq!((out.iter().map(strip).collect::<Vec<_>>(), broken), (all, None));
}

#[test]
fn copies_several_objects_and_empty_texts_are_the_same_for_every_client() {
    let (one, two) = ("{\"a\":1}", "{\"a\":2}");
    for (pieces, done, want) in [
        (vec![one, one], "{\"a\":1}{\"a\":1}", vec![one]),
        (vec![one, one], one, vec![one]),
        (vec![one, two], "{\"a\":1}{\"a\":2}", vec![one, two]),
        (vec!["{\"a\":1}", "}"], "{\"a\":1}}", vec![one]),
        (vec![], "{\"a\":1,\"b\":\"\"}", vec![one]),
        (vec![one], "", vec![one]),
    ] {
        let (first, last) = (call(0, &pieces, done), call(1, &[one], one));
        let end = completed(&[&first, &last]);
        let text = json!({ "type": "response.output_text.delta", "output_index": 1, "delta": "x" });
        let (out, broken) = run(&[first, vec![text], last, vec![end]].concat(), &END);
        let want: Vec<String> = want.into_iter().chain([one]).map(str::to_owned).collect();
        let read = as_clients_read(&out);
        assert_eq!((&read[0], &read[1], broken), (&want, &want, None), "{done}");
        if !done.is_empty() {
            assert_eq!(read[2], want, "{done}");
        }
        let indexes: Vec<u64> = out
            .iter()
            .filter(|event| event["type"] == DONE)
            .filter_map(|event| event["output_index"].as_u64())
            .collect();
        assert_eq!(indexes, (0..want.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn of_a_broken_call_nothing_is_handed_on() {
    for done in ["{\"a\":", "{\"a\":1}{\"a\":\"x\"}", "{\"a\":1},\"b\":2}"] {
        let first = call(0, &[done], done);
        let end = completed(&[&first]);
        assert_eq!(run(&[first.clone(), vec![end]].concat(), &END), (vec![], Some("f".to_owned())), "{done}");
        let end = json!({ "type": "response.incomplete", "response": { "output": [first[first.len() - 1]["item"]] } });
        let cut = [first[..2].to_vec(), vec![end]].concat();
        let (out, broken) = run(&cut, &FinishReason::Length);
        assert_eq!((out.len(), &out[0]["response"]["output"], broken), (1, &json!([]), None), "{done}");
    }
    let only_the_end = completed(&[&call(0, &[], "{\"a\":")]);
    assert_eq!(run(&[only_the_end], &END), (vec![], Some("f".to_owned())));
}

#[test]
fn a_call_that_only_the_response_finishes_is_done() {
    let whole = call(0, &["{\"a\":1}"], "{\"a\":1}");
    let (out, _) = run(&[whole[..2].to_vec(), vec![completed(&[&whole])]].concat(), &END);
    assert_eq!(as_clients_read(&out)[1], ["{\"a\":1}"]);
}

#[test]
fn patches_are_put_right_and_other_free_text_is_not_looked_at() {
    let custom = |name: &str, input: &str| {
        let item = |input: &str| json!({ "type": "custom_tool_call", "id": "x", "call_id": "c", "name": name, "input": input });
        vec![
            json!({ "type": ADDED, "output_index": 0, "item": item("") }),
            json!({ "type": "response.custom_tool_call_input.delta", "item_id": "x", "output_index": 0, "delta": input }),
            json!({ "type": "response.custom_tool_call_input.done", "item_id": "x", "output_index": 0, "input": input }),
            json!({ "type": DONE, "output_index": 0, "item": item(input) }),
        ]
    };
    let inputs = |events: &[Value]| -> Vec<String> {
        let text = |event: &Value| {
            [&event["item"]["input"], &event["delta"], &event["input"]]
                .iter()
                .find_map(|value| value.as_str().map(str::to_owned))
        };
        events.iter().filter_map(text).filter(|text| !text.is_empty()).collect()
    };
    let right = "*** Begin Patch\n*** Delete File: a\n*** End Patch";
    let decorated = right.replace(" Patch", " Patch ***");
    assert_eq!(inputs(&run(&custom("apply_patch", &decorated), &END).0), [right; 3]);
    assert_eq!(inputs(&run(&custom("apply_patch", right), &END).0), [right; 3]);
    assert_eq!(inputs(&run(&custom("exec", &decorated), &END).0), [decorated.as_str(); 3]);
}
