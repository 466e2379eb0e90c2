//! Slips of known dialects: whatever was written wrong, the call is the same, and nothing of the marks is shown.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::slips::SLIPS;
use support::{characters, check, fixtures, stream, tools};
use toolcall_parser::{Options, Piece, PieceKind, Tool, parse};

/// The well-formed texts of every dialect's folder.
fn written() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for folder in std::fs::read_dir(fixtures()).expect("readable").filter_map(Result::ok) {
        let Ok(files) = std::fs::read_dir(folder.path()) else { continue };
        for file in files.filter_map(Result::ok) {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.ends_with("two_files.txt") || name.ends_with("nested.txt") {
                let text = std::fs::read_to_string(file.path()).expect("UTF-8");
                texts.push((format!("{}/{name}", folder.file_name().to_string_lossy()), text));
            }
        }
    }
    texts.sort();
    texts
}

/// The calls, their arguments as values.
fn calls(pieces: &[Piece]) -> Vec<(String, serde_json::Value)> {
    let call = |piece: &Piece| match &piece.kind {
        PieceKind::Call(call) => {
            Some((call.name.clone(), serde_json::from_str(&call.arguments).expect("JSON")))
        }
        _ => None,
    };
    pieces.iter().filter_map(call).collect()
}

/// What has no marker must leave no doubt: it is text as it stands.
fn is_doubtful(name: &str, slip: &str) -> bool {
    let signs = ["arrows for colons", "thin arrows for colons", "equals signs for colons"];
    name.starts_with("raw_json/")
        && (signs.contains(&slip) || (name.contains("rawtc") && slip.starts_with("semicolons")))
}

fn visible<'t>(text: &'t str, pieces: &[Piece]) -> Vec<&'t str> {
    let shown = pieces.iter().filter(|piece| matches!(piece.kind, PieceKind::Text | PieceKind::Cut(_)));
    shown.map(|piece| &text[piece.span.clone()]).filter(|text| !text.trim().is_empty()).collect()
}

#[test]
fn the_call_is_the_same_whatever_was_written_wrong() {
    let options = Options::new(tools());
    let others = Options::new([Tool::new("other_tool", "{}")]);
    let mut counts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    let (mut all, mut doubtful) = (0, 0);
    for (name, text) in written() {
        let want = calls(&parse(&text, &options));
        assert!(!want.is_empty(), "{name}");
        let dialect = name.split('/').next().expect("a folder").to_owned();
        for slip in SLIPS {
            let Some(slipped) = (slip.make)(&text) else { continue };
            let pieces = parse(&slipped, &options);
            check(&slipped, &pieces, &options);
            all += 1;
            // These would close the list in its middle.
            if name.contains("rawlist_two") && slip.name == "two closers too many" {
                continue;
            }
            if is_doubtful(&name, slip.name) {
                assert_eq!(
                    (calls(&pieces), visible(&slipped, &pieces).concat()),
                    (vec![], slipped),
                    "{name}"
                );
                doubtful += 1;
                continue;
            }
            if calls(&pieces) != want || !visible(&slipped, &pieces).is_empty() {
                wrong.push(format!(
                    "{name}, {}: {slipped:?}\n  {:?}\n  shown {:?}",
                    slip.name,
                    calls(&pieces),
                    visible(&slipped, &pieces)
                ));
                continue;
            }
            assert_eq!(stream(characters(&slipped), &options), pieces, "{name}, {}", slip.name);
            let around = format!("I look.\n\n{slipped}");
            let pieces = parse(&around, &options);
            assert_eq!(
                (calls(&pieces), visible(&around, &pieces)),
                (want.clone(), vec!["I look."]),
                "{around}"
            );
            // What only shows it is text, and nobody calls what is not declared.
            let fenced = format!("It writes:\n\n~~~~\n{slipped}\n~~~~\n");
            assert_eq!(calls(&parse(&fenced, &options)), [], "{fenced}");
            assert_eq!(calls(&parse(&slipped, &others)), [], "{slipped}");
            counts.entry(slip.name).or_default().insert(dialect.clone());
        }
    }
    let counted: usize = counts.values().map(BTreeSet::len).sum();
    assert!(
        all >= 1600 && counted >= 540 && counts.len() == SLIPS.len() && doubtful < 40,
        "{all} texts, {counted} pairs of a slip and a dialect, {} slips, {doubtful} doubtful",
        counts.len()
    );
    let unused: Vec<_> =
        SLIPS.iter().map(|slip| slip.name).filter(|name| !counts.contains_key(name)).collect();
    assert_eq!(unused, [""; 0]);
    assert!(wrong.is_empty(), "{} of {all}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_mark_with_an_invisible_character_in_it_is_none() {
    let options = Options::new(tools());
    let mut all = 0;
    for (name, text) in written() {
        for hidden in ['\u{200b}', '\u{200d}', '\u{2060}', '\u{feff}'] {
            // In every tag and token: behind the bracket, or behind the first letter.
            let letters =
                ["<t", "</t", "<f", "<i", "<a", "<p", "<m", "<s", "<w", "<g", "<c", "<d", "<l", "<T"];
            let slipped = letters
                .iter()
                .fold(text.clone(), |text, tag| text.replace(tag, &format!("{tag}{hidden}")))
                .replace("<|", &format!("<{hidden}|"))
                .replace("<｜", &format!("<{hidden}｜"));
            if slipped == text {
                continue;
            }
            let pieces = parse(&slipped, &options);
            assert_eq!(calls(&pieces), [], "{name}: {slipped:?}");
            assert!(pieces.iter().all(|piece| piece.kind == PieceKind::Text), "{name}: {pieces:?}");
            assert_eq!(stream(characters(&slipped), &options), pieces, "{name}");
            all += 1;
        }
    }
    assert!(all >= 300, "{all} texts");
}
