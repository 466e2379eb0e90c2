//! Files of the same name in the folders of two protocols: what they share belongs on a floor below both.

use std::collections::BTreeMap;

use syn::spanned::Spanned as _;

use super::source::Source;

/// How much of the shorter of two sibling files may stand in the other, in percent.
const MAX_SHARED: usize = 25;
/// A shorter file says too little to compare.
const MIN_LINES: usize = 20;
/// The folders whose children are protocols.
const PROTOCOLS: [(&str, &[&str]); 3] = [
    ("crates/proxy/src/inbound", &["responses", "chat", "messages", "gemini"]),
    (
        "crates/adapters/src",
        &[
            "chat",
            "anthropic",
            "responses",
            "gemini",
            "command_code",
            "codebuff",
            "codex_exec",
            "codex_app_server",
            "claude_code",
            "opencode",
        ],
    ),
    ("crates/proxy/src/turn", &["responses.rs", "chat.rs", "messages.rs", "gemini.rs"]),
];

/// Pairs of siblings that share too much; hands back the pair that shares most, in percent.
pub(super) fn check(sources: &[Source], faults: &mut Vec<String>) -> Option<(usize, String)> {
    let mut most = None;
    for (folder, protocols) in PROTOCOLS {
        let mut by_name: BTreeMap<String, Vec<(&Source, Vec<&str>)>> = BTreeMap::new();
        for source in sources {
            let Ok(inner) = source.path.strip_prefix(folder) else { continue };
            let mut parts = inner.iter().map(|part| part.to_string_lossy());
            let Some(protocol) = parts.next().filter(|part| protocols.contains(&part.as_ref())) else {
                continue;
            };
            let name = parts.collect::<Vec<_>>().join("/");
            let name = if name.is_empty() { folder.to_owned() } else { name };
            let lines = significant(source);
            if lines.len() >= MIN_LINES && !protocol.is_empty() {
                by_name.entry(name).or_default().push((source, lines));
            }
        }
        for files in by_name.values() {
            for (place, (one, lines)) in files.iter().enumerate() {
                for (other, others) in files.iter().skip(place + 1) {
                    let shared = common(lines, others) * 100 / lines.len().min(others.len());
                    let pair = format!("{} and {}", one.path.display(), other.path.display());
                    if shared >= MAX_SHARED {
                        faults
                            .push(format!("{pair} share {shared} % of their lines; less than {MAX_SHARED}"));
                    }
                    if most.as_ref().is_none_or(|(percent, _)| *percent < shared) {
                        most = Some((shared, pair));
                    }
                }
            }
        }
    }
    most
}

/// The lines that say something: no imports, comments, attributes or lone punctuation, no signatures of a trait's methods, and nothing
/// of the tests.
fn significant(source: &Source) -> Vec<&str> {
    let mut skipped = Vec::new();
    for item in &source.syntax.items {
        match item {
            syn::Item::Use(_) => skipped.push(item.span()),
            // What a trait asks for is the same for everyone who implements it.
            syn::Item::Impl(block) if block.trait_.is_some() => {
                let signature = |item: &syn::ImplItem| match item {
                    syn::ImplItem::Fn(function) => Some(function.sig.span()),
                    _ => None,
                };
                skipped.extend(block.items.iter().filter_map(signature));
            }
            _ => {}
        }
    }
    let is_skipped =
        |number| skipped.iter().any(|span| (span.start().line..=span.end().line).contains(&number));
    let lines = source.text.lines().zip(1..).take_while(|(line, _)| *line != "#[cfg(test)]");
    let lines = lines.filter(|(_, number)| !is_skipped(*number));
    let lines = lines.map(|(line, _)| line.trim());
    let says = |line: &&str| {
        line.chars().filter(|letter| letter.is_alphanumeric()).count() > 3
            && !["//", "#[", "mod ", "pub mod "].iter().any(|start| line.starts_with(start))
    };
    lines.filter(says).collect()
}

/// The length of the longest sequence of lines that stands in both in this order.
fn common(one: &[&str], other: &[&str]) -> usize {
    let mut row = vec![0; other.len() + 1];
    for line in one {
        let mut diagonal = 0;
        for (place, candidate) in other.iter().enumerate() {
            let above = row[place + 1];
            row[place + 1] = if line == candidate { diagonal + 1 } else { above.max(row[place]) };
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::source::of_text;
    use super::*;

    #[test]
    fn twins_are_found_and_strangers_are_not() {
        let file = |protocol: &str, word: &str| {
            let lines: Vec<String> = (0..30).map(|n| format!("const {word}_{n}: usize = {n};")).collect();
            of_text(&format!("crates/adapters/src/{protocol}/request.rs"), &lines.join("\n"))
        };
        let mut faults = Vec::new();
        assert_eq!(
            check(&[file("chat", "A"), file("gemini", "B")], &mut faults).map(|(shared, _)| shared),
            Some(0)
        );
        assert_eq!(faults, Vec::<String>::new());
        check(&[file("chat", "A"), file("gemini", "A")], &mut faults);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn the_common_part_keeps_its_order() {
        assert_eq!(common(&["a", "b", "c", "d"], &["b", "x", "d", "a"]), 2);
    }
}
