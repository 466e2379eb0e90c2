//! The rows that one scan uses, by the byte they begin with.

use std::sync::{Arc, OnceLock};

use crate::context::Marker;
use crate::dialect::{Dialect, Dialects};
use crate::grammar::{Opens, Place, ROWS, Row};
use crate::lex::{Lookahead, find};
use crate::options::Options;
use crate::prose::Line;

#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<(u8, Vec<&'static Row>)>,
    /// A byte to stop at besides the usual ones.
    pub(super) extra: Option<u8>,
}

/// Tables for whoever looks for every dialect, by the hint: they are the same for all texts.
static SHARED: [OnceLock<Arc<Table>>; Dialect::ALL.len() + 1] =
    [const { OnceLock::new() }; Dialect::ALL.len() + 1];

impl Table {
    /// The table of these options. Most scans share theirs with all others.
    pub(super) fn of(options: &Options) -> Arc<Self> {
        let place = options.hint.map_or(0, |hint| 1 + hint as usize);
        match SHARED.get(place) {
            Some(shared) if options.dialects == Dialects::all() && !options.tools.is_empty() => {
                Arc::clone(shared.get_or_init(|| Arc::new(Self::new(options))))
            }
            _ => Arc::new(Self::new(options)),
        }
    }

    fn new(options: &Options) -> Self {
        let hinted = |row: &Row| {
            options.hint == Some(row.dialect)
                || (row.dialect == Dialect::RawJson && options.hint == Some(Dialect::Llama))
        };
        let mut all: Vec<&'static Row> = ROWS
            .iter()
            .flat_map(|rows| rows.iter())
            .filter(|row| options.dialects.contains(row.dialect) && (!row.hint_only || hinted(row)))
            .collect();
        if options.tools.is_empty() {
            all.clear();
        }
        // What the model is known to write goes first.
        all.sort_by_key(|row| !hinted(row));
        let mut rows: Vec<(u8, Vec<&'static Row>)> = Vec::new();
        for row in all {
            match rows.iter_mut().find(|(trigger, _)| *trigger == row.trigger) {
                Some((_, list)) => list.push(row),
                None => rows.push((row.trigger, vec![row])),
            }
        }
        let extra = [b'A', b'>'].into_iter().find(|byte| rows.iter().any(|(trigger, _)| trigger == byte));
        Self { rows, extra }
    }

    pub(super) fn rows(&self, trigger: u8) -> impl Iterator<Item = &'static Row> + '_ {
        self.rows.iter().filter(move |(byte, _)| *byte == trigger).flat_map(|(_, rows)| rows.iter().copied())
    }

    /// Whether a row may begin at this place of a line.
    pub(super) fn may_begin(row: &Row, line: Line) -> bool {
        row.place != Place::LineStart || line.is_blank()
    }

    /// How much of a row's marker prose has.
    pub(super) fn marker(row: &Row) -> Marker {
        match row.place {
            _ if row.dialect == Dialect::RawJson => Marker::Own,
            Place::Anywhere => Marker::Token,
            Place::Unquoted => Marker::Tag,
            Place::LineStart => Marker::Own,
        }
    }

    pub(super) fn opens(row: &Row, rest: &str, options: &Options, end: bool) -> Lookahead<()> {
        match row.opens {
            Opens::Text(opens) => find(opens, rest, end),
            Opens::Tools(opens) => find(|input| opens(input, options), rest, end),
        }
    }
}
