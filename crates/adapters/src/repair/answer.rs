//! The repair of one answer, event by event.

use std::sync::Arc;

use latimer_protocol::failure::FailureKind;
use latimer_protocol::turn::{EventSink, FinishReason, Note, RepairNote, TurnEvent};
use toolcall_parser::{ProblemKind, Scanner, Trust, intent};

use super::call_rules::{broken_call, problem};
use super::continuation::Continuation;
use super::follow_up::{FollowUp, Suspected, Transcript};
use super::history;
use super::native_calls::{CallContext, NativeCalls};
use super::note;
use super::plan::RepairPlan;
use super::state::RepairState;
use super::thoughts;

/// The repair of one answer.
#[derive(Debug)]
pub struct Repair {
    plan: Arc<RepairPlan>,
    stage: Stage,
    text_scanner: Scanner,
    /// Where a call in the texts that follow is believed.
    trust: Trust,
    /// `None` while there are no thoughts.
    reasoning_scanner: Option<Scanner>,
    state: RepairState,
    native_calls: NativeCalls,
    transcript: Transcript,
    /// How many answers were joined to the first one.
    continuations: u32,
}

/// How far the upstream is with the answer.
#[derive(Debug)]
enum Stage {
    /// Its events come in.
    Answering,
    /// It goes on an answer that was cut: text before the place where they join was shown already.
    Continuing(Continuation),
    /// It has ended, and the client is not told so yet: the model may be asked for more.
    Ended { reason: FinishReason, next: NextQuestion },
}

/// What the model is asked when its answer has ended.
#[derive(Debug)]
enum NextQuestion {
    /// To go on where a length limit cut it.
    Continue(Continuation),
    /// To make the call that it seems to have meant.
    Call(Suspected),
}

impl Repair {
    /// For one attempt.
    pub fn new(plan: Arc<RepairPlan>) -> Self {
        let state = RepairState::new(plan.repeated.clone(), plan.may_synthesise);
        Self::with(plan, state)
    }

    fn with(plan: Arc<RepairPlan>, state: RepairState) -> Self {
        Self {
            stage: Stage::Answering,
            text_scanner: plan.scanner(),
            trust: Trust::Bare,
            reasoning_scanner: None,
            state,
            native_calls: NativeCalls::default(),
            transcript: Transcript::default(),
            continuations: 0,
            plan,
        }
    }

    /// After the upstream ended its answer: what the model should be asked before the client is told that it is over. Whoever does not
    /// ask calls [`Repair::give_up`].
    pub fn question(&mut self) -> Option<FollowUp> {
        match &self.stage {
            Stage::Ended { next: NextQuestion::Continue(continuation), .. } => {
                let assistant = self.transcript.text()?.to_owned();
                Some(FollowUp { assistant, user: continuation.question() })
            }
            Stage::Ended { next: NextQuestion::Call(suspected), .. } => {
                self.transcript.ask_for_call(*suspected, self.plan.options())
            }
            Stage::Answering | Stage::Continuing(_) => None,
        }
    }

    /// For the answer to this answer's question. The client is told of an end by the one that follows.
    #[must_use]
    pub fn follow_up(&mut self) -> Self {
        let state = std::mem::take(&mut self.state);
        let mut next = Self::with(Arc::clone(&self.plan), RepairState::default());
        match std::mem::replace(&mut self.stage, Stage::Answering) {
            Stage::Ended { next: NextQuestion::Continue(continuation), .. } => {
                // The same text goes on: what the scanner knows of it still holds.
                std::mem::swap(&mut next.text_scanner, &mut self.text_scanner);
                std::mem::swap(&mut next.transcript, &mut self.transcript);
                next.stage = Stage::Continuing(continuation);
                next.continuations = self.continuations + 1;
                next.state = state.continued();
            }
            _ => next.state = state.hidden(),
        }
        next
    }

    /// The model is not asked again: the answer is what it is.
    pub fn give_up(&mut self, sink: &mut dyn EventSink) {
        match std::mem::replace(&mut self.stage, Stage::Answering) {
            Stage::Ended { reason, .. } => {
                self.settle(&reason, sink);
                self.end(reason, sink);
            }
            other => self.stage = other,
        }
    }

    /// How many calls were found or mended so far, and how often the model was asked again.
    pub fn repairs(&self) -> u32 {
        self.state.repairs
    }

    /// Takes one event of the upstream and hands out what becomes of it. `Finished` is kept back while there is a question.
    pub fn event(&mut self, event: TurnEvent<'_>, sink: &mut dyn EventSink) {
        match event {
            TurnEvent::Text(text) => self.text(text, sink),
            TurnEvent::Reasoning(text) => {
                let scanner = self.reasoning_scanner.get_or_insert_with(|| self.plan.scanner());
                scanner.push(text, &mut |event| self.state.reasoning_event(&event, sink));
            }
            TurnEvent::CallStarted { slot, id, name } => {
                // Who calls so is not believed when markup stands in the middle of prose.
                self.trust = Trust::Alone;
                self.settle_text(sink);
                self.native_calls.started(slot, id, name);
            }
            TurnEvent::CallArguments { slot, json } => self.native_calls.arguments(slot, json),
            TurnEvent::CallEnded { slot } => {
                let (calls, mut context) = self.calls(sink);
                calls.ended(slot, &mut context);
            }
            TurnEvent::ReasoningState(state) => {
                // State belongs to what was thought or said before it.
                self.settle_reasoning(sink);
                self.state.release_thoughts(sink);
                self.settle_text(sink);
                sink.event(TurnEvent::ReasoningState(state));
            }
            TurnEvent::Finished(reason) => self.finished(reason, sink),
            // An answer of another kind than text.
            other @ (TurnEvent::Refusal(_) | TurnEvent::Frame(_)) => {
                self.state.answer_begins(sink);
                sink.event(other);
            }
            other => sink.event(other),
        }
    }

    fn calls<'a>(&'a mut self, sink: &'a mut dyn EventSink) -> (&'a mut NativeCalls, CallContext<'a>) {
        let context = CallContext { options: self.plan.options(), state: &mut self.state, sink };
        (&mut self.native_calls, context)
    }

    fn text(&mut self, text: &str, sink: &mut dyn EventSink) {
        let joined;
        let text = match &mut self.stage {
            Stage::Continuing(continuation) => {
                let Some(rest) = continuation.push(text) else { return };
                self.stage = Stage::Answering;
                joined = rest;
                joined.as_str()
            }
            Stage::Answering | Stage::Ended { .. } => text,
        };
        self.transcript.push(text);
        self.text_scanner.push(text, &mut |event| self.state.text_event(&event, sink));
    }

    /// What was held back of the text is settled; text that follows is a text of its own.
    fn settle_text(&mut self, sink: &mut dyn EventSink) {
        let next = self.plan.text_scanner(self.trust);
        let mut scanner = std::mem::replace(&mut self.text_scanner, next);
        scanner.finish(&mut |event| self.state.text_event(&event, sink));
    }

    /// The same for the thoughts.
    fn settle_reasoning(&mut self, sink: &mut dyn EventSink) {
        if let Some(mut scanner) = self.reasoning_scanner.take() {
            scanner.finish(&mut |event| self.state.reasoning_event(&event, sink));
        }
    }

    /// Everything that was held back is settled.
    fn settle(&mut self, reason: &FinishReason, sink: &mut dyn EventSink) {
        self.settle_text(sink);
        self.settle_reasoning(sink);
        let (calls, mut context) = self.calls(sink);
        calls.finish(ended_by_itself(reason), &mut context);
    }

    fn finished(&mut self, reason: FinishReason, sink: &mut dyn EventSink) {
        let reason = match std::mem::replace(&mut self.stage, Stage::Answering) {
            Stage::Continuing(_) => {
                sink.event(TurnEvent::Note(RepairNote::ContinuationNotJoined.into()));
                // A call of its own need not be joined to anything.
                if self.state.is_without_call() { FinishReason::Length } else { reason }
            }
            _ if reason == FinishReason::Length && self.may_continue() => {
                match self.transcript.text().and_then(Continuation::after) {
                    Some(continuation) => {
                        let next = NextQuestion::Continue(continuation);
                        self.stage = Stage::Ended { reason, next };
                        return;
                    }
                    None => reason,
                }
            }
            _ => reason,
        };
        let in_text_call = self.text_scanner.in_call();
        self.settle(&reason, sink);
        let cut_call = self.native_calls.cut().filter(|_| reason == FinishReason::Length);
        if let Some(name) = cut_call {
            self.state.refuse_call(&problem(name, ProblemKind::Truncated), sink);
        }
        let cut_in_call = reason == FinishReason::Length
            && (in_text_call || cut_call.is_some())
            && self.plan.max_continuations > 0;
        let reason = self.without_failed_follow_up(reason, sink);
        let by_itself = ended_by_itself(&reason);
        if by_itself {
            self.read_thoughts_in_text();
            self.state.make_reasoning_calls(sink);
        }
        self.state.release_thoughts(sink);
        match self.state.suspected() {
            Some(suspected) if by_itself || (cut_in_call && suspected.is_cut()) => {
                self.stage = Stage::Ended { reason, next: NextQuestion::Call(suspected) };
            }
            _ => self.end(reason, sink),
        }
    }

    /// A text that is nothing but thoughts between tags is read as thoughts are.
    fn read_thoughts_in_text(&mut self) {
        let Some(inside) = self.transcript.text().and_then(thoughts::inside) else { return };
        if !self.state.is_plain_text() {
            return;
        }
        let mut scanner = self.plan.scanner();
        let mut take = |event: toolcall_parser::Event<'_>| self.state.shown_thoughts_event(&event);
        scanner.push(inside, &mut take);
        scanner.finish(&mut take);
    }

    /// Whether an answer that was cut can go on: it is text so far, and not inside a call.
    fn may_continue(&self) -> bool {
        self.state.is_plain_text()
            && !self.text_scanner.in_call()
            && self.native_calls.is_empty()
            && self.continuations < self.plan.max_continuations
    }

    /// Without an answer to the hidden question, the answer before it stands as it was.
    fn without_failed_follow_up(&self, reason: FinishReason, sink: &mut dyn EventSink) -> FinishReason {
        match reason {
            FinishReason::Failed(failure) if self.state.is_hidden() => {
                let note = RepairNote::FollowUpFailed { message: failure.message };
                sink.event(TurnEvent::Note(Note::Repair(note)));
                FinishReason::Stop
            }
            reason => reason,
        }
    }

    /// Makes the read-only command that an answer without a call plainly announced.
    fn synthesise(&mut self, sink: &mut dyn EventSink) {
        let Some(announcement) = self.state.take_announcement() else { return };
        let Some(mut proposal) = intent::propose(&announcement, self.plan.options()) else { return };
        self.state.repairs += 1;
        let note = RepairNote::Synthesised { rule: proposal.rule.to_string() };
        sink.event(TurnEvent::Note(note.into()));
        proposal.call.id = Some(history::synthesised_id(self.state.next_slot()));
        self.state.call(&proposal.call, sink);
    }

    /// The client is told that the answer is over.
    fn end(&mut self, reason: FinishReason, sink: &mut dyn EventSink) {
        let broken = self.state.broken_call(self.native_calls.broken()).filter(|_| ended_by_itself(&reason));
        if let Some(problem) = broken {
            let name = problem.name.as_deref().unwrap_or_default();
            let is_declared = note::is_declared(name, self.plan.options());
            let failure = broken_call(FailureKind::BrokenCall, name, is_declared);
            return sink.event(TurnEvent::Finished(FinishReason::Failed(failure)));
        }
        if self.state.is_without_call() && ended_by_itself(&reason) {
            self.synthesise(sink);
        }
        if self.state.is_without_call() {
            self.state.end_without_call(&reason, sink);
            sink.event(TurnEvent::Finished(reason));
        } else {
            let stopped = reason == FinishReason::Stop;
            sink.event(TurnEvent::Finished(if stopped { FinishReason::ToolCalls } else { reason }));
        }
    }
}

/// Neither a limit nor a failure ended the answer.
fn ended_by_itself(reason: &FinishReason) -> bool {
    matches!(reason, FinishReason::Stop | FinishReason::ToolCalls)
}
