//! Calls that the upstream reported as calls: held until they are whole, mended where it is certain what was meant, and otherwise none.

use latimer_protocol::turn::{EventSink, TurnEvent};
use toolcall_parser::{Call, Options, Problem, ProblemKind, Rules};

use super::call_rules::settled;
use super::held_calls::{HeldCall, HeldCalls};
use super::note;
use super::state::RepairState;

/// The calls that are under way.
#[derive(Debug, Default)]
pub(super) struct NativeCalls {
    held: HeldCalls,
    /// The call of this answer that nobody may run: those behind it are not handed out, for they may need it.
    broken: Option<Problem>,
}

/// What a call is checked against, and where it goes.
pub(super) struct CallContext<'a> {
    pub(super) options: &'a Options,
    pub(super) state: &'a mut RepairState,
    pub(super) sink: &'a mut dyn EventSink,
}

impl NativeCalls {
    pub(super) fn started(&mut self, slot: u32, id: Option<&str>, name: &str) {
        self.held.begin(slot, id, name);
    }

    pub(super) fn arguments(&mut self, slot: u32, json: &str) {
        self.held.arguments(slot, json);
    }

    pub(super) fn ended(&mut self, slot: u32, context: &mut CallContext<'_>) {
        self.held.end(slot);
        while let Some(call) = self.held.next_ended() {
            self.hand_out(call, context);
        }
    }

    /// Whether no call is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The answer is over; `by_itself` says that neither a limit nor a failure cut it. What was cut is gone.
    pub(super) fn finish(&mut self, by_itself: bool, context: &mut CallContext<'_>) {
        while let Some(call) = self.held.next_at_end(by_itself) {
            self.hand_out(call, context);
        }
    }

    /// The tool of the call that is not whole, of an answer that a limit cut.
    pub(super) fn cut(&self) -> Option<&str> {
        self.broken.as_ref().and_then(|problem| problem.name.as_deref()).or_else(|| self.held.first_name())
    }

    /// Why a call of this answer may not be run, where its arguments are the reason.
    pub(super) fn broken(&self) -> Option<&Problem> {
        self.broken.as_ref()
    }

    fn hand_out(&mut self, call: HeldCall, context: &mut CallContext<'_>) {
        if self.broken.is_some() {
            return;
        }
        let HeldCall { id, name, arguments, .. } = call;
        let calls = arguments.text(&name).and_then(|text| settled(&name, text, context.options, Rules::All));
        // They may be long, and are in the calls now.
        drop(arguments);
        match calls {
            Ok(calls) => {
                for (place, whole) in calls.into_iter().enumerate() {
                    // The id is that of the first: two calls never share one.
                    let id = id.clone().filter(|_| place == 0);
                    context.hand_out(&Call { id, ..whole });
                }
            }
            Err(problem) => {
                context.sink.event(TurnEvent::Note(note::not_a_call(&problem)));
                context.state.refuse_call(&problem, context.sink);
                if problem.kind != ProblemKind::NoCommand {
                    self.broken = Some(problem);
                }
            }
        }
    }
}

impl CallContext<'_> {
    fn hand_out(&mut self, call: &Call) {
        let is_declared = note::is_declared(&call.name, self.options);
        if !is_declared {
            let problem = super::call_rules::problem(&call.name, ProblemKind::Undeclared);
            self.sink.event(TurnEvent::Note(note::not_a_call(&problem)));
        }
        self.state.repairs += u32::from(!call.repairs.is_empty());
        if self.state.is_repeated(call) {
            self.sink.event(TurnEvent::Note(note::repeated(call, is_declared, true)));
        }
        self.state.call_of(call, is_declared, self.sink);
    }
}
