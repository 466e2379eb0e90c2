//! A usage report for a spreadsheet: RFC 4180, and no cell that a spreadsheet would take for a formula.

use std::borrow::Cow;

use latimer_protocol::printable::escaped;
use latimer_proxy::store::usage::{UsageLine, UsageReport};

const HEADINGS: &str = "name,part,turns,failed,input_tokens,cached_tokens,output_tokens,reasoning_tokens,p50_ms,p95_ms,first_p50_ms,retries,repairs,cost_usd,unpriced_turns";

/// The rows, the headings first. A part of a line stands below it, with the name of both.
pub(super) fn rows(report: &UsageReport) -> Vec<String> {
    let parts = |line: &UsageLine| {
        line.parts.iter().map(|part| row(&line.name, &part.name, part)).collect::<Vec<_>>()
    };
    let lines = report
        .lines
        .iter()
        .flat_map(|line| std::iter::once(row(&line.name, "", line)).chain(parts(line)).collect::<Vec<_>>());
    std::iter::once(HEADINGS.to_owned()).chain(lines).collect()
}

fn row(name: &str, part: &str, line: &UsageLine) -> String {
    let numbers = [
        line.turns,
        line.failed,
        line.input,
        line.cached,
        line.output,
        line.reasoning,
        line.p50_ms,
        line.p95_ms,
        line.first_p50_ms,
        line.retries,
        line.repairs,
    ];
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    // What nobody knows is an empty cell.
    let cost = line.cost_usd.map_or_else(String::new, |cost| format!("{cost:.6}"));
    format!("{},{},{},{cost},{}", cell(name), cell(part), numbers.join(","), line.unpriced)
}

/// A text as a cell. Spreadsheets run what begins with one of these characters, whatever stands around it.
fn cell(text: &str) -> Cow<'_, str> {
    let text = escaped(text);
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r', '|', '%']);
    let text = if is_formula { Cow::Owned(format!("'{text}")) } else { text };
    if text.contains([',', '"', '\n', '\r', ';']) {
        return Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_or_two() {
        let cases = [
            ("lab/glm", "lab/glm"),
            ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" =1", "' =1"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
        ];
        for (text, want) in cases {
            assert_eq!(cell(text), want, "{text}");
        }
        assert!(!cell("a\nb\u{1b}[2J").contains(['\n', '\u{1b}']));
    }

    #[test]
    fn each_row_has_a_cell_for_each_heading() {
        let part = UsageLine { name: "lab/glm".to_owned(), turns: 1, ..UsageLine::default() };
        let line = UsageLine {
            name: "2026-11-29".to_owned(),
            turns: 2,
            cost_usd: Some(0.25),
            parts: vec![part],
            ..UsageLine::default()
        };
        let rows = rows(&UsageReport { lines: vec![line], total: UsageLine::default() });
        assert_eq!(rows.len(), 3);
        let cells = |row: &str| row.split(',').count();
        assert!(rows.iter().all(|row| cells(row) == cells(HEADINGS)), "{rows:?}");
        assert_eq!(rows[1], "2026-11-29,,2,0,0,0,0,0,0,0,0,0,0,0.250000,0");
        assert!(rows[2].starts_with("2026-11-29,lab/glm,1,") && rows[2].contains(",,0"), "{rows:?}");
    }
}
