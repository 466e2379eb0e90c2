//! MB/s: prose, calls whole, calls in pieces of 16 bytes, and text that means harm.

use divan::counter::BytesCount;
use toolcall_parser::{Event, Options, Scanner, Tool, parse};

const SCHEMA: &str = r#"{"type":"object","properties":{"path":{"type":"string"},"content":{"type":"string"},"mode":{"type":"integer"}},"required":["path","content"]}"#;

fn main() {
    divan::main();
}

fn options() -> Options {
    Options::new([Tool::new("write_file", SCHEMA), Tool::new("get_time", "{}")])
}

/// Source code of about this size, as the value of a parameter.
fn code(size: usize) -> String {
    let line = "    if a < b && names[\"x\"] == 'y' { println!(\"{}: {}\", a, b); } // a line of code\n";
    line.repeat(size / line.len() + 1)
}

fn json(content: &str) -> String {
    format!(r#"{{"path":"src/main.rs","content":{},"mode":420}}"#, serde_json::Value::from(content))
}

/// A call in each kind of dialect, with a large argument.
fn call(kind: &str, size: usize) -> String {
    let content = code(size);
    match kind {
        "hermes" => {
            format!("<tool_call>\n{{\"name\":\"write_file\",\"arguments\":{}}}\n</tool_call>", json(&content))
        }
        "qwen_coder" => format!(
            "<tool_call>\n<function=write_file>\n<parameter=path>\nsrc/main.rs\n</parameter>\n<parameter=content>\n{content}\n</parameter>\n</function>\n</tool_call>"
        ),
        "glm" => format!(
            "<tool_call>write_file\n<arg_key>path</arg_key>\n<arg_value>src/main.rs</arg_value>\n<arg_key>content</arg_key>\n<arg_value>{content}</arg_value>\n</tool_call>"
        ),
        "kimi_k2" => format!(
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.write_file:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
            json(&content)
        ),
        "dsml" => format!(
            "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"write_file\">\n<｜DSML｜parameter name=\"path\" string=\"true\">src/main.rs</｜DSML｜parameter>\n<｜DSML｜parameter name=\"content\" string=\"true\">{content}</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>"
        ),
        "mistral" => format!("[TOOL_CALLS]write_file[ARGS]{}", json(&content)),
        "harmony" => {
            format!(
                "<|channel|>commentary to=functions.write_file <|constrain|>json<|message|>{}<|call|>",
                json(&content)
            )
        }
        "pythonic" => format!(
            "[write_file(path='src/main.rs', content={}, mode=420)]",
            serde_json::Value::from(content)
        ),
        "gemma" => format!(
            "<|tool_call>call:write_file{{path:<|\"|>a<|\"|>,content:<|\"|>{content}<|\"|>}}<tool_call|>"
        ),
        _ => json(&content).replacen('{', "{\"name\":\"write_file\",\"arguments\":{", 1) + "}",
    }
}

const KINDS: [&str; 10] =
    ["hermes", "qwen_coder", "glm", "kimi_k2", "dsml", "mistral", "harmony", "pythonic", "gemma", "raw_json"];

fn stream(text: &str, options: &Options, piece: usize) -> usize {
    let mut scanner = Scanner::new(options.clone());
    let mut seen = 0;
    let mut sink = |event: Event<'_>| {
        if let Event::CallEnded { call, .. } = event {
            seen += call.arguments.len();
        }
    };
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = piece.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        scanner.push(&rest[..end], &mut sink);
        rest = &rest[end..];
    }
    scanner.finish(&mut sink);
    seen
}

#[divan::bench(args = KINDS)]
fn whole(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let (text, options) = (call(kind, 200_000), options());
    bencher.counter(BytesCount::of_str(&text)).bench(|| parse(divan::black_box(&text), &options));
}

#[divan::bench(args = KINDS)]
fn in_pieces_of_16(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let (text, options) = (call(kind, 200_000), options());
    bencher.counter(BytesCount::of_str(&text)).bench(|| stream(divan::black_box(&text), &options, 16));
}

/// Many small calls instead of a large one.
#[divan::bench(args = KINDS)]
fn small_calls(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let (text, options) = ((call(kind, 100) + "\n").repeat(100), options());
    bencher.counter(BytesCount::of_str(&text)).bench(|| parse(divan::black_box(&text), &options));
}

#[divan::bench(args = [16, 4096, 1 << 20])]
fn prose(bencher: divan::Bencher<'_, '_>, piece: usize) {
    let text = "The quick brown fox jumps over the lazy dog, and it explains at length why it does so.\n"
        .repeat(12_000);
    let options = options();
    bencher.counter(BytesCount::of_str(&text)).bench(|| stream(divan::black_box(&text), &options, piece));
}

/// Text that would make a careless parser look again and again.
#[divan::bench(args = ["<", "{", "[", "`", "<tool_call>", "{\"name\":", "<function=write_file><parameter=path>", "\n"])]
fn hostile(bencher: divan::Bencher<'_, '_>, unit: &str) {
    let text = unit.repeat(1_000_000 / unit.len());
    let options = options();
    bencher.counter(BytesCount::of_str(&text)).bench(|| stream(divan::black_box(&text), &options, 16));
}
