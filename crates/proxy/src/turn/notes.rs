//! The notes of one turn: which become a line of the log, which are only counted. Pure.

use latimer_protocol::status::NoteReport;
use latimer_protocol::turn::Note;

use crate::lifecycle::traces::MAX_NOTES;

/// Lines of one kind that tell of the upstream's stream: an upstream may send as many bad lines as it likes.
const MAX_STREAM_LINES: u64 = 3;

/// Characters of a note that are kept.
const MAX_NOTE: usize = 1000;

/// What was noted so far. However many notes come, it is bounded: there are only so many kinds.
#[derive(Debug, Default)]
pub(super) struct TurnNotes {
    kept: Vec<TwoTexts>,
    kinds: Vec<NoteKind>,
}

/// A note in memory, and for a disk, where no words of the conversation go.
#[derive(Debug, Clone, Default)]
struct TwoTexts {
    code: &'static str,
    told: String,
    kept: String,
}

/// The notes of a turn that is over, at most [`MAX_NOTES`].
#[derive(Debug, Default)]
pub(super) struct NotesForReport {
    /// As they are told, as long as the process runs.
    pub(super) told: Vec<NoteReport>,
    /// As they go to a disk.
    pub(super) kept: Vec<NoteReport>,
}

#[derive(Debug)]
struct NoteKind {
    code: &'static str,
    cause: Option<&'static str>,
    /// The texts of the last one that has a line.
    texts: TwoTexts,
    count: u64,
    lines: u64,
}

/// Notes of one kind that got no line of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnwrittenNotes {
    pub(super) cause: Option<&'static str>,
    /// Their number, and a text of their kind.
    pub(super) text: String,
    pub(super) count: u64,
}

impl TurnNotes {
    /// Counts a note; its text, where it gets a line of its own.
    pub(super) fn add(&mut self, note: &Note) -> Option<&str> {
        let code = note.code();
        let place = self.kinds.iter().position(|kind| kind.code == code).unwrap_or_else(|| {
            let cause = note.cause();
            self.kinds.push(NoteKind { code, cause, texts: TwoTexts::default(), count: 0, lines: 0 });
            self.kinds.len() - 1
        });
        let kind = self.kinds.get_mut(place)?;
        kind.count += 1;
        let most = if matches!(note, Note::Stream(_)) { MAX_STREAM_LINES } else { MAX_NOTES as u64 };
        if kind.lines == most {
            return None;
        }
        kind.lines += 1;
        kind.texts = TwoTexts { code, told: note.to_string(), kept: note.without_conversation() };
        if self.kept.len() < MAX_NOTES {
            self.kept.push(kind.texts.clone());
        }
        Some(&kind.texts.told)
    }

    /// What got no line, a text for each kind. The trace holds them too, behind what it has.
    pub(super) fn unwritten(&mut self) -> Vec<UnwrittenNotes> {
        let more = |count: u64, text: &str| format!("{count} more of the same kind: {text}");
        let mut unwritten = Vec::new();
        let mut rest = Vec::new();
        for NoteKind { code, cause, texts, count, lines } in self.kinds.drain(..) {
            if count == lines {
                continue;
            }
            let (count, told) = (count - lines, more(count - lines, &texts.told));
            rest.push(TwoTexts { code, told: told.clone(), kept: more(count, &texts.kept) });
            unwritten.push(UnwrittenNotes { cause, text: told, count });
        }
        if !rest.is_empty() {
            self.kept.truncate(MAX_NOTES.saturating_sub(rest.len()));
            self.kept.append(&mut rest);
        }
        unwritten
    }

    /// The notes for the report of the turn.
    pub(super) fn take(&mut self) -> NotesForReport {
        let report = |code: &str, text: &str| NoteReport {
            code: code.to_owned(),
            text: text.chars().take(MAX_NOTE).collect(),
        };
        let mut notes = NotesForReport::default();
        for TwoTexts { code, told, kept } in self.kept.drain(..) {
            notes.told.push(report(code, &told));
            notes.kept.push(report(code, &kept));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::turn::StreamNote;

    use super::*;

    #[test]
    fn however_many_notes_come_a_few_have_lines_and_the_rest_is_counted() {
        let mut notes = TurnNotes::default();
        let lines = (0..200_000).filter(|_| notes.add(&StreamNote::UnreadableLine.into()).is_some()).count();
        assert_eq!(lines, 3);
        assert!(notes.add(&StreamNote::UnknownEvent.into()).is_some(), "another kind has lines of its own");
        let unwritten = notes.unwritten();
        assert_eq!((unwritten.len(), unwritten[0].count), (1, 199_997));
        assert!(unwritten[0].text.starts_with("199997 more of the same kind: a line of"), "{unwritten:?}");
        let kept = notes.take();
        assert_eq!((kept.told.len(), kept.kept.len()), (5, 5));
        assert_eq!(kept.told.last().map(|note| &note.text), Some(&unwritten[0].text));
    }

    #[test]
    fn what_got_a_line_is_not_told_again() {
        let mut notes = TurnNotes::default();
        assert_eq!(notes.add(&Note::request("`seed` was left out")), Some("`seed` was left out"));
        assert_eq!(notes.unwritten(), []);
        assert_eq!(notes.take().told[0].text, "`seed` was left out");
    }
}
