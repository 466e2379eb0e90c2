//! The phases of an answer's text, and the calls that were handed out.
//!
//! Invariant: text is shown in the order in which it came, and text that was withheld is shown, or given up for a call that the model
//! made when it was asked again.

use latimer_protocol::turn::{EventSink, FinishReason, RepairNote, TurnEvent};
use toolcall_parser::{Call, Event, Problem, ProblemKind};

use super::follow_up::Suspected;
use super::history::RepeatedCall;
use super::note;
use super::thoughts::Thoughts;

/// The most text, in bytes, that waits for the model to be asked again.
const MAX_WITHHELD: usize = 64 << 10;
/// The most marks that wait for what comes next, in bytes.
const MAX_STRAYS: usize = 1 << 10;
/// A longer text announces nothing, in bytes. No more of it is kept.
const MAX_ANNOUNCEMENT: usize = 1 << 10;

/// What becomes of the next piece of text.
#[derive(Debug, Default)]
enum Phase {
    /// Text is shown as it comes, and there is no call yet.
    #[default]
    Reading,
    /// Something was meant as a call and is none. Text from there on is shown unless the model, asked again, makes the call.
    Withholding { suspected: Suspected, withheld: String },
    /// This is the answer to a question that the client does not see: what it says besides a call is not for the client, unless
    /// there is nothing else to show. `withheld` is of the answer before it.
    Hidden { withheld: String, hidden_reply: String },
    /// Calls were handed out.
    Calling(Calling),
}

/// An answer with calls.
#[derive(Debug)]
struct Calling {
    /// How many; never 0.
    calls: u32,
    /// The answer is one to a hidden question: text is given up.
    hidden: bool,
    /// Markup of what was meant as a further call and is none; shown if more follows.
    markup: String,
}

/// What has become of an answer so far.
#[derive(Debug, Default)]
pub(super) struct RepairState {
    phase: Phase,
    /// Finding this call in text once more would not help.
    repeated: Option<RepeatedCall>,
    /// A call was shown instead of made, and so is the markup around it.
    shows_markup: bool,
    /// How many calls were found or mended, and how often the model was asked again.
    pub(super) repairs: u32,
    /// The next free slot: calls found in text and the upstream's own share one numbering.
    next_slot: u32,
    /// Something of the answer was shown.
    shown: bool,
    /// Calls in them count only if the answer holds nothing else.
    thoughts: Thoughts,
    /// Marks, and white space behind them, that the text may end in.
    strays: String,
    /// Why a call of the upstream's own was not handed out, in this answer or the one before it.
    problem: Option<Problem>,
    /// The text that was shown; `None` when no command is made for the model.
    announcement: Option<String>,
}

impl RepairState {
    pub(super) fn new(repeated: Option<RepeatedCall>, listens: bool) -> Self {
        Self { repeated, announcement: listens.then(String::new), ..Self::default() }
    }

    /// For the answer that goes on where this one was cut.
    pub(super) fn continued(self) -> Self {
        Self { repairs: self.repairs + 1, ..self }
    }

    /// For the answer to the hidden question.
    pub(super) fn hidden(self) -> Self {
        let withheld = match self.phase {
            Phase::Withholding { withheld, .. } | Phase::Hidden { withheld, .. } => withheld,
            Phase::Reading | Phase::Calling(_) => String::new(),
        };
        Self {
            phase: Phase::Hidden { withheld, hidden_reply: String::new() },
            shows_markup: false,
            repairs: self.repairs + 1,
            thoughts: self.thoughts.asked_about(),
            ..self
        }
    }

    /// Whether no call was handed out.
    pub(super) fn is_without_call(&self) -> bool {
        !matches!(self.phase, Phase::Calling(_))
    }

    /// Whether this is the answer to a hidden question, and holds no call yet.
    pub(super) fn is_hidden(&self) -> bool {
        matches!(self.phase, Phase::Hidden { .. })
    }

    /// Whether the answer is text so far, and nothing in it is suspected to be a call.
    pub(super) fn is_plain_text(&self) -> bool {
        matches!(self.phase, Phase::Reading)
    }

    /// What the last thing that looked like a call was meant to be, while the model can still be asked for it.
    pub(super) fn suspected(&self) -> Option<Suspected> {
        match &self.phase {
            Phase::Withholding { suspected, .. } => Some(*suspected),
            Phase::Reading if !self.shown => self.thoughts.suspected(),
            _ => None,
        }
    }

    pub(super) fn is_repeated(&self, call: &Call) -> bool {
        self.repeated.as_ref().is_some_and(|repeated| repeated.matches(call))
    }

    /// What the parser makes of the answer's text.
    pub(super) fn text_event(&mut self, event: &Event<'_>, sink: &mut dyn EventSink) {
        match event {
            Event::Text(text) => self.text(text, sink),
            Event::Stray(marks) => self.stray(marks, sink),
            Event::Reasoning(text) => sink.event(TurnEvent::Reasoning(text)),
            Event::CallEnded { call, text, .. } if self.is_repeated(call) => {
                sink.event(TurnEvent::Note(note::repeated(call, true, false)));
                self.shows_markup = true;
                self.text(text, sink);
            }
            Event::CallEnded { call, text, .. } => {
                sink.event(TurnEvent::Note(note::call_in_text(call, text)));
                self.repairs += 1;
                self.call(call, sink);
            }
            Event::Cut { problem, text } => {
                sink.event(TurnEvent::Note(note::not_a_call(problem)));
                self.suspect(Suspected::Call(problem.kind), text, sink);
            }
            Event::Request { request, text } => {
                sink.event(TurnEvent::Note(note::request_without_command(request.kind)));
                self.suspect(Suspected::Request(request.kind), text, sink);
            }
            Event::Problem(problem) => {
                sink.event(TurnEvent::Note(note::not_a_call(problem)));
                self.suspect(Suspected::Call(problem.kind), "", sink);
            }
            Event::Markup(text) if self.shows_markup => self.text(text, sink),
            Event::Markup(_)
            | Event::CallStarted { .. }
            | Event::CallArguments { .. }
            | Event::CallRefused { .. } => {}
        }
    }

    /// What the parser makes of the thoughts.
    pub(super) fn reasoning_event(&mut self, event: &Event<'_>, sink: &mut dyn EventSink) {
        self.thoughts.event(event, sink);
        if self.shown || !self.is_without_call() {
            self.thoughts.release(sink);
        }
    }

    /// There is an answer: thoughts that waited are shown as they came.
    pub(super) fn answer_begins(&mut self, sink: &mut dyn EventSink) {
        self.shown = true;
        self.thoughts.release(sink);
    }

    /// Thoughts that waited are shown as they came.
    pub(super) fn release_thoughts(&mut self, sink: &mut dyn EventSink) {
        self.thoughts.release(sink);
    }

    /// The text that was shown is thoughts: what the parser makes of them.
    pub(super) fn shown_thoughts_event(&mut self, event: &Event<'_>) {
        self.shown = false;
        self.thoughts.event(event, &mut |_: TurnEvent<'_>| {});
    }

    /// Something was meant as a call and is none; its markup is shown only if nothing comes of it.
    fn suspect(&mut self, suspected: Suspected, markup: &str, sink: &mut dyn EventSink) {
        self.release_strays(sink);
        match &mut self.phase {
            Phase::Reading => {
                self.phase = Phase::Withholding { suspected, withheld: markup.to_owned() };
            }
            Phase::Withholding { suspected: before, withheld } => {
                *before = suspected;
                withheld.push_str(markup);
            }
            Phase::Hidden { hidden_reply, .. } => hidden_reply.push_str(markup),
            Phase::Calling(calling) if calling.hidden => {}
            Phase::Calling(calling) => calling.markup.push_str(markup),
        }
    }

    /// Marks that opened and closed nothing wait for what comes next: beside a call of the provider's own they mean nothing.
    fn stray(&mut self, marks: &str, sink: &mut dyn EventSink) {
        if self.strays.len() > MAX_STRAYS {
            self.release_strays(sink);
        }
        self.strays.push_str(marks);
    }

    /// No call followed them: they are text.
    fn release_strays(&mut self, sink: &mut dyn EventSink) {
        if !self.strays.is_empty() {
            let strays = std::mem::take(&mut self.strays);
            self.text(&strays, sink);
        }
    }

    /// Shows text, unless it is better to wait for what the model says when it is asked again.
    fn text(&mut self, text: &str, sink: &mut dyn EventSink) {
        if !self.strays.is_empty() {
            if text.trim().is_empty() {
                return self.strays.push_str(text);
            }
            if self.is_without_call() {
                self.release_strays(sink);
            }
            self.strays.clear();
        }
        match &mut self.phase {
            Phase::Hidden { hidden_reply, .. } => return hidden_reply.push_str(text),
            Phase::Withholding { withheld, .. } if withheld.len() + text.len() <= MAX_WITHHELD => {
                return withheld.push_str(text);
            }
            Phase::Calling(calling) if calling.hidden => return,
            Phase::Reading => {}
            Phase::Withholding { .. } | Phase::Calling(_) => self.release(sink),
        }
        self.show(text, sink);
    }

    /// Shows what waited.
    fn release(&mut self, sink: &mut dyn EventSink) {
        let waited = match &mut self.phase {
            Phase::Reading => return,
            Phase::Calling(calling) => std::mem::take(&mut calling.markup),
            Phase::Withholding { withheld, .. } => {
                let withheld = std::mem::take(withheld);
                self.phase = Phase::Reading;
                withheld
            }
            Phase::Hidden { withheld, hidden_reply } => {
                let is_blank = withheld.trim().is_empty();
                let waited = std::mem::take(if is_blank { hidden_reply } else { withheld });
                self.phase = Phase::Reading;
                return self.show(&waited, sink);
            }
        };
        // White space alone says nothing, and would begin a message.
        if !waited.trim().is_empty() {
            self.show(&waited, sink);
        }
    }

    fn show(&mut self, text: &str, sink: &mut dyn EventSink) {
        if text.is_empty() {
            return;
        }
        if !self.shown && !text.trim().is_empty() {
            self.answer_begins(sink);
        }
        if self.announcement.as_ref().is_some_and(|shown| shown.len() + text.len() > MAX_ANNOUNCEMENT) {
            self.announcement = None;
        }
        if let Some(shown) = &mut self.announcement {
            shown.push_str(text);
        }
        sink.event(TurnEvent::Text(text));
    }

    /// Hands out a whole call that was found in text: its tool is declared.
    pub(super) fn call(&mut self, call: &Call, sink: &mut dyn EventSink) {
        self.call_of(call, true, sink);
    }

    /// Hands out a whole call, of a tool that is declared or is not.
    pub(super) fn call_of(&mut self, call: &Call, is_declared: bool, sink: &mut dyn EventSink) {
        let slot = self.begin_call(sink);
        for note in note::mended(call, is_declared) {
            sink.event(TurnEvent::Note(note));
        }
        sink.event(TurnEvent::CallStarted { slot, id: call.id.as_deref(), name: &call.name });
        sink.event(TurnEvent::CallArguments { slot, json: &call.arguments });
        sink.event(TurnEvent::CallEnded { slot });
    }

    /// A call is made: what waited is shown if it is this answer's own, and given up if the model was asked again. Gives the slot.
    pub(super) fn begin_call(&mut self, sink: &mut dyn EventSink) -> u32 {
        self.strays.clear();
        if !self.is_hidden() {
            self.release(sink);
        }
        match &mut self.phase {
            Phase::Calling(calling) => calling.calls += 1,
            phase => {
                let hidden = matches!(phase, Phase::Hidden { .. });
                *phase = Phase::Calling(Calling { calls: 1, hidden, markup: String::new() });
            }
        }
        self.thoughts.release(sink);
        let slot = self.next_slot;
        self.next_slot += 1;
        slot
    }

    /// A call of the upstream's own is not handed out, for it has no command to run or no arguments that can be read.
    pub(super) fn refuse_call(&mut self, problem: &Problem, sink: &mut dyn EventSink) {
        let suspected = match problem.kind {
            ProblemKind::NoCommand => Suspected::Call(ProblemKind::NoCommand),
            kind => Suspected::NativeCall(kind),
        };
        self.problem = Some(problem.clone());
        // Marks beside a call of the upstream's own mean nothing, whatever becomes of the call.
        self.strays.clear();
        self.suspect(suspected, "", sink);
    }

    /// Why an answer that ends by itself has failed: its own call is broken, or it is the reply to the question for that call and
    /// made none.
    pub(super) fn broken_call<'p>(&'p self, of_this_answer: Option<&'p Problem>) -> Option<&'p Problem> {
        let before = || self.problem.as_ref().filter(|problem| problem.kind != ProblemKind::NoCommand);
        of_this_answer.or_else(|| before().filter(|_| self.is_without_call()))
    }

    /// The answer ended by itself: calls in the thoughts count where there is nothing else.
    pub(super) fn make_reasoning_calls(&mut self, sink: &mut dyn EventSink) {
        let silent = match &self.phase {
            Phase::Reading => !self.shown,
            Phase::Hidden { hidden_reply, .. } => hidden_reply.trim().is_empty(),
            Phase::Withholding { .. } | Phase::Calling(_) => false,
        };
        if !silent {
            return;
        }
        for call in self.thoughts.take_calls(sink) {
            if self.is_repeated(&call) {
                sink.event(TurnEvent::Note(note::repeated(&call, true, false)));
                continue;
            }
            sink.event(TurnEvent::Note(RepairNote::CallInReasoning.into()));
            self.repairs += 1;
            self.call(&call, sink);
        }
    }

    /// All that was shown, at the answer's end, if it may announce a command.
    pub(super) fn take_announcement(&mut self) -> Option<String> {
        self.announcement.take()
    }

    /// The slot that the next call gets.
    pub(super) fn next_slot(&self) -> u32 {
        self.next_slot
    }

    /// The answer is over without a call. A client that would see an empty answer is told what went wrong, unless the answer failed
    /// and says so itself.
    pub(super) fn end_without_call(&mut self, reason: &FinishReason, sink: &mut dyn EventSink) {
        self.release_strays(sink);
        self.release(sink);
        if self.shown || matches!(reason, FinishReason::Failed(_)) {
            return;
        }
        if let Some(problem) = self.problem.take().filter(|problem| problem.kind == ProblemKind::NoCommand) {
            sink.event(TurnEvent::Text(&format!("The model's tool call could not be made: {problem}.")));
        } else if matches!(reason, FinishReason::Stop | FinishReason::ToolCalls)
            && self.thoughts.suspected().is_some()
        {
            sink.event(TurnEvent::Text("The model ended its answer inside its thoughts and said nothing."));
        }
    }
}
