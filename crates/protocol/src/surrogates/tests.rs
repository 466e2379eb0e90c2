use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn mended(json: &str) -> String {
    mend_text(json).into_owned()
}

#[test]
fn a_lone_half_becomes_a_replacement_sign_and_nothing_else_changes() {
    let cases = [
        (r#"{"a":"cut \ud83d"}"#, r#"{"a":"cut \ufffd"}"#),
        (r#"{"a":"\uDE00 cut"}"#, r#"{"a":"\ufffd cut"}"#),
        (r#"{"\uD83D":{"b":["\udbff","x\ud800y"]}}"#, r#"{"\ufffd":{"b":["\ufffd","x\ufffdy"]}}"#),
        (r#"["\ud83d\ud83d\ude00\ude00"]"#, r#"["\ufffd\ud83d\ude00\ufffd"]"#),
        (r#"["\ud83d","\ude00"]"#, r#"["\ufffd","\ufffd"]"#),
        (r#"["\ude00\ud83d"]"#, r#"["\ufffd\ufffd"]"#),
        (r#"["\\\ud83d"]"#, r#"["\\\ufffd"]"#),
        (r#"["\"\ud83d\""]"#, r#"["\"\ufffd\""]"#),
    ];
    for (json, want) in cases {
        assert_eq!(mended(json), want);
    }
}

#[test]
fn pairs_and_what_only_looks_like_an_escape_stay() {
    for json in [
        r#"{"a":"\ud83d\ude00"}"#,
        r#"{"a":"\\ud83d"}"#,
        r#"{"a":"\\\\ud83d"}"#,
        r#"{"a":"\u00e9\u00E9 \ud7ff \ue000 \ufffd"}"#,
        r#"{"a":"\ud83"}"#,
        r#"{"a":"\ud8zz"}"#,
        r#"{"arguments":"{\"a\":\"\\ud83d\\ude00\"}"}"#,
        r#"{"arguments":"{\"a\":\"\\\\ud83d\"}"}"#,
        r#"{"text":"{\"a\":\"\\ud83d\"}"}"#,
        r#"{"type":"response.output_text.delta","delta":"{\"a\":\"\\ud83d\"}"}"#,
        "한국어 \u{d7a3} 🐢",
        "[DONE]",
        "",
    ] {
        assert!(mend(json.as_bytes()).is_none(), "{json}");
    }
}

#[test]
fn the_arguments_of_calls_are_read_a_second_time() {
    let cases = [
        (r#"{"arguments":"{\"a\":\"\\ud83d\"}"}"#, r#"{"arguments":"{\"a\":\"\\ufffd\"}"}"#),
        (r#"{"arguments" : "{\"a\":\"\ud83d\"}"}"#, r#"{"arguments" : "{\"a\":\"\ufffd\"}"}"#),
        (r#"{"arguments":"{\"a\":\"\\\\\\ud83d\"}"}"#, r#"{"arguments":"{\"a\":\"\\\\\\ufffd\"}"}"#),
        (r#"{"arguments":"{\"a\":\"\\\"\\ude00\\n\"}"}"#, r#"{"arguments":"{\"a\":\"\\\"\\ufffd\\n\"}"}"#),
        (r#"{"partial_json":"\"x\\ud83d y"}"#, r#"{"partial_json":"\"x\\ufffd y"}"#),
        (
            r#"{"type":"response.function_call_arguments.delta","delta":"a \\ud83d b"}"#,
            r#"{"type":"response.function_call_arguments.delta","delta":"a \\ufffd b"}"#,
        ),
        (
            r#"{"arguments":"{\"a\":\"\\ud83d\\ud83d\\ude00\"}"}"#,
            r#"{"arguments":"{\"a\":\"\\ufffd\\ud83d\\ude00\"}"}"#,
        ),
    ];
    for (json, want) in cases {
        assert_eq!(mended(json), want);
    }
}

#[test]
fn what_may_go_on_in_another_piece_is_left_to_who_sees_both() {
    for piece in [
        r"a \\ud83d",
        r"a \\ud83d\\",
        r"a \\ud83d\\ude0",
        r"\\ude00 b",
        r"83d\\ude00 b",
        r"ud83d\\ude00 b",
        r"\\ud83d b",
        r"\\ud83d\\ude00",
    ] {
        let json = format!(r#"{{"partial_json":"{piece}"}}"#);
        assert!(mend(json.as_bytes()).is_none(), "{json}");
    }
}

#[test]
fn bytes_that_would_be_a_half_are_replaced_and_others_are_not_touched() {
    assert_eq!(mend(b"[\"a\xED\xA0\xBDb\"]").as_deref(), Some("[\"a\u{fffd}b\"]".as_bytes()));
    assert_eq!(mend(b"[\"\xED\xA0\xBD\xED\xB8\x80\"]").as_deref(), Some("[\"\u{fffd}\u{fffd}\"]".as_bytes()));
    assert_eq!(mend(b"[\"\xED\xA0"), None);
    assert_eq!(mend(b"\xff\xfe"), None);
}

fn stream(events: &[&str]) -> Vec<String> {
    let mut halves = StreamHalves::default();
    let mut seen = Vec::new();
    let mut each = |json: &[u8]| seen.push(String::from_utf8(json.to_vec()).expect("text"));
    for event in events {
        halves.push(event.as_bytes(), &mut each);
    }
    halves.finish(&mut each);
    seen
}

#[test]
fn halves_of_two_events_are_joined_and_a_half_that_stays_alone_is_replaced() {
    let joined = stream(&[r#"{"content":"a \ud83d"}"#, r#"{"content":"\ude00 b"}"#, "[DONE]"]);
    assert_eq!(joined, [r#"{"content":"a "}"#, r#"{"content":"\ud83d\ude00 b"}"#, "[DONE]"]);
    let twice = stream(&[r#"{"t":"\ud83d"}"#, r#"{"t":"\ude00 \ud83d"}"#, r#"{"t":"\ude01"}"#]);
    assert_eq!(twice, [r#"{"t":""}"#, r#"{"t":"\ud83d\ude00 "}"#, r#"{"t":"\ud83d\ude01"}"#]);
    let alone = stream(&[r#"{"t":"a \ud83d"}"#, r#"{"t":"b"}"#, r#"{"t":"\ude00"}"#]);
    assert_eq!(alone, [r#"{"t":"a \ufffd"}"#, r#"{"t":"b"}"#, r#"{"t":"\ufffd"}"#]);
    assert_eq!(
        stream(&[r#"{"t":"a \ud83d"}"#, r#"{"u":"\ude00"}"#]),
        [r#"{"t":"a \ufffd"}"#, r#"{"u":"\ufffd"}"#]
    );
    assert_eq!(stream(&[r#"{"t":"\ud83d b \ud83d"}"#]), [r#"{"t":"\ufffd b \ufffd"}"#]);
}

#[test]
fn halves_in_pieces_of_arguments_go_to_the_piece_that_says_what_they_are() {
    let piece = |call: u32, json: &str| format!(r#"{{"index":{call},"partial_json":"{json}"}}"#);
    type Case<'c> = (&'c [(u32, &'c str)], &'c [&'c str]);
    let cases: [Case<'_>; 7] = [
        (&[(0, r"a\\ud83d"), (0, r"\\ude00 b")], &["a", r"\\ud83d\\ude00 b"]),
        (&[(0, r"a\\ud8"), (0, r"3dc \\u"), (0, "0041")], &["a", r"\\ufffdc \\u", "0041"]),
        (&[(0, r"a\\ud83d\\ude"), (0, "00b")], &["a", r"\\ud83d\\ude00b"]),
        (&[(0, r"a\\ud83d"), (0, "b")], &[r"a\\ufffd", "b"]),
        // The next piece of another call says nothing.
        (&[(0, r"a\\ud83d"), (1, r"\\ude00b")], &[r"a\\ufffd", r"\\ude00b"]),
        (&[(0, r"a\\u"), (0, "de00 b")], &["a", r"\\ufffd b"]),
        (&[(0, r"\\\\"), (0, r"ud83d")], &[r"\\\\", "ud83d"]),
    ];
    for (pieces, want) in cases {
        let events: Vec<String> = pieces.iter().map(|(call, json)| piece(*call, json)).collect();
        let want: Vec<String> = want.iter().zip(pieces).map(|(json, (call, _))| piece(*call, json)).collect();
        assert_eq!(stream(&events.iter().map(String::as_str).collect::<Vec<_>>()), want);
    }
}

fn pieces(pieces: &[&str]) -> Vec<String> {
    let mut halves = ArgumentHalves::default();
    let mut seen: Vec<String> = pieces.iter().map(|piece| halves.push(piece).into_owned()).collect();
    seen.push(halves.finish());
    assert!(halves.is_empty());
    seen
}

#[test]
fn arguments_in_pieces_are_mended_when_it_is_certain() {
    assert_eq!(pieces(&["{\"a\":\"x\\ud83d", "y\"}"]), ["{\"a\":\"x", "\\ufffdy\"}", ""]);
    assert_eq!(pieces(&["{\"a\":\"x\\ud8", "3d\\u", "de00\"}"]), ["{\"a\":\"x", "", "\\ud83d\\ude00\"}", ""]);
    assert_eq!(pieces(&["a\\", "\\ud83d b"]), ["a", "\\\\ud83d b", ""]);
    assert_eq!(pieces(&["a\\n", "b\\ud83d"]), ["a\\n", "b", "\\ufffd"]);
    assert_eq!(pieces(&["plain", "{}"]), ["plain", "{}", ""]);
}

/// JSON in which escapes of halves stand anywhere.
fn documents() -> impl Strategy<Value = String> {
    let text = r#"(a|b|é|🐢|\\\\|\\"|\\n|\\ud83d|\\uD83D|\\ude00|\\uDFFF|\\u0041|\\ud83d\\ude00|ud83d){0,8}"#;
    let leaf = text.prop_map(|text: String| format!("\"{text}\""));
    leaf.prop_recursive(3, 16, 4, move |inner| {
        let object = prop::collection::vec((text, inner.clone()), 0..4).prop_map(|fields| {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
            format!("{{{}}}", fields.join(","))
        });
        let list = prop::collection::vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(", ")));
        prop_oneof![object, list]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_json_but_for_halves_becomes_json(json in documents()) {
        let out = mended(&json);
        prop_assert!(serde_json::from_str::<Value>(&out).is_ok(), "{json} became {out}");
        prop_assert_eq!(mended(&out), out.clone(), "once is enough");
        prop_assert_eq!(out.len(), json.len());
        if serde_json::from_str::<Value>(&json).is_ok() {
            prop_assert_eq!(out, json, "what every parser takes is not touched");
        }
    }

    #[test]
    fn arguments_become_json_too(json in documents()) {
        // A call of the history, its arguments once more as text.
        let call = serde_json::json!({ "arguments": json }).to_string();
        let out: Value = serde_json::from_str(&mended(&call)).expect("it was JSON before");
        let arguments = out["arguments"].as_str().expect("a text");
        if json.starts_with(['{', '[']) {
            prop_assert!(serde_json::from_str::<Value>(arguments).is_ok(), "{json} became {arguments}");
        }
    }

    #[test]
    fn pieces_of_arguments_give_what_the_whole_gives(json in documents(), cuts in prop::collection::vec(0usize..200, 0..6)) {
        let mut ends: Vec<usize> = cuts.into_iter().filter(|cut| json.is_char_boundary(*cut)).collect();
        ends.push(json.len());
        ends.sort_unstable();
        let (mut halves, mut out, mut start) = (ArgumentHalves::default(), String::new(), 0);
        for end in ends {
            out.push_str(&halves.push(&json[start..end]));
            start = end;
        }
        out.push_str(&halves.finish());
        prop_assert_eq!(out, mended(&json));
    }

    #[test]
    fn no_bytes_panic_and_no_event_is_lost(events in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6), texts in prop::collection::vec(r#"(\{"t":")?(\\ud83d|\\ude00|a|\\|"){0,5}("\})?"#, 0..6)) {
        let mut halves = StreamHalves::default();
        let mut count = 0;
        for event in events.iter().map(Vec::as_slice).chain(texts.iter().map(String::as_bytes)) {
            halves.push(event, &mut |_| count += 1);
        }
        halves.finish(&mut |_| count += 1);
        prop_assert_eq!(count, events.len() + texts.len());
    }

    #[test]
    fn the_text_of_a_stream_is_the_text_that_was_meant(text in "(a|é|🐢|🜚){0,10}", cuts in prop::collection::vec(0usize..20, 0..4)) {
        // A provider that cuts at units of UTF-16 and escapes what is left alone.
        let units: Vec<u16> = text.encode_utf16().collect();
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(units.len())).collect();
        ends.push(units.len());
        ends.sort_unstable();
        let (mut events, mut start) = (Vec::new(), 0);
        for end in ends {
            let escaped: Vec<String> = units[start..end].iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let escaped = escaped.concat();
            if start < end {
                events.push(format!("{{\"content\":\"{escaped}\"}}"));
            }
            start = end;
        }
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let read: String = stream(&events)
            .iter()
            .map(|event| serde_json::from_str::<Value>(event).expect("JSON")["content"].as_str().expect("text").to_owned())
            .collect();
        prop_assert_eq!(read, text);
    }
}
