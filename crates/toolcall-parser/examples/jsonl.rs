//! Reads requests as JSON Lines on stdin and answers each with a line: the calls found in its chunks, and the visible text.
//!
//! `{"id", "mode": "complete"|"stream", "dialect_hint", "model_hint", "tools": [{"name", "parameters"}], "chunks": ["…"]}`
//! becomes `{"id", "calls": [{"name", "arguments": {…}}], "text": "…"}`. In `stream` the chunks are fed one by one, and the answer
//! is made from the events that came out.
#![allow(clippy::print_stdout, reason = "answers go to stdout")]

use std::io::{BufRead as _, Write as _};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use toolcall_parser::{Dialect, Event, Options, PieceKind, Scanner, Tool, parse};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let request: Value = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{}", answer(&request))?;
        out.flush()?;
    }
    Ok(())
}

fn answer(request: &Value) -> String {
    let options = options(request);
    let chunks = request["chunks"].as_array().map_or(&[][..], Vec::as_slice);
    let chunks: Vec<&str> = chunks.iter().filter_map(Value::as_str).collect();
    let (calls, text) = if request["mode"] == "complete" {
        complete(&chunks.concat(), &options)
    } else {
        stream(&chunks, options)
    };
    let calls: Vec<&str> = calls.iter().map(|call| call.get()).collect();
    format!("{{\"id\":{},\"calls\":[{}],\"text\":{}}}", request["id"], calls.join(","), Value::from(text))
}

fn options(request: &Value) -> Options {
    let tools = request["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let tools = tools.iter().filter_map(|tool| {
        let function = if tool["function"].is_object() { &tool["function"] } else { tool };
        Some(Tool::new(function["name"].as_str()?, &function["parameters"].to_string()))
    });
    let dialect = request["dialect_hint"].as_str().and_then(Dialect::from_name);
    let model = || request["model_hint"].as_str().and_then(Dialect::for_model);
    Options::new(tools).hint(dialect.or_else(model))
}

fn complete(text: &str, options: &Options) -> (Vec<Box<RawValue>>, String) {
    let mut calls = Vec::new();
    let mut visible = String::new();
    for piece in parse(text, options) {
        match piece.kind {
            PieceKind::Text => visible.push_str(&text[piece.span]),
            PieceKind::Call(call) => calls.push(shown(&call.name, &call.arguments)),
            _ => {}
        }
    }
    (calls, visible)
}

fn stream(chunks: &[&str], options: Options) -> (Vec<Box<RawValue>>, String) {
    let mut scanner = Scanner::new(options);
    let mut open: Option<(String, String)> = None;
    let mut calls = Vec::new();
    let mut visible = String::new();
    let mut sink = |event: Event<'_>| match event {
        Event::Text(text) | Event::Stray(text) => visible.push_str(text),
        Event::CallStarted { name, .. } => open = Some((name.to_owned(), String::new())),
        Event::CallArguments { json, .. } => {
            if let Some((_, arguments)) = &mut open {
                arguments.push_str(json);
            }
        }
        Event::CallEnded { .. } => {
            calls.extend(open.take().map(|(name, arguments)| shown(&name, &arguments)));
        }
        Event::CallRefused { .. } => open = None,
        _ => {}
    };
    for chunk in chunks {
        scanner.push(chunk, &mut sink);
    }
    scanner.finish(&mut sink);
    (calls, visible)
}

/// A call as JSON; its arguments keep every digit.
fn shown(name: &str, arguments: &str) -> Box<RawValue> {
    let call = format!("{{\"name\":{},\"arguments\":{arguments}}}", Value::from(name));
    RawValue::from_string(call).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
