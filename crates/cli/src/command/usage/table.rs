//! A usage report as a table: names to the left, numbers to the right of their columns, and bars where a person looks. A narrow screen
//! gets fewer columns.

use std::fmt::Write as _;
use std::time::Duration;

use latimer_protocol::printable::escaped;
use latimer_proxy::store::usage::{UsageLine, UsageReport};

use crate::money;
use crate::turn_text::count;

/// Where a table is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The most columns of a line; `None` for as many as it has.
    pub(super) columns: Option<usize>,
    /// Whether a bar stands behind each line.
    pub(super) has_bars: bool,
}

/// The columns of numbers: their headings, and from which width on they are shown.
const HEADINGS: [(&str, usize); 8] = [
    ("turns", 0),
    ("failed", 0),
    ("input", 0),
    ("cached", 72),
    ("output", 0),
    ("p50", 90),
    ("p95", 90),
    ("cost", 0),
];
/// The least characters of a name that are shown.
const MIN_NAME: usize = 12;
/// The longest bar, and the shortest that says anything.
const MAX_BAR: usize = 24;
const MIN_BAR: usize = 6;
/// Between two columns.
const GAP: usize = 2;

/// One line of the table.
struct Row {
    name: String,
    numbers: Vec<String>,
    /// Which share of the largest line it has; `None` for headings, parts and the total.
    share: Option<f64>,
}

/// The rows of the table.
pub(super) fn rows(report: &UsageReport, layout: Layout) -> Vec<String> {
    let is_shown = |from: usize| layout.columns.is_none_or(|columns| columns >= from);
    let largest = report.lines.iter().map(weight).fold(0.0, f64::max);
    let row = |name: String, line: &UsageLine, share: Option<f64>| {
        let numbers = HEADINGS.iter().zip(cells(line));
        let numbers = numbers.filter(|((_, from), _)| is_shown(*from)).map(|(_, cell)| cell).collect();
        Row { name, numbers, share }
    };
    let headings = HEADINGS.iter().filter(|(_, from)| is_shown(*from)).map(|(name, _)| (*name).to_owned());
    let mut table = vec![Row { name: String::new(), numbers: headings.collect(), share: None }];
    for line in &report.lines {
        let share = (largest > 0.0).then(|| weight(line) / largest);
        table.push(row(escaped(&line.name).into_owned(), line, share));
        table.extend(line.parts.iter().map(|part| row(format!("  {}", escaped(&part.name)), part, None)));
    }
    table.push(row("total".to_owned(), &report.total, None));
    laid_out(&table, layout)
}

fn laid_out(table: &[Row], layout: Layout) -> Vec<String> {
    let count = table.first().map_or(0, |row| row.numbers.len());
    let width =
        |column: usize| table.iter().map(|row| row.numbers[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let numbers: usize = widths.iter().map(|width| width + GAP).sum();
    let longest = table.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let room = layout.columns.map_or(longest, |columns| columns.saturating_sub(numbers).max(MIN_NAME));
    let names = longest.min(room);
    let left = layout.columns.map_or(MAX_BAR, |columns| columns.saturating_sub(names + numbers + GAP));
    let bars = left.min(MAX_BAR);
    let has_bars = layout.has_bars && bars >= MIN_BAR;
    let text = |row: &Row| {
        let mut text = format!("{:names$}", short(&row.name, names));
        for (cell, width) in row.numbers.iter().zip(&widths) {
            let _ = write!(text, "{:GAP$}{cell:>width$}", "");
        }
        if let (true, Some(share)) = (has_bars, row.share) {
            let _ = write!(text, "{:GAP$}{}", "", bar(share, bars));
        }
        text.trim_end().to_owned()
    };
    table.iter().map(text).collect()
}

/// What a bar is as long as: money, and where nobody knows any, tokens.
#[expect(clippy::cast_precision_loss, reason = "a bar has few characters")]
fn weight(line: &UsageLine) -> f64 {
    match line.cost_usd {
        Some(cost) if cost > 0.0 => cost * 1e12,
        _ => (line.input + line.output) as f64,
    }
}

/// A bar of at most so many characters; whatever is more than nothing has one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a bar has few characters"
)]
fn bar(share: f64, most: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * most as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// A name in so many characters: its end says more than its middle.
fn short(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let (head, tail) = (most.saturating_sub(1) / 2, most.saturating_sub(1).div_ceil(2));
    let first: String = name.chars().take(head).collect();
    let last: String = name.chars().skip(length - tail).collect();
    format!("{first}…{last}")
}

fn cells(line: &UsageLine) -> [String; 8] {
    let share = line.cached.saturating_mul(100).checked_div(line.input).unwrap_or(0);
    [
        line.turns.to_string(),
        line.failed.to_string(),
        count(line.input),
        format!("{share}%"),
        count(line.output),
        seconds(line.p50_ms),
        seconds(line.p95_ms),
        money::cost(line.cost_usd),
    ]
}

fn seconds(ms: u64) -> String {
    format!("{:.1}s", Duration::from_millis(ms).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, input: u64, cost_usd: Option<f64>) -> UsageLine {
        UsageLine { name: name.to_owned(), turns: 1, input, cost_usd, ..UsageLine::default() }
    }

    fn report(lines: Vec<UsageLine>) -> UsageReport {
        UsageReport { lines, total: line("total", 7, None) }
    }

    const PIPE: Layout = Layout { columns: None, has_bars: false };

    #[test]
    fn numbers_stand_to_the_right_of_their_columns() {
        let rows = rows(&report(vec![line("glm-5", 12_345, None)]), PIPE);
        assert_eq!(rows.len(), 3);
        assert!(rows[1].starts_with("glm-5  ") && rows[2].starts_with("total  "), "{rows:?}");
        let end = |row: &str, word: &str| row.find(word).map(|start| start + word.len());
        assert_eq!(end(&rows[0], "input"), end(&rows[1], "12.3k"), "{rows:?}");
        assert!(rows[0].contains("p95") && !rows[1].contains('█'), "whoever reads a pipe gets all of it");
    }

    #[test]
    fn a_table_fits_sixty_columns_and_keeps_both_ends_of_a_name() {
        let long = "openrouter-of-the-company/deepseek/deepseek-v4-pro:thinking";
        let lines = vec![line(long, 123_456_789, Some(1234.56)), line("lab/glm", 5, Some(0.0001))];
        for columns in [60, 72, 90, 120] {
            let layout = Layout { columns: Some(columns), has_bars: true };
            let rows = rows(&report(lines.clone()), layout);
            let widest = rows.iter().map(|row| row.chars().count()).max().unwrap_or(0);
            assert!(widest <= columns, "{columns}: {rows:?}");
            assert!(rows[1].starts_with("openr") && rows[1].contains("thinking  "), "{columns}: {rows:?}");
        }
    }

    #[test]
    fn bars_show_money_and_parts_stand_below_their_line() {
        let mut day = line("2026-11-29", 10, Some(2.0));
        day.parts = vec![line("lab/glm", 10, Some(2.0))];
        let lines = vec![day, line("2026-11-30", 999, Some(1.0))];
        let rows = rows(&report(lines), Layout { columns: Some(100), has_bars: true });
        let bar = |row: &str| row.chars().filter(|c| *c == '█').count();
        assert_eq!((bar(&rows[1]), bar(&rows[3]), bar(&rows[4])), (MAX_BAR, MAX_BAR / 2, 0), "{rows:?}");
        assert!(rows[2].starts_with("  lab/glm") && bar(&rows[2]) == 0, "{rows:?}");
        assert_eq!(super::bar(0.000_001, 8), "▏", "more than nothing");
        assert_eq!(super::bar(0.0, 8), "");
    }
}
