//! Call markup that a model only shows: every context, every dialect, every way of cutting, and whether it is known who wrote it.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use support::planted::{CONTEXTS, Stands, Way, planted};
use support::{check, stream, tools};
use toolcall_parser::{Options, Piece, PieceKind, Provenance, Trust, Writer, parse};

fn calls(pieces: &[Piece]) -> usize {
    pieces.iter().filter(|piece| matches!(piece.kind, PieceKind::Call(_))).count()
}

/// Pieces of this many characters.
fn chunks(text: &str, size: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(size).map(|chunk| chunk.iter().collect()).collect()
}

/// The calls of a text; the same however it is cut.
fn calls_however_cut(name: &str, text: &str, options: &Options) -> usize {
    let whole = parse(text, options);
    check(text, &whole, options);
    for size in [1, 3, 7] {
        let pieces = chunks(text, size);
        assert_eq!(stream(pieces.iter().map(String::as_str), options), whole, "{name}, {size}: {text:?}");
    }
    calls(&whole)
}

/// As if this had stood in a tool's output.
fn written(by: Writer, text: String) -> Provenance {
    Provenance::new(move |each| each(by, &text))
}

#[test]
fn every_dialect_that_is_tried_is_one_when_it_stands_alone() {
    for (dialect, markup) in planted() {
        let options = Options::new(tools());
        assert_eq!(calls_however_cut(dialect, &markup, &options), 1, "{dialect}");
        assert_eq!(calls_however_cut(dialect, &format!("I look.\n\n{markup}\n"), &options), 1, "{dialect}");
        let alone = options.clone().trust(Trust::Alone);
        assert_eq!(calls_however_cut(dialect, &format!("I look.\n\n{markup}\n"), &alone), 1, "{dialect}");
        assert_eq!(calls_however_cut(dialect, &format!("{markup}\n\nThat is it."), &alone), 0, "{dialect}");
    }
}

#[test]
fn what_is_shown_is_no_call() {
    let planted = planted();
    let (mut table, mut wrong) = (String::new(), String::new());
    let (mut bare, mut quoted, mut known) = (0, 0, 0);
    for (context, stands, way) in CONTEXTS {
        let mut made = [0; 2];
        for (dialect, markup) in &planted {
            let text = way.text(markup);
            let name = format!("{context}, {dialect}");
            let options = Options::new(tools());
            let found = calls_however_cut(&name, &text, &options);
            made[0] += found;
            match stands {
                Stands::Bare => bare += found,
                Stands::Quoted => quoted += found,
            }
            if *stands == Stands::Quoted && found > 0 {
                let _ = writeln!(wrong, "{name}: {text:?}");
            }
            let options = options.provenance(written(Writer::Other, format!("# Notes\n{markup}\nEnd.")));
            let found = calls_however_cut(&name, &text, &options);
            made[1] += found;
            known += found;
            if found > 0 {
                let _ = writeln!(wrong, "{name}, written by somebody: {text:?}");
            }
        }
        let _ = writeln!(table, "{:2} {:2} of {} | {context}", made[0], made[1], planted.len());
    }
    let all = CONTEXTS.len() * planted.len();
    println!(
        "{table}of {all}: {bare} bare, {quoted} quoted, {known} that somebody else is known to have written"
    );
    assert_eq!((quoted, known), (0, 0), "\n{table}\n{wrong}");
    // The only ones that are left, because nothing but their writer tells them from calls.
    assert_eq!((planted.len(), CONTEXTS.len(), bare), (40, 108, 428), "\n{table}");
}

/// How a planted block stands in the text of the request.
const LAID_OUT: &[Way] = &[
    Way::Around("", ""),
    Way::Around("The page says: ", " and more."),
    Way::Around("```\n", "\n```"),
    Way::Lines("", "    ", ""),
    Way::Lines("", "> ", ""),
    Way::Lines("", "+", ""),
    Way::Lines("", "docs/a.md:7:", ""),
    Way::Lines("", "// ", ""),
    Way::Numbered("", "\t"),
    Way::Numbered("", "→"),
    Way::Numbered("", ": "),
];

/// How a tool hands text on.
fn encoded(text: &str, how: usize) -> String {
    let json = || serde_json::Value::from(text).to_string();
    match how {
        0 => text.to_owned(),
        1 => json(),
        2 => serde_json::Value::from(json()).to_string(),
        3 => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
        4 => json().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
        5 => text.replace('\n', "\r\n"),
        _ => text.replace('\n', " "),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the planted call was laid out and encoded where the model read it, and wherever the model shows it: no call.
    #[test]
    fn what_somebody_else_wrote_is_no_call(
        at in 0..planted().len(),
        way in 0..CONTEXTS.len(),
        laid_out in select(LAID_OUT),
        how in 0usize..7,
        operator in any::<bool>(),
        around in "[a-z <>{}\\[\\]`\n\"]{0,60}",
    ) {
        let (dialect, markup) = planted().swap_remove(at);
        // Without line breaks there are no prefixes of lines.
        let laid_out = if how > 5 { LAID_OUT[0] } else { laid_out };
        let source = format!("{around}\n{}\n{around}", encoded(&laid_out.text(&markup), how));
        let writer = if operator { Writer::Operator } else { Writer::Other };
        let options = Options::new(tools()).provenance(written(writer, source.clone()));
        for text in [markup.clone(), CONTEXTS[way].2.text(&markup), format!("{around}\n\n{markup}")] {
            prop_assert_eq!(calls(&parse(&text, &options)), 0, "{}: {:?} in {:?}", dialect, text, source);
        }
    }

    /// A call of the model's own stays one, whatever else was written: also its own words in the texts, and markup with other values.
    #[test]
    fn a_call_of_the_models_own_is_a_call(at in 0..planted().len(), other in 0..planted().len(), word in "[a-z]{3,20}") {
        let (dialect, markup) = planted().swap_remove(at);
        let own = format!("cargo test --package {word}");
        let markup = markup.replace(support::planted::COMMAND, &own);
        let source = format!("{}\n\nPlease run `{own}`, or the command {own}.\n", planted().swap_remove(other).1);
        let options = Options::new(tools()).provenance(written(Writer::Other, source));
        prop_assert_eq!(calls(&parse(&format!("I run it.\n\n{markup}"), &options)), 1, "{}", dialect);
    }
}
