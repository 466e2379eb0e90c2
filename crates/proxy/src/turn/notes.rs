//! The notes of one turn: which become a line of the log, which are only counted. Pure.

use latimer_protocol::turn::Note;

use crate::lifecycle::traces::MAX_NOTES;

/// Lines of one kind that tell of the upstream's stream: an upstream may send as many bad lines as it likes.
const MAX_STREAM_LINES: u64 = 3;

/// What was noted so far. However many notes come, it is bounded: there are only so many kinds.
#[derive(Debug, Default)]
pub(super) struct TurnNotes {
    kept: Vec<String>,
    kinds: Vec<NoteKind>,
}

#[derive(Debug)]
struct NoteKind {
    code: &'static str,
    cause: Option<&'static str>,
    /// The text of the last one that has a line.
    text: String,
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
            self.kinds.push(NoteKind { code, cause, text: String::new(), count: 0, lines: 0 });
            self.kinds.len() - 1
        });
        let kind = self.kinds.get_mut(place)?;
        kind.count += 1;
        let most = if matches!(note, Note::Stream(_)) { MAX_STREAM_LINES } else { MAX_NOTES as u64 };
        if kind.lines == most {
            return None;
        }
        kind.lines += 1;
        kind.text = note.to_string();
        if self.kept.len() < MAX_NOTES {
            self.kept.push(kind.text.clone());
        }
        Some(&kind.text)
    }

    /// What got no line, a text for each kind. The trace holds them too, behind what it has.
    pub(super) fn unwritten(&mut self) -> Vec<UnwrittenNotes> {
        let unwritten: Vec<UnwrittenNotes> = self
            .kinds
            .drain(..)
            .filter(|kind| kind.count > kind.lines)
            .map(|NoteKind { cause, text, count, lines, .. }| {
                let more = count - lines;
                UnwrittenNotes { cause, text: format!("{more} more of the same kind: {text}"), count: more }
            })
            .collect();
        let room = MAX_NOTES.saturating_sub(unwritten.len());
        if !unwritten.is_empty() {
            self.kept.truncate(room);
            self.kept.extend(unwritten.iter().map(|notes| notes.text.clone()));
        }
        unwritten
    }

    /// The texts for the trace, at most [`MAX_NOTES`].
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kept)
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
        assert_eq!(kept.len(), 5);
        assert_eq!(kept.last(), Some(&unwritten[0].text));
    }

    #[test]
    fn what_got_a_line_is_not_told_again() {
        let mut notes = TurnNotes::default();
        assert_eq!(notes.add(&Note::request("`seed` was left out")), Some("`seed` was left out"));
        assert_eq!(notes.unwritten(), []);
        assert_eq!(notes.take(), ["`seed` was left out"]);
    }
}
