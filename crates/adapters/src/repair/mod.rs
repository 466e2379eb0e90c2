//! Turn events in, turn events out: what a model meant as a call becomes one.
//!
//! Text goes through the `toolcall-parser` crate, and calls found in it become real ones; the markup never reaches the client.
//! Calls that the upstream itself reported are held to the same rules. Whatever was done is said in a note. When nothing can be
//! recovered, the text is delivered as it is: a turn never ends empty because of this layer.
//!
//! Pure: no clock, no socket. What a client or a configuration wants arrives as a [`Level`].

mod ask;
pub mod codes;
mod history;
mod native;
mod resume;

use std::sync::{Arc, OnceLock};

use latimer_protocol::turn::{EventSink, FinishReason, ToolChoice, TurnEvent, TurnRequest};
use toolcall_parser::intent::{self, Memory};
use toolcall_parser::{Dialect, Event, Options, Parser, ProblemKind, RequestKind, Scanner, Tool};

pub use self::ask::Question;
use self::ask::{Meant, Said};
use self::native::Natives;
use self::resume::Seam;

/// How much is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Nothing: events pass as they are.
    Off,
    /// Calls in text become calls, every call is made valid, and a model that meant a call is asked again.
    #[default]
    Parse,
    /// Also, where the model plainly said what it would look at and made no call even when asked again, the read-only command it
    /// meant is made for it.
    Assist,
}

/// What the repair of one turn needs to know, the same for all its attempts.
#[derive(Debug)]
pub struct Plan {
    parser: Parser,
    /// The same tools, and only dialects whose markers no thought contains by chance. Made when there are thoughts.
    thoughts: OnceLock<Parser>,
    /// What commands may be made from; `None` below [`Level::Assist`].
    memory: Option<Memory>,
    stuck: Option<Stuck>,
    /// How often an answer is continued.
    resumes: u32,
}

impl Plan {
    /// The plan for a turn whose answer may be continued so often after a length limit of the upstream's own; `None` when there is nothing to repair: the level says so, or no tool may be called.
    pub fn new(level: Level, resumes: u32, turn: &TurnRequest) -> Option<Arc<Self>> {
        if level == Level::Off || turn.tools.is_empty() {
            return None;
        }
        let tools = turn.tools.iter().map(|tool| {
            let schema = tool.parameters.as_ref().map_or("{}", |schema| schema.get());
            Tool::new(tool.name.clone(), schema)
        });
        // Where a call is demanded, an answer that is nothing but JSON is one.
        let demanded = matches!(turn.tool_choice, ToolChoice::Required | ToolChoice::Function(_));
        let hint = Dialect::for_model(&turn.model).or(demanded.then_some(Dialect::RawJson));
        let options = Options::new(tools).hint(hint);
        let parser = Parser::new(options);
        let memory = (level == Level::Assist && history::may_synthesise(turn))
            .then(|| Memory { urls: history::urls_of_the_person(turn) });
        // A limit that the client set is meant.
        let resumes = if turn.max_output_tokens.is_some() { 0 } else { resumes };
        Some(Arc::new(Self {
            parser,
            thoughts: OnceLock::new(),
            memory,
            stuck: history::repeated_call(turn),
            resumes,
        }))
    }
}

impl Plan {
    fn thoughts(&self) -> Scanner {
        let make = || Parser::new(self.parser.options().clone().only(IN_THOUGHTS));
        self.thoughts.get_or_init(make).scanner()
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
    thoughts: Option<Scanner>,
    made: Made,
    natives: Natives,
    said: Said,
    /// How the upstream ended the answer, while the model is to be asked again.
    ended: Option<FinishReason>,
    /// Where the next answer is to be joined to this one, or this one to the one before.
    seam: Option<Seam>,
    /// Answers that were joined.
    resumed: u32,
}

/// A call that the last turns of the conversation made again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stuck {
    name: String,
    arguments: serde_json::Value,
}

impl Stuck {
    fn is(&self, call: &toolcall_parser::Call) -> bool {
        let arguments = || serde_json::from_str::<serde_json::Value>(&call.arguments);
        call.name == self.name && arguments().is_ok_and(|arguments| arguments == self.arguments)
    }
}

/// What came of it so far.
#[derive(Debug, Default)]
struct Made {
    /// Finding this call once more would not help.
    stuck: Option<Stuck>,
    /// A call was shown instead of made, and so is the markup around it.
    shows_markup: bool,
    /// How many calls were found or mended.
    repairs: u32,
    /// The next free slot: calls found in text and the upstream's own share one numbering.
    slots: u32,
    /// Calls handed out.
    calls: u32,
    /// Something of the answer was shown.
    shown: bool,
    /// Calls from thoughts, which count only if the answer holds nothing else.
    drafts: Vec<toolcall_parser::Call>,
    /// What the last thing that looked like a call was meant to be.
    meant: Option<Meant>,
    /// The text from there on: shown unless the model, asked again, makes the call.
    lost: String,
    /// Why a call of the upstream's own was not handed out.
    problem: Option<String>,
    /// This is the answer to a question the client does not see. What is said besides a call is not for it.
    asked: bool,
    /// What such an answer says.
    aside: String,
    /// What is shown may announce a command that is made for the model.
    listens: bool,
    /// The end of what was shown.
    spoken: String,
    /// The text of a block that asked for exploration.
    wish: Option<String>,
}

/// Of what was shown, so much is kept to see what it announces.
const MOST_SPOKEN: usize = 4 << 10;

/// The most text that waits for the model to be asked again.
const MOST_LOST: usize = 64 << 10;

impl Repair {
    /// For one attempt.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            text: plan.parser.scanner(),
            thoughts: None,
            made: Made { stuck: plan.stuck.clone(), listens: plan.memory.is_some(), ..Made::default() },
            plan,
            natives: Natives::default(),
            said: Said::default(),
            ended: None,
            seam: None,
            resumed: 0,
        }
    }

    /// For the answer to this answer's question.
    #[must_use]
    pub fn follow_up(&mut self) -> Self {
        let mut next = Self::new(Arc::clone(&self.plan));
        // The client is told of an end by the one that follows.
        self.ended = None;
        let made = std::mem::take(&mut self.made);
        if let Some(seam) = self.seam.take() {
            // The same text goes on: what the scanner knows of it still holds.
            std::mem::swap(&mut next.text, &mut self.text);
            std::mem::swap(&mut next.said, &mut self.said);
            return Self {
                made: Made { repairs: made.repairs + 1, ..made },
                seam: Some(seam),
                resumed: self.resumed + 1,
                ..next
            };
        }
        next.made = Made {
            slots: made.slots,
            shown: made.shown,
            lost: made.lost,
            problem: made.problem,
            spoken: made.spoken,
            wish: made.wish,
            listens: made.listens,
            asked: true,
            repairs: made.repairs + 1,
            stuck: made.stuck,
            ..Made::default()
        };
        next
    }

    /// After the upstream ended its answer: what the model should be asked before the client is told that it is over. Whoever does not
    /// ask calls [`Repair::give_up`].
    pub fn question(&mut self) -> Option<Question> {
        self.ended.as_ref()?;
        if let Some(seam) = &self.seam {
            return Some(Question { said: self.said.text()?.to_owned(), ask: seam.ask() });
        }
        let meant = self.made.meant?;
        self.said.question(meant, self.plan.parser.options())
    }

    /// The model is not asked again: the answer is what it is.
    pub fn give_up(&mut self, sink: &mut dyn EventSink) {
        if let Some(reason) = self.ended.take() {
            self.finish_text(sink);
            self.over(reason, sink);
        }
    }

    /// How many calls were found or mended so far, and how often the model was asked again.
    pub fn repairs(&self) -> u32 {
        self.made.repairs
    }

    /// Takes one event of the upstream and hands out what becomes of it. `Finished` is kept back while there is a question.
    pub fn event(&mut self, event: TurnEvent<'_>, sink: &mut dyn EventSink) {
        let made = &mut self.made;
        match event {
            TurnEvent::Text(text) => {
                let mut rest = String::new();
                let text = if let Some(seam) = &mut self.seam {
                    let Some(found) = seam.push(text) else { return };
                    self.seam = None;
                    rest.push_str(&found);
                    &rest
                } else {
                    text
                };
                self.said.push(text);
                self.text.push(text, &mut |event| made.text(&event, sink));
            }
            TurnEvent::Reasoning(text) => {
                let thoughts = self.thoughts.get_or_insert_with(|| self.plan.thoughts());
                thoughts.push(text, &mut |event| made.thought(&event, sink));
            }
            TurnEvent::CallStarted { slot, id, name } => {
                self.finish_text(sink);
                self.natives.started(slot, id, name, self.plan.parser.options(), &mut self.made, sink);
            }
            TurnEvent::CallArguments { slot, json } => {
                self.natives.arguments(slot, json, self.plan.parser.options(), made, sink);
            }
            TurnEvent::CallEnded { slot } => self.natives.ended(slot, self.plan.parser.options(), made, sink),
            TurnEvent::ReasoningState(state) => {
                // State belongs to what was thought or said before it.
                if let Some(mut thoughts) = self.thoughts.take() {
                    thoughts.finish(&mut |event| made.thought(&event, sink));
                }
                self.finish_text(sink);
                sink.event(TurnEvent::ReasoningState(state));
            }
            TurnEvent::Finished(reason) => self.finish(reason, sink),
            other => sink.event(other),
        }
    }

    /// What was held back of the text is settled; text that follows is a text of its own.
    fn finish_text(&mut self, sink: &mut dyn EventSink) {
        let mut text = std::mem::replace(&mut self.text, self.plan.parser.scanner());
        let made = &mut self.made;
        text.finish(&mut |event| made.text(&event, sink));
    }

    fn finish(&mut self, reason: FinishReason, sink: &mut dyn EventSink) {
        let mut reason = reason;
        if self.seam.take().is_some() && self.resumed > 0 {
            sink.event(TurnEvent::Note(
                "the continuation does not begin where the answer ended, and was not joined",
            ));
            // A call of its own needs no seam.
            if self.made.calls == 0 {
                reason = FinishReason::Length;
            }
        } else if reason == FinishReason::Length && self.may_resume() {
            self.seam = self.said.text().and_then(Seam::of);
            if self.seam.is_some() {
                self.ended = Some(reason);
                return;
            }
        }
        let cut_in_call = reason == FinishReason::Length && self.text.in_call() && self.plan.resumes > 0;
        self.finish_text(sink);
        let made = &mut self.made;
        if let Some(thoughts) = &mut self.thoughts {
            thoughts.finish(&mut |event| made.thought(&event, sink));
        }
        self.natives.finish(self.plan.parser.options(), &mut self.made, sink);
        let made = &mut self.made;
        // Without an answer to the hidden question, the answer before it stands as it was.
        let reason = match reason {
            FinishReason::Failed(failure) if made.asked && made.calls == 0 => {
                sink.event(TurnEvent::Note(&format!(
                    "the model could not be asked again: {}",
                    failure.message
                )));
                FinishReason::Stop
            }
            reason => reason,
        };
        let by_itself = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls);
        if made.calls == 0 && !made.shown && by_itself {
            for call in std::mem::take(&mut made.drafts) {
                sink.event(TurnEvent::Note("a call was found in the thoughts of an answer without text"));
                made.call(&call, sink);
            }
        }
        let ask = by_itself || (cut_in_call && made.meant == Some(Meant::Call(ProblemKind::Truncated)));
        if ask && made.calls == 0 && made.meant.is_some() && !made.asked {
            self.ended = Some(reason);
        } else {
            self.over(reason, sink);
        }
    }

    /// Makes the read-only command that an answer without a call plainly announced.
    fn synthesise(&mut self, sink: &mut dyn EventSink) {
        let Some(memory) = &self.plan.memory else { return };
        let made = &mut self.made;
        let wish = made.wish.take();
        let proposal = intent::propose(&made.spoken, wish.as_deref(), memory, self.plan.parser.options());
        if let Some(mut proposal) = proposal {
            made.repairs += 1;
            sink.event(TurnEvent::Note(&format!("synthesised: true; rule: {}", proposal.rule)));
            proposal.call.id = Some(history::synthesised_id(made.slots));
            made.asked = false;
            made.call(&proposal.call, sink);
        }
    }

    /// Whether an answer that was cut can go on: it is text so far, and not inside a call.
    fn may_resume(&self) -> bool {
        let made = &self.made;
        let text_only = made.calls == 0 && made.meant.is_none() && !made.asked && !self.text.in_call();
        text_only && self.natives.is_empty() && self.resumed < self.plan.resumes
    }

    fn over(&mut self, reason: FinishReason, sink: &mut dyn EventSink) {
        if self.made.calls == 0 && matches!(reason, FinishReason::Stop | FinishReason::ToolCalls) {
            self.synthesise(sink);
        }
        let made = &mut self.made;
        if made.calls == 0 {
            made.deliver(sink);
            // The client would see an empty answer: what went wrong is better than nothing.
            let empty = !made.shown && !matches!(reason, FinishReason::Failed(_));
            if let Some(problem) = made.problem.take().filter(|_| empty) {
                sink.event(TurnEvent::Text(&format!("The model's tool call could not be made: {problem}.")));
            }
        }
        let reason = match reason {
            FinishReason::Stop if made.calls > 0 => FinishReason::ToolCalls,
            reason => reason,
        };
        sink.event(TurnEvent::Finished(reason));
    }
}

impl Made {
    /// What the parser makes of the answer's text.
    fn text(&mut self, event: &Event<'_>, sink: &mut dyn EventSink) {
        match event {
            Event::Text(text) => self.say(text, sink),
            Event::Reasoning(text) => sink.event(TurnEvent::Reasoning(text)),
            Event::CallEnded { call, text, .. }
                if self.stuck.as_ref().is_some_and(|stuck| stuck.is(call)) =>
            {
                let what = "the model makes the same call again and again, so it is shown and not made";
                sink.event(TurnEvent::Note(&format!("{what}: {}", call.name)));
                self.shows_markup = true;
                self.say(text, sink);
            }
            Event::CallEnded { call, text, .. } => {
                let what = format!("a {} call was found in the text: {}", call.dialect, call.name);
                sink.event(TurnEvent::Note(&format!("{what}; before: {:?}", shortened(text))));
                self.repairs += 1;
                self.call(call, sink);
            }
            Event::Cut { problem, text } => {
                sink.event(TurnEvent::Note(&problem.to_string()));
                self.meant = Some(Meant::Call(problem.kind));
                self.keep(text);
            }
            Event::Request { request, text } => {
                sink.event(TurnEvent::Note(&format!(
                    "the model asks for {} without a command",
                    request.kind
                )));
                self.meant = Some(Meant::Wish(request.kind));
                if request.kind == RequestKind::Explore {
                    self.wish = Some(request.body.clone());
                }
                self.keep(text);
            }
            Event::Problem(problem) => {
                sink.event(TurnEvent::Note(&problem.to_string()));
                self.meant = Some(Meant::Call(problem.kind));
            }
            Event::Markup(text) if self.shows_markup => self.say(text, sink),
            Event::Markup(_)
            | Event::CallStarted { .. }
            | Event::CallArguments { .. }
            | Event::CallRefused { .. } => {}
        }
    }

    /// Keeps markup that is shown only if nothing comes of it.
    fn keep(&mut self, text: &str) {
        if self.asked { &mut self.aside } else { &mut self.lost }.push_str(text);
    }

    /// Shows text, unless it is better to wait for what the model says when it is asked again.
    fn say(&mut self, text: &str, sink: &mut dyn EventSink) {
        if self.asked && self.calls == 0 {
            self.aside.push_str(text);
        } else if self.meant.is_some() && self.calls == 0 && self.lost.len() + text.len() <= MOST_LOST {
            self.lost.push_str(text);
        } else if !self.asked {
            self.deliver(sink);
            self.show(text, sink);
        }
    }

    /// Shows what waited.
    fn deliver(&mut self, sink: &mut dyn EventSink) {
        self.meant = None;
        let lost = std::mem::take(&mut self.lost);
        let aside = std::mem::take(&mut self.aside);
        self.show(if lost.trim().is_empty() { &aside } else { &lost }, sink);
    }

    fn show(&mut self, text: &str, sink: &mut dyn EventSink) {
        if !text.is_empty() {
            self.shown |= !text.trim().is_empty();
            if self.listens {
                self.spoken.push_str(text);
            }
            if self.spoken.len() > 2 * MOST_SPOKEN {
                let start = self.spoken.len() - MOST_SPOKEN;
                let start = (start..self.spoken.len()).find(|at| self.spoken.is_char_boundary(*at));
                self.spoken.drain(..start.unwrap_or_default());
            }
            sink.event(TurnEvent::Text(text));
        }
    }

    /// What the parser makes of the thoughts.
    fn thought(&mut self, event: &Event<'_>, sink: &mut dyn EventSink) {
        match event {
            Event::Text(text) | Event::Reasoning(text) => sink.event(TurnEvent::Reasoning(text)),
            Event::CallEnded { call, .. } => self.drafts.push((*call).clone()),
            _ => {}
        }
    }

    /// Hands out a whole call.
    fn call(&mut self, call: &toolcall_parser::Call, sink: &mut dyn EventSink) {
        self.before_call(sink);
        let slot = self.slot();
        self.calls += 1;
        for repair in &call.repairs {
            sink.event(TurnEvent::Note(&format!("call {}: {repair}", call.name)));
        }
        sink.event(TurnEvent::CallStarted { slot, id: call.id.as_deref(), name: &call.name });
        sink.event(TurnEvent::CallArguments { slot, json: &call.arguments });
        sink.event(TurnEvent::CallEnded { slot });
    }

    /// A call is made: what waited is shown if it is this answer's own, and forgotten if the model was asked again.
    fn before_call(&mut self, sink: &mut dyn EventSink) {
        if self.asked {
            self.lost.clear();
            self.aside.clear();
        } else if self.meant.is_some() {
            self.deliver(sink);
        }
    }

    fn slot(&mut self) -> u32 {
        let slot = self.slots;
        self.slots += 1;
        slot
    }
}

/// The most of a source that a note shows.
const MOST_SHOWN: usize = 200;

fn shortened(text: &str) -> String {
    if text.chars().count() <= MOST_SHOWN {
        return text.to_owned();
    }
    text.chars().take(MOST_SHOWN).chain(['…']).collect()
}
