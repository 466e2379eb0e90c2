//! What is made of a text that a model wrote, for a person who wants to see it: pieces, dialects, calls, leftovers. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use toolcall_parser::{Options, PieceKind, Tool, parse};

/// Words of a text that are tried as names of tools, where none is declared.
const MAX_NAMES: usize = 500;
/// A schema that says nothing of the parameters.
const ANY: &str = "{\"type\":\"object\"}";

/// A part of the text, and what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InspectedPiece {
    /// `text`, `reasoning`, `markup`, `call`, `request` or `cut`.
    pub kind: &'static str,
    /// The dialect it was written in.
    pub dialect: Option<&'static str>,
    /// The tool that is called.
    pub name: Option<String>,
    /// One JSON object.
    pub arguments: Option<String>,
    /// How it was written.
    pub text: String,
    /// What was mended, in the parser's words.
    pub repairs: Vec<String>,
}

/// The pieces of a text; joined, their texts are the text. Without declared tools, every word of the text is one.
pub fn inspect(text: &str, tools: &[String]) -> Vec<InspectedPiece> {
    let declared = if tools.is_empty() { words(text) } else { tools.iter().cloned().collect() };
    let options = Options::new(declared.into_iter().map(|name| Tool::new(name, ANY)));
    parse(text, &options)
        .into_iter()
        .map(|piece| {
            let text = text.get(piece.span).unwrap_or_default().to_owned();
            let plain = |kind| InspectedPiece { kind, text: text.clone(), ..InspectedPiece::default() };
            match piece.kind {
                PieceKind::Text => plain("text"),
                PieceKind::Reasoning => plain("reasoning"),
                PieceKind::Markup => plain("markup"),
                PieceKind::Request(_) => plain("request"),
                PieceKind::Cut(problem) => InspectedPiece {
                    dialect: Some(problem.dialect.name()),
                    name: problem.name,
                    ..plain("cut")
                },
                PieceKind::Call(call) => InspectedPiece {
                    dialect: Some(call.dialect.name()),
                    name: Some(call.name),
                    arguments: Some(call.arguments),
                    repairs: call.repairs.iter().map(|repair| format!("{repair:?}")).collect(),
                    ..plain("call")
                },
            }
        })
        .collect()
}

/// What may be the name of a tool.
fn words(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let words = text.split(|c: char| !is_of_name(c)).map(|word| word.trim_matches(['.', '-']));
    let mut names: BTreeSet<String> = BTreeSet::from(["shell".to_owned()]);
    for word in words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.len() <= 64) {
        if names.len() == MAX_NAMES {
            break;
        }
        names.insert(word.to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_without_declared_tools() {
        let text = "Let me look.\n<tool_call>\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a.rs\",}}\n</tool_call>";
        let pieces = inspect(text, &[]);
        let call = pieces.iter().find(|piece| piece.kind == "call").expect("a call");
        assert_eq!((call.dialect, call.name.as_deref()), (Some("hermes"), Some("read_file")));
        assert_eq!(call.arguments.as_deref(), Some("{\"path\":\"a.rs\"}"));
        assert!(!call.repairs.is_empty(), "a comma too many");
        assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<String>(), text);
        let other = inspect(text, &["shell".to_owned()]);
        assert!(other.iter().all(|piece| piece.kind != "call"), "{other:?}");
    }

    #[test]
    fn a_text_of_many_words_is_read_too() {
        let text = (0..5000).fold(String::new(), |text, number| text + &format!("word{number} "));
        assert_eq!(words(&text).len(), MAX_NAMES);
        assert_eq!(inspect(&text, &[])[0].kind, "text");
    }
}
