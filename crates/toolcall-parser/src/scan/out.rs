//! What goes to the caller: text without the white space that only set a call apart, calls with their numbers.

use super::progress::Progress;
use crate::dialect::{Dialect, Dialects};
use crate::piece::{Call, Event, Problem, ProblemKind, Request};
use crate::settle::SettledCall;

/// The most white space that is kept back at a line's end to see whether a call follows.
const MAX_GAP: usize = 256;

/// What came last, as far as white space behind it depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Text,
    /// A call, or a request for one.
    Call {
        /// Visible text has come before.
        behind_text: bool,
    },
}

#[derive(Debug)]
pub(super) struct Out {
    /// White space whose meaning depends on what follows.
    gap: String,
    /// There are marks in it.
    marks: bool,
    /// The gap grew too long, and is text up to the next visible character.
    flooded: bool,
    last: Last,
    /// The number of the next call.
    next: usize,
    /// The call that is being written, once it is announced.
    progress: Option<Progress>,
    calls: usize,
    most_calls: usize,
    seen: Dialects,
}

impl Out {
    pub(super) fn new(most_calls: usize) -> Self {
        Self {
            gap: String::new(),
            marks: false,
            flooded: false,
            last: Last::Nothing,
            next: 0,
            progress: None,
            calls: 0,
            most_calls,
            seen: Dialects::none(),
        }
    }

    /// Whether a call in this dialect has come.
    pub(super) fn seen(&self, dialect: Dialect) -> bool {
        self.seen.contains(dialect)
    }

    /// Whether any call has come.
    pub(super) fn has_called(&self) -> bool {
        self.calls > 0
    }

    /// Whether nothing visible has come since a call.
    pub(super) fn is_after_call(&self) -> bool {
        matches!(self.last, Last::Call { .. })
    }

    /// Whether visible text has come.
    fn has_text(&self) -> bool {
        matches!(self.last, Last::Text | Last::Call { behind_text: true })
    }

    fn called(&mut self) {
        self.last = Last::Call { behind_text: self.has_text() };
    }

    pub(super) fn held(&self) -> usize {
        self.gap.len()
    }

    pub(super) fn text(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        let body = text.trim_end_matches(crate::lex::is_space);
        if body.is_empty() {
            return self.space(text, sink);
        }
        let start = body.len() - body.trim_start_matches(crate::lex::is_space).len();
        // White space between a call and text is kept when there is text on both sides.
        self.gap.push_str(&text[..start]);
        self.close_gap(self.marks || self.last != Last::Call { behind_text: false }, sink);
        self.flooded = false;
        self.last = Last::Text;
        // Blanks at the end of a chunk are no reason to wait; a line break may set a call apart.
        let tail = &text[body.len()..];
        let keep = tail.find('\n').unwrap_or(tail.len());
        sink(Event::Text(&text[start..body.len() + keep]));
        self.gap.push_str(&tail[keep..]);
        self.flood(sink);
    }

    /// A mark that may mean nothing: right before a call it does.
    pub(super) fn stray(&mut self, mark: &str, sink: &mut dyn FnMut(Event<'_>)) {
        self.gap.push_str(mark);
        self.marks = true;
        self.flood(sink);
    }

    fn space(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        if text.is_empty() {
            return;
        }
        if self.flooded {
            return sink(Event::Text(text));
        }
        // Blanks within a line go on at once, unless a call stands before.
        if self.gap.is_empty() && !self.is_after_call() {
            let keep = text.find('\n').unwrap_or(text.len());
            if keep > 0 {
                sink(Event::Text(&text[..keep]));
            }
            self.gap.push_str(&text[keep..]);
        } else {
            self.gap.push_str(text);
        }
        self.flood(sink);
    }

    fn flood(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if self.gap.len() > MAX_GAP {
            self.close_gap(true, sink);
            self.flooded = true;
        }
    }

    fn close_gap(&mut self, visible: bool, sink: &mut dyn FnMut(Event<'_>)) {
        if self.gap.is_empty() {
            return;
        }
        sink(match () {
            () if !visible => Event::Markup(&self.gap),
            () if self.marks => Event::Stray(&self.gap),
            () => Event::Text(&self.gap),
        });
        self.gap.clear();
        self.marks = false;
    }

    pub(super) fn markup(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        if text.is_empty() {
            return;
        }
        // Whether the white space before it shows depends on what follows the markup: it stays text until a call says otherwise.
        self.close_gap(false, sink);
        sink(Event::Markup(text));
    }

    pub(super) fn reasoning(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        self.close_gap(self.has_text(), sink);
        sink(Event::Reasoning(text));
    }

    pub(super) fn request(&mut self, request: &Request, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        self.close_gap(false, sink);
        self.called();
        sink(Event::Request { request, text });
    }

    pub(super) fn cut(&mut self, problem: &Problem, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        self.close_gap(false, sink);
        sink(Event::Cut { problem, text });
    }

    /// Hands out what became of the calls of one piece of source. False when there is no call among them: the source is text.
    pub(super) fn calls(
        &mut self,
        dialect: Dialect,
        settled: Vec<SettledCall>,
        text: &str,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        let mut source = Some(text);
        for settled in settled {
            match settled {
                SettledCall::Refused(problem) => sink(Event::Problem(&problem)),
                SettledCall::Call(call) if self.calls == self.most_calls => {
                    sink(Event::Problem(&Problem {
                        dialect,
                        kind: ProblemKind::TooLarge,
                        name: Some(call.name),
                    }));
                }
                SettledCall::Request(request) => {
                    self.request(&request, source.take().unwrap_or(""), sink);
                    self.seen.insert(dialect);
                }
                SettledCall::Call(call) => {
                    self.calls += 1;
                    self.close_gap(false, sink);
                    self.called();
                    self.seen.insert(dialect);
                    let index = self.conclude(&call, sink);
                    sink(Event::CallEnded { index, call: &call, text: source.take().unwrap_or("") });
                }
            }
        }
        // Announced, and refused when it was whole.
        self.refuse(sink);
        source.is_none()
    }

    /// The call that is being written; announced now, if it was not.
    pub(super) fn begin(
        &mut self,
        name: &str,
        id: Option<&str>,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> &mut Progress {
        if self.progress.is_none() {
            sink(Event::CallStarted { index: self.next, name, id: id.filter(|id| !id.is_empty()) });
        }
        let next = &mut self.next;
        self.progress.get_or_insert_with(|| {
            *next += 1;
            Progress::new(*next - 1, name)
        })
    }

    /// Hands out what has become certain of it.
    pub(super) fn tell(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(progress) = &mut self.progress
            && progress.out < progress.sent.len()
        {
            sink(Event::CallArguments { index: progress.index, json: &progress.sent[progress.out..] });
            progress.out = progress.sent.len();
        }
    }

    /// It is none after all.
    pub(super) fn refuse(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(progress) = self.progress.take() {
            sink(Event::CallRefused { index: progress.index });
        }
    }

    /// Hands out what is missing of a call that is whole, and returns its number.
    fn conclude(&mut self, call: &Call, sink: &mut dyn FnMut(Event<'_>)) -> usize {
        if let Some(progress) = self.progress.take() {
            let (index, sent) = (progress.index, &progress.sent[..progress.out]);
            if progress.name == call.name
                && let Some(rest) = call.arguments.strip_prefix(sent)
            {
                if !rest.is_empty() {
                    sink(Event::CallArguments { index, json: rest });
                }
                return index;
            }
            // It turned out to be another: the right one follows.
            sink(Event::CallRefused { index });
        }
        let index = self.next;
        self.next += 1;
        sink(Event::CallStarted { index, name: &call.name, id: call.id.as_deref() });
        sink(Event::CallArguments { index, json: &call.arguments });
        index
    }

    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        self.close_gap(self.marks || !self.is_after_call(), sink);
    }
}
