//! Turn events in, turn events out: what a model meant as a call becomes one.
//!
//! Text goes through the `toolcall-parser` crate, and calls found in it become real ones; the markup never reaches the client.
//! Calls that the upstream itself reported are held to the same rules. Whatever was done is said in a note. When nothing can be
//! recovered, the text is delivered as it is: a turn never ends empty because of this layer.
//!
//! Pure: no clock, no socket. What a client or a configuration wants arrives as a [`Level`].

mod native;

use std::sync::Arc;

use latimer_protocol::turn::{FinishReason, Sink, TurnEvent, TurnRequest};
use toolcall_parser::{Dialect, Event, Options, Scanner, Tool};

use self::native::Natives;

/// How much is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Nothing: events pass as they are.
    Off,
    /// Calls in text become calls, and every call is made valid.
    #[default]
    Parse,
}

/// What the repair of one turn needs to know, the same for all its attempts.
#[derive(Debug)]
pub struct Plan {
    options: Options,
    /// The same tools, and only dialects whose markers no thought contains by chance.
    thoughts: Options,
}

impl Plan {
    /// The plan for a turn; `None` when there is nothing to repair: the level says so, or no tool may be called.
    pub fn new(level: Level, turn: &TurnRequest) -> Option<Arc<Self>> {
        if level == Level::Off || turn.tools.is_empty() {
            return None;
        }
        let tools = turn.tools.iter().map(|tool| {
            let schema = tool.parameters.as_ref().map_or("{}", |schema| schema.get());
            Tool::new(tool.name.clone(), schema)
        });
        let options = Options::new(tools).hint(Dialect::for_model(&turn.model));
        let thoughts = options.clone().only(IN_THOUGHTS);
        Some(Arc::new(Self { options, thoughts }))
    }
}

/// Dialects that models are known to write where their thoughts should be.
const IN_THOUGHTS: [Dialect; 5] =
    [Dialect::Dsml, Dialect::KimiK2, Dialect::DeepseekV3, Dialect::DeepseekV31, Dialect::QwenCoder];

/// The repair of one answer.
#[derive(Debug)]
pub struct Repair {
    plan: Arc<Plan>,
    text: Scanner,
    thoughts: Scanner,
    made: Made,
    natives: Natives,
}

/// What came of it so far.
#[derive(Debug, Default)]
struct Made {
    /// The next free slot: calls found in text and the upstream's own share one numbering.
    slots: u32,
    /// Calls handed out.
    calls: u32,
    /// Something of the answer was shown.
    shown: bool,
    /// Calls from thoughts, which count only if the answer holds nothing else.
    drafts: Vec<toolcall_parser::Call>,
    /// The source of calls that were cut, and of wishes that nobody fulfils: shown if nothing else is.
    lost: String,
    /// Why the last thing that looked like a call is none.
    problem: Option<String>,
}

impl Repair {
    /// For one attempt.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            text: Scanner::new(plan.options.clone()),
            thoughts: Scanner::new(plan.thoughts.clone()),
            plan,
            made: Made::default(),
            natives: Natives::default(),
        }
    }

    /// Takes one event of the upstream and hands out what becomes of it.
    pub fn event(&mut self, event: TurnEvent<'_>, sink: &mut dyn Sink) {
        let made = &mut self.made;
        match event {
            TurnEvent::Text(text) => self.text.push(text, &mut |event| made.text(&event, sink)),
            TurnEvent::Reasoning(text) => self.thoughts.push(text, &mut |event| made.thought(&event, sink)),
            TurnEvent::CallStarted { slot, id, name } => {
                self.finish_text(sink);
                self.natives.started(slot, id, name, &self.plan.options, &mut self.made, sink);
            }
            TurnEvent::CallArguments { slot, json } => {
                self.natives.arguments(slot, json, &self.plan.options, sink);
            }
            TurnEvent::CallEnded { slot } => self.natives.ended(slot, &self.plan.options, made, sink),
            TurnEvent::Finished(reason) => {
                let reason = self.finish(reason, sink);
                sink.event(TurnEvent::Finished(reason));
            }
            other => sink.event(other),
        }
    }

    /// What was held back of the text is settled; text that follows is a text of its own.
    fn finish_text(&mut self, sink: &mut dyn Sink) {
        let mut text = std::mem::replace(&mut self.text, Scanner::new(self.plan.options.clone()));
        let made = &mut self.made;
        text.finish(&mut |event| made.text(&event, sink));
    }

    fn finish(&mut self, reason: FinishReason, sink: &mut dyn Sink) -> FinishReason {
        self.finish_text(sink);
        let made = &mut self.made;
        self.thoughts.finish(&mut |event| made.thought(&event, sink));
        self.natives.finish(&self.plan.options, &mut self.made, sink);
        let made = &mut self.made;
        let broken = matches!(reason, FinishReason::Failed(_));
        if made.calls == 0 && !made.shown && !broken {
            for call in std::mem::take(&mut made.drafts) {
                sink.event(TurnEvent::Note("a call was found in the thoughts of an answer without text"));
                made.call(&call, sink);
            }
        }
        if made.calls == 0 && !made.shown && !made.lost.is_empty() {
            let lost = std::mem::take(&mut made.lost);
            sink.event(TurnEvent::Text(&lost));
        }
        if made.calls == 0 && !made.shown && !broken {
            // The client would see an empty answer: what went wrong is better than nothing.
            if let Some(problem) = made.problem.take() {
                sink.event(TurnEvent::Text(&format!("The model's tool call could not be made: {problem}.")));
            }
        }
        match reason {
            FinishReason::Stop if made.calls > 0 => FinishReason::ToolCalls,
            reason => reason,
        }
    }
}

impl Made {
    /// What the parser makes of the answer's text.
    fn text(&mut self, event: &Event<'_>, sink: &mut dyn Sink) {
        match event {
            Event::Text(text) => {
                self.shown |= !text.trim().is_empty();
                sink.event(TurnEvent::Text(text));
            }
            Event::Reasoning(text) => sink.event(TurnEvent::Reasoning(text)),
            Event::CallEnded { call, .. } => {
                sink.event(TurnEvent::Note(&format!(
                    "a {} call was found in the text: {}",
                    call.dialect, call.name
                )));
                self.call(call, sink);
            }
            Event::Cut { problem, text } => {
                sink.event(TurnEvent::Note(&problem.to_string()));
                self.lost.push_str(text);
            }
            Event::Request { request, text } => {
                sink.event(TurnEvent::Note(&format!(
                    "the model asks for {} without a command",
                    request.kind
                )));
                self.lost.push_str(text);
            }
            Event::Problem(problem) => {
                let problem = problem.to_string();
                sink.event(TurnEvent::Note(&problem));
            }
            Event::Markup(_)
            | Event::CallStarted { .. }
            | Event::CallArguments { .. }
            | Event::CallRefused { .. } => {}
        }
    }

    /// What the parser makes of the thoughts.
    fn thought(&mut self, event: &Event<'_>, sink: &mut dyn Sink) {
        match event {
            Event::Text(text) | Event::Reasoning(text) => sink.event(TurnEvent::Reasoning(text)),
            Event::CallEnded { call, .. } => self.drafts.push((*call).clone()),
            _ => {}
        }
    }

    /// Hands out a whole call.
    fn call(&mut self, call: &toolcall_parser::Call, sink: &mut dyn Sink) {
        let slot = self.slot();
        self.calls += 1;
        for repair in &call.repairs {
            sink.event(TurnEvent::Note(&format!("call {}: {repair}", call.name)));
        }
        sink.event(TurnEvent::CallStarted { slot, id: call.id.as_deref(), name: &call.name });
        sink.event(TurnEvent::CallArguments { slot, json: &call.arguments });
        sink.event(TurnEvent::CallEnded { slot });
    }

    fn slot(&mut self) -> u32 {
        let slot = self.slots;
        self.slots += 1;
        slot
    }
}
