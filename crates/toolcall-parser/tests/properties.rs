//! What must hold for texts that nobody wrote down: built from the words of all dialects, and rendered from random calls.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use support::{characters, check, stream, tools};
use toolcall_parser::{Dialect, Options, PieceKind, Provenance, Tool, Trust, Writer, parse};

/// Words that mean something in some dialect, and words around them.
const WORDS: &[&str] = &[
    "<tool_call>",
    "</tool_call>",
    "<tool_calls>",
    "</tool_calls>",
    "<function=get_weather>",
    "</function>",
    "<parameter=city>",
    "</parameter>",
    "<invoke name=\"get_time\">",
    "</invoke>",
    "<parameter name=\"city\">",
    "<function_calls>",
    "</function_calls>",
    "<｜DSML｜tool_calls>",
    "<｜DSML｜invoke name=\"get_weather\">",
    "<｜DSML｜parameter name=\"city\" string=\"true\">",
    "</｜DSML｜parameter>",
    "</｜DSML｜invoke>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "function",
    "get_weather",
    "get_time",
    "nobody",
    "Oslo",
    "\n",
    "\n\n",
    " ",
    "  ",
    "\t",
    "\"",
    "'",
    "`",
    "```",
    "```json\n",
    "~~~",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    ";",
    "=",
    "<",
    ">",
    "/",
    "{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Oslo\"}}",
    "{\"name\": \"get_time\"}",
    "{\"city\":\"Oslo\"}",
    "{\"cmd\":\"ls\"}",
    "[get_time()]",
    "[TOOL_CALLS]",
    "[ARGS]",
    "functools",
    "<|tool_call_begin|>",
    "functions.get_time:0",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
    "<|python_tag|>",
    "<|channel|>",
    "commentary to=functions.get_time",
    "<|message|>",
    "<|end|>",
    "<|start|>",
    "analysis",
    "final",
    "<|START_ACTION|>",
    "<|END_ACTION|>",
    "<|START_RESPONSE|>",
    "]<]minimax[>[",
    "<invoke name=\"get_weather\">",
    "<city>",
    "</city>",
    "<|tool_call>",
    "call:get_weather{city:<|\"|>Oslo<|\"|>}",
    "<tool_call|>",
    "<arg_key>city</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<bash>",
    "</bash>",
    "<explore_agent>",
    "</explore_agent>",
    "<think>",
    "</think>",
    "to=functions.get_time json",
    "> ",
    "é",
    "｜",
    "▁",
    "<function_results>",
    "</function_results>",
    "<get_weather>",
    "</get_weather>",
    "<|tool_calls|>",
    "{'name': 'get_time'}",
    "\\",
    "text",
    "text. ",
    "- ",
    "1. ",
    "    ",
    "\n> ",
    "<pre>",
    "</pre>",
    "<!--",
    "-->",
    "<notes>\n",
    "</notes>",
    "“",
    "”",
    "«",
    "»",
    "key: |\n",
    "<<EOF\n",
    "EOF\n",
    "\"\"\"",
    "~~~\n",
    "&lt;",
];

fn texts() -> impl Strategy<Value = String> {
    vec(select(WORDS), 0..24).prop_map(|words| words.concat())
}

fn hints() -> impl Strategy<Value = Option<Dialect>> {
    prop_oneof![4 => Just(None), 1 => select(Dialect::ALL).prop_map(Some)]
}

/// A text in chunks of these sizes, again and again.
fn cut<'a>(text: &'a str, sizes: &[usize]) -> Vec<&'a str> {
    let mut chunks = Vec::new();
    let mut rest = text;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let mut at = (*size).min(rest.len());
        while !rest.is_char_boundary(at) {
            at += 1;
        }
        chunks.push(&rest[..at]);
        rest = &rest[at..];
    }
    chunks
}

/// A value that survives every dialect: no line breaks at the ends, which tags lay out with.
fn city() -> impl Strategy<Value = String> {
    "[a-zA-Zé€𝄞0-9 .,;:<>{}\\[\\]()\"'\\\\/|&$#\n-]{0,40}".prop_map(|text| format!("x{text}x"))
}

fn python_string(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out + "'"
}

/// The call in a dialect.
fn render(dialect: Dialect, city: &str, days: i64, metric: bool) -> String {
    let object = serde_json::json!({ "city": city, "days": days, "metric": metric }).to_string();
    let call = format!(r#"{{"name":"get_weather","arguments":{object}}}"#);
    let tags = |open: &dyn Fn(&str) -> String, close: &str| {
        let mut out = String::new();
        for (key, value) in
            [("city", city.to_owned()), ("days", days.to_string()), ("metric", metric.to_string())]
        {
            let _ = write!(out, "{}{value}{close}", open(key));
        }
        out
    };
    match dialect {
        Dialect::Hermes => format!("<tool_call>\n{call}\n</tool_call>"),
        Dialect::QwenCoder => format!(
            "<tool_call>\n<function=get_weather>\n{}</function>\n</tool_call>",
            tags(&|key| format!("<parameter={key}>\n"), "\n</parameter>\n")
        ),
        Dialect::Glm => format!(
            "<tool_call>get_weather\n{}</tool_call>",
            tags(&|key| format!("<arg_key>{key}</arg_key>\n<arg_value>"), "</arg_value>\n")
        ),
        Dialect::KimiK2 => format!(
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{object}<|tool_call_end|><|tool_calls_section_end|>"
        ),
        Dialect::DeepseekV31 => format!(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{object}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
        Dialect::Dsml => format!(
            "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_weather\">\n{}</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
            tags(&|key| format!("<｜DSML｜parameter name=\"{key}\">"), "</｜DSML｜parameter>\n")
        ),
        Dialect::MinimaxM2 => format!(
            "<minimax:tool_call>\n<invoke name=\"get_weather\">\n{}</invoke>\n</minimax:tool_call>",
            tags(&|key| format!("<parameter name=\"{key}\">"), "</parameter>\n")
        ),
        Dialect::Mistral => format!("[TOOL_CALLS]get_weather[ARGS]{object}"),
        Dialect::Llama => format!("<|python_tag|>{}", call.replacen("arguments", "parameters", 1)),
        Dialect::Pythonic => {
            let metric = if metric { "True" } else { "False" };
            format!("[get_weather(city={}, days={days}, metric={metric})]", python_string(city))
        }
        Dialect::Harmony => {
            format!(
                "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{object}<|call|>"
            )
        }
        Dialect::Gemma => format!(
            "<|tool_call>call:get_weather{{city:<|\"|>{city}<|\"|>,days:{days},metric:{metric}}}<tool_call|>"
        ),
        Dialect::Nemotron => format!("<TOOLCALL>[{call}]</TOOLCALL>"),
        _ => call,
    }
}

const RENDERED: [Dialect; 14] = [
    Dialect::Hermes,
    Dialect::QwenCoder,
    Dialect::Glm,
    Dialect::KimiK2,
    Dialect::DeepseekV31,
    Dialect::Dsml,
    Dialect::MinimaxM2,
    Dialect::Mistral,
    Dialect::Llama,
    Dialect::Pythonic,
    Dialect::Harmony,
    Dialect::Gemma,
    Dialect::Nemotron,
    Dialect::RawJson,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_do_not_matter_and_nothing_is_lost(text in texts(), hint in hints(), sizes in vec(1usize..20, 1..5)) {
        let options = Options::new(tools()).hint(hint);
        let whole = parse(&text, &options);
        check(&text, &whole, &options);
        prop_assert_eq!(&stream(characters(&text), &options), &whole, "by characters: {:?}", text);
        prop_assert_eq!(&stream(cut(&text, &sizes), &options), &whole, "in chunks of {:?}: {:?}", sizes, text);
    }

    #[test]
    fn whoever_wrote_a_text_wrote_its_calls(text in texts(), hint in hints(), sizes in vec(1usize..20, 1..5)) {
        let alone = Options::new(tools()).hint(hint).trust(Trust::Alone);
        let whole = parse(&text, &alone);
        check(&text, &whole, &alone);
        prop_assert_eq!(&stream(cut(&text, &sizes), &alone), &whole, "in chunks of {:?}: {:?}", sizes, text);
        let written = text.clone();
        let known = Options::new(tools())
            .hint(hint)
            .provenance(Provenance::new(move |each| each(Writer::Other, &written)));
        let whole = parse(&text, &known);
        check(&text, &whole, &known);
        prop_assert!(!whole.iter().any(|piece| matches!(piece.kind, PieceKind::Call(_))), "{:?}: {:?}", text, whole);
        prop_assert_eq!(&stream(cut(&text, &sizes), &known), &whole, "in chunks of {:?}: {:?}", sizes, text);
    }

    #[test]
    fn any_text_at_all(text in any::<String>(), sizes in vec(1usize..9, 1..4)) {
        let options = Options::new(tools());
        let whole = parse(&text, &options);
        check(&text, &whole, &options);
        prop_assert_eq!(stream(cut(&text, &sizes), &options), whole);
    }

    #[test]
    fn a_call_that_is_written_is_read(
        dialect in select(&RENDERED[..]),
        city in city(),
        days in any::<i64>(),
        metric in any::<bool>(),
        around in select(&["", "I will look.\n", "Of course!\n\n"][..]),
    ) {
        let text = format!("{around}{}", render(dialect, &city, days, metric));
        let calls: Vec<_> = parse(&text, &Options::new(tools()))
            .into_iter()
            .filter_map(|piece| if let PieceKind::Call(call) = piece.kind { Some(call) } else { None })
            .collect();
        let want = serde_json::json!({ "city": city, "days": days, "metric": metric });
        prop_assert_eq!(calls.len(), 1, "{}", text);
        let found: serde_json::Value = serde_json::from_str(&calls[0].arguments).expect("JSON");
        prop_assert_eq!((calls[0].name.as_str(), found), ("get_weather", want), "{}", text);
    }
}

/// The same work for every piece, however much is held: otherwise this takes minutes.
#[test]
fn long_runs_are_looked_at_once() {
    let options = Options::new(tools());
    let heads = [
        "<tool_call>",
        "<tool_call>{",
        "<tool_call>{\"name\":\"get_time\"}",
        "<function=write_file><parameter=path>a</parameter>",
        "<function=write_file><parameter=path>",
        "<function=write_file>",
        "<|tool_call_begin|>functions.get_time:0<|tool_call_argument_begin|>",
        "<|tool_call_begin|>functions.get_time:0<|tool_call_argument_begin|>{}",
        "[get_time(",
        "[get_time()",
        "<|tool_call>call:get_time{",
        "<|channel|>commentary to=functions.get_time<|message|>",
        "<|channel|>final<|message|>",
        "<bash>",
        "<think>",
        "{\"name\":",
        "]<]minimax[>[<tool_call>",
        "<get_weather>",
        "[TOOL_CALLS]",
        "functools",
        "```",
        "`",
        "<function_results>",
    ];
    for head in heads {
        for filler in [" ", "\n", "<", "{", "\"", "`", "</parameter> ", "a"] {
            let text = format!("{head}{}", filler.repeat(24_000 / filler.len()));
            let whole = parse(&text, &options);
            assert_eq!(stream(cut(&text, &[2]), &options), whole, "{head} and then {filler:?}");
        }
    }
}

#[test]
fn what_is_held_is_bounded() {
    let mut options = Options::new([Tool::new("f", "{}")]);
    options.limits.call_bytes = 10_000;
    for open in [
        "<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":\"",
        "<function=f><parameter=x>",
        "<bash>",
        "```",
        "`",
        "{\"name\":\"f\",",
        "<think>",
    ] {
        let mut scanner = toolcall_parser::Scanner::new(options.clone());
        let mut seen = 0;
        let mut sink = |event: toolcall_parser::Event<'_>| {
            if let toolcall_parser::Event::Text(text) = event {
                seen += text.len();
            }
        };
        scanner.push(open, &mut sink);
        for _ in 0..10_000 {
            scanner.push("0123456789 <", &mut sink);
            assert!(scanner.held() < 11_000, "{open} holds {}", scanner.held());
        }
        scanner.finish(&mut sink);
        assert!(seen >= 100_000, "{open}: only {seen} bytes of text");
    }
}
